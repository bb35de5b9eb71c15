//! Our cache against the real ldconfig's for the same tree, and in front of the real loader.

use crate::tree::{TRIPLET, Tree, library, run};
use plan::RootWork;
use std::{fs, path::Path, process::Command};

/// Compiles a library with that soname.
pub fn compile(at: &Path, soname: &str, more: &[&str]) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    let source = at.with_extension("c");
    fs::write(&source, "int answer(void) { return 42; }").unwrap();
    let soname = format!("-Wl,-soname,{soname}");
    let mut arguments = vec!["-shared", "-nostdlib", "-o", at.to_str().unwrap(), source.to_str().unwrap(), &soname];
    arguments.extend(more);
    run("cc", &arguments);
    fs::remove_file(source).unwrap();
}

/// Copies a library of this machine, links followed.
pub fn copy(tree: &Tree, name: &str, to: &str) {
    fs::create_dir_all(tree.path(to)).unwrap();
    let from = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"]
        .iter()
        .flat_map(|base| [format!("{base}/{TRIPLET}/{name}"), format!("{base}/{name}")])
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| panic!("this machine has no {name}"));
    fs::copy(from, tree.path(to).join(name)).unwrap();
}

/// What the real ldconfig says about the tree's cache: every line but the number of libraries and who made it.
pub fn printed(tree: &Tree) -> String {
    let text = run("ldconfig", &["-r", tree.folder.path().to_str().unwrap(), "-p"]);
    text.lines().filter(|line| line.starts_with('\t')).map(|line| format!("{line}\n")).collect()
}

/// A tree with all that ldconfig tells apart. Links of sonames exist, as package managers leave them.
fn full_tree() -> Tree {
    let native = format!("usr/lib/{TRIPLET}");
    let tree = Tree::debian();
    for name in ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"] {
        copy(&tree, name, &native);
    }
    let lib = |path: &str, soname: &str| compile(&tree.path(path), soname, &[]);
    lib(&format!("{native}/libcuda.so.550.54.14"), "libcuda.so.1");
    lib(&format!("{native}/libtwo.so.1.9"), "libtwo.so.1");
    lib(&format!("{native}/libtwo.so.1.10"), "libtwo.so.1");
    lib(&format!("{native}/libz10.so"), "libz10.so");
    lib(&format!("{native}/libz9.so"), "libz9.so");
    lib(&format!("{native}/glibc-hwcaps/x86-64-v3/libtwo.so.1.11"), "libtwo.so.1");
    lib(&format!("{native}/glibc-hwcaps/x86-64-v2/libtwo.so.1.11"), "libtwo.so.1");
    lib("usr/local/lib/libtwo.so.1", "libtwo.so.1");
    lib("opt/vendor/libvendor.so.3.1", "libvendor.so.3");
    lib("usr/lib/libplain.so.2", "libplain.so.2");
    // ldconfig takes a 32-bit library for one of glibc only if it needs glibc.
    let narrow = tree.path("usr/lib/i386/libc.so.6");
    compile(&narrow, "libc.so.6", &["-m32"]);
    compile(
        &tree.path("usr/lib/i386/libnarrow.so.1"),
        "libnarrow.so.1",
        &["-m32", "-Wl,--no-as-needed", narrow.to_str().unwrap()],
    );
    fs::remove_file(narrow).unwrap();
    tree.link(&format!("{native}/libcuda.so.1"), "libcuda.so.550.54.14")
        .link(&format!("{native}/libcuda.so"), "libcuda.so.1")
        .link(&format!("{native}/libtwo.so.1"), "libtwo.so.1.10")
        .link(&format!("{native}/libgone.so.1"), "libgone.so.1.2")
        .link("opt/vendor/libvendor.so.3", "libvendor.so.3.1")
        .link("opt/vendor/libvendor.so", "/opt/vendor/libvendor.so.3.1")
        .link("opt/alias", "vendor")
        .file(&format!("{native}/libscript.so"), "INPUT(libc.so.6)")
        .file(&format!("{native}/libempty.so.1"), "")
        .file(&format!("{native}/libcuda.so.1-gdb.py"), "")
        .file("etc/ld.so.conf", "# first\ninclude /etc/ld.so.conf.d/*.conf extra.conf\n/missing\n")
        .file("etc/ld.so.conf.d/b.conf", "/usr/local/lib # comment\n/usr/lib/i386\n")
        .file("etc/ld.so.conf.d/a.conf", "/opt/alias/\n/opt/vendor\n")
        .file("etc/ld.so.conf.d/not-read", "/usr/lib/not-read\n")
        .file("etc/extra.conf", "include ld.so.conf.d/[b].conf\n")
}

#[test]
fn a_new_cache_is_what_ldconfig_makes() {
    let tree = full_tree();
    run("ldconfig", &["-X", "-r", tree.folder.path().to_str().unwrap()]);
    let theirs = printed(&tree);
    assert!(theirs.contains("hwcap: \"x86-64-v3\"") && theirs.contains("/opt/alias/libvendor.so.3"), "{theirs}");
    fs::remove_file(tree.path("etc/ld.so.cache")).unwrap();

    let ours = format!("/lib/{TRIPLET}/libcuda.so.1");
    let done = tree.apply(&RootWork { libraries: vec![library(&ours)], ..RootWork::default() }).unwrap();
    assert_eq!(done.changed.len(), 1);
    similar(&theirs, &printed(&tree));
}

#[test]
fn an_existing_cache_gets_our_library_where_ldconfig_would_put_it() {
    let tree = full_tree();
    run("ldconfig", &["-X", "-r", tree.folder.path().to_str().unwrap()]);
    let folder = format!("/lib/{TRIPLET}");
    let new = tree.path(&format!("usr/lib/{TRIPLET}/libnvidia-ml.so.1"));
    let work = RootWork { libraries: vec![library(&format!("{folder}/libnvidia-ml.so.1"))], ..RootWork::default() };
    tree.apply(&work).unwrap();
    let ours = printed(&tree);
    compile(&new, "libnvidia-ml.so.1", &[]);
    run("ldconfig", &["-X", "-r", tree.folder.path().to_str().unwrap()]);
    similar(&printed(&tree), &ours);
}

/// Line by line, so that a failure shows the line.
#[track_caller]
fn similar(theirs: &str, ours: &str) {
    for (theirs, ours) in theirs.lines().zip(ours.lines()) {
        assert_eq!(theirs, ours);
    }
    assert_eq!(theirs, ours);
}

/// A program in a chroot whose library lies where only the cache can tell.
#[test]
fn the_real_loader_finds_a_library_through_our_cache() {
    for with_cache in [false, true] {
        let tree = Tree::debian();
        for name in ["libc.so.6", "ld-linux-x86-64.so.2"] {
            copy(&tree, name, &format!("usr/lib/{TRIPLET}"));
        }
        copy(&tree, "ld-linux-x86-64.so.2", "usr/lib64");
        compile(&tree.path("opt/odd/libodd.so.1"), "libodd.so.1", &[]);
        let source = tree.path("program.c");
        fs::write(&source, "int answer(void); int main(void) { return answer(); }").unwrap();
        let [program, library_path] = ["program", "opt/odd/libodd.so.1"].map(|path| tree.path(path));
        run("cc", &["-o", program.to_str().unwrap(), source.to_str().unwrap(), library_path.to_str().unwrap()]);

        let status = || Command::new("chroot").arg(tree.folder.path()).arg("/program").output().unwrap().status.code();
        assert_eq!(status(), Some(127), "the loader knew the folder already");
        if with_cache {
            run("ldconfig", &["-r", tree.folder.path().to_str().unwrap()]);
        }
        tree.apply(&RootWork { libraries: vec![library("/opt/odd/libodd.so.1")], ..RootWork::default() }).unwrap();
        assert_eq!(status(), Some(42));
    }
}
