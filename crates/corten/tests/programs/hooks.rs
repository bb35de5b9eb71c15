//! Every hook that CDI specs name, run by itself against a root on disk.

use crate::stage::{Stage, stderr};
use rustix::fs::{CWD, FileType, makedev, mknodat};
use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::{Output, Stdio},
};

/// Runs a hook on the stage's bundle, with the state on stdin as runc writes it.
fn hook(stage: &Stage, args: &[&str]) -> Output {
    let state = format!("{{\"ociVersion\": \"1.0.2\", \"id\": \"x\", \"bundle\": {:?}}}", stage.text("bundle"));
    with_state(stage, args, &state)
}

fn with_state(stage: &Stage, args: &[&str], state: &str) -> Output {
    let mut command = stage.command("nvidia-cdi-hook");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A hook that needs no state does not read it.
    let _ = child.stdin.take().unwrap().write_all(state.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn succeeds(stage: &Stage, args: &[&str]) -> String {
    let output = hook(stage, args);
    assert!(output.status.success() && output.stdout.is_empty(), "{args:?}: {}", stderr(&output));
    stderr(&output)
}

#[track_caller]
fn fails(stage: &Stage, args: &[&str], want: &str) {
    let output = hook(stage, args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(said.contains(want) && said.contains("[CORTEN-E"), "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1);
}

fn root(stage: &Stage) -> PathBuf {
    stage.path("bundle/rootfs")
}

fn link(stage: &Stage, at: &str) -> String {
    fs::read_link(root(stage).join(at)).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn links_are_made_inside_the_root() {
    let stage = Stage::new();
    fs::create_dir(stage.path("host")).unwrap();
    symlink(stage.path("host"), root(&stage).join("escape")).unwrap();
    symlink("/usr", root(&stage).join("inside")).unwrap();
    symlink("../../../../../../..", root(&stage).join("up")).unwrap();
    fs::write(root(&stage).join("usr/lib/file"), "").unwrap();
    let args = [
        "create-symlinks",
        "--link",
        "libcuda.so.1::/usr/lib/libcuda.so",
        "--link=a::/../../../x,b::/y/z",
        "--link",
        "../card1::/dev/dri/by-path/pci-0000:07:00.0-card",
        "--link",
        "t::/inside/lib/through",
        "--link",
        "t::/up/top",
        "--link",
        "-t::relative,with,commas",
        "--link",
        "old::/usr/lib/twice",
        "--link",
        "new::/usr/lib/twice",
        "--link",
        "t::/usr/lib/file",
    ];
    assert_eq!(succeeds(&stage, &args), "");
    for (at, target) in [
        ("usr/lib/libcuda.so", "libcuda.so.1"),
        ("x", "a"),
        ("y/z", "b"),
        ("dev/dri/by-path/pci-0000:07:00.0-card", "../card1"),
        ("usr/lib/through", "t"),
        ("top", "t"),
        ("relative,with,commas", "-t"),
        ("usr/lib/twice", "new"),
        ("usr/lib/file", "t"),
    ] {
        assert_eq!(link(&stage, at), target, "{at}");
    }
    let debug: Vec<&str> = ["--debug"].into_iter().chain(args).collect();
    let said = succeeds(&stage, &debug);
    assert!(said.contains("needed no change"), "{said}");

    fs::create_dir(root(&stage).join("folder")).unwrap();
    fails(&stage, &["create-symlinks", "--link", "t::/escape/x"], "failed to create symlink: ");
    fails(&stage, &["create-symlinks", "--link", "t::/folder"], "failed to create symlink: /folder");
    fails(&stage, &["create-symlinks", "--link", "t::/usr/lib/libcuda.so/x"], "failed to create symlink: ");
    fails(&stage, &["create-symlinks", "--link", "a::b::c"], "invalid symlink specification a::b::c");
    assert_eq!(fs::read_dir(stage.path("host")).unwrap().count(), 0, "nothing on the host was touched");
}

#[test]
fn permissions_change_inside_the_root_only() {
    let stage = Stage::new();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for folder in ["host", "bundle/rootfs/a", "bundle/rootfs/b,c", "bundle/rootfs/d"] {
        fs::create_dir(stage.path(folder)).unwrap();
        fs::set_permissions(stage.path(folder), fs::Permissions::from_mode(0o700)).unwrap();
    }
    symlink(stage.path("host"), root(&stage).join("escape")).unwrap();
    symlink("/d", root(&stage).join("link")).unwrap();
    succeeds(
        &stage,
        &["chmod", "--mode", "755", "--path", "/escape", "--path=/a,/b,c", "--path", "/missing", "--path", "/link"],
    );
    assert_eq!(mode(stage.path("host")), 0o700, "Q30");
    for name in ["a", "b,c", "d"] {
        assert_eq!(mode(root(&stage).join(name)), 0o755, "{name}");
    }
    succeeds(&stage, &["chmod", "--mode=1777", "--path=/a"]);
    assert_eq!(mode(root(&stage).join("a")), 0o1777, "the sticky bit is not lost");

    symlink("loop", root(&stage).join("loop")).unwrap();
    fails(&stage, &["chmod", "--mode=700", "--path=/loop", "--path=/a"], "cannot open /loop in the container");
    assert_eq!(mode(root(&stage).join("a")), 0o700, "one failure keeps nothing else from being done, and counts");
    fails(&stage, &["chmod", "--path=/a"], "a non-empty mode must be specified");
    fails(&stage, &["chmod", "--mode=rwx", "--path=/a"], "failed to parse mode as octal: ");
    fails(&stage, &["chmod", "--mode=755", "--path", " "], "paths must not be empty");
}

#[test]
fn the_profile_names_the_gpus_of_dev() {
    let stage = Stage::new();
    let profile = "bundle/rootfs/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf";
    succeeds(&stage, &["update-application-profile"]);
    assert!(!stage.path(profile).exists(), "no GPU, no profile");
    let dev = root(&stage).join("dev");
    fs::create_dir(&dev).unwrap();
    let node = |name: &str, minor| {
        mknodat(CWD, dev.join(name), FileType::CharacterDevice, 0o666.into(), makedev(195, minor)).unwrap();
    };
    for (name, minor) in [("nvidia0", 0), ("nvidia5", 5), ("nvidiactl", 255), ("nvidia70", 70)] {
        node(name, minor);
    }
    fs::write(dev.join("nvidia1"), "").unwrap();
    mknodat(CWD, dev.join("nvidia9"), FileType::CharacterDevice, 0o666.into(), makedev(1, 3)).unwrap();
    symlink("nvidia5", dev.join("nvidia2")).unwrap();
    let said = succeeds(&stage, &["update-application-profile"]);
    assert!(said.contains("dropping invalid minor number 70: must be in range [0, 63]"), "{said}");
    let text = r#"{"profiles":[{"name":"_container_","settings":["EGLVisibleDGPUDevices",0x21]}],"rules":[{"pattern":[],"profile":"_container_"}]}"#;
    assert_eq!(stage.read(profile), text);
    let before = fs::metadata(stage.path(profile)).unwrap().modified().unwrap();
    assert_eq!(succeeds(&stage, &["--quiet", "update-application-profile"]), "");
    assert_eq!(fs::metadata(stage.path(profile)).unwrap().modified().unwrap(), before, "left alone");
}

#[test]
fn forward_compatibility_is_decided_anew() {
    let stage = Stage::new();
    let compat = root(&stage).join("usr/local/cuda-12.8/compat");
    fs::create_dir_all(&compat).unwrap();
    symlink("/usr/local/cuda-12.8", root(&stage).join("usr/local/cuda")).unwrap();
    fs::write(compat.join("libcuda.so.570.86.10"), "").unwrap();
    let drop_in = "bundle/rootfs/etc/ld.so.conf.d/00-compat-corten.conf";
    for (option, wanted) in [
        ("--host-driver-version=550.54.14", true),
        ("--host-driver-version=575.1", false),
        ("--host-driver-version=535.1", true),
        ("--host-cuda-version=12.4", false),
    ] {
        for _ in 0..2 {
            succeeds(&stage, &["enable-cuda-compat", option]);
            let want = if wanted { "/usr/local/cuda-12.8/compat\n" } else { "" };
            assert_eq!(stage.read(drop_in), want, "{option}");
            assert_eq!(stage.path(drop_in).exists(), wanted);
        }
    }
    let elsewhere = ["enable-cuda-compat", "--host-driver-version=550.1", "--cuda-compat-container-root", "/opt/none"];
    succeeds(&stage, &elsewhere);
    assert!(!stage.path(drop_in).exists());
    // Without a version of the host nothing is decided, and no state is needed.
    let output = with_state(&stage, &["enable-cuda-compat"], "");
    assert!(output.status.success(), "{}", stderr(&output));
}

/// On Orin the host's CUDA version is what is known, and NVIDIA's images have a folder of their own for it (reference:
/// cdi-and-ctk.md, 6.3). What the library's note says decides there.
#[test]
fn orins_libraries_are_judged_by_their_cuda_version() {
    let stage = Stage::new();
    let folder = root(&stage).join("usr/local/cuda/compat_orin");
    fs::create_dir_all(&folder).unwrap();
    let body = br#"{"Format": 1, "CUDA Version": "12.8", "Driver": [], "Device": []}"#;
    let name = b"NVIDIA Corporation\0";
    let mut note: Vec<u8> =
        [name.len(), body.len(), 1].iter().flat_map(|number| (*number as u32).to_le_bytes()).collect();
    for part in [&name[..], body] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    fs::write(stage.path("note"), note).unwrap();
    stage.write("empty.c", "");
    let library = folder.join("libcuda.so.1.1");
    let tool = |program: &str, words: &[&str]| {
        let done = std::process::Command::new(program).args(words).output().unwrap();
        assert!(done.status.success(), "{program}: {}", stderr(&done));
    };
    tool("cc", &["-shared", "-nostdlib", "-o", library.to_str().unwrap(), &stage.text("empty.c")]);
    let section = format!(".note.cuda.fwd_compatibility={}", stage.text("note"));
    tool("objcopy", &["--add-section", &section, library.to_str().unwrap()]);
    let elsewhere = "--cuda-compat-container-root=/usr/local/cuda/compat_orin";
    for (options, wanted) in [
        (&["--host-cuda-version=12.4", elsewhere][..], true),
        (&["--host-cuda-version=12.8", elsewhere], false),
        (&["--host-cuda-version=11.4", elsewhere], true),
        (&["--host-cuda-version=11.4"], false),
        // The note names no driver series, so this cannot be one of them.
        (&["--host-driver-version=0.9", elsewhere], false),
    ] {
        succeeds(&stage, &[&["enable-cuda-compat"][..], options].concat());
        let drop_in = stage.read("bundle/rootfs/etc/ld.so.conf.d/00-compat-corten.conf");
        assert_eq!(drop_in, if wanted { "/usr/local/cuda/compat_orin\n" } else { "" }, "{options:?}");
    }
}

#[test]
fn the_loaders_hook_takes_what_the_originals_takes() {
    let stage = Stage::new();
    fs::write(root(&stage).join("usr/lib/libx.so.1"), "no library").unwrap();
    let said = succeeds(
        &stage,
        &["--debug", "update-ldcache", "--ldconfig-path", "/sbin/ldconfig", "--folder", "/usr/lib", "--folder", "-x"],
    );
    assert!(said.contains("/sbin/ldconfig is not run"), "{said}");
    assert!(!root(&stage).join("etc").exists() && !root(&stage).join("run").exists(), "nothing to say, nothing made");
    fails(&stage, &["update-ldcache", "--ldconfig-path="], "ldconfig-path must be specified");
    fails(&stage, &["update-ldcache", "--folder"], "flag needs an argument: --folder");
    fails(&stage, &["update-ldcache", "--bogus", "x"], "flag provided but not defined: -bogus");
}

#[test]
fn a_state_that_is_none_is_an_error_in_the_originals_words() {
    let stage = Stage::new();
    let failed = |state: &str, want: &str| {
        for name in ["update-ldcache", "create-symlinks", "update-application-profile"] {
            let output = with_state(&stage, &[name], state);
            let said = stderr(&output);
            assert!(!output.status.success() && said.contains(want), "{name} {state}: {said}");
        }
    };
    failed("", "failed to load container state: failed to decode container state: ");
    failed("[]", "failed to load container state: failed to decode container state: ");
    failed("{}", "failed to determined container root: the container's state names no bundle");
    failed("{\"bundle\": \"/nope\"}", "failed to determined container root: ");
    failed("{\"root\": \"/\"}", "failed to determined container root: / is this machine's own root");
    failed("{\"root\": \"/nope\"}", "failed to determined container root: ");
}

/// The state as crun writes it, and as a test of a hook by hand has it.
#[test]
fn the_root_may_come_from_the_state_or_a_file() {
    let stage = Stage::new();
    fs::create_dir(stage.path("other")).unwrap();
    let state = format!("{{\"root\": {:?}, \"bundle\": {:?}}}", stage.text("other"), stage.text("bundle"));
    assert!(with_state(&stage, &["create-symlinks", "--link", "t::/x"], &state).status.success());
    assert!(stage.path("other/x").is_symlink());
    stage.write("state.json", &state);
    for spec in [stage.text("state.json"), "../state.json".to_owned()] {
        let args = ["create-symlinks", "--container-spec", &spec, "--link", "t::/y"];
        assert!(with_state(&stage, &args, "").status.success());
        fs::remove_file(stage.path("other/y")).unwrap();
    }
}

/// The file may be the image's: a relative path counts from a folder that a low-level runtime chose.
#[test]
fn a_state_in_a_file_is_small_and_regular() {
    let stage = Stage::new();
    mknodat(CWD, stage.path("fifo"), FileType::Fifo, 0o666.into(), 0).unwrap();
    fs::File::create(stage.path("endless")).unwrap().set_len(10 << 30).unwrap();
    for (spec, why) in [
        (stage.text("fifo"), "it is not a regular file"),
        ("/dev/zero".to_owned(), "it is not a regular file"),
        (stage.text("bundle"), "it is not a regular file"),
        (stage.text("missing"), "No such file or directory (os error 2)"),
        (stage.text("endless"), "failed to decode container state: the container's state is larger than 16 MiB"),
    ] {
        let done = with_state(&stage, &["create-symlinks", "--container-spec", &spec, "--link", "t::/y"], "");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), said.lines().count()), (Some(1), 1), "{spec}: {said}");
        assert!(said.contains("failed to load container state: ") && said.contains(why), "{spec}: {said}");
    }
}

/// What the hooks of a start do one after the other, in one process and with one state.
#[test]
fn several_hooks_may_be_one_process() {
    let stage = Stage::new();
    let compat = root(&stage).join("usr/local/cuda/compat");
    fs::create_dir_all(&compat).unwrap();
    fs::write(compat.join("libcuda.so.570.86.10"), "").unwrap();
    let dev = root(&stage).join("dev");
    fs::create_dir(&dev).unwrap();
    mknodat(CWD, dev.join("nvidia3"), FileType::CharacterDevice, 0o666.into(), makedev(195, 3)).unwrap();
    let jobs = "--quiet jobs create-symlinks --link libcuda.so.1::/usr/lib/libcuda.so enable-cuda-compat \
                --host-driver-version=550.54.14 update-ldcache --folder /usr/lib disable-device-node-modification \
                update-application-profile";
    let jobs: Vec<&str> = jobs.split_whitespace().collect();
    assert_eq!(succeeds(&stage, &jobs), "");
    assert_eq!(link(&stage, "usr/lib/libcuda.so"), "libcuda.so.1");
    assert_eq!(stage.read("bundle/rootfs/etc/ld.so.conf.d/00-compat-corten.conf"), "/usr/local/cuda/compat\n");
    let profile = "bundle/rootfs/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf";
    assert!(stage.read(profile).contains("0x8]"));
    // Those that are not known stop nobody; the first that fails stops the rest.
    let said = succeeds(&stage, &["jobs", "newer", "--x", "y", "create-symlinks", "--link", "t::/made"]);
    assert!(said.contains("Unsupported CDI hook: newer") && said.lines().count() == 1, "{said}");
    assert_eq!(link(&stage, "made"), "t");
    let failing = ["jobs", "create-symlinks", "--link", "t::/usr", "create-symlinks", "--link", "t::/never"];
    fails(&stage, &failing, "failed to create symlink: /usr");
    assert!(!root(&stage).join("never").is_symlink());
}

/// What an image may have in its environment, where a spec's hook has none of its own, changes nothing.
#[test]
fn the_environment_counts_for_nothing() {
    let stage = Stage::new();
    fs::create_dir(root(&stage).join("folder")).unwrap();
    let state = format!("{{\"bundle\": {:?}}}", stage.text("bundle"));
    let mut said = Vec::new();
    for hostile in [false, true] {
        let mut command = stage.command("nvidia-cdi-hook");
        command.args(["create-symlinks", "--link", "t::/folder"]);
        if hostile {
            for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "PATH", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH"] {
                command.env(name, "full");
            }
            command.env("LC_ALL", "xx").env("GCONV_PATH", "/evil").env("NVIDIA_CTK_CONFIG_FILE_PATH", "/evil");
            command.env("GLIBC_TUNABLES", "glibc.malloc.check=3").env("XDG_CONFIG_HOME", "/evil").env("NO_COLOR", "");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(state.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        let text = text.split_once("msg=").map_or(text.clone(), |(_, rest)| rest.to_owned());
        said.push(text);
    }
    assert_eq!(said[0], said[1]);
}
