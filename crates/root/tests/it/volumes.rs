//! What is mounted into a container: entered by its name, whatever it is, and by nothing else.

use crate::{
    hook::inside_namespace,
    tree::{Tree, at, link, run},
};
use oci::HostPath;
use plan::RootWork;
use root::{
    ContainerRoot, Permissions, Resolver, RootError,
    mount::{Ground, Kind, Mount, Options, Prepared, Source, Technique, What},
    params::{self, ParamsError},
};
use std::{
    fs::{self, Permissions as Permission},
    os::unix::fs::PermissionsExt,
};

/// An image and, outside it, a folder that is mounted at `/vol` in it, with what nobody but root may read.
fn with_volume() -> Tree {
    let tree = Tree::new().folder("rootfs/vol").folder("rootfs/usr/lib").folder("volume/lib");
    let tree = tree.file("volume/secret", "/secret\n").file("volume/open", "/open\n").file("volume/kept", "");
    run("chmod", &["600", tree.path("volume/secret").to_str().unwrap()]);
    mount(&tree, "volume", "rootfs/vol");
    tree
}

fn mount(tree: &Tree, from: &str, to: &str) {
    run("mount", &["--bind", tree.path(from).to_str().unwrap(), tree.path(to).to_str().unwrap()]);
}

/// By the kernel, and by our own walk.
fn roots(tree: &Tree) -> [ContainerRoot; 2] {
    let path = HostPath::new(tree.path("rootfs").to_str().unwrap()).unwrap();
    let open = || ContainerRoot::open(&path, crate::tree::ROOT_USER).unwrap();
    [open().with_resolver(Resolver::Kernel), open().with_resolver(Resolver::Walk)]
}

/// Makes a link `/X/made`.
fn make(root: &ContainerRoot, folder: &str) -> Result<(), RootError> {
    let work = RootWork { links: vec![link(&format!("{folder}/made"), "x")], ..RootWork::default() };
    root.apply(&work, &plan::Layout { read_only: false, ..root.survey() }).map(drop)
}

#[test]
fn a_volume_is_entered_by_name_and_not_by_a_link() {
    if !inside_namespace("volumes::a_volume_is_entered_by_name_and_not_by_a_link") {
        return;
    }
    let tree = with_volume().link("rootfs/etc", "usr/etc").link("rootfs/usr/etc", "/vol").link("rootfs/own", "usr");
    let tree = tree.file("rootfs/usr/text", "text").link("rootfs/text", "/own/text");
    for root in roots(&tree) {
        let error = make(&root, "/etc").unwrap_err();
        assert!(matches!(error, RootError::Strayed { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("cannot use /etc in") && said.contains("link /etc makes it /vol, which"), "{said}");
        assert!(matches!(make(&root, "/etc/lib"), Err(RootError::Strayed { .. })));
        assert!(matches!(root.set_permissions(&at("/etc/kept"), 0o600), Err(RootError::Strayed { .. })));
        assert!(matches!(root.read(&at("/etc/open"), 100), Err(RootError::Strayed { .. })));
        assert!(!tree.path("volume/made").is_symlink() && !tree.path("volume/lib/made").is_symlink());

        // Links inside the image are followed as ever, and a volume is written where it is mounted.
        assert_eq!(root.read(&at("/text"), 100).unwrap(), b"text");
        make(&root, "/own").unwrap();
        make(&root, "/vol/lib").unwrap();
        assert_eq!(root.set_permissions(&at("/vol/kept"), 0o604).unwrap(), Permissions::Changed);
        for made in ["rootfs/usr/made", "volume/lib/made"] {
            assert!(tree.path(made).is_symlink(), "{made}");
            fs::remove_file(tree.path(made)).unwrap();
        }
        run("chmod", &["644", tree.path("volume/kept").to_str().unwrap()]);
    }
}

#[test]
fn a_volume_over_a_systems_folder_has_the_distributions_names_too() {
    if !inside_namespace("volumes::a_volume_over_a_systems_folder_has_the_distributions_names_too") {
        return;
    }
    let tree = Tree::new().folder("rootfs/usr/lib/sub").link("rootfs/lib", "usr/lib").folder("rootfs/run");
    let tree = tree.folder("rootfs/var").link("rootfs/var/run", "../run").folder("rootfs/usr/other").folder("volume");
    let tree = tree.link("rootfs/lib64", "usr/other").folder("rootfs/usr/lib64");
    for place in ["usr/lib/sub", "run", "usr/other", "usr/lib64"] {
        mount(&tree, "volume", &format!("rootfs/{place}"));
    }
    for root in roots(&tree) {
        for folder in ["/usr/lib/sub", "/lib/sub", "/var/run", "/run"] {
            make(&root, folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
            fs::remove_file(tree.path("volume/made")).unwrap();
        }
        // The name is a distribution's, and where it leads is not.
        assert!(matches!(make(&root, "/lib64"), Err(RootError::Strayed { .. })));
    }
}

#[test]
fn of_a_volume_only_what_everybody_may_read_is_read() {
    if !inside_namespace("volumes::of_a_volume_only_what_everybody_may_read_is_read") {
        return;
    }
    let tree = with_volume().folder("rootfs/proc").file("rootfs/own", "own");
    run("chmod", &["600", tree.path("rootfs/own").to_str().unwrap()]);
    run("mount", &["-t", "proc", "proc", tree.path("rootfs/proc").to_str().unwrap()]);
    for root in roots(&tree) {
        assert_eq!(root.read(&at("/vol/open"), 100).unwrap(), b"/open\n");
        assert_eq!(root.read(&at("/own"), 100).unwrap(), b"own", "the image's own is the container's");
        for hidden in ["/vol/secret", "/proc/iomem", "/proc/version"] {
            assert!(matches!(root.read(&at(hidden), 1 << 20), Err(RootError::Hidden(_))), "{hidden}");
        }
    }
}

/// Attacks are in `tests/hostile`; this is what the list becomes.
#[test]
fn a_list_of_musl_takes_over_folders_and_nothing_else() {
    if !inside_namespace("volumes::a_list_of_musl_takes_over_folders_and_nothing_else") {
        return;
    }
    let name = format!("ld-musl-{}", std::env::consts::ARCH);
    for (target, want) in [
        ("/vol/open", "/lib\n/usr/local/lib\n/usr/lib\n/opt/nv\n"),
        ("/vol/secret", "/lib\n/usr/local/lib\n/usr/lib\n/opt/nv\n"),
        ("/usr/list", "/lib\n/opt/own\n/opt/nv\n"),
    ] {
        let tree = with_volume().file("rootfs/etc/alpine-release", "3").file(&format!("rootfs/lib/{name}.so.1"), "");
        let tree =
            tree.link(&format!("rootfs/etc/{name}.path"), target).file("rootfs/usr/list", "a secret\n/lib:/opt/own\n");
        let root = &roots(&tree)[0];
        let mut work = RootWork::default();
        work.libraries.push(crate::tree::library("/opt/nv/libcuda.so.1"));
        let done = root.apply(&work, &root.survey()).unwrap();
        assert_eq!(fs::read_to_string(tree.path(&format!("rootfs/etc/{name}.path"))).unwrap(), want, "{target}");
        assert_eq!(done.remarks.len(), usize::from(target.starts_with("/vol")), "{done:?}");
        // A list that is there keeps its permissions.
        let list = tree.path(&format!("rootfs/etc/{name}.path"));
        fs::set_permissions(&list, Permission::from_mode(0o640)).unwrap();
        work.libraries.push(crate::tree::library("/opt/more/libcuda.so.1"));
        assert_eq!(root.apply(&work, &root.survey()).unwrap().changed.len(), 1);
        assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o7777, 0o640);
    }
}

#[test]
fn nothing_is_mounted_where_others_would_see_it() {
    if !inside_namespace("volumes::nothing_is_mounted_where_others_would_see_it") {
        return;
    }
    let tree = Tree::new().folder("rootfs/proc/driver/nvidia").folder("rootfs/dev").folder("peer");
    let tree = tree.file("peer/file", "peers").file("driver", "driver").file("host", "ModifyDeviceFiles: 1\n");
    mount(&tree, "peer", "peer");
    let share = |how: &str| run("mount", &[how, tree.path("peer").to_str().unwrap()]);
    let source = Source { path: HostPath::new(tree.path("driver").to_str().unwrap()).unwrap(), kind: Kind::File };
    let wanted = |at_: &str| Mount {
        at: at(at_),
        what: What::Host(source.clone()),
        options: Options::LIBRARIES,
        ground: Ground::Any,
    };
    for how in [Technique::Detached, Technique::Classic] {
        let attach = |place: &str| roots(&tree)[0].attach_all([Prepared::new(wanted(place), how).unwrap()]).map(drop);
        share("--make-shared");
        mount(&tree, "peer", "rootfs/dev");
        fs::write(tree.path("rootfs/proc/driver/nvidia/params"), "").unwrap();
        mount(&tree, "host", "rootfs/proc/driver/nvidia/params");
        run("mount", &["--make-shared", tree.path("rootfs/proc/driver/nvidia/params").to_str().unwrap()]);
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = &roots(&tree)[0];
        for place in ["/dev/file", "/dev/new"] {
            assert!(matches!(attach(place), Err(RootError::Shared(_))), "{place} by {how:?}");
        }
        assert!(matches!(root.cover(&at("/dev/file"), b"x"), Err(RootError::Shared(_))));
        let host = HostPath::new(tree.path("host").to_str().unwrap()).unwrap();
        let hidden = params::hide_by(root, &host, how);
        assert!(matches!(hidden, Err(ParamsError::Container(RootError::Shared(_)))), "{hidden:?}");
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
        assert!(!tree.path("peer/new").exists());

        // Others' mounts may reach it: that is what rslave means.
        run("mount", &["--make-slave", tree.path("rootfs/dev").to_str().unwrap()]);
        root.cover(&at("/dev/file"), b"x").unwrap();
        attach("/dev/new").unwrap();
        assert_eq!(fs::read(tree.path("peer/file")).unwrap(), b"peers");
        // A root that is shared itself is prepared where it is meant.
        for place in ["rootfs/dev/file", "rootfs/dev", "rootfs/proc/driver/nvidia/params"] {
            run("umount", &[tree.path(place).to_str().unwrap()]);
        }
        mount(&tree, "rootfs", "rootfs");
        run("mount", &["--make-shared", tree.path("rootfs").to_str().unwrap()]);
        mount(&tree, "peer", "rootfs/dev");
        attach("/dev/new").unwrap();
        run("umount", &["-R", tree.path("rootfs").to_str().unwrap()]);
    }
}

/// With `mount(2)` something lies over the folder for a moment, and is no volume.
#[test]
fn links_inside_the_image_may_lead_to_a_place() {
    if !inside_namespace("volumes::links_inside_the_image_may_lead_to_a_place") {
        return;
    }
    let tree = Tree::new().folder("rootfs/usr/proc/driver/nvidia").link("rootfs/proc", "usr/proc");
    let tree = tree.file("host", "ModifyDeviceFiles: 1\n");
    let params = tree.path("rootfs/usr/proc/driver/nvidia/params");
    fs::hard_link(tree.path("host"), &params).unwrap();
    let host = HostPath::new(tree.path("host").to_str().unwrap()).unwrap();
    for how in [Technique::Detached, Technique::Classic] {
        for root in roots(&tree) {
            assert_eq!(params::hide_by(&root, &host, how).unwrap(), params::Outcome::Hidden, "{how:?}");
            assert_eq!(fs::read(&params).unwrap(), b"ModifyDeviceFiles: 0\n");
            assert_eq!(
                params::hide_by(&root, &host, how).unwrap(),
                params::Outcome::HiddenBefore,
                "what we mounted is read"
            );
            run("umount", &[params.to_str().unwrap()]);
        }
    }
    // A folder is another matter: one of its name may be mounted elsewhere for another purpose.
    let tree = tree.folder("rootfs/host/lib").folder("hosts").link("rootfs/opt", "/host");
    mount(&tree, "hosts", "rootfs/host/lib");
    for root in roots(&tree) {
        assert!(matches!(make(&root, "/opt/lib"), Err(RootError::Strayed { .. })));
    }
}

#[test]
fn a_link_is_not_covered() {
    if !inside_namespace("volumes::a_link_is_not_covered") {
        return;
    }
    let tree = with_volume().folder("rootfs/etc").link("rootfs/etc/ld.so.cache", "/vol/open");
    let tree = tree.link("rootfs/etc/own", "file").file("rootfs/etc/file", "").link("rootfs/away", "/vol");
    for root in roots(&tree) {
        for link in ["/etc/ld.so.cache", "/etc/own"] {
            assert!(matches!(root.cover(&at(link), b"x"), Err(RootError::Link(_))), "{link}");
        }
        assert!(matches!(root.cover(&at("/away/open"), b"x"), Err(RootError::Strayed { .. })));
    }
    assert_eq!(fs::read(tree.path("volume/open")).unwrap(), b"/open\n");
}
