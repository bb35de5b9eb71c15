//! Roots that are read-only, for the container alone or for everybody.

use crate::{
    hook::inside_namespace,
    tree::{Tree, link, run},
};
use plan::RootWork;
use root::RootError;
use std::fs;

/// Lays the root over itself, read-only, as crun does.
fn make_read_only(path: &str) {
    run("mount", &["--bind", path, path]);
    run("mount", &["-o", "remount,bind,ro", path]);
}

fn mounts() -> usize {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count()
}

#[test]
fn what_a_runtime_made_read_only_is_written_and_stays_read_only() {
    if !inside_namespace("writable::what_a_runtime_made_read_only_is_written_and_stays_read_only") {
        return;
    }
    let tree = Tree::debian().folder("dev");
    let path = tree.folder.path().to_str().unwrap().to_owned();
    run("mount", &["-t", "tmpfs", "tmpfs", tree.path("dev").to_str().unwrap()]);
    run("mount", &["--rbind", &path, &path]);
    run("mount", &["-o", "remount,bind,ro", &path]);
    let before = mounts();
    assert!(!Tree::debian().root().was_made_read_only());
    let links = vec![link("/usr/lib/libcuda.so", "libcuda.so.1"), link("/dev/dri/card", "../card0")];
    let work = RootWork { links, ..RootWork::default() };
    let layout = plan::Layout { read_only: false, ..tree.root().survey() };
    let error = tree.root().apply(&work, &layout).unwrap_err();
    assert!(error.is_read_only(), "{error}");

    assert!(tree.root().was_made_read_only());
    let root = tree.root().copy_to_write().unwrap();
    assert!(!root.survey().read_only);
    assert_eq!(root.apply(&work, &layout).unwrap().changed.len(), 2);
    drop(root);
    // Seen through the container's mounts, which are as they were.
    assert!(tree.path("usr/lib/libcuda.so").is_symlink() && tree.path("dev/dri/card").is_symlink());
    assert!(tree.root().survey().read_only);
    assert!(fs::write(tree.path("usr/x"), "").is_err());
    assert_eq!(mounts(), before);
}

#[test]
fn what_was_read_only_before_stays_so() {
    if !inside_namespace("writable::what_was_read_only_before_stays_so") {
        return;
    }
    let tree = Tree::debian();
    let path = tree.folder.path().to_str().unwrap().to_owned();
    make_read_only(&path);
    make_read_only(&path);
    let root = tree.root();
    assert!(root.survey().read_only && !root.was_made_read_only());
    let work = RootWork { links: vec![link("/usr/lib/x", "y")], ..RootWork::default() };
    let layout = plan::Layout { read_only: false, ..root.survey() };
    assert!(matches!(root.apply(&work, &layout), Err(RootError::Failed { .. })));
}
