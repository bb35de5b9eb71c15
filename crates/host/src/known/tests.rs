//! Whatever changes, an inventory from memory is the one that a search gives; and what does not matter changes nothing.

use super::*;
use crate::{Inventory, discover, discover_again, sample::Tree};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, thread, time::Duration};

const VERSION: &str = "550.54.14";
const FOLDER: &str = "usr/lib/x86_64-linux-gnu";
/// Added to what is remembered, so that an inventory shows where it comes from.
const MARK: &str = "from memory";

fn machine() -> Tree {
    let tree = Tree::new();
    tree.kernel(VERSION, &[("0000:07:00.0", 0)]).folder("usr/lib64").folder("etc").folder("run").folder("tmp");
    for stem in ["libcuda", "libnvidia-ml", "libGLX_nvidia"] {
        tree.library(FOLDER, stem, VERSION);
    }
    tree.library("opt/driver", "libnvidia-ptxjitcompiler", VERSION);
    tree.library("opt/other", "libnvidia-nvvm", VERSION);
    tree.link("lib", "usr/lib").link("usr/lib/x86_64-linux-gnu/nvidia/current", "/opt/driver");
    tree.program("usr/bin/nvidia-smi").file("etc/vulkan/icd.d/nvidia_icd.json", "{}");
    tree.file(&format!("usr/lib/firmware/nvidia/{VERSION}/gsp_ga10x.bin"), "");
    tree.file("etc/ld.so.cache", "of no use").file("proc/sys/kernel/osrelease", "6.1\n");
    tree
}

fn look_again(tree: &Tree, known: &KnownDriver) -> (Inventory, bool) {
    let mut inventory = discover_again(&tree.roots(), Wanted::ALL, [known.clone()]).unwrap().inventory;
    let all = inventory.remarks.len();
    inventory.remarks.retain(|remark| remark != MARK);
    let believed = inventory.remarks.len() < all;
    (inventory, believed)
}

/// Machines that are old enough to be remembered, and what is known of each.
fn remembered(count: usize) -> Vec<(Tree, KnownDriver)> {
    let trees: Vec<_> = (0..count).map(|_| machine()).collect();
    thread::sleep(Duration::from_millis(2100));
    let learn = |tree: Tree| {
        let mut known = discover_again(&tree.roots(), Wanted::ALL, []).unwrap().learnt.unwrap();
        known.remarks.push(MARK.to_owned());
        // As it is after being kept.
        let known = serde_json::from_slice(&serde_json::to_vec(&known).unwrap()).unwrap();
        (tree, known)
    };
    trees.into_iter().map(learn).collect()
}

type Change = (&'static str, fn(&Tree, &Path));

fn remove(path: impl AsRef<Path>) {
    fs::remove_file(path).unwrap();
}

fn executable(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const CHANGES: [Change; 19] = [
    ("a library is added", |tree, _| _ = tree.library(FOLDER, "libnvidia-new", VERSION)),
    ("a library is removed", |_, root| remove(root.join(FOLDER).join("libcuda.so.550.54.14"))),
    ("a library gets another name", |_, root| {
        let folder = root.join(FOLDER);
        fs::rename(folder.join("libcuda.so.550.54.14"), folder.join("libcuda.so.550.54.15")).unwrap();
    }),
    ("a library is written over", |tree, _| {
        let other = crate::sample::Library::named("libcuda.so.2").bytes();
        tree.file(&format!("{FOLDER}/libcuda.so.{VERSION}"), other);
    }),
    ("a library is replaced", |tree, root| {
        tree.file("new", crate::sample::Library::named("libcuda.so.3").bytes());
        fs::rename(root.join("new"), root.join(FOLDER).join("libcuda.so.550.54.14")).unwrap();
    }),
    ("a folder is swapped", |tree, root| {
        fs::rename(root.join(FOLDER), root.join("old")).unwrap();
        tree.library(FOLDER, "libcuda", VERSION);
    }),
    ("a folder becomes a link", |tree, root| {
        fs::rename(root.join("usr/lib64"), root.join("old")).unwrap();
        tree.link("usr/lib64", "/opt/other");
    }),
    ("a link leads elsewhere", |tree, root| {
        remove(root.join(FOLDER).join("nvidia/current"));
        tree.link(&format!("{FOLDER}/nvidia/current"), "/opt/other");
    }),
    ("a link goes", |_, root| remove(root.join(FOLDER).join("nvidia/current"))),
    ("a folder that was not there comes", |tree, _| _ = tree.library("usr/lib32", "libnvidia-ptxjitcompiler", VERSION)),
    ("a folder below one that was not there comes", |tree, _| {
        _ = tree.library("run/opengl-driver/lib", "libnvidia-nvvm", VERSION);
    }),
    ("the loader cache is written over", |tree, _| _ = tree.file("etc/ld.so.cache", "still of no use")),
    ("the loader cache goes", |_, root| remove(root.join("etc/ld.so.cache"))),
    ("an executable no longer is one", |_, root| executable(root.join("usr/bin/nvidia-smi"), 0o644)),
    ("an executable comes earlier on the path", |tree, _| _ = tree.program("usr/local/bin/nvidia-smi")),
    ("a configuration file comes", |tree, _| _ = tree.file("etc/OpenCL/vendors/nvidia.icd", "")),
    ("firmware comes", |tree, _| _ = tree.file("usr/lib/firmware/nvidia/550.54.14/gsp_tu10x.bin", "")),
    ("the kernel looks for firmware elsewhere", |tree, _| {
        tree.file("sys/module/firmware_class/parameters/path", "/opt/firmware\n");
    }),
    ("another kernel module is loaded", |tree, _| _ = tree.kernel("550.90", &[("0000:07:00.0", 0)])),
];

#[test]
fn every_change_is_seen() {
    for ((what, change), (tree, known)) in CHANGES.iter().zip(remembered(CHANGES.len())) {
        let before = discover(&tree.roots(), Wanted::ALL).unwrap();
        assert_eq!(look_again(&tree, &known), (before, true), "before {what}");
        change(&tree, tree.root().as_path());
        let after = discover(&tree.roots(), Wanted::ALL).unwrap();
        assert_eq!(look_again(&tree, &known), (after, false), "after {what}");
    }
}

const INDIFFERENT: [Change; 4] = [
    ("other files of /etc", |tree, _| _ = tree.file("etc/passwd", "")),
    ("sockets", |tree, _| _ = tree.socket("run/nvidia-persistenced/socket")),
    ("a GPU", |tree, _| _ = tree.kernel(VERSION, &[("0000:08:00.0", 1)])),
    ("the folder of MPS", |tree, _| _ = tree.folder("tmp/nvidia-mps")),
];

#[test]
fn what_comes_and_goes_is_looked_at_each_time() {
    for ((what, change), (tree, known)) in INDIFFERENT.iter().zip(remembered(INDIFFERENT.len())) {
        change(&tree, tree.root().as_path());
        let after = discover(&tree.roots(), Wanted::ALL).unwrap();
        assert_eq!(look_again(&tree, &known), (after, true), "{what}");
    }
}

#[test]
fn the_answer_to_another_question_is_not_used() {
    let (tree, known) = remembered(1).remove(0);
    let less = Wanted { capabilities: Capabilities::NONE, ..Wanted::ALL };
    let asked = |roots, wanted| discover_again(&roots, wanted, [known.clone()]).unwrap().inventory;
    assert_eq!(asked(tree.roots(), less), discover(&tree.roots(), less).unwrap());
    let searching = Roots { library_search: vec![tree.root().join("opt/other")], ..tree.roots() };
    assert_eq!(asked(searching.clone(), Wanted::ALL), discover(&searching, Wanted::ALL).unwrap());
    let other = Roots { data_dirs: Vec::new(), ..tree.roots() };
    assert_eq!(asked(other.clone(), Wanted::ALL), discover(&other, Wanted::ALL).unwrap());
}

#[test]
fn what_has_just_changed_is_not_remembered() {
    assert_eq!(discover_again(&machine().roots(), Wanted::ALL, []).unwrap().learnt, None);
}

#[test]
fn names_tell_questions_apart() {
    assert_eq!(KnownDriver::name(Wanted { capabilities: Capabilities::NONE, ..Wanted::ALL }), "driver");
    let wanted = Wanted { capabilities: Capabilities::of(&[Capability::Utility, Capability::Compute]), ..Wanted::ALL };
    assert_eq!(KnownDriver::name(wanted), "driver-compute-utility");
    assert_eq!(KnownDriver::name(Wanted { explicit_libraries: true, ..wanted }), "driver-compute-utility-explicit");
}
