//! Every kind of root that must work, and that nothing stays behind.

use crate::tree::{ROOT_USER, TRIPLET, Tree, at, library, link, run, work};
use host::ldcache;
use plan::{Loader, RootWork};
use root::{Owner, Resolver, RootError, Step};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

fn cache_of(tree: &Tree, path: &str) -> ldcache::Cache {
    ldcache::parse(&fs::read(tree.path(path)).unwrap()).unwrap()
}

fn has_entry(cache: &ldcache::Cache, path: &str) -> bool {
    cache.entries.iter().any(|entry| entry.path == path)
}

#[test]
fn knows_the_distributions() {
    let multiarch = format!("/usr/lib/{TRIPLET}");
    let compat = format!("/usr/lib/{}", host::elf::Machine::HOST.compat32().unwrap().triplet());
    let musl = format!("lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    let with_libc = |folder: &str| Tree::new().file(&format!("{folder}/libc.so.6"), "");
    for (name, tree, loader, native, compat32) in [
        ("Debian", Tree::debian(), Loader::Glibc, &*multiarch, &*compat),
        ("distroless", with_libc(&format!("lib/{TRIPLET}")), Loader::Glibc, &*multiarch, &*compat),
        ("RHEL", with_libc("usr/lib64").link("lib64", "usr/lib64"), Loader::Glibc, "/usr/lib64", "/usr/lib"),
        (
            "RHEL, with what another tool left",
            with_libc("usr/lib64").folder(&format!("usr/lib/{TRIPLET}")),
            Loader::Glibc,
            "/usr/lib64",
            "/usr/lib",
        ),
        ("old SUSE", with_libc("lib64").folder("usr/lib64"), Loader::Glibc, "/usr/lib64", "/usr/lib"),
        ("Arch", with_libc("usr/lib").link("usr/lib64", "lib"), Loader::Glibc, "/usr/lib", "/usr/lib32"),
        ("Alpine", Tree::new().file(&musl, "").file("etc/alpine-release", ""), Loader::Musl, "/usr/lib", "/usr/lib"),
        (
            "Debian with musl",
            Tree::debian().file("usr/lib/musl", "").file("usr/x", ""),
            Loader::Glibc,
            &*multiarch,
            &*compat,
        ),
        ("absolute /lib", Tree::debian_with_absolute_links(), Loader::Glibc, &*multiarch, &*compat),
        ("empty", Tree::new(), Loader::Unknown, "/usr/lib64", "/usr/lib"),
    ] {
        for resolver in [Resolver::Kernel, Resolver::Walk] {
            let layout = tree.root().with_resolver(resolver).survey();
            let got = (layout.loader, layout.native.as_str(), layout.compat32.as_str(), layout.read_only);
            assert_eq!(got, (loader, native, compat32, false), "{name}");
        }
    }
}

impl Tree {
    /// Q33: `/etc`, `/lib` and `/run` as absolute links; followed on the host they would lead to the host's.
    fn debian_with_absolute_links() -> Tree {
        Tree::new()
            .file("config/etc/debian_version", "12.0\n")
            .link("etc", "/config/etc")
            .folder(&format!("usr/lib/{TRIPLET}"))
            .link("lib", "/usr/lib")
            .link("run", "/var/run")
            .link(&format!("usr/lib/{TRIPLET}/nvidia"), "/run/nvidia")
    }
}

#[test]
fn a_hundred_starts_leave_what_one_left() {
    for tree in [Tree::debian(), Tree::new(), Tree::debian_with_absolute_links()] {
        let work = work(&tree.root().survey());
        let done = tree.apply(&work).unwrap();
        assert_eq!(done.changed.len(), work.links.len() + 2, "{:?}", done.changed);
        assert!(done.needed.is_empty() && done.remarks.is_empty(), "{done:?}");

        let once = tree.listing();
        assert!(!once.keys().any(|path| path.to_string_lossy().contains("corten")), "{once:?}");
        for _ in 0..100 {
            assert_eq!(tree.apply(&work).unwrap().changed, [], "nothing was missing");
        }
        assert_eq!(tree.listing(), once);
    }
}

#[test]
fn absolute_links_are_followed_inside() {
    let tree = Tree::debian_with_absolute_links();
    let layout = tree.root().survey();
    let mut work = work(&layout);
    work.links.push(link("/lib/libodd.so.1", "libodd.so.1.0"));
    tree.apply(&work).unwrap();
    assert!(has_entry(&cache_of(&tree, "config/etc/ld.so.cache"), &format!("{}/libcuda.so.1", layout.native)));
    assert_eq!(fs::read_link(tree.path("usr/lib/libodd.so.1")).unwrap(), Path::new("libodd.so.1.0"));
    assert!(tree.path("config/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf").is_file());
}

#[test]
fn both_resolvers_make_the_same_tree() {
    let trees = [Resolver::Kernel, Resolver::Walk].map(|resolver| {
        let tree = Tree::debian_with_absolute_links();
        let root = tree.root().with_resolver(resolver);
        let layout = root.survey();
        root.apply(&work(&layout), &layout).unwrap();
        tree.listing().into_keys().collect::<Vec<_>>()
    });
    assert_eq!(trees[0], trees[1]);
}

#[test]
fn everything_made_belongs_to_the_containers_root_user() {
    let tree = Tree::debian();
    let before = tree.listing();
    let root = tree.root_for(Owner { uid: 100_000, gid: 100_001 });
    let layout = root.survey();
    root.apply(&work(&layout), &layout).unwrap();
    let made: Vec<_> = tree.listing().into_keys().filter(|path| !before.contains_key(path)).collect();
    assert!(made.len() >= 9, "{made:?}");
    for path in made {
        let status = fs::symlink_metadata(tree.folder.path().join(&path)).unwrap();
        assert_eq!((status.uid(), status.gid()), (100_000, 100_001), "{path:?}");
    }
    let profile = tree.path("etc/nvidia/nvidia-application-profiles-rc.d");
    assert_eq!(fs::metadata(&profile).unwrap().mode() & 0o7777, 0o555);
    assert_eq!(fs::metadata(profile.join("10-container.conf")).unwrap().mode() & 0o7777, 0o444);
    assert_eq!(fs::metadata(tree.path("etc/ld.so.cache")).unwrap().mode() & 0o7777, 0o644);
}

/// Folders that cannot be born with the right owner and mode, beside what a killed process left and what somebody else put there.
#[test]
fn folders_are_given_away_whole() {
    let owner = Owner { uid: 100_000, gid: 100_001 };
    let left = |tree: Tree| {
        let tree = tree.folder("opt/.made.corten/.inside.corten");
        fs::set_permissions(tree.path("opt/.made.corten"), PermissionsExt::from_mode(0o700)).unwrap();
        tree
    };
    let others = |tree: Tree| {
        let tree = tree.folder("opt/.made.corten");
        std::os::unix::fs::chown(tree.path("opt/.made.corten"), Some(5_000), Some(5_000)).unwrap();
        tree
    };
    type Case = (&'static str, fn(Tree) -> Tree);
    let cases: [Case; 5] = [
        ("nothing", |tree| tree),
        ("a killed process", left),
        ("somebody else", others),
        ("a file", |tree| tree.file("opt/.made.corten", "")),
        ("a link", |tree| tree.link("opt/.made.corten", "/etc")),
    ];
    for (name, stage) in cases {
        for (owner, set_gid) in [(owner, false), (owner, true), (ROOT_USER, true)] {
            let tree = stage(Tree::new().folder("opt"));
            if set_gid {
                std::os::unix::fs::chown(tree.path("opt"), None, Some(50)).unwrap();
                fs::set_permissions(tree.path("opt"), PermissionsExt::from_mode(0o2775)).unwrap();
            }
            let root = tree.root_for(owner);
            let work = RootWork { links: vec![link("/opt/made/deeper/x", "y")], ..RootWork::default() };
            root.apply(&work, &root.survey()).unwrap();
            for (path, mode) in [("opt/made", 0o755), ("opt/made/deeper", 0o755), ("opt/made/deeper/x", 0o777)] {
                let status = fs::symlink_metadata(tree.path(path)).unwrap();
                let got = (status.uid(), status.gid(), status.mode() & 0o7777);
                assert_eq!(got, (owner.uid, owner.gid, mode), "{path} beside {name}, {set_gid}");
            }
            // Where nothing had to be given away nobody looked for that.
            assert!(!tree.path("opt/.made.corten").is_dir(), "{name}");
            assert_eq!(root.apply(&work, &root.survey()).unwrap().changed, []);
        }
    }
}

/// Starts of several containers that share a root.
#[test]
fn a_folder_that_many_make_is_made_once() {
    for owner in [ROOT_USER, Owner { uid: 100_000, gid: 100_000 }] {
        for _ in 0..50 {
            let tree = Tree::new();
            let work = RootWork { links: vec![link("/a/b/c/x", "y")], ..RootWork::default() };
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let root = tree.root_for(owner);
                        root.apply(&work, &root.survey()).unwrap()
                    });
                }
            });
            let made: Vec<_> = tree.listing().into_keys().map(|path| path.display().to_string()).collect();
            assert_eq!(made, ["a", "a/b", "a/b/c", "a/b/c/x"]);
        }
    }
}

#[test]
fn a_new_driver_takes_the_old_ones_place() {
    let tree = Tree::debian();
    let layout = tree.root().survey();
    let libcuda = format!("{}/libcuda.so.1", layout.native).trim_start_matches('/').to_owned();
    let tree = tree.link(&libcuda, "libcuda.so.535.1").file(&format!("usr/lib/{TRIPLET}/libnvidia-ml.so.1"), "");
    tree.apply(&work(&layout)).unwrap();
    assert_eq!(fs::read_link(tree.path(&libcuda)).unwrap(), Path::new("libcuda.so.550.54.14"));
    let names = tree.listing();
    assert!(!names.keys().any(|path| path.to_string_lossy().contains(".corten")), "{names:?}");
}

#[test]
fn existing_entries_and_their_order_are_kept() {
    let tree = Tree::debian();
    fs::copy(ldcache::PATH, tree.path("etc/ld.so.cache")).unwrap();
    let before = cache_of(&tree, "etc/ld.so.cache");
    tree.apply(&work(&tree.root().survey())).unwrap();
    let mut after = cache_of(&tree, "etc/ld.so.cache");
    assert_eq!(after.generator, before.generator);
    after.entries.retain(|entry| !entry.name.starts_with("libcuda") && !entry.name.starts_with("libnvidia"));
    assert_eq!(after.entries, before.entries);
}

#[test]
fn what_fails_leaves_no_trace() {
    let tree = Tree::debian().link(&format!("usr/lib/{TRIPLET}/libcuda.so.1"), "old").folder("usr/lib/taken");
    let before = tree.listing();
    let mut work = work(&tree.root().survey());
    // Passes the look beforehand, since the first link is what makes its parent no folder.
    work.links.push(link("/new/folder/file", "target"));
    work.links.push(link("/new/folder/file/below", "target"));
    let error = tree.apply(&work).unwrap_err();
    assert!(matches!(error, RootError::Failed { .. }), "{error}");
    assert_eq!(tree.listing(), before);

    work.links = vec![link("/usr/lib/taken", "target")];
    let error = tree.apply(&work).unwrap_err().to_string();
    assert!(error.starts_with("/usr/lib/taken in the container is a directory"), "{error}");
    assert_eq!(tree.listing(), before);
}

#[test]
fn litter_of_a_killed_process_is_no_obstacle() {
    let tree = Tree::debian().file("etc/.ld.so.cache.corten", "half").file("etc/ld.so.cache", "old");
    tree.apply(&work(&tree.root().survey())).unwrap();
    assert!(!tree.path("etc/.ld.so.cache.corten").exists());
    assert!(!cache_of(&tree, "etc/ld.so.cache").entries.is_empty());
}

#[test]
fn alpine_gets_a_path_file_only_when_it_needs_one() {
    let arch = std::env::consts::ARCH;
    let tree = Tree::new().file(&format!("lib/ld-musl-{arch}.so.1"), "").file("etc/alpine-release", "3.20\n");
    let path = format!("etc/ld-musl-{arch}.path");
    tree.apply(&work(&tree.root().survey())).unwrap();
    assert!(!tree.path(&path).exists() && !tree.path("etc/ld.so.cache").exists());

    let elsewhere = RootWork { libraries: vec![library("/opt/nvidia/libcuda.so.1")], ..RootWork::default() };
    for _ in 0..3 {
        tree.apply(&elsewhere).unwrap();
    }
    assert_eq!(fs::read_to_string(tree.path(&path)).unwrap(), "/lib\n/usr/local/lib\n/usr/lib\n/opt/nvidia\n");
}

#[test]
fn a_read_only_root_is_told_what_to_mount() {
    if !crate::hook::inside_namespace("prepare::a_read_only_root_is_told_what_to_mount") {
        return;
    }
    let tree = Tree::debian();
    let path = tree.folder.path().to_str().unwrap();
    run("mount", &["--bind", path, path]);
    run("mount", &["-o", "remount,bind,ro", path]);
    let root = tree.root_for(ROOT_USER);
    let layout = root.survey();
    assert!(layout.read_only);
    let work = work(&layout);
    let before = tree.listing();
    let done = root.apply(&work, &layout).unwrap();
    assert_eq!((done.changed.len(), done.needed.len()), (0, work.links.len() + 2));
    assert!(done.needed.iter().any(|step| matches!(step, Step::File { path, .. } if *path == at(ldcache::PATH))));
    assert_eq!(tree.listing(), before);
    drop(root);
    run("umount", &[path]);
}
