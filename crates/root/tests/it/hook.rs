//! What the one hook does, in mount namespaces of its own.

use crate::tree::{Tree, run};
use oci::HostPath;
use root::{
    params::{Outcome, ParamsError, Technique, hide, hide_by},
    privileges::{Capability, enter_hook},
};
use std::{fs, path::Path, process::Command};

const INSIDE: &str = "CORTEN_TEST_NAMESPACE";

/// True in a process of its own with a private mount namespace. Otherwise starts this test again in one, checks that it
/// passes there, and says false: namespaces belong to processes, and tests run as threads.
pub fn inside_namespace(test: &str) -> bool {
    inside_namespace_by(test, &[])
}

/// The same with a command before the program there.
pub fn inside_namespace_by(test: &str, command: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    assert!(rustix::process::geteuid().is_root(), "this test mounts file systems: run it as root");
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(command)
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("cannot run unshare");
    let (printed, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}{complaint}");
    false
}

/// A container's root with a real procfs, on which the driver's folder is simulated, and the host's file.
fn machine(tree: &Tree) -> HostPath {
    let host = tree.path("host-params");
    fs::write(&host, "A: 1\nModifyDeviceFiles: 1\n").unwrap();
    let driver = tree.path("rootfs/proc/driver/nvidia");
    fs::create_dir_all(&driver).unwrap();
    fs::write(driver.join("params"), "").unwrap();
    run("mount", &["--bind", host.to_str().unwrap(), driver.join("params").to_str().unwrap()]);
    HostPath::new(host.to_str().unwrap()).unwrap()
}

fn rootfs(tree: &Tree) -> root::ContainerRoot {
    let path = tree.path("rootfs");
    root::ContainerRoot::open(&HostPath::new(path.to_str().unwrap()).unwrap(), crate::tree::ROOT_USER).unwrap()
}

/// The line of `/proc/self/mountinfo` for the topmost mount at this path.
fn mount_at(path: &Path) -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let path = path.to_str().unwrap();
    table.lines().rfind(|line| line.split(' ').nth(4) == Some(path)).unwrap_or_default().to_owned()
}

fn mounts() -> usize {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count()
}

#[test]
fn the_switch_is_hidden_once() {
    if inside_namespace("hook::the_switch_is_hidden_once") {
        hidden_once(Technique::Detached);
    }
}

#[test]
fn the_switch_is_hidden_once_by_mount_2() {
    if inside_namespace("hook::the_switch_is_hidden_once_by_mount_2") {
        hidden_once(Technique::Classic);
    }
}

fn hidden_once(how: Technique) {
    let tree = Tree::new();
    let host = machine(&tree);
    let root = rootfs(&tree);
    let (before, count) = (tree.listing().len(), mounts());
    assert_eq!(hide_by(&root, &host, how).unwrap(), Outcome::Hidden);

    let params = tree.path("rootfs/proc/driver/nvidia/params");
    assert_eq!(fs::read_to_string(&params).unwrap(), "A: 1\nModifyDeviceFiles: 0\n");
    assert_eq!(fs::read_to_string(host.as_path()).unwrap(), "A: 1\nModifyDeviceFiles: 1\n");
    let error = fs::write(&params, "x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "really read-only (Q35)");
    let mount = mount_at(&params);
    assert!(mount.contains(" ro,nosuid,nodev,noexec"), "{mount}");
    assert!(!mount.contains("shared:") && !mount.contains("master:"), "{mount}");
    assert_eq!((tree.listing().len(), mounts()), (before, count + 1), "no folder and no other mount is left");

    assert_eq!(hide(&root, &host).unwrap(), Outcome::HiddenBefore);
    assert_eq!(mounts(), count + 1);
}

#[test]
fn the_images_own_file_is_not_taken_for_the_drivers() {
    let tree = Tree::new()
        .file("rootfs/proc/driver/nvidia/params", "ModifyDeviceFiles: 1\n")
        .file("host", "ModifyDeviceFiles: 1\n");
    let host = HostPath::new(tree.path("host").to_str().unwrap()).unwrap();
    assert!(matches!(hide(&rootfs(&tree), &host), Err(ParamsError::Foreign(_))));
    // A link to the host's real file ends inside the root.
    fs::remove_file(tree.path("rootfs/proc/driver/nvidia/params")).unwrap();
    let tree = tree.link("rootfs/proc/driver/nvidia/params", "../../../../../host");
    assert_eq!(hide(&rootfs(&tree), &host).unwrap(), Outcome::NotVisible);
}

#[test]
fn nothing_is_done_without_need() {
    let tree = Tree::new().folder("rootfs").file("off", "ModifyDeviceFiles: 0\n");
    for host in ["off", "absent"] {
        let host = HostPath::new(tree.path(host).to_str().unwrap()).unwrap();
        assert_eq!(hide(&rootfs(&tree), &host).unwrap(), Outcome::NotNeeded);
    }
}

#[test]
fn a_hook_keeps_only_what_it_names() {
    if !inside_namespace("hook::a_hook_keeps_only_what_it_names") {
        return;
    }
    let inherited = std::os::fd::IntoRawFd::into_raw_fd(fs::File::open("/etc").unwrap());
    enter_hook(&[Capability::SysAdmin]).unwrap();
    // Of this thread: capabilities and the promise not to gain any are a thread's own.
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for (name, want) in [
        ("CapEff:", "0000000000200000"),
        ("CapPrm:", "0000000000200000"),
        ("CapBnd:", "0000000000200000"),
        ("CapInh:", "0000000000000000"),
        ("CapAmb:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
    ] {
        assert_eq!(field(name), want, "{name}");
    }
    assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
    assert_eq!(std::env::vars_os().count(), 0);
    assert!(fs::symlink_metadata(format!("/proc/self/fd/{inherited}")).is_err(), "an inherited descriptor stayed open");
}
