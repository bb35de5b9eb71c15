//! The loader's files after libraries were mounted into a root, in mount namespaces of their own, against the real
//! ldconfig.

use crate::{
    hook::inside_namespace,
    ldconfig::{compile, printed},
    tree::{TRIPLET, Tree, at, run},
};
use oci::ContainerPath;
use root::{Compat, Done, RootError, Step};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

const NATIVE: &str = "usr/lib/x86_64-linux-gnu";
const COMPAT: &str = "etc/ld.so.conf.d/00-compat-corten.conf";
const DRIVER: &str = "etc/ld.so.conf.d/00-nvcr-corten.conf";

/// Debian's tree with a library of the image's that another in /usr/local comes before, and the cache of the real
/// ldconfig.
fn debian() -> Tree {
    assert_eq!(NATIVE, format!("usr/lib/{TRIPLET}"), "these tests name the folders of x86-64");
    let tree = Tree::debian()
        .file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
        .file("etc/ld.so.conf.d/libc.conf", "/usr/local/lib\n")
        .file("etc/ld.so.conf.d/x86_64-linux-gnu.conf", "/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n");
    compile(&tree.path(NATIVE).join("libssl.so.3"), "libssl.so.3", &[]);
    compile(&tree.path("usr/local/lib/libssl.so.3"), "libssl.so.3", &[]);
    ldconfig(&tree);
    tree
}

fn ldconfig(tree: &Tree) {
    run("ldconfig", &["-X", "-r", tree.folder.path().to_str().unwrap()]);
}

/// Mounts a library with this soname over an empty file, as a low-level runtime does.
fn mount(tree: &Tree, path: &str, soname: &str) {
    let host = tree.path(&format!("../{}-host", tree.folder.path().file_name().unwrap().to_str().unwrap()));
    fs::create_dir_all(&host).unwrap();
    let library = host.join(path.replace('/', "_"));
    compile(&library, soname, &[]);
    let target = tree.path(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::File::create(&target).unwrap();
    run("mount", &["--bind", library.to_str().unwrap(), target.to_str().unwrap()]);
    fs::remove_dir_all(host).unwrap();
}

fn refresh(tree: &Tree, folders: &[&str]) -> Result<Done, RootError> {
    let folders: Vec<ContainerPath> = folders.iter().map(|folder| at(folder)).collect();
    let root = tree.root();
    root.refresh_loader(Compat::AsItIs, &folders, &root.survey())
}

/// Does it twice, and asserts that the second time changes nothing.
fn refreshed(tree: &Tree, folders: &[&str]) -> Done {
    let done = refresh(tree, folders).unwrap();
    let once = tree.listing();
    assert_eq!(refresh(tree, folders).unwrap(), Done { remarks: done.remarks.clone(), ..Done::default() });
    assert_eq!(tree.listing(), once);
    done
}

/// Paths that the cache has for a name, in the loader's order, as the real ldconfig prints them.
fn paths(tree: &Tree, name: &str) -> Vec<String> {
    let printed = printed(tree);
    let lines = printed.lines().filter(|line| line.trim_start().starts_with(&format!("{name} (")));
    lines.map(|line| line.split(" => ").nth(1).unwrap().to_owned()).collect()
}

fn read_link(tree: &Tree, path: &str) -> String {
    fs::read_link(tree.path(path)).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn what_was_mounted_is_found() {
    if !inside_namespace("refresh::what_was_mounted_is_found") {
        return;
    }
    let tree = debian();
    compile(&tree.path("usr/local/lib/libcuda.so.1"), "libcuda.so.1", &[]);
    ldconfig(&tree);
    mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
    mount(&tree, "opt/nv/libnvidia-odd.so.1.5", "libnvidia-odd.so.1");
    // As a hook that was killed leaves them.
    let litter = [format!("{NATIVE}/.libcuda.so.1.corten"), "etc/.ld.so.cache.corten".to_owned()];
    litter.iter().for_each(|path| fs::write(tree.path(path), "").unwrap());
    let folders = ["/usr/lib/x86_64-linux-gnu", "/opt/nv", "/missing"];
    let done = refreshed(&tree, &folders);
    assert!(litter.iter().all(|path| !tree.path(path).exists()));
    assert_eq!(done.changed.len(), 4, "two links, the cache, the drop-in: {done:?}");
    assert_eq!(read_link(&tree, &format!("{NATIVE}/libcuda.so.1")), "libcuda.so.550.54.14");
    assert_eq!(
        paths(&tree, "libcuda.so.1"),
        ["/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/local/lib/libcuda.so.1"],
        "the driver's before one of the image's that ld.so.conf names first"
    );
    assert_eq!(paths(&tree, "libnvidia-odd.so.1"), ["/opt/nv/libnvidia-odd.so.1"]);
    assert_eq!(
        paths(&tree, "libssl.so.3"),
        ["/usr/local/lib/libssl.so.3", "/lib/x86_64-linux-gnu/libssl.so.3"],
        "the image's own order stays, and the folder's other name is not taken for another folder"
    );
    // The container's own ldconfig loses none of them.
    assert_eq!(fs::read_to_string(tree.path(DRIVER)).unwrap(), "/opt/nv\n");
    ldconfig(&tree);
    assert_eq!(paths(&tree, "libnvidia-odd.so.1"), ["/opt/nv/libnvidia-odd.so.1"]);
    assert_eq!(paths(&tree, "libcuda.so.1").len(), 2);
    refreshed(&tree, &folders);
}

#[test]
fn a_root_without_a_cache_gets_a_whole_one() {
    if !inside_namespace("refresh::a_root_without_a_cache_gets_a_whole_one") {
        return;
    }
    let tree = debian();
    fs::remove_file(tree.path("etc/ld.so.cache")).unwrap();
    mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
    refreshed(&tree, &["/usr/lib/x86_64-linux-gnu"]);
    let ours = printed(&tree);
    ldconfig(&tree);
    let theirs = printed(&tree).replace("/lib/x86_64-linux-gnu/libcuda", "/usr/lib/x86_64-linux-gnu/libcuda");
    assert_eq!(ours, theirs);
    assert_eq!(ours.lines().count(), 3);
}

#[test]
fn the_driver_wins_over_what_the_image_has() {
    if !inside_namespace("refresh::the_driver_wins_over_what_the_image_has") {
        return;
    }
    let tree = debian();
    compile(&tree.path(NATIVE).join("libcuda.so.570.1"), "libcuda.so.1", &[]);
    compile(&tree.path(NATIVE).join("libgone.so.1"), "libgone.so.1", &[]);
    let tree = tree.link(&format!("{NATIVE}/libcuda.so.1"), "libcuda.so.570.1");
    ldconfig(&tree);
    assert_eq!(paths(&tree, "libcuda.so.1").len(), 1);
    fs::write(tree.path(NATIVE).join("libgone.so.1"), "").unwrap();
    // A mount point that an earlier start left, where the link belongs.
    fs::write(tree.path(NATIVE).join("libnvidia-ml.so.1"), "").unwrap();
    mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
    mount(&tree, &format!("{NATIVE}/libnvidia-ml.so.550.54.14"), "libnvidia-ml.so.1");
    refreshed(&tree, &["/lib/x86_64-linux-gnu"]);
    assert_eq!(read_link(&tree, &format!("{NATIVE}/libcuda.so.1")), "libcuda.so.550.54.14");
    assert_eq!(read_link(&tree, &format!("{NATIVE}/libnvidia-ml.so.1")), "libnvidia-ml.so.550.54.14");
    assert_eq!(paths(&tree, "libgone.so.1"), [""; 0], "what is no library any more is not listed");
    assert!(!tree.path(DRIVER).exists());

    // The next driver.
    run("umount", &[tree.path(NATIVE).join("libcuda.so.550.54.14").to_str().unwrap()]);
    mount(&tree, &format!("{NATIVE}/libcuda.so.560.1"), "libcuda.so.1");
    refreshed(&tree, &["/lib/x86_64-linux-gnu"]);
    assert_eq!(read_link(&tree, &format!("{NATIVE}/libcuda.so.1")), "libcuda.so.560.1");
}

#[test]
fn folders_that_are_given_no_more_are_named_no_more() {
    let tree = debian();
    compile(&tree.path("opt/nv/libodd.so.1"), "libodd.so.1", &[]);
    refreshed(&tree, &["/opt/nv"]);
    assert!(tree.path(DRIVER).exists());
    refreshed(&tree, &["/usr/lib/x86_64-linux-gnu"]);
    assert!(!tree.path(DRIVER).exists());
    assert!(refreshed(&tree, &[]).changed.is_empty());
}

#[test]
fn musl_is_told_its_own_way() {
    let arch = std::env::consts::ARCH;
    let tree = Tree::new().file(&format!("lib/ld-musl-{arch}.so.1"), "").file("etc/alpine-release", "3.20\n");
    compile(&tree.path("opt/nv/libcuda.so.550.1"), "libcuda.so.1", &[]);
    compile(&tree.path("usr/lib/libnvidia-ml.so.550.1"), "libnvidia-ml.so.1", &[]);
    let done = refreshed(&tree, &["/opt/nv", "/usr/lib"]);
    assert_eq!(done.changed.len(), 3, "{done:?}");
    let list = fs::read_to_string(tree.path(&format!("etc/ld-musl-{arch}.path"))).unwrap();
    assert_eq!(list, "/lib\n/usr/local/lib\n/usr/lib\n/opt/nv\n");
    assert!(!tree.path("etc/ld.so.cache").exists() && !tree.path(DRIVER).exists());
}

#[test]
fn a_root_that_cannot_be_written_is_covered() {
    if !inside_namespace("refresh::a_root_that_cannot_be_written_is_covered") {
        return;
    }
    for with_cache in [true, false] {
        let tree = debian();
        if !with_cache {
            fs::remove_file(tree.path("etc/ld.so.cache")).unwrap();
        }
        let before = tree.listing();
        let path = tree.folder.path().to_str().unwrap().to_owned();
        for (file, soname) in [("libcuda.so.550.54.14", "libcuda.so.1"), ("libnvidia-ml.so.1", "libnvidia-ml.so.1")] {
            mount(&tree, &format!("{NATIVE}/{file}"), soname);
        }
        run("mount", &["--rbind", &path, &path]);
        run("mount", &["-o", "remount,bind,ro", &path]);
        let done = refresh(&tree, &["/usr/lib/x86_64-linux-gnu"]).unwrap();
        assert!(done.changed.is_empty(), "{done:?}");
        let [Step::File { path: file, content, .. }] = &done.needed[..] else { panic!("{:?}", done.needed) };
        assert_eq!(file.as_str(), "/etc/ld.so.cache");
        assert_eq!(tree.root().cover(file, content).is_ok(), with_cache, "there must be a file to mount over");
        if with_cache {
            assert_eq!(paths(&tree, "libcuda.so.1"), ["/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14"]);
            assert_eq!(refresh(&tree, &["/usr/lib/x86_64-linux-gnu"]).unwrap(), Done::default());
            run("umount", &[tree.path("etc/ld.so.cache").to_str().unwrap()]);
        } else {
            // What lies under its soname in a folder that every loader searches needs no cache.
            run("umount", &[tree.path(NATIVE).join("libcuda.so.550.54.14").to_str().unwrap()]);
            assert_eq!(refresh(&tree, &["/usr/lib/x86_64-linux-gnu"]).unwrap(), Done::default());
        }
        run("umount", &["-R", &path]);
        let after = tree.listing();
        assert!(before.iter().all(|(path, seen)| after.get(path) == Some(seen) || path.ends_with(Path::new(NATIVE))));
    }
}

#[test]
fn forward_compatibility_comes_first_and_goes_again() {
    if !inside_namespace("refresh::forward_compatibility_comes_first_and_goes_again") {
        return;
    }
    let tree = debian().link("usr/local/cuda", "/usr/local/cuda-12.8");
    let folder = tree.path("usr/local/cuda-12.8/compat");
    compile(&folder.join("libcuda.so.570.86.10"), "libcuda.so.1", &[]);
    mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
    let (root, mut remarks) = (tree.root(), Vec::new());
    let layout = root.survey();
    let found = root.find_compat(&at("/usr/local/cuda/compat"), &mut remarks).unwrap().unwrap();
    assert_eq!((found.folder.as_str(), &*found.version), ("/usr/local/cuda-12.8/compat", "570.86.10"));
    assert_eq!((found.note, remarks), (None, vec![]));

    let folders = ["/usr/lib/x86_64-linux-gnu"];
    let driver = "/usr/lib/x86_64-linux-gnu/libcuda.so.1";
    for _ in 0..3 {
        root.prefer_compat(Some(&found.folder), &layout).unwrap();
        refreshed(&tree, &folders);
        assert_eq!(paths(&tree, "libcuda.so.1"), ["/usr/local/cuda-12.8/compat/libcuda.so.1", driver]);
        assert_eq!(fs::read_to_string(tree.path(COMPAT)).unwrap(), "/usr/local/cuda-12.8/compat\n");
        let conf = fs::read_dir(tree.path("etc/ld.so.conf.d"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("00-compat-"));
        assert_eq!(conf.count(), 1);
        assert_eq!(root.prefer_compat(Some(&found.folder), &layout).unwrap(), Done::default());
    }
    // The container's own ldconfig agrees.
    ldconfig(&tree);
    assert_eq!(paths(&tree, "libcuda.so.1")[0], "/usr/local/cuda-12.8/compat/libcuda.so.1");

    root.prefer_compat(None, &layout).unwrap();
    refreshed(&tree, &folders);
    assert_eq!(paths(&tree, "libcuda.so.1"), [driver]);
    assert!(!tree.path(COMPAT).exists());
    assert_eq!(root.prefer_compat(None, &layout).unwrap(), Done::default());
}

#[test]
fn odd_compatibility_folders() {
    let folder = "usr/local/cuda/compat";
    let find = |tree: &Tree| {
        let mut remarks = Vec::new();
        let found = tree.root().find_compat(&at(&format!("/{folder}")), &mut remarks);
        (found.map(|found| found.map(|found| found.version)), remarks.len())
    };
    let fifo = |tree: Tree| {
        fs::create_dir_all(tree.path(folder)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.path(folder).join("libcuda.so.1.2"),
            rustix::fs::FileType::Fifo,
            0o666.into(),
            0,
        )
        .unwrap();
        tree
    };
    let file = |name: &str| format!("{folder}/{name}");
    for (what, tree, version, remarks) in [
        ("nothing", Tree::new(), None, 0),
        ("empty", Tree::new().folder(folder), None, 0),
        ("a FIFO", fifo(Tree::new()), None, 0),
        ("a link", Tree::new().link(&file("libcuda.so.570.1"), "/etc/passwd"), None, 0),
        ("a folder", Tree::new().folder(&file("libcuda.so.570.1")), None, 0),
        ("a file for the folder", Tree::new().file(folder, ""), None, 0),
        ("the host's", Tree::new().link(folder, "/../../../../../../usr/lib"), None, 0),
        ("no library", Tree::new().file(&file("libcuda.so.570.1"), "text"), Some("570.1"), 1),
        ("two", Tree::new().file(&file("libcuda.so.1.2"), "").file(&file("libcuda.so.1.3"), ""), None, 1),
        ("no version", Tree::new().file(&file("libcuda.so.1"), ""), None, 0),
    ] {
        let (found, said) = find(&tree);
        assert_eq!((found.unwrap().as_deref(), said), (version, remarks), "{what}");
    }
    let tree = Tree::new().folder(folder);
    fs::File::create(tree.path(&file("libcuda.so.570.1"))).unwrap().set_len(10 << 30).unwrap();
    assert_eq!(find(&tree).0.unwrap().as_deref(), Some("570.1"), "10 GB of nothing are not read");
    let tree = Tree::new().link("usr/local/cuda", "cuda");
    assert!(find(&tree).0.is_err(), "a loop");
}

/// Whatever lies where our files belong.
#[test]
fn odd_drop_ins_are_replaced_or_refused() {
    let tree = debian();
    compile(&tree.path("opt/nv/libodd.so.1"), "libodd.so.1", &[]);
    for name in [COMPAT, DRIVER] {
        rustix::fs::mknodat(rustix::fs::CWD, tree.path(name), rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    }
    let root = tree.root();
    root.prefer_compat(Some(&at("/opt/compat")), &root.survey()).unwrap();
    refresh(&tree, &["/opt/nv"]).unwrap();
    assert_eq!(fs::read_to_string(tree.path(COMPAT)).unwrap(), "/opt/compat\n");
    assert_eq!(fs::read_to_string(tree.path(DRIVER)).unwrap(), "/opt/nv\n");
    fs::remove_file(tree.path(DRIVER)).unwrap();
    fs::create_dir(tree.path(DRIVER)).unwrap();
    let before = tree.listing();
    let error = refresh(&tree, &["/opt/nv"]).unwrap_err();
    assert!(matches!(error, RootError::Directory(_)), "{error}");
    assert_eq!(tree.listing(), before);
    // Nor does what was to come first stay, or go, when the rest fails.
    for preferred in [None, Some(at("/opt/other"))] {
        let error = root.refresh_loader(Compat::Now(preferred.as_ref()), &[at("/opt/nv")], &root.survey());
        let error = error.unwrap_err();
        assert!(matches!(error, RootError::Directory(_)), "{error}");
        assert_eq!(tree.listing(), before);
    }
}

/// In one call as in two.
#[test]
fn forward_compatibility_and_the_rest_at_once() {
    if !inside_namespace("refresh::forward_compatibility_and_the_rest_at_once") {
        return;
    }
    let folders = [at("/usr/lib/x86_64-linux-gnu")];
    let [two, one] = [(); 2].map(|()| {
        let tree = debian();
        for name in ["opt/a", "opt/b"] {
            compile(&tree.path(name).join("libcuda.so.570.86.10"), "libcuda.so.1", &[]);
        }
        mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
        tree
    });
    for (step, folder) in [Some("/opt/a"), Some("/opt/a"), Some("/opt/b"), None, Some("/opt/b")].into_iter().enumerate()
    {
        let folder = folder.map(at);
        let (root, layout) = (two.root(), two.root().survey());
        root.prefer_compat(folder.as_ref(), &layout).unwrap();
        root.refresh_loader(Compat::AsItIs, &folders, &layout).unwrap();
        one.root().refresh_loader(Compat::Now(folder.as_ref()), &folders, &layout).unwrap();
        assert_eq!(paths(&one, "libcuda.so.1"), paths(&two, "libcuda.so.1"), "step {step}");
        let text = |tree: &Tree| fs::read_to_string(tree.path(COMPAT)).ok();
        assert_eq!((text(&one), text(&one).is_some()), (text(&two), folder.is_some()), "step {step}");
        let first = folder.map_or("/usr/lib/x86_64-linux-gnu".to_owned(), |folder| folder.to_string());
        assert_eq!(paths(&one, "libcuda.so.1")[0], format!("{first}/libcuda.so.1"), "step {step}");
    }
}

/// What an earlier start put first, and the file that names it cannot be changed: it is not believed for that.
#[test]
fn what_came_first_goes_where_nothing_can_be_written() {
    if !inside_namespace("refresh::what_came_first_goes_where_nothing_can_be_written") {
        return;
    }
    let folders = [at("/usr/lib/x86_64-linux-gnu")];
    let driver = "/usr/lib/x86_64-linux-gnu/libcuda.so.1";
    let tree = debian();
    for name in ["opt/a", "opt/b"] {
        compile(&tree.path(name).join("libcuda.so.570.86.10"), "libcuda.so.1", &[]);
    }
    mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
    let refresh = |wanted: Option<&str>| {
        let (root, wanted) = (tree.root(), wanted.map(at));
        root.refresh_loader(Compat::Now(wanted.as_ref()), &folders, &root.survey()).unwrap()
    };
    refresh(Some("/opt/a"));
    assert_eq!(paths(&tree, "libcuda.so.1"), ["/opt/a/libcuda.so.1", driver]);
    let etc = tree.path("etc").to_str().unwrap().to_owned();
    run("mount", &["--bind", &etc, &etc]);
    run("mount", &["-o", "remount,bind,ro", &etc]);
    assert_eq!(refresh(Some("/opt/a")), Done::default(), "it is as it should be");
    for wanted in [None, Some("/opt/b")] {
        let done = refresh(wanted);
        assert!(done.remarks[0].ends_with("cannot be written; the driver's own libcuda is used"), "{done:?}");
        let [Step::File { path, content, .. }] = &done.needed[..] else { panic!("{wanted:?}: {done:?}") };
        tree.root().cover(path, content).unwrap();
        assert_eq!(paths(&tree, "libcuda.so.1"), [driver], "{wanted:?}");
        run("umount", &[tree.path("etc/ld.so.cache").to_str().unwrap()]);
    }
    run("umount", &[&etc]);
}

/// Links are made where they can be, and taken back when the cache can be neither written nor mounted over.
#[test]
fn a_last_step_that_fails_takes_the_links_back() {
    if !inside_namespace("refresh::a_last_step_that_fails_takes_the_links_back") {
        return;
    }
    let tree = debian();
    mount(&tree, &format!("{NATIVE}/libcuda.so.550.54.14"), "libcuda.so.1");
    let etc = tree.path("etc").to_str().unwrap().to_owned();
    run("mount", &["--bind", &etc, &etc]);
    run("mount", &["-o", "remount,bind,ro", &etc]);
    let (root, before) = (tree.root(), tree.listing());
    let link = at(&format!("/{NATIVE}/libcuda.so.1"));
    let failed = root.refresh_loader_then(Compat::AsItIs, &[at("/usr/lib/x86_64-linux-gnu")], &root.survey(), |done| {
        assert_eq!(done.changed, std::slice::from_ref(&link));
        assert_eq!(done.needed.len(), 1, "{done:?}");
        assert_eq!(read_link(&tree, &format!("{NATIVE}/libcuda.so.1")), "libcuda.so.550.54.14");
        Err(RootError::Contended(link.clone()))
    });
    assert!(matches!(failed, Err(RootError::Contended(_))), "{failed:?}");
    assert_eq!(tree.listing(), before);
    run("umount", &[&etc]);
}

/// A soname that no file can have is not a file's, and keeps no container from starting; ldconfig warns of it.
#[test]
fn odd_sonames_are_passed_over() {
    let long = "n".repeat(300);
    for (number, soname) in [".", "..", &long, "a/b", "/"].into_iter().enumerate() {
        let tree = debian();
        let name = format!("libodd{number}.so.1");
        compile(&tree.path("opt/nv").join(&name), soname, &[]);
        compile(&tree.path("opt/nv/libgood.so.1.5"), "libgood.so.1", &[]);
        let done = refreshed(&tree, &["/opt/nv"]);
        assert_eq!((done.remarks.len(), done.changed.len()), (0, 3), "a link, the cache, the drop-in: {done:?}");
        assert_eq!(paths(&tree, &name), [format!("/opt/nv/{name}")]);
        assert_eq!(paths(&tree, "libgood.so.1"), ["/opt/nv/libgood.so.1"]);
    }
}

/// Where a link of a soname leads to no library, ldconfig makes it anew. We do in the folders of the driver; in others the
/// cache lists the library itself, so that a program finds the same file.
#[test]
fn links_that_lead_to_no_library_are_not_listed() {
    for (name, target) in
        [("dangling", "libbar.so.9"), ("a text", "text"), ("a folder", "/opt"), ("itself", "libbar.so.1")]
    {
        let tree = debian().file("etc/ld.so.conf", "/opt/b\n").file("opt/b/text", "").link("opt/b/libbar.so.1", target);
        compile(&tree.path("opt/b/libbar.so.10"), "libbar.so.1", &[]);
        fs::remove_file(tree.path("etc/ld.so.cache")).unwrap();
        compile(&tree.path("opt/nv/libcuda.so.1"), "libcuda.so.1", &[]);
        let inode = || {
            let listed = paths(&tree, "libbar.so.1");
            assert_eq!(listed.len(), 1, "{name}: {listed:?}");
            fs::metadata(tree.path(listed[0].trim_start_matches('/')))
                .unwrap_or_else(|why| panic!("{name}: {why}"))
                .ino()
        };
        refreshed(&tree, &["/opt/nv"]);
        let ours = inode();
        refreshed(&tree, &["/opt/b"]);
        assert_eq!((inode(), &*read_link(&tree, "opt/b/libbar.so.1")), (ours, "libbar.so.10"), "{name}");
        let _ = fs::remove_file(tree.path("opt/b/libbar.so.1"));
        run("ldconfig", &["-r", tree.folder.path().to_str().unwrap()]);
        assert_eq!(inode(), ours, "{name}: ldconfig's");
    }
}
