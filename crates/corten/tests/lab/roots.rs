//! Roots of every kind, with both low-level runtimes.

use crate::stage::{CREATE, GPU_0, RUN, RUNTIMES, Stage, Tree, assert_prints, assert_same, stderr, stdout, tree};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{lchown, symlink},
};

#[test]
fn every_distribution_and_every_oddity() {
    for root in [
        &["debian"][..],
        &["debian", "--no-cache"],
        &["debian", "--abs-links"],
        &["debian", "--no-cache", "--abs-links"],
        &["rhel"],
        &["rhel", "--no-cache"],
        &["rhel", "--abs-links"],
        &["arch"],
        &["arch", "--no-cache"],
        &["arch", "--abs-links"],
    ] {
        for runtime in RUNTIMES {
            let stage = Stage::new(root);
            stage.configure(runtime, "");
            assert_prints(&format!("{root:?} {runtime}"), &stage.on(&[], RUN), GPU_0);
        }
    }
}

/// Roots whose programs cannot run nvidia-smi, which is linked with glibc: devices and files are there all the same.
#[test]
fn roots_without_glibc() {
    for (root, library) in [("alpine", "usr/lib/libcuda.so.1"), ("bare", "usr/lib64/libcuda.so.1")] {
        for runtime in RUNTIMES {
            let stage = Stage::new(&[root]);
            stage.configure(runtime, "");
            stage.edit(|document| {
                document["process"]["args"] = json!(["/lab-probe"]);
                document["mounts"].as_array_mut().unwrap().push(json!({
                    "destination": "/lab-probe", "type": "bind", "options": ["bind", "ro"],
                    "source": std::env::var("CORTEN_LAB").unwrap_or_default() + "/lab-probe-static",
                }));
            });
            let done = stage.on(&[], RUN);
            let seen: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", stderr(&done)));
            assert_eq!(seen["devices"]["/dev/nvidia0"]["open"], "ENXIO", "{root} {runtime}: granted");
            assert_eq!(seen["devices"].get("/dev/nvidia1"), None, "{root} {runtime}");
            let link = stage.tree().keys().any(|path| path.to_string_lossy() == library);
            assert!(link, "{root} {runtime}: {library} is not there");
        }
    }
}

/// Makes the root a read-only file system of its own.
const READ_ONLY: &str = r#"mount --bind "$B/rootfs" "$B/rootfs" && mount -o remount,bind,ro "$B/rootfs" || exit 8"#;

/// A root on a file system that is mounted read-only, as well as `root.readonly`.
#[test]
fn a_root_that_cannot_be_written() {
    for root in [&["debian"][..], &["debian", "--no-cache"], &["rhel"], &["arch", "--abs-links"]] {
        for runtime in RUNTIMES {
            let stage = Stage::new(root);
            stage.configure(runtime, "");
            stage.edit(|document| document["root"]["readonly"] = json!(true));
            let (spec, before) = (stage.read("bundle/config.json"), stage.tree());
            let script = format!(
                "{READ_ONLY}; {RUN} && ls /run/corten | grep -c ^loader; cp \"$D/spec\" \"$B/config.json\"; {RUN} && ls /run/corten | grep -c ^loader"
            );
            stage.write("spec", &spec);
            let files = if root.contains(&"--no-cache") { 0 } else { 1 };
            let want = format!("{GPU_0}{files}\n");
            let done = stage.on(&[], &format!("{script}; true"));
            assert_prints(&format!("{root:?} {runtime}"), &done, &format!("{want}{want}"));
            assert_same("root", &before, &stage.tree());
        }
    }
}

/// Looking shows the same edits and makes nothing.
#[test]
fn a_plan_for_a_root_that_cannot_be_written() {
    let stage = Stage::new(&["debian"]);
    let script =
        format!("{READ_ONLY}; \"${{SHIM%/*}}/corten\" plan --bundle \"$B\"; ls /run/corten/loader* 2>/dev/null; true");
    let printed = stdout(&stage.on(&[], &script));
    for want in [
        "/dev/nvidia-driver/lib/libcuda.so.1 <- ",
        "/etc/ld.so.cache <- /run/corten/loader-",
        ":/dev/nvidia-driver/bin ",
    ] {
        assert!(printed.contains(want), "{want}: {printed}");
    }
    assert!(!printed.contains("\n/run/corten"), "{printed}");
}

/// Programs are found also where the administrator wants the loader's cache left alone.
#[test]
fn a_root_that_cannot_be_written_has_its_programs_in_path() {
    let stage = Stage::new(&["debian"]);
    stage.configure("runc", "[nvidia-container-runtime.modes.jit-cdi]\nnvcdi-disable-hooks = ['update-ldcache']");
    let script = "command -v nvidia-smi; echo ${LD_LIBRARY_PATH-unset}";
    stage.edit(|document| document["process"]["args"] = json!(["/bin/sh", "-c", script]));
    let want = "/dev/nvidia-driver/bin/nvidia-smi\nunset\n";
    assert_prints("PATH", &stage.on(&[], &format!("{READ_ONLY}; {RUN}")), want);
}

#[test]
fn a_root_that_cannot_be_written_and_has_no_tmpfs_says_what_to_do() {
    let stage = Stage::new(&["debian"]);
    stage.edit(|document| document["mounts"].as_array_mut().unwrap().truncate(1));
    let script = format!("{READ_ONLY}; {RUN}");
    let said = stderr(&stage.on(&[], &script));
    assert!(said.contains("Mount a tmpfs") && said.contains("[CORTEN-E052]"), "{said}");
}

/// An image's links that point out of it lead to places inside it: nothing outside is touched.
#[test]
fn links_out_of_the_root_lead_into_it() {
    for climb in ["", "../../../../../../../.."] {
        let stage = Stage::without_runtime(&["debian"]);
        fs::create_dir_all(stage.path("outside/etc")).unwrap();
        stage.write("outside/etc/ld.so.cache", "the host's");
        let outside = format!("{climb}{}", stage.path("outside/etc").display());
        let root = stage.path("bundle/rootfs");
        fs::rename(root.join("etc"), root.join("etc.real")).unwrap();
        symlink(&outside, root.join("etc")).unwrap();
        fs::create_dir_all(root.join(stage.path("outside/etc").strip_prefix("/").unwrap())).unwrap();
        let before = tree(&stage.path("outside"));
        let done = stage.on(&[], CREATE);
        assert!(done.status.success(), "{climb}: {}", stderr(&done));
        assert_same("outside", &before, &tree(&stage.path("outside")));
        let inside = root.join(stage.path("outside/etc/ld.so.cache").strip_prefix("/").unwrap());
        assert!(inside.is_file(), "{climb}: the cache is where the container sees it");
    }
}

/// A container whose root user is user 100000 of the machine owns what is made for it.
#[test]
fn what_is_made_belongs_to_the_containers_root() {
    let stage = remapped();
    let before = stage.tree();
    assert_prints("user namespace", &stage.on(&[], RUN), GPU_0);
    let after = stage.tree();
    let links = made(&before, &after).filter(|(path, ..)| path.ends_with("libcuda.so.1")).count();
    assert_eq!(links, 1, "a link was made");
    for (path, uid, gid) in made(&before, &after) {
        assert_eq!((uid, gid), (HOST_ID, HOST_ID), "{path}");
    }
}

/// What lies under /run/corten is for such a container's root to read, also where the engine's umask is strict.
#[test]
fn a_remapped_root_that_cannot_be_written() {
    let stage = remapped();
    let before = stage.tree();
    assert_prints("both", &stage.on(&[], &format!("{READ_ONLY}; umask 077; {RUN}")), GPU_0);
    assert_same("root", &before, &stage.tree());
}

const HOST_ID: u32 = 100_000;

fn remapped() -> Stage {
    let stage = Stage::new(&["debian"]);
    give_to(&stage, HOST_ID);
    stage.edit(|document| {
        let mapping = json!([{"containerID": 0, "hostID": HOST_ID, "size": 65536}]);
        document["linux"]["uidMappings"] = mapping.clone();
        document["linux"]["gidMappings"] = mapping;
        let namespaces = json!([{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "user"}]);
        document["linux"]["namespaces"] = namespaces;
    });
    stage
}

/// Paths that are new or changed, with their owners.
fn made<'a>(before: &'a Tree, after: &'a Tree) -> impl Iterator<Item = (String, u32, u32)> + 'a {
    let new = after.iter().filter(|(path, seen)| before.get(*path) != Some(seen));
    new.map(|(path, (_, uid, gid, _))| (path.display().to_string(), *uid, *gid))
}

fn give_to(stage: &Stage, id: u32) {
    let root = stage.path("bundle/rootfs");
    for path in stage.tree().keys() {
        lchown(root.join(path), Some(id), Some(id)).unwrap();
    }
}

/// A volume over the folder that libraries are put into hides what is made in the root: the names that programs load are mounts
/// there.
#[test]
fn a_volume_over_the_libraries() {
    for (root, folder) in [("debian", "/usr/lib/x86_64-linux-gnu"), ("debian", "/usr/lib"), ("rhel", "/usr/lib64")] {
        for runtime in RUNTIMES {
            let stage = Stage::new(&[root]);
            stage.configure(runtime, "");
            stage.edit(|document| {
                document["mounts"].as_array_mut().unwrap().push(json!({
                    "destination": folder, "type": "bind", "options": ["rbind"], "source": stage.path("volume"),
                }));
            });
            let copy = format!("cp -a \"$B/rootfs{folder}\" \"$D/volume\" || exit 8");
            let again = "cp \"$D/spec\" \"$B/config.json\"";
            stage.write("spec", &stage.read("bundle/config.json"));
            let done = stage.on(&[], &format!("{copy}; {RUN} && {again} && {RUN}"));
            assert_prints(&format!("{root} {folder} {runtime}"), &done, &format!("{GPU_0}{GPU_0}"));
        }
    }
}

/// One over `/etc` hides the loader's cache, and the log says so. Files of it that an engine mounts are no such thing.
#[test]
fn a_volume_over_etc_is_said() {
    for (destination, said) in [("/etc", true), ("/etc/hosts", false)] {
        let stage = Stage::new(&["debian"]);
        stage.edit(|document| {
            document["mounts"].as_array_mut().unwrap().push(json!({
                "destination": destination, "type": "bind", "options": ["rbind"],
                "source": format!("{}{destination}", stage.path("copy").display()),
            }));
        });
        let copy = "mkdir \"$D/copy\" && cp -a \"$B/rootfs/etc\" \"$D/copy/\" && touch \"$D/copy/etc/hosts\" || exit 8";
        assert_prints(destination, &stage.on(&[], &format!("{copy}; {RUN}")), GPU_0);
        assert_eq!(stage.read("log").contains("lies over /etc"), said, "{destination}: {}", stage.read("log"));
    }
}
