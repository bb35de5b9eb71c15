//! Containers that C programs configure (`tests/c/mount.c`): the mounts that the original makes, but for what it makes twice
//! or leaves open.

use crate::programs::{Library, compiled, difference, recorded, rootfs};
use hostile::{
    cases,
    image::{Image, Outward},
    outside,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn mount(library: &Library, machine: &str, options: &str, words: &[&str]) -> String {
    let root = tempfile::tempdir().unwrap();
    rootfs("debian", root.path());
    mount_in(library, machine, root.path(), options, words)
}

fn mount_in(library: &Library, machine: &str, root: &Path, options: &str, words: &[&str]) -> String {
    let path = root.to_str().unwrap();
    let arguments = [&[path, options][..], words].concat();
    library.run(machine, &compiled("mount", &[]), &arguments).replace(path, "ROOT")
}

/// The file that names both GPUs of the machine to EGL, in the original's words and with its mode (libnvidia-container.md,
/// 15.2). What was recorded of the original has only mounts.
const PROFILE: &str = r#"555 { "profiles": [{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", 0x3]}], "rules": [{"pattern": [], "profile": "_container_"}]}"#;

#[test]
fn a_container_gets_what_the_original_gives() {
    for (name, machine, options) in [
        ("utility", "two-gpus", "supervised no-cgroups utility"),
        ("compute", "two-gpus", "supervised no-cgroups compute utility"),
        ("all", "two-gpus", "supervised no-cgroups compute utility video graphics display ngx"),
        ("no-devbind", "two-gpus", "supervised no-cgroups no-devbind compute"),
        ("standalone", "two-gpus", "standalone no-cgroups utility"),
    ] {
        let theirs = recorded(&format!("mounts-{name}"), |library| mount(library, machine, options, &[]));
        let ours = mount(&Library::ours(), machine, options, &["profile"]);
        let mut left = difference(&theirs, &ours);
        left.retain(|line| !line.contains("libnvidia-tileiras.so"));
        let profile = ["+# profile".to_owned(), format!("+{PROFILE}")];
        assert_eq!(left, profile[..if options.contains("graphics") { 2 } else { 0 }], "{name}");
        assert!(ours.lines().count() > 10, "{name}");
    }
}

#[test]
fn mig_devices_and_their_capabilities() {
    let options = "supervised no-cgroups compute utility";
    let words = ["parts", "config", "monitor", "caps"];
    let theirs = recorded("mounts-mig", |library| mount(library, "mig", options, &words));
    let ours = mount(&Library::ours(), "mig", options, &words);
    let mut left = difference(&theirs, &ours);
    left.retain(|line| !line.contains("libnvidia-tileiras.so"));
    // Both rights bring the same folders: mounted once, and for reading (D-125).
    let want = [
        "+/dev/nvidia-caps ro nosuid noexec memory",
        "-/dev/nvidia-caps nosuid noexec memory",
        "-/dev/nvidia-caps nosuid noexec memory",
        "-/proc/driver/nvidia/capabilities ro nosuid nodev noexec memory",
    ];
    assert_eq!(left, want);
}

#[test]
fn channels_that_are_there_and_not() {
    let said = mount(&Library::ours(), "eight-gpus-nvswitch", "supervised no-cgroups utility", &["imex"]);
    assert!(said.contains("nvc_imex_channel_mount(ctx, cnt, &there): 0\n"), "{said}");
    let want = "&absent): -1, stat failed: /dev/nvidia-caps-imex-channels/channel77: no such file or directory\n";
    assert!(said.contains(want), "{said}");
    assert!(said.contains("\n/dev/nvidia-caps-imex-channels/channel0 ro nosuid noexec memory\n"), "{said}");
}

#[test]
fn a_second_time_changes_nothing() {
    let options = "supervised no-cgroups compute utility graphics";
    let of = |said: &str| said.split("# profile\n").nth(1).unwrap().to_owned();
    let once = of(&mount(&Library::ours(), "two-gpus", options, &["profile"]));
    assert!(once.starts_with(&format!("{PROFILE}\n# mounts\n")), "{once}");
    let twice = mount(&Library::ours(), "two-gpus", options, &["profile", "twice"]);
    assert_eq!(twice.matches("nvc_driver_mount(ctx, cnt, info): 0\n").count(), 2, "{twice}");
    assert_eq!(of(&twice), once);
}

/// A device cgroup of version 1 that allows nothing; gone afterwards.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Group> {
        let folder = Path::new("/sys/fs/cgroup/devices");
        if !folder.join("devices.list").exists() {
            let why = "this machine has no `devices` hierarchy of cgroups version 1";
            left_out::say("device cgroups of version 1, by the C library", why);
            return None;
        }
        let group = folder.join(format!("corten-nvc-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        fs::write(group.join("devices.deny"), "a").unwrap();
        fs::write(group.join("devices.allow"), "c *:* m").unwrap();
        Some(Group(group))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may be in the group for another moment.
        for _ in 0..200 {
            match fs::remove_dir(&self.0) {
                Ok(()) => return,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    }
}

#[test]
fn devices_are_granted() {
    let rules = |library: &Library| {
        let group = Group::new()?;
        let words = ["parts", "config", "caps", &format!("group={}", group.0.display())];
        let said = mount(library, "mig", "supervised no-devbind utility compute", &words);
        let list = said.split("# rules\n").nth(1)?;
        let mut rules: Vec<_> = list.lines().filter(|line| line.starts_with("c ")).collect();
        rules.sort();
        Some(rules.join("\n") + "\n")
    };
    if let Some(ours) = rules(&Library::ours()) {
        let theirs = recorded("rules-mig", |library| rules(library).unwrap());
        assert_eq!(ours, theirs);
    }
}

/// The suite `tests/hostile` has all attacks, and attacks `nvidia-container-cli`, which does its work by the same code. These
/// are about the mounts of a C program: sources, places, and links at a place.
#[test]
fn images_that_attack_reach_nothing_outside() {
    for name in ["cve-2024-0132", "cve-2024-0133", "cve-2025-23359", "cve-2021-30465-places", "cve-2021-30465-profiles"]
    {
        let attack = cases::all().find(|attack| attack.name == name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let image = Image::make(&folder.path().join("image"), Outward::Absolute, &fs::read("/bin/true").unwrap());
        (attack.image)(&image);
        let outside = image.outside("");
        let before = outside::record(&outside).unwrap();
        let elsewhere = format!("elsewhere={}", outside.display());
        let options = "supervised no-cgroups cuda-compat-mode=mount compute utility graphics";
        let said = mount_in(&Library::ours(), "small", &image.path(""), options, &[&elsewhere]);
        assert!(said.contains("nvc_driver_mount(ctx, cnt, info): ") && !said.contains("elsewhere: "), "{name}: {said}");
        assert_eq!(outside::differences(&before, &outside::record(&outside).unwrap()), [""; 0], "{name}: {said}");
    }
}

#[test]
fn threads_do_not_meet() {
    let root = tempfile::tempdir().unwrap();
    rootfs("debian", root.path());
    let said = Library::ours().run("two-gpus", &compiled("threads", &[]), &[root.path().to_str().unwrap()]);
    assert_eq!(said, "done\n");
}

/// No thread can be made with a stack of that size, and the standard library panics where one is needed. That must not
/// end the program.
#[test]
fn a_panic_in_the_built_library_becomes_an_error() {
    let root = tempfile::tempdir().unwrap();
    rootfs("debian", root.path());
    let program = compiled("mount", &[]);
    let arguments = [root.path().to_str().unwrap(), "supervised no-cgroups utility"];
    let said = Library::ours().run_with("two-gpus", &["RUST_MIN_STACK=4611686018427387904"], &program, &arguments);
    let lines: Vec<_> = said.lines().filter(|line| line.contains("_mount(") || line.contains("_update(")).collect();
    assert!(lines.len() >= 3, "{said}");
    for line in lines {
        assert!(line.contains(": -1, internal error, please report it: "), "{line}");
    }
    assert!(said.contains("nvc_shutdown(ctx): 0"), "{said}");
}
