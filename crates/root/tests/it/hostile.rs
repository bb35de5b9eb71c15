//! Images that mean harm: everything that they can put where we read or write.

use crate::{
    ldconfig::compile,
    tree::{ROOT_USER, TRIPLET, Tree, at, library, link, work},
};
use host::ldcache;
use oci::HostPath;
use plan::RootWork;
use root::{Compat, ContainerRoot, Resolver, RootError};
use rustix::fs::{CWD, FileType, mknodat};
use std::{fs, os::unix::fs::symlink};

fn fifo(tree: Tree, path: &str) -> Tree {
    fs::create_dir_all(tree.path(path).parent().unwrap()).unwrap();
    mknodat(CWD, tree.path(path), FileType::Fifo, 0o666.into(), 0).unwrap();
    tree
}

/// Whatever lies there, the container ends with a good cache that has our library, and somebody says why.
#[test]
fn odd_loader_files_are_replaced() {
    let sparse = |tree: Tree| {
        fs::File::create(tree.path("etc/ld.so.cache")).unwrap().set_len(10 << 30).unwrap();
        tree
    };
    let endless = [b"glibc-ld.so.cache1.1".as_slice(), &[0xff; 28]].concat();
    for (name, tree, remarks) in [
        ("FIFO for a cache", fifo(Tree::debian(), "etc/ld.so.cache"), 1),
        ("FIFO for ld.so.conf", fifo(Tree::debian(), "etc/ld.so.conf"), 1),
        ("FIFO included", fifo(Tree::debian().file("etc/ld.so.conf", "include d/*"), "etc/d/x"), 1),
        ("device for ld.so.conf", Tree::debian().link("etc/ld.so.conf", "/dev/zero"), 0),
        ("10 GB of nothing", sparse(Tree::debian()), 1),
        ("lying cache", Tree::debian().file("etc/ld.so.cache", endless), 1),
        ("the host's cache", Tree::debian().link("etc/ld.so.cache", "/../../../../../../etc/ld.so.cache"), 1),
        ("endless include", Tree::debian().file("etc/ld.so.conf", "include /etc/ld.so.conf\ninclude ld.so.*\n"), 1),
        ("folder loop", Tree::debian().file("etc/ld.so.conf", "/etc/loop\n/\n/..\n").link("etc/loop", "loop"), 0),
    ] {
        let done = tree.apply(&work(&tree.root().survey())).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(done.remarks.len(), remarks, "{name}: {:?}", done.remarks);
        let status = fs::symlink_metadata(tree.path("etc/ld.so.cache")).unwrap();
        assert!(status.is_file() && status.len() < 10_000, "{name}");
        let cache = ldcache::parse(&fs::read(tree.path("etc/ld.so.cache")).unwrap()).unwrap();
        assert_eq!(cache.entries.len(), 3, "{name}: only ours, and nothing of the host's");
    }
}

/// A line of a few bytes has a million names looked at, and the file has thousands of lines: all of them took hours.
#[test]
fn includes_with_wildcards_end() {
    let mut tree = Tree::debian().file("etc/ld.so.conf", "include /g/*/*none\n".repeat(3000)).folder("g/names");
    for name in 0..4096 {
        fs::write(tree.path(&format!("g/names/{name}")), "").unwrap();
    }
    for name in 0..300 {
        tree = tree.link(&format!("g/{name}"), "names");
    }
    let done = tree.apply(&work(&tree.root().survey())).unwrap();
    let want = "/etc/ld.so.conf in the container includes too much, too deeply or too often; the rest is passed over";
    assert_eq!(done.remarks, [want]);
}

/// A link to what a long way leads to: each look there takes the kernel milliseconds.
fn long_way(mut tree: Tree, at: &str, to: &str) -> Tree {
    for number in 1..35 {
        tree = tree.link(&format!("way/{number}"), &format!("{}{}", "d/../".repeat(815), number + 1));
    }
    tree.folder("way/d").link("way/35", to).link(at, "/way/1")
}

const LEFT: &str = ", and what would be looked at after it, is passed over: to look through this image takes too long; \
                    its loader cache may lack libraries of its own";

/// Five thousand lines that each list a folder a long way off would take twenty seconds.
#[test]
fn a_long_way_ends() {
    let tree = long_way(Tree::debian(), "w", "nowhere").file("etc/ld.so.conf", "include /w/*\n".repeat(5000));
    let work = work(&tree.root().survey());
    let done = tree.apply(&work).unwrap();
    assert_eq!(done.remarks, [format!("/etc/ld.so.conf in the container{LEFT}")]);
    let cache = ldcache::parse(&fs::read(tree.path("etc/ld.so.cache")).unwrap()).unwrap();
    assert_eq!(cache.entries.len(), 3, "ours");
    // The next operation has as much time.
    assert!(tree.apply(&work).unwrap().remarks.is_empty(), "there is a cache now");
}

/// What was put into a folder is found whatever else lies there.
#[test]
fn a_long_way_hides_no_library() {
    let mut tree = long_way(Tree::debian(), "w", "/opt/nv/libcuda.so.550.54.14");
    compile(&tree.path("opt/nv/libcuda.so.550.54.14"), "libcuda.so.1", &[]);
    for number in 0..5000 {
        tree = tree.link(&format!("opt/nv/lib{number}.so.1"), "/w");
    }
    let root = tree.root();
    let done = root.refresh_loader(Compat::AsItIs, &[at("/opt/nv")], &root.survey()).unwrap();
    let [remark] = &done.remarks[..] else { panic!("{:?}", done.remarks) };
    assert!(remark.starts_with("/opt/nv/lib") && remark.ends_with(LEFT), "{remark}");
    let cache = ldcache::parse(&fs::read(tree.path("etc/ld.so.cache")).unwrap()).unwrap();
    assert!(cache.entries.iter().any(|entry| entry.path == "/opt/nv/libcuda.so.1"), "{:?}", cache.entries);
}

/// What an image can have said about it is bounded too.
#[test]
fn remarks_end() {
    let lines = |file: usize| -> String { (0..3000).map(|line| format!("include /{file}/{line}\n")).collect() };
    let mut tree = Tree::debian().file("etc/ld.so.conf", "include /etc/c/1\n");
    for depth in 1..10 {
        tree = tree.file(&format!("etc/c/{depth}"), format!("include /etc/c/{}\n", depth + 1));
    }
    tree = tree.file("etc/c/9", "include /etc/deep/*\n");
    for file in 0..50 {
        tree = tree.file(&format!("etc/deep/{file}"), lines(file));
    }
    let done = tree.apply(&work(&tree.root().survey())).unwrap();
    assert!((1..=32).contains(&done.remarks.len()), "{}", done.remarks.len());
}

#[test]
fn odd_libraries_are_passed_over() {
    let folder = format!("usr/lib/{TRIPLET}");
    let tree = fifo(Tree::debian(), &format!("{folder}/libfifo.so.1"))
        .file(&format!("{folder}/libscript.so"), "/* GNU ld script */ GROUP ( /lib/libc.so.6 )")
        .file(&format!("{folder}/libempty.so.1"), "")
        .file(&format!("{folder}/libshort.so.1"), b"\x7fELF\x02\x01\x01")
        .link(&format!("{folder}/libself.so.1"), "libself.so.1")
        .link(&format!("{folder}/libhost.so.1"), "/../../../../../../lib/x86_64-linux-gnu/libc.so.6")
        .folder(&format!("{folder}/libfolder.so.1"));
    fs::File::create(tree.path(&folder).join("libsparse.so.1")).unwrap().set_len(10 << 30).unwrap();
    tree.apply(&work(&tree.root().survey())).unwrap();
    let cache = ldcache::parse(&fs::read(tree.path("etc/ld.so.cache")).unwrap()).unwrap();
    assert_eq!(cache.entries.len(), 3, "{:?}", cache.entries);
}

/// A "container" beside a folder that stands for the host: no path of the image's leads to it.
#[test]
fn nothing_outside_is_touched() {
    let outer = tempfile::tempdir().unwrap();
    let (host, image) = (outer.path().join("host"), outer.path().join("a/b/image"));
    fs::create_dir_all(host.join("lib")).unwrap();
    fs::create_dir_all(&image).unwrap();
    fs::write(host.join("ld.so.cache"), "the host's").unwrap();
    let up = "../../../../../../../../../..";
    let host_by_up = format!("{up}{}", host.display());
    let absolute = host.display().to_string();
    for (at, target) in
        [("etc", &*host_by_up), ("usr", &*absolute), ("lib", "../../../host/lib"), ("dev", "/proc/self/root")]
    {
        symlink(target, image.join(at)).unwrap();
    }
    let before = fs::read_dir(&host).unwrap().count();
    for resolver in [Resolver::Kernel, Resolver::Walk] {
        let root = ContainerRoot::open(&HostPath::new(image.to_str().unwrap()).unwrap(), ROOT_USER)
            .unwrap()
            .with_resolver(resolver);
        let layout = root.survey();
        for link_at in ["/etc/x", "/usr/lib/x", "/lib/x", "/dev/x"] {
            let work = RootWork { links: vec![link(link_at, "y")], ..RootWork::default() };
            let error = root.apply(&work, &layout).unwrap_err();
            assert!(matches!(error, RootError::Failed { .. }), "{link_at}: {error}");
        }
        let work = RootWork { libraries: vec![library("/usr/lib64/libcuda.so.1")], ..RootWork::default() };
        root.apply(&work, &layout).unwrap_err();
    }
    assert_eq!(fs::read_dir(&host).unwrap().count(), before);
    assert_eq!(fs::read_dir(host.join("lib")).unwrap().count(), 0);
    assert_eq!(fs::read(host.join("ld.so.cache")).unwrap(), b"the host's");
}

#[test]
fn loops_and_directories_are_errors_that_name_the_place() {
    let tree = Tree::debian().link("loop", "loop").folder("etc/ld.so.cache");
    for (at, want) in
        [("/loop/x", "cannot open /loop in the container"), ("/etc", "/etc in the container is a directory")]
    {
        let work = RootWork { links: vec![link(at, "y")], ..RootWork::default() };
        let error = tree.apply(&work).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
    let error = tree.apply(&work(&tree.root().survey())).unwrap_err();
    assert!(matches!(error, RootError::Directory(_)), "{error}");
}
