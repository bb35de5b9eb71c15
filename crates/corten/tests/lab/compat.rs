//! CUDA forward compatibility, first of all in jit-cdi mode: what the original does by the hook `enable-cuda-compat` and
//! ldconfig, the shim does before the container exists.

use crate::stage::{GPU_0, RUNTIMES, Stage, assert_prints, assert_same, stderr, stdout};
use serde_json::json;
use std::{fs, os::unix::fs::symlink, process::Output};

/// Starts the container as config.json was at first.
const START: &str = r#"[ -f "$D/spec" ] || cp "$B/config.json" "$D/spec"; cp "$D/spec" "$B/config.json"
    "$SHIM" --root "$D/state" --log "$D/log" run --bundle "$B" "$ID""#;

/// Puts a driver library of the lab into the image as its own libcuda.
const IMAGE: &str = r#"cp -L $(ls /usr/lib/x86_64-linux-gnu/libcuda.so.*.*) "$B/rootfs/usr/local/cuda-12.8/compat/libcuda.so.570.86.10" &&
    ln -sf libcuda.so.570.86.10 "$B/rootfs/usr/local/cuda-12.8/compat/libcuda.so.1""#;

/// Which libcuda a program gets that asks for it, by its mapping.
const LOADS: &str = "LD_PRELOAD=libcuda.so.1 cat /proc/self/maps";

const THEIRS: &str = "/usr/local/cuda-12.8/compat/libcuda.so.570.86.10";
const DROP_IN: &str = "bundle/rootfs/etc/ld.so.conf.d/00-compat-corten.conf";

/// A stage whose image has NVIDIA's folder with a libcuda of series 570; the machine's driver is 550.
fn with_compat(root: &[&str], runtime: &str, lines: &str) -> Stage {
    let stage = Stage::new(root);
    stage.configure(runtime, lines);
    fs::create_dir_all(stage.path("bundle/rootfs/usr/local/cuda-12.8/compat")).unwrap();
    symlink("cuda-12.8", stage.path("bundle/rootfs/usr/local/cuda")).unwrap();
    stage.edit(|document| document["process"]["args"] = json!(["/bin/sh", "-c", LOADS]));
    stage
}

/// The libcuda that was mapped.
#[track_caller]
fn loaded(what: &str, done: &Output) -> String {
    let maps = stdout(done);
    assert!(done.status.success(), "{what}: {maps}{}", stderr(done));
    let found = maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("libcuda"));
    found.unwrap_or_else(|| panic!("{what}: {maps}{}", stderr(done))).to_owned()
}

fn is_drivers(path: &str) -> bool {
    path.ends_with("/libcuda.so.550.54.14") || path.ends_with("/libcuda.so.575.51.03")
}

#[test]
fn a_newer_libcuda_of_the_image_comes_first_where_it_fits() {
    for root in [&["debian"][..], &["debian", "--no-cache"], &["rhel"]] {
        for runtime in RUNTIMES {
            let what = format!("{root:?} {runtime}");
            let stage = with_compat(root, runtime, "");
            let first = stage.on(&[], &format!("{IMAGE} && {START}"));
            assert_eq!(loaded(&what, &first), THEIRS);
            assert_eq!(stage.read(DROP_IN), "/usr/local/cuda-12.8/compat\n", "{what}");
            let once = stage.tree();
            assert_eq!(loaded(&what, &stage.on(&[], START)), THEIRS);
            assert_same(&what, &once, &stage.tree());

            // The same container after an update of the driver, and after going back.
            let newer = stage.on(&["driver.version=575.51.03"], START);
            assert!(is_drivers(&loaded(&what, &newer)), "{what}");
            assert_is_gone(&what, &stage);
            assert_eq!(loaded(&what, &stage.on(&[], START)), THEIRS);
        }
    }
}

/// The note in the library decides, where it has one.
#[test]
fn a_library_says_which_drivers_it_is_for() {
    for (drivers, wanted) in [("[535, 550]", true), ("[535]", false)] {
        let stage = with_compat(&["debian"], "runc", "");
        let body = format!("{{\"Format\": 1, \"CUDA Version\": \"12.8\", \"Driver\": {drivers}, \"Device\": []}}");
        let mut note = Vec::new();
        let name = b"NVIDIA Corporation\0";
        for number in [name.len(), body.len(), 1] {
            note.extend((number as u32).to_le_bytes());
        }
        for part in [&name[..], body.as_bytes()] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        fs::write(stage.path("note"), note).unwrap();
        let add = r#"objcopy --add-section .note.cuda.fwd_compatibility="$D/note" "$B/rootfs/usr/local/cuda/compat/libcuda.so.570.86.10""#;
        let done = stage.on(&[], &format!("{IMAGE} && {add} && {START}"));
        assert_eq!(loaded(drivers, &done) == THEIRS, wanted, "{drivers}");
    }
}

#[test]
fn it_can_be_switched_off_and_needs_libcuda() {
    let modes = "[nvidia-container-runtime.modes.jit-cdi]\nnvcdi-disable-hooks =";
    for (lines, variable, drop_in) in [
        (format!("{modes} ['enable-cuda-compat']"), "NVIDIA_DRIVER_CAPABILITIES=all", false),
        (format!("{modes} ['all']"), "NVIDIA_DRIVER_CAPABILITIES=all", false),
        (String::new(), "NVIDIA_DRIVER_CAPABILITIES=utility", false),
        (String::new(), "NVIDIA_DRIVER_CAPABILITIES=compute", true),
    ] {
        let stage = with_compat(&["debian"], "runc", &lines);
        stage.ask(&[variable]);
        stage.edit(|document| document["process"]["args"] = json!(["/bin/true"]));
        let done = stage.on(&[], &format!("{IMAGE} && {START}"));
        assert!(done.status.success(), "{lines} {variable}: {}", stderr(&done));
        assert_eq!(stage.path(DROP_IN).exists(), drop_in, "{lines} {variable}");
    }
}

/// Whoever switches it off between two starts of the same root gets the driver's own at the second, whichever mode has put
/// the image's first.
#[test]
fn it_goes_when_it_is_switched_off() {
    let bin = crate::stage::folder("CORTEN_BIN");
    let legacy = |mode: &str| {
        let program = |name: &str| bin.join(name).to_str().unwrap().to_owned();
        let [hook, cli] = ["nvidia-container-runtime-hook", "nvidia-container-cli"].map(program);
        format!(
            "mode = 'legacy'\nmodes.legacy.cuda-compat-mode = '{mode}'\n\
            [nvidia-container-runtime-hook]\npath = {hook:?}\n[nvidia-container-cli]\npath = {cli:?}"
        )
    };
    let jit_cdi = |hooks: &str| format!("modes.jit-cdi.nvcdi-disable-hooks = {hooks}");
    for (on, off) in [
        (legacy("ldconfig"), legacy("disabled")),
        (legacy("mount"), legacy("disabled")),
        (legacy("hook"), legacy("disabled")),
        (jit_cdi("[]"), jit_cdi("['enable-cuda-compat']")),
        (jit_cdi("[]"), legacy("disabled")),
    ] {
        let what = format!("{on} / {off}");
        let stage = with_compat(&["debian"], "runc", &on);
        assert_eq!(loaded(&what, &stage.on(&[], &format!("{IMAGE} && {START}"))), THEIRS);
        assert!(stage.path(DROP_IN).exists(), "{what}");
        for machine in [&[][..], &["driver.version=575.51.03"]] {
            stage.configure("runc", &off);
            assert!(is_drivers(&loaded(&what, &stage.on(machine, START))), "{what}");
            assert_is_gone(&what, &stage);
            stage.configure("runc", &on);
            assert_eq!(loaded(&what, &stage.on(&[], START)), THEIRS);
        }
        // A container that does not compute has no use for it.
        fs::rename(stage.path("spec"), stage.path("bundle/config.json")).unwrap();
        stage.ask(&["NVIDIA_DRIVER_CAPABILITIES=utility"]);
        stage.edit(|document| document["process"]["args"] = json!(["nvidia-smi", "-L"]));
        stage.configure("runc", &on.replace("'hook'", "'ldconfig'"));
        assert_prints(&what, &stage.on(&[], START), GPU_0);
        assert_is_gone(&what, &stage);
    }
}

/// No trace is left of the image's libcuda in the loader's files.
#[track_caller]
fn assert_is_gone(what: &str, stage: &Stage) {
    assert!(!stage.path(DROP_IN).exists(), "{what}");
    let listed = fs::read(stage.path("bundle/rootfs/etc/ld.so.cache")).unwrap();
    assert!(!String::from_utf8_lossy(&listed).contains("/compat/"), "{what}: taken back");
}

/// On a file system that cannot be written, with a loader's cache to mount over and without one.
#[test]
fn a_root_that_cannot_be_written() {
    const READ_ONLY: &str = r#"mount --bind "$B/rootfs" "$B/rootfs" && mount -o remount,bind,ro "$B/rootfs" || exit 8"#;
    for root in [&["debian"][..], &["debian", "--no-cache"]] {
        for runtime in RUNTIMES {
            let stage = with_compat(root, runtime, "");
            let copied = stage.on(&[], IMAGE);
            assert!(copied.status.success(), "{}", stderr(&copied));
            let before = stage.tree();
            let what = format!("{root:?} {runtime}");
            assert_eq!(loaded(&what, &stage.on(&[], &format!("{READ_ONLY}; {START}"))), THEIRS);
            assert_same(&what, &before, &stage.tree());
        }
    }
}

/// What an image has instead of such a folder is passed over: the driver's own libcuda works in any case.
#[test]
fn odd_images_use_the_drivers() {
    for prepare in [
        "rmdir cuda-12.8/compat && mkfifo cuda-12.8/compat",
        "rmdir cuda-12.8/compat && ln -s compat cuda-12.8/compat",
        "rmdir cuda-12.8/compat && ln -s /usr/lib/x86_64-linux-gnu cuda-12.8/compat",
        "mkfifo cuda-12.8/compat/libcuda.so.570.86.10",
        "ln -s /dev/zero cuda-12.8/compat/libcuda.so.570.86.10",
        "mkdir cuda-12.8/compat/libcuda.so.570.86.10",
        "touch cuda-12.8/compat/libcuda.so.570.86.10 cuda-12.8/compat/libcuda.so.570.99",
    ] {
        let stage = with_compat(&["debian"], "runc", "");
        let script = format!("cd \"$B/rootfs/usr/local\" && {prepare} && {START}");
        let done = stage.on(&[], &script);
        let path = loaded(prepare, &done);
        assert!(is_drivers(&path), "{prepare}: {path}");
        assert!(!stage.path(DROP_IN).exists(), "{prepare}");
    }
}

#[test]
fn a_plan_says_why() {
    let stage = with_compat(&["debian"], "runc", "");
    let printed = stdout(&stage.on(&[], &format!("{IMAGE} && \"${{SHIM%/*}}/corten\" plan --bundle \"$B\"")));
    let want = "  /usr/local/cuda-12.8/compat  it is of a later series than the host's driver (libcuda.so.570.86.10 in the image)\n";
    assert!(printed.contains(want), "{printed}");
    assert!(!stage.path(DROP_IN).exists(), "only looked at");
    stage.edit(|document| document["process"]["args"] = json!(["nvidia-smi", "-L"]));
    assert_prints("nvidia-smi", &stage.on(&[], START), GPU_0);
}
