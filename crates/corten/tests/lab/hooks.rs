//! A CDI spec of ours, with its hooks done by our `nvidia-cdi-hook`, as engines without our runtime would have them:
//! the shim in mode cdi only puts the spec's edits into config.json.

use crate::stage::{GPU_0, LISTS, RUNTIMES, Stage, Tree, assert_lists, assert_prints, assert_same, stderr};
use serde_json::{Value, json};
use std::{fs, process::Output};

/// Writes the machine's spec to the folder that `by_spec` names.
const SPEC: &str = r#"BIN="${SHIM%/*}"; "$BIN/nvidia-ctk" --quiet cdi generate --output="$D/cdi/gpu.yaml" \
    --nvidia-cdi-hook-path="$BIN/nvidia-cdi-hook" --enable-hook=chmod 2>"$D/generate.log" || exit 9"#;

/// Starts the container as config.json was at first, with all that a start leaves in the root.
const START: &str = r#"[ -f "$D/spec" ] || cp "$B/config.json" "$D/spec"; cp "$D/spec" "$B/config.json"
    "$SHIM" --root "$D/state" --log "$D/log" run --bundle "$B" "$ID""#;

/// Where specs put libraries: where this machine has them.
const FOLDER: &str = "/usr/lib/x86_64-linux-gnu";

fn both_names() -> Vec<String> {
    ["libcuda.so.1", "libcuda.so"].map(|name| format!("{name} {FOLDER}/{name}")).to_vec()
}

/// A stage whose devices come from a spec.
fn by_spec(root: &[&str], runtime: &str) -> Stage {
    let stage = Stage::new(root);
    fs::create_dir(stage.path("cdi")).unwrap();
    let folder = stage.path("cdi");
    let lines = format!("mode = 'cdi'\n[nvidia-container-runtime.modes.cdi]\nspec-dirs = [{folder:?}]");
    stage.configure(runtime, &lines);
    stage
}

fn start(stage: &Stage, machine: &[&str]) -> Output {
    stage.on(machine, &format!("{SPEC}; {START}"))
}

fn shell(stage: &Stage, script: &str) {
    stage.edit(|document| document["process"]["args"] = json!(["/bin/sh", "-c", script]));
}

/// The names that the spec's hooks have in config.json.
fn hooks(stage: &Stage) -> Vec<String> {
    let document: Value = serde_json::from_str(&stage.read("bundle/config.json")).unwrap();
    let hooks = document["hooks"]["createContainer"].as_array().unwrap();
    hooks.iter().map(|hook| hook["args"][1].as_str().unwrap().to_owned()).collect()
}

fn has_litter(tree: &Tree) -> Vec<String> {
    let litter =
        |name: &String| name.contains(".corten") || name.contains("nvidia-ctk-hook") || name.contains("zz-nvcr");
    tree.keys().map(|path| path.to_string_lossy().into_owned()).filter(litter).collect()
}

#[test]
fn libraries_are_found_and_restarts_leave_nothing() {
    for root in [
        &["debian"][..],
        &["debian", "--no-cache"],
        &["debian", "--abs-links"],
        &["rhel"],
        &["rhel", "--no-cache", "--abs-links"],
        &["arch"],
    ] {
        for runtime in RUNTIMES {
            let what = format!("{root:?} {runtime}");
            let stage = by_spec(root, runtime);
            shell(&stage, LISTS);
            assert_lists(&what, &start(&stage, &[]), &both_names());
            let names = hooks(&stage);
            for hook in ["create-symlinks", "enable-cuda-compat", "update-ldcache", "update-application-profile"] {
                assert!(names.iter().any(|name| name == hook), "{hook} in {names:?}");
            }
            let once = stage.tree();
            assert_eq!(has_litter(&once), Vec::<String>::new(), "{what}");
            assert_lists(&what, &start(&stage, &[]), &both_names());
            assert_same(&what, &once, &stage.tree());
        }
    }
}

/// `--hooks=one`: the same in one process.
#[test]
fn one_hook_does_the_work_of_five() {
    for root in [&["debian"][..], &["rhel", "--no-cache", "--abs-links"]] {
        for runtime in RUNTIMES {
            let what = format!("{root:?} {runtime}");
            let stage = by_spec(root, runtime);
            shell(&stage, LISTS);
            let start = || stage.on(&[], &format!("{}; {START}", SPEC.replace("--enable-hook=chmod", "--hooks=one")));
            assert_lists(&what, &start(), &both_names());
            assert_eq!(hooks(&stage), ["jobs"], "{what}");
            let once = stage.tree();
            assert!(once.contains_key(std::path::Path::new("usr/lib/x86_64-linux-gnu/libcuda.so")), "{what}");
            assert_lists(&what, &start(), &both_names());
            assert_same(&what, &once, &stage.tree());
        }
    }
}

/// Roots whose programs cannot run nvidia-smi, which is linked with glibc.
#[test]
fn roots_without_glibc_start_and_have_the_links() {
    for root in ["alpine", "bare"] {
        for runtime in RUNTIMES {
            let stage = by_spec(&[root], runtime);
            stage.edit(|document| {
                document["process"]["args"] = json!(["/lab-probe"]);
                document["mounts"].as_array_mut().unwrap().push(json!({
                    "destination": "/lab-probe", "type": "bind", "options": ["bind", "ro"],
                    "source": std::env::var("CORTEN_LAB").unwrap_or_default() + "/lab-probe-static",
                }));
            });
            let mut before = None;
            for _ in 0..2 {
                let done = start(&stage, &[]);
                let seen: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", stderr(&done)));
                assert_eq!(seen["devices"]["/dev/nvidia0"]["open"], "ENXIO", "{root} {runtime}: granted");
                let tree = stage.tree();
                let link = &tree[std::path::Path::new("usr/lib/x86_64-linux-gnu/libcuda.so.1")];
                assert_eq!(link.3, b"libcuda.so.550.54.14", "{root} {runtime}");
                if root == "alpine" {
                    let list = stage.read("bundle/rootfs/etc/ld-musl-x86_64.path");
                    assert_eq!(list, "/lib\n/usr/local/lib\n/usr/lib\n/usr/lib/x86_64-linux-gnu\n");
                }
                if let Some(before) = before.replace(tree) {
                    assert_same(&format!("{root} {runtime}"), &before, &stage.tree());
                }
            }
        }
    }
}

/// `root.readonly` concerns the container and not its hooks.
#[test]
fn a_read_only_container_is_prepared_all_the_same() {
    for runtime in RUNTIMES {
        let stage = by_spec(&["debian"], runtime);
        stage.edit(|document| document["root"]["readonly"] = json!(true));
        assert_prints(runtime, &start(&stage, &[]), GPU_0);
    }
}

/// The same, and `/etc` is a volume that cannot be written, with mount points: what is mounted over its files must be seen by
/// the container, and not by the hook alone, which writes the rest through a copy of the root's mounts.
#[test]
fn a_read_only_container_whose_etc_is_a_volume() {
    for runtime in RUNTIMES {
        for hooks in ["all", "one"] {
            let stage = by_spec(&["debian"], runtime);
            assert_prints("first", &start(&stage, &[]), GPU_0);
            let root = stage.path("bundle/rootfs");
            fs::remove_file(root.join("etc/ld.so.cache")).unwrap();
            let done = stage
                .on(&[], "ldconfig -X -r \"$B/rootfs\" && mv \"$B/rootfs/etc\" \"$D/etc\" && mkdir \"$B/rootfs/etc\"");
            assert!(done.status.success(), "{}", stderr(&done));
            fs::rename(stage.path("spec"), stage.path("bundle/config.json")).unwrap();
            shell(&stage, LISTS);
            stage.edit(|document| {
                document["root"]["readonly"] = json!(true);
                document["mounts"].as_array_mut().unwrap().push(json!({
                    "destination": "/etc", "type": "bind", "options": ["bind", "ro"], "source": stage.path("etc"),
                }));
            });
            let spec = SPEC.replace("--enable-hook=chmod", &format!("--hooks={hooks}"));
            let done = stage.on(&[], &format!("{spec}; {START} && {START}"));
            assert_lists(&format!("{runtime} {hooks}"), &done, &[both_names(), both_names()].concat());
        }
    }
}

/// A root on a file system that cannot be written, which has mount points already, as the original's users must make
/// them: libraries are found through a loader cache that is mounted over the image's.
#[test]
fn a_root_that_cannot_be_written() {
    for runtime in RUNTIMES {
        let stage = by_spec(&["debian"], runtime);
        assert_prints("first", &start(&stage, &[]), GPU_0);
        // Back to the image's cache, but with links and mount points.
        let root = stage.path("bundle/rootfs");
        fs::remove_file(root.join("etc/ld.so.cache")).unwrap();
        let done = stage.on(&[], "ldconfig -X -r \"$B/rootfs\" && ! ldconfig -r \"$B/rootfs\" -p | grep libcuda");
        assert!(done.status.success(), "{}", stderr(&done));
        fs::rename(stage.path("spec"), stage.path("bundle/config.json")).unwrap();
        shell(&stage, LISTS);
        // A bind mount would not do: crun makes a root writable that was bound read-only.
        let read_only = r#"mount -t tmpfs tmpfs /mnt && cp -a "$B/rootfs/." /mnt && mount -o remount,ro /mnt &&
            mount --bind /mnt "$B/rootfs" || exit 8"#;
        let done = stage.on(&[], &format!("{SPEC}; {read_only}; {START} && {START}"));
        assert_lists(runtime, &done, &[both_names(), both_names()].concat());
    }
}

/// What hooks make belongs to the container's root user, also where they run in its user namespace.
#[test]
fn a_remapped_containers_root_owns_what_hooks_make() {
    use std::os::unix::fs::{MetadataExt, lchown};
    const HOST_ID: u32 = 100_000;
    // The hook by which the lab shows its own /proc cannot run in crun's user namespace.
    for runtime in ["runc"] {
        let stage = by_spec(&["debian"], runtime);
        let root = stage.path("bundle/rootfs");
        for path in stage.tree().keys() {
            lchown(root.join(path), Some(HOST_ID), Some(HOST_ID)).unwrap();
        }
        stage.edit(|document| {
            let mapping = json!([{"containerID": 0, "hostID": HOST_ID, "size": 65536}]);
            document["linux"]["uidMappings"] = mapping.clone();
            document["linux"]["gidMappings"] = mapping;
            let namespaces = json!([{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "user"}]);
            document["linux"]["namespaces"] = namespaces;
        });
        assert_prints(runtime, &start(&stage, &[]), GPU_0);
        for path in ["usr/lib/x86_64-linux-gnu/libcuda.so.1", "usr/lib/x86_64-linux-gnu/libcuda.so", "etc/ld.so.cache"]
        {
            let status = fs::symlink_metadata(root.join(path)).unwrap();
            assert_eq!((status.uid(), status.gid()), (HOST_ID, HOST_ID), "{runtime} {path}");
        }
    }
}

/// The same container after an update of the driver.
#[test]
fn a_new_driver_takes_the_old_ones_place() {
    let stage = by_spec(&["debian"], "runc");
    shell(&stage, "nvidia-smi -L; readlink /usr/lib/x86_64-linux-gnu/libcuda.so.1");
    assert_prints("old", &start(&stage, &[]), &format!("{GPU_0}libcuda.so.550.54.14\n"));
    let new = start(&stage, &["driver.version=560.35.03"]);
    assert_prints("new", &new, &format!("{GPU_0}libcuda.so.560.35.03\n"));
}

/// An image's newer libcuda comes first; the decision is taken anew at each start.
#[test]
fn forward_compatibility() {
    for runtime in RUNTIMES {
        let stage = by_spec(&["debian"], runtime);
        let compat = stage.path("bundle/rootfs/usr/local/cuda-12.8/compat");
        fs::create_dir_all(&compat).unwrap();
        std::os::unix::fs::symlink("cuda-12.8", stage.path("bundle/rootfs/usr/local/cuda")).unwrap();
        shell(&stage, LISTS);
        // A driver library of the lab stands for the image's.
        let image = "cp -L $(ls /usr/lib/x86_64-linux-gnu/libcuda.so.*.*) $B/rootfs/usr/local/cuda-12.8/compat/libcuda.so.570.86.10";
        let ours = "libcuda.so.1 /usr/local/cuda-12.8/compat/libcuda.so.1".to_owned();
        let with_ours = || [vec![ours.clone()], both_names()].concat();
        let drop_ins = || {
            let names = fs::read_dir(stage.path("bundle/rootfs/etc/ld.so.conf.d")).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.starts_with("00-compat-")).collect::<Vec<_>>()
        };
        let done = stage.on(&[], &format!("{image} && {SPEC}; {START}"));
        assert_lists(runtime, &done, &with_ours());
        assert_eq!(drop_ins(), ["00-compat-corten.conf"]);
        let done = stage.on(&["driver.version=575.51.03"], &format!("{SPEC}; {START}"));
        assert_lists(runtime, &done, &both_names());
        assert_eq!(drop_ins(), [""; 0]);
        for hooks in ["--hooks=all", "--hooks=one"] {
            let done = stage.on(&[], &format!("{SPEC}; {START}"));
            assert_lists(runtime, &done, &with_ours());
            assert_eq!(drop_ins(), ["00-compat-corten.conf"]);
            // A spec that was made anew without the hook.
            let without = format!("--disable-hook=enable-cuda-compat {hooks}");
            let done = stage.on(&[], &format!("{}; {START}", SPEC.replace("--enable-hook=chmod", &without)));
            assert_lists(&format!("{runtime} {hooks}"), &done, &both_names());
            assert_eq!(drop_ins(), [""; 0]);
        }
    }
}
