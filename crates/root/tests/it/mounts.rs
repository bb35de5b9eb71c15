//! Mounts of this machine's files in a container: attached as a whole or not at all, in both ways that the kernel has.

use crate::{
    hook::{inside_namespace, inside_namespace_by},
    tree::{Tree, at, run},
};
use oci::{ContainerPath, HostPath};
use root::{
    ContainerRoot, Owner, RootError,
    mount::{Ground, Held, Kind, Mount, Options, Prepared, Source, Technique, Tmpfs, What},
    namespace::{NamespaceError, Process},
};
use rustix::{
    fs::{CWD, FileType, makedev, mknodat},
    process::Pid,
};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::{fs::MetadataExt, net::UnixListener},
    path::Path,
    process::{Child, Command, Stdio},
};

const OWNER: Owner = Owner { uid: 4000, gid: 5000 };

fn mounts() -> Vec<String> {
    fs::read_to_string("/proc/thread-self/mountinfo").unwrap().lines().map(str::to_owned).collect()
}

/// The options of the topmost mount at this path.
fn options_at(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let line = mounts().into_iter().rfind(|line| line.split(' ').nth(4) == Some(path)).unwrap_or_default();
    assert!(!line.contains("shared:") && !line.contains("master:"), "not private: {line}");
    line.split(' ')
        .nth(5)
        .unwrap_or_default()
        .split(',')
        .filter(|option| *option != "relatime")
        .collect::<Vec<_>>()
        .join(",")
}

/// A machine's files beside a container's root, with a link where the container has its libraries.
fn machine() -> Tree {
    let tree = Tree::new()
        .file("host/libcuda.so.1", "library")
        .file("host/folder/inside", "inside")
        .folder("host/folder/below")
        .link("host/link", "libcuda.so.1")
        .folder("rootfs/usr/lib")
        .link("rootfs/usr/lib64", "/usr/lib")
        .link("rootfs/usr/lib/linked", "/../../../host/libcuda.so.1")
        .folder("rootfs/usr/lib/folder");
    mknodat(CWD, tree.path("host/null"), FileType::CharacterDevice, 0o666.into(), makedev(1, 3)).unwrap();
    run("chmod", &["0666", tree.path("host/null").to_str().unwrap()]);
    drop(UnixListener::bind(tree.path("host/socket")).unwrap());
    run("mount", &["-t", "tmpfs", "tmpfs", tree.path("host/folder/below").to_str().unwrap()]);
    fs::write(tree.path("host/folder/below/deep"), "deep").unwrap();
    tree
}

fn root(tree: &Tree) -> ContainerRoot {
    let path = tree.path("rootfs");
    ContainerRoot::open(&HostPath::new(path.to_str().unwrap()).unwrap(), OWNER).unwrap()
}

fn host(tree: &Tree, name: &str) -> HostPath {
    HostPath::new(tree.path("host").join(name).to_str().unwrap()).unwrap()
}

fn bind(tree: &Tree, name: &str, kind: Kind, at: &str, options: Options) -> Mount {
    let what = What::Host(Source { path: host(tree, name), kind });
    Mount { at: ContainerPath::new(at).unwrap(), what, options, ground: Ground::Any }
}

fn library(tree: &Tree, at: &str) -> Mount {
    bind(tree, "libcuda.so.1", Kind::File, at, Options::LIBRARIES)
}

fn several(tree: &Tree) -> Vec<Mount> {
    let with_mounts = Kind::Folder { with_mounts: true };
    vec![
        library(tree, "/usr/lib64/libcuda.so.1"),
        bind(tree, "folder", with_mounts, "/opt/all/of it", Options::FACTS),
        bind(tree, "folder", Kind::Folder { with_mounts: false }, "/usr/lib/folder", Options::LIBRARIES),
        bind(tree, "null", Kind::Device { major: 1, minor: 3 }, "/dev/nvidia0", Options::NODES),
        bind(tree, "socket", Kind::Socket, "/run/nvidia/socket", Options::SOCKETS),
    ]
}

fn prepare(mounts: Vec<Mount>, how: Technique) -> Vec<Prepared> {
    mounts.into_iter().map(|mount| Prepared::new(mount, how).unwrap()).collect()
}

#[test]
fn all_are_attached_and_taken_back() {
    if inside_namespace("mounts::all_are_attached_and_taken_back") {
        attached_and_taken_back(Technique::Detached);
    }
}

#[test]
fn all_are_attached_and_taken_back_by_mount_2() {
    if inside_namespace("mounts::all_are_attached_and_taken_back_by_mount_2") {
        attached_and_taken_back(Technique::Classic);
    }
}

/// As a kernel without them, or Docker's seccomp profile, answers.
#[test]
fn without_the_new_calls_the_old_ones_do() {
    let test = "mounts::without_the_new_calls_the_old_ones_do";
    for (calls, error) in [
        ("open_tree,fsopen,move_mount,mount_setattr,openat2,statx", "ENOSYS"),
        ("open_tree,fsopen,move_mount,mount_setattr", "EPERM"),
        ("mount_setattr", "ENOSYS"),
    ] {
        let inject = format!("inject={calls}:error={error}");
        if inside_namespace_by(test, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject]) {
            return attached_and_taken_back(Technique::Detached);
        }
    }
}

fn attached_and_taken_back(how: Technique) {
    let tree = machine();
    let (before, table) = (tree.listing(), mounts());
    let root = root(&tree);
    let attached = root.attach_all(prepare(several(&tree), how)).unwrap();
    assert_eq!((attached.made().len(), attached.already().len()), (5, 0));
    assert_eq!(mounts().len(), table.len() + 6, "one of them brings another");

    let inside = |path: &str| tree.path("rootfs").join(path);
    assert_eq!(fs::read(inside("usr/lib/libcuda.so.1")).unwrap(), b"library");
    assert_eq!(fs::read(inside("opt/all/of it/below/deep")).unwrap(), b"deep");
    assert!(!inside("usr/lib/folder/below/deep").exists(), "what is mounted below was not asked for");
    for path in ["usr/lib/libcuda.so.1", "opt/all/of it/inside", "opt/all/of it/below/deep", "usr/lib/folder/inside"] {
        let error = fs::write(inside(path), "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{path}: really read-only (Q35)");
    }
    let null = fs::OpenOptions::new().write(true).open(inside("dev/nvidia0"));
    null.unwrap().write_all(b"a node on a read-only mount is none the less a node").unwrap();
    for (path, want) in [
        ("usr/lib/libcuda.so.1", "ro,nosuid,nodev"),
        ("opt/all/of\\040it", "ro,nosuid,nodev,noexec"),
        ("opt/all/of\\040it/below", "ro,nosuid,nodev,noexec"),
        ("dev/nvidia0", "ro,nosuid,noexec"),
        ("run/nvidia/socket", "rw,nosuid,nodev,noexec"),
    ] {
        assert_eq!(options_at(&inside(path)), want, "{path}");
    }
    attached.undo();
    assert_eq!(mounts(), table);
    assert_eq!(tree.listing(), before);
}

#[test]
fn what_is_there_already_is_left_alone() {
    if !inside_namespace("mounts::what_is_there_already_is_left_alone") {
        return;
    }
    for how in [Technique::Detached, Technique::Classic] {
        let tree = machine();
        let root = root(&tree);
        root.attach_all(prepare(several(&tree), how)).unwrap().keep();
        // Made for the container's user, as everything in its root.
        run("umount", &[tree.path("rootfs/run/nvidia/socket").to_str().unwrap()]);
        for made in ["rootfs/run/nvidia", "rootfs/run/nvidia/socket"] {
            let status = fs::symlink_metadata(tree.path(made)).unwrap();
            assert_eq!((status.uid(), status.gid()), (OWNER.uid, OWNER.gid), "{made}");
        }
        let table = mounts();
        let again = root.attach_all(prepare(several(&tree), how)).unwrap();
        assert_eq!(again.made(), [at("/run/nvidia/socket")]);
        assert_eq!(again.already().len(), 4);
        again.undo();
        assert_eq!(mounts(), table, "only what was mounted the second time is taken back");

        // The same file with fewer restrictions is not what was asked for; neither is another file.
        let stricter = bind(&tree, "libcuda.so.1", Kind::File, "/usr/lib/libcuda.so.1", Options::FACTS);
        let other = bind(&tree, "folder/inside", Kind::File, "/dev/nvidia0", Options::LIBRARIES);
        let more = root.attach_all(prepare(vec![stricter, other], how)).unwrap();
        assert_eq!((more.made().len(), more.already().len()), (2, 0));
    }
}

#[test]
fn a_failure_leaves_nothing() {
    if !inside_namespace("mounts::a_failure_leaves_nothing") {
        return;
    }
    let tree = machine();
    let root = root(&tree);
    let (before, table) = (tree.listing(), mounts());
    for how in [Technique::Detached, Technique::Classic] {
        for (place, want) in [
            ("/usr/lib/linked", "/usr/lib/linked in the container is a symbolic link"),
            ("/usr/lib/folder", "/usr/lib/folder in the container is a directory"),
            ("/usr/lib64/libcuda.so.1/x", "cannot open /usr/lib64/libcuda.so.1 in the container: Not a directory"),
            ("/", "cannot create / in the container"),
        ] {
            let mut list = several(&tree);
            list.push(library(&tree, place));
            let Err(error) = root.attach_all(prepare(list, how)) else { panic!("{place}: mounted") };
            assert!(error.to_string().starts_with(want), "{error}");
            assert_eq!((tree.listing(), mounts()), (before.clone(), table.clone()), "{place} by {how:?}");
        }
        let folder = bind(&tree, "folder", Kind::Folder { with_mounts: false }, "/usr/lib64/x", Options::FACTS);
        let list = vec![library(&tree, "/usr/lib64/x"), folder];
        assert!(root.attach_all(prepare(list, how)).is_err(), "a folder over a file");
        assert_eq!((tree.listing(), mounts()), (before.clone(), table.clone()));
    }
}

#[test]
fn a_source_must_be_what_it_is_taken_for() {
    if !inside_namespace("mounts::a_source_must_be_what_it_is_taken_for") {
        return;
    }
    let tree = machine();
    for how in [Technique::Detached, Technique::Classic] {
        for (name, kind, want) in [
            ("link", Kind::File, "is not a regular file"),
            ("folder", Kind::File, "is not a regular file"),
            ("null", Kind::File, "is not a regular file"),
            ("socket", Kind::File, "is not a regular file"),
            ("libcuda.so.1", Kind::Folder { with_mounts: true }, "is not a folder"),
            ("libcuda.so.1", Kind::Socket, "is not a socket"),
            ("libcuda.so.1", Kind::Device { major: 1, minor: 3 }, "is not the character device 1:3"),
            ("null", Kind::Device { major: 195, minor: 0 }, "is not the character device 195:0"),
        ] {
            let mount = bind(&tree, name, kind, "/x", Options::LIBRARIES);
            let error = Prepared::new(mount, how).unwrap_err();
            assert!(matches!(error, RootError::Unexpected { .. }) && error.to_string().ends_with(want), "{error}");
        }
        let absent = bind(&tree, "absent", Kind::File, "/x", Options::LIBRARIES);
        assert!(matches!(Prepared::new(absent, how), Err(RootError::Source { .. })));
    }
}

/// What `nvidia-container-cli configure` mounts over `/proc/driver/nvidia`.
fn driver_folder(tree: &Tree, ground: Ground) -> Vec<Mount> {
    let held = |name: &str, content: Option<&str>| Held {
        name: name.into(),
        mode: if content.is_some() { 0o444 } else { 0o555 },
        content: content.map(Into::into),
    };
    let holds =
        vec![held("params", Some("ModifyDeviceFiles: 0\n")), held("gpus", None), held("gpus/0000:07:00.0", None)];
    let at = ContainerPath::new("/proc/driver/nvidia").unwrap();
    let what = What::Tmpfs(Tmpfs { mode: 0o555, holds });
    let gpu = Kind::Folder { with_mounts: false };
    vec![
        Mount { at, what, options: Options::FACTS, ground },
        bind(tree, "folder", gpu, "/proc/driver/nvidia/gpus/0000:07:00.0", Options::FACTS),
    ]
}

#[test]
fn a_file_system_in_memory_can_be_mounted_into() {
    if !inside_namespace("mounts::a_file_system_in_memory_can_be_mounted_into") {
        return;
    }
    for how in [Technique::Detached, Technique::Classic] {
        let tree = machine().folder("rootfs/proc/driver/nvidia");
        let root = root(&tree);
        let (before, table) = (tree.listing(), mounts());
        let attached = root.attach_all(prepare(driver_folder(&tree, Ground::Any), how)).unwrap();
        let inside = |path: &str| tree.path("rootfs/proc/driver/nvidia").join(path);
        assert_eq!(fs::read_to_string(inside("params")).unwrap(), "ModifyDeviceFiles: 0\n");
        assert_eq!(fs::metadata(inside("params")).unwrap().mode() & 0o7777, 0o444);
        assert_eq!(fs::read(inside("gpus/0000:07:00.0/inside")).unwrap(), b"inside");
        assert_eq!(options_at(&tree.path("rootfs/proc/driver/nvidia")), "ro,nosuid,nodev,noexec");
        let error = fs::write(inside("new"), "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
        let again = root.attach_all(prepare(driver_folder(&tree, Ground::Any), how)).unwrap();
        assert_eq!((again.made().len(), again.already().len()), (0, 2));
        drop(again);
        attached.undo();
        assert_eq!((tree.listing(), mounts()), (before, table));
    }
}

#[test]
fn the_images_own_folder_is_not_taken_for_the_kernels() {
    if !inside_namespace("mounts::the_images_own_folder_is_not_taken_for_the_kernels") {
        return;
    }
    for how in [Technique::Detached, Technique::Classic] {
        let tree = machine().folder("rootfs/proc/driver/nvidia").folder("host/nvidia");
        let table = mounts();
        let attach = |tree: &Tree, kernels: &HostPath| {
            root(tree).attach_all(prepare(driver_folder(tree, Ground::Kernels(kernels.clone())), how)).map(drop)
        };
        let error = attach(&tree, &host(&tree, "nvidia")).unwrap_err();
        assert!(matches!(error, RootError::Foreign(_)), "{error}");
        assert_eq!(mounts(), table);
        // A simulated machine binds its own.
        let there = tree.path("rootfs/proc/driver/nvidia");
        run("mount", &["--bind", tree.path("host/nvidia").to_str().unwrap(), there.to_str().unwrap()]);
        attach(&tree, &host(&tree, "nvidia")).unwrap();
        run("umount", &[there.to_str().unwrap()]);
        // The real one shows processes in every folder; any of its folders will do.
        run("mount", &["-t", "proc", "proc", tree.path("rootfs/proc").to_str().unwrap()]);
        let mut list = driver_folder(&tree, Ground::Kernels(host(&tree, "nvidia")));
        list.truncate(1);
        list[0].at = ContainerPath::new("/proc/sys/vm").unwrap();
        root(&tree).attach_all(prepare(list, how)).unwrap();
        run("umount", &[tree.path("rootfs/proc").to_str().unwrap()]);
    }
}

/// A process in a mount namespace of its own, until it is dropped.
struct Container(Child);

impl Container {
    /// `prepare` is a shell command that runs in it first.
    fn start(prepare: &str) -> Container {
        let script = format!("{prepare} echo ready; exec sleep 1000");
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
        assert_eq!(line, "ready\n");
        Container(child)
    }

    fn process(&self) -> Process {
        Process::open(Pid::from_child(&self.0)).unwrap()
    }

    fn sees(&self, path: &str) -> usize {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.0.id())).unwrap();
        table.lines().filter(|line| line.split(' ').nth(4).is_some_and(|point| point.ends_with(path))).count()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_namespace_is_entered_and_left() {
    if !inside_namespace("mounts::another_namespace_is_entered_and_left") {
        return;
    }
    let tree = machine();
    let container = Container::start("");
    let namespace = container.process().mount_namespace().unwrap();
    assert_eq!(container.process().owner().unwrap(), Owner { uid: 0, gid: 0 });
    assert!(!namespace.is_ours());
    let table = mounts();
    for how in [Technique::Detached, Technique::Classic] {
        let prepared = prepare(several(&tree), how);
        let made = namespace.within(|| {
            assert!(namespace.is_ours());
            let root = root(&tree);
            let attached = root.attach_all(prepared).unwrap();
            let made = attached.made().len();
            attached.keep();
            made
        });
        assert_eq!(made.unwrap(), 5, "{how:?}");
        assert_eq!(container.sees("/usr/lib/libcuda.so.1"), 1, "{how:?}");
        assert_eq!(mounts(), table, "nothing is mounted here");
        let prepared = prepare(several(&tree), how);
        let already = namespace.within(|| root(&tree).attach_all(prepared).unwrap().already().len());
        assert_eq!(already.unwrap(), 5);
        // For the next technique.
        namespace
            .within(|| run("umount", &["-R", tree.path("rootfs/usr/lib/libcuda.so.1").to_str().unwrap()]))
            .unwrap();
        namespace.within(|| run("umount", &["-R", tree.path("rootfs/opt/all/of it").to_str().unwrap()])).unwrap();
        for place in ["usr/lib/folder", "dev/nvidia0", "run/nvidia/socket"] {
            namespace.within(|| run("umount", &[tree.path("rootfs").join(place).to_str().unwrap()])).unwrap();
        }
    }
    assert!(!namespace.is_ours());
    let process = container.process();
    drop(container);
    assert!(
        matches!(process.mount_namespace(), Err(NamespaceError::Process { .. })),
        "its number may be another's now"
    );
}

/// With `mount(2)` a source's name is looked up in the container's namespace, where it may stand for something else. A
/// clone of what was found here cannot be mistaken.
#[test]
fn a_name_that_stands_for_something_else_there_is_refused() {
    if !inside_namespace("mounts::a_name_that_stands_for_something_else_there_is_refused") {
        return;
    }
    let tree = machine();
    let folder = tree.path("host").display().to_string();
    let container = Container::start(&format!("mount -t tmpfs tmpfs {folder}; echo evil > {folder}/libcuda.so.1;"));
    let namespace = container.process().mount_namespace().unwrap();
    let try_it = |how| {
        let prepared = prepare(vec![library(&tree, "/usr/lib/libcuda.so.1")], how);
        namespace.within(|| {
            let root = root(&tree);
            let attached = root.attach_all(prepared)?;
            let seen = fs::read_to_string(tree.path("rootfs/usr/lib/libcuda.so.1")).unwrap();
            attached.undo();
            Ok::<_, RootError>(seen)
        })
    };
    assert_eq!(try_it(Technique::Detached).unwrap().unwrap(), "library");
    let error = try_it(Technique::Classic).unwrap().unwrap_err();
    assert!(matches!(error, RootError::Source { .. }), "{error}");
    assert_eq!(container.sees("/usr/lib/libcuda.so.1"), 0);
    assert!(!tree.path("rootfs/usr/lib/libcuda.so.1").exists());
}
