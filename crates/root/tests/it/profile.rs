//! The application profile to which one GPU after the other is added, in mount namespaces of its own.

use crate::{
    hook::inside_namespace,
    tree::{Tree, run},
};
use oci::ContainerPath;
use root::{PROFILES, RootError};
use rustix::fs::{CWD, FileType, mknodat};
use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink, path::Path};

const NAME: &str = "10-container.conf";

/// The text of libnvidia-container.md, 15.2.
fn text(minors: &str) -> String {
    r#"{ "profiles": [{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", MASK]}], "rules": [{"pattern": [], "profile": "_container_"}]}"#
        .replace("MASK", minors)
}

fn mount_tmpfs(folder: &Path) {
    run("mount", &["-t", "tmpfs", "-o", "mode=0555,size=128k", "tmpfs", folder.to_str().unwrap()]);
}

fn add(tree: &Tree, minors: u64) -> Result<(), RootError> {
    tree.root().add_to_profile_then(minors, || Ok(()))
}

#[test]
fn gpus_join_those_that_are_named() {
    if !inside_namespace("profile::gpus_join_those_that_are_named") {
        return;
    }
    let tree = Tree::new().folder(&PROFILES[1..]);
    let file = tree.path(&PROFILES[1..]).join(NAME);
    mount_tmpfs(file.parent().unwrap());
    for (minors, want) in
        [(0, None), (1, Some("0x1")), (2, Some("0x3")), (2, Some("0x3")), (1 << 63, Some("0x8000000000000003"))]
    {
        add(&tree, minors).unwrap();
        assert_eq!(fs::read_to_string(&file).ok(), want.map(text), "{minors:#x}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o555);
    let made = fs::metadata(&file).unwrap().modified().unwrap();
    add(&tree, 3).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), made, "left alone");

    let failed = tree.root().add_to_profile_then(4, || {
        assert_eq!(fs::read_to_string(&file).unwrap(), text("0x8000000000000007"));
        Err(RootError::Contended(ContainerPath::root()))
    });
    assert!(matches!(failed, Err(RootError::Contended(_))), "{failed:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text("0x8000000000000003"));
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);

    let folder = file.parent().unwrap().to_str().unwrap();
    run("mount", &["-o", "remount,bind,ro", folder]);
    add(&tree, 4).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text("0x8000000000000003"));
    run("umount", &[folder]);
}

/// What it is, and how it is put in the profile's place.
type Obstacle = (&'static str, fn(&Path));

/// What somebody of the container may have put in the place of ours, and what the image or the last start has there.
#[test]
fn nothing_else_names_gpus() {
    if !inside_namespace("profile::nothing_else_names_gpus") {
        return;
    }
    let obstacles: [Obstacle; 5] = [
        ("a link", |path| {
            fs::write(path.with_file_name("other"), text("0xf0")).unwrap();
            symlink("other", path).unwrap();
        }),
        ("a FIFO", |path| mknodat(CWD, path, FileType::Fifo, 0o666.into(), 0).unwrap()),
        ("an endless file", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
        ("a number that is too long", |path| fs::write(path, "0xfffffffffffffffff").unwrap()),
        ("no profile", |path| fs::write(path, "f0").unwrap()),
    ];
    for (what, place) in obstacles {
        let tree = Tree::new().folder(&PROFILES[1..]);
        let file = tree.path(&PROFILES[1..]).join(NAME);
        mount_tmpfs(file.parent().unwrap());
        place(&file);
        add(&tree, 2).unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_file(), "{what}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text("0x2"), "{what}");
        run("umount", &[file.parent().unwrap().to_str().unwrap()]);
    }
    let tree = Tree::new().file(&format!("{}/{NAME}", &PROFILES[1..]), text("0xf0"));
    let file = tree.path(&PROFILES[1..]).join(NAME);
    add(&tree, 2).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text("0x2"), "the image's");
}
