//! The loader's cache of one distribution after another: written by us, and by the real ldconfig for the same tree, and
//! read back by glibc both times. And the loader of the tree loads libraries by what we wrote.
//!
//! The real ldconfig is this machine's, Debian's, whose built-in folders are Debian's. For trees of other distributions it
//! is given theirs in a configuration of its own, in glibc's order.

use crate::{
    hook::inside_namespace,
    ldconfig::{compile, copy},
    tree::{ROOT_USER, TRIPLET, Tree, library, run},
};
use lab::elf::{Processor, SharedObject};
use oci::HostPath;
use plan::{Layout, Loader, RootWork};
use root::ContainerRoot;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use std::{fs, path::Path, process::Command};

/// A library that is in every tree, and that every container is given.
const OURS: &str = "libours.so.1";

fn elf(processor: Processor, soname: Option<&str>) -> Vec<u8> {
    // ldconfig takes a library for one of glibc's if it needs glibc.
    SharedObject { processor, soname, needed: &["libc.so.6"], abi: None, functions: &[("answer", 42)] }.bytes()
}

/// Short ways to fill a tree.
trait Fill: Sized {
    /// A native library in this file, with this soname.
    fn lib(self, path: &str, soname: &str) -> Self;
    /// The same with a link of the soname beside it.
    fn linked(self, path: &str, soname: &str) -> Self;
    /// A 32-bit one.
    fn narrow(self, path: &str, soname: &str) -> Self;
    /// glibc and its loader in this folder, and `OURS`.
    fn with_glibc(self, folder: &str) -> Self;
}

impl Fill for Tree {
    fn lib(self, path: &str, soname: &str) -> Tree {
        self.file(path, elf(Processor::NATIVE, Some(soname)))
    }

    fn linked(self, path: &str, soname: &str) -> Tree {
        let (folder, name) = path.rsplit_once('/').unwrap();
        self.lib(path, soname).link(&format!("{folder}/{soname}"), name)
    }

    fn narrow(self, path: &str, soname: &str) -> Tree {
        self.file(path, elf(Processor::I386, Some(soname)))
    }

    fn with_glibc(self, folder: &str) -> Tree {
        for name in ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"] {
            copy(&self, name, folder);
        }
        self.lib(&format!("{folder}/{OURS}"), OURS)
    }
}

const DEBIAN: &str = "usr/lib/x86_64-linux-gnu";

/// A distribution's tree.
struct Case {
    name: &'static str,
    tree: Tree,
    /// Folders built into that distribution's ldconfig, where they are not those of this machine's.
    built_in: &'static [&'static str],
    /// The folder of `OURS`.
    folder: &'static str,
    /// Libraries by their sonames that a program of the container is linked with, beside `OURS`.
    loads: &'static [&'static str],
}

/// Not Debian's: what glibc's own build for x86-64 searches, in its order.
const PLAIN: &[&str] = &["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

#[rustfmt::skip] // A tree is easier to see with each file in a line.
fn cases() -> Vec<Case> {
    let case = |name, built_in, folder, loads, tree| Case { name, tree, built_in, folder, loads };
    vec![
        case("Debian", &[][..], DEBIAN, &["libvendor.so.3"][..], Tree::debian().with_glibc(DEBIAN)
            .linked("usr/lib/x86_64-linux-gnu/libtwo.so.1.9", "libtwo.so.1")
            .lib("usr/lib/x86_64-linux-gnu/libz9.so", "libz9.so").lib("usr/lib/x86_64-linux-gnu/libz10.so", "libz10.so")
            .linked("opt/vendor/libvendor.so.3.1", "libvendor.so.3")
            .file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
            .file("etc/ld.so.conf.d/vendor.conf", "/opt/vendor\n")),
        case("Ubuntu", &[], DEBIAN, &["libfakeroot-0.so"], Tree::debian().with_glibc(DEBIAN)
            .lib("usr/lib/x86_64-linux-gnu/libfakeroot/libfakeroot-0.so", "libfakeroot-0.so")
            .linked("usr/local/lib/liblocal.so.2.0.1", "liblocal.so.2").linked("usr/lib/x86_64-linux-gnu/liblocal.so.2.0.0", "liblocal.so.2")
            .file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n\n")
            .file("etc/ld.so.conf.d/libc.conf", "# libc default configuration\n/usr/local/lib\n")
            .file("etc/ld.so.conf.d/x86_64-linux-gnu.conf", "# Multiarch support\n/usr/local/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n")
            .file("etc/ld.so.conf.d/fakeroot-x86_64-linux-gnu.conf", "/usr/lib/x86_64-linux-gnu/libfakeroot\n")),
        case("Debian with a split /usr", &[], "lib/x86_64-linux-gnu", &["libusr.so.1"], Tree::new().file("etc/debian_version", "9.13\n")
            .with_glibc("lib/x86_64-linux-gnu").linked("usr/lib/x86_64-linux-gnu/libusr.so.1.0", "libusr.so.1")
            .lib("lib/x86_64-linux-gnu/libboth.so.1", "libboth.so.1").lib("usr/lib/x86_64-linux-gnu/libboth.so.1", "libboth.so.1")
            .lib("lib/libplain.so.1", "libplain.so.1").lib("usr/lib/libplain.so.1", "libplain.so.1")),
        case("multiarch with 32-bit libraries", &[], DEBIAN, &["libwide.so.1"], Tree::debian().with_glibc(DEBIAN)
            .narrow("usr/lib/i386-linux-gnu/libc.so.6", "libc.so.6").narrow("usr/lib/i386-linux-gnu/libwide.so.1", "libwide.so.1")
            .lib("usr/lib/x86_64-linux-gnu/libwide.so.1", "libwide.so.1").narrow("usr/lib/libold.so.1", "libold.so.1")
            .narrow("usr/lib/x86_64-linux-gnu/libmisplaced.so.1", "libmisplaced.so.1")
            .file("etc/ld.so.conf", "include ld.so.conf.d/*.conf")
            .file("etc/ld.so.conf.d/i386-linux-gnu.conf", "/usr/local/lib/i386-linux-gnu\n/lib/i386-linux-gnu\n/usr/lib/i386-linux-gnu\n/usr/local/lib/i686-linux-gnu\n")),
        case("RHEL", PLAIN, "usr/lib64", &["libmysqlclient.so.21"], Tree::new().link("lib64", "usr/lib64").link("lib", "usr/lib")
            .with_glibc("usr/lib64").linked("usr/lib64/mysql/libmysqlclient.so.21.2.1", "libmysqlclient.so.21")
            .narrow("usr/lib/libc.so.6", "libc.so.6").narrow("usr/lib/libstdc++.so.6", "libstdc++.so.6").lib("usr/lib64/libstdc++.so.6", "libstdc++.so.6")
            .file("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n")
            .file("etc/ld.so.conf.d/mysql-x86_64.conf", "/usr/lib64/mysql\n")),
        case("RHEL 6, with a split /usr", PLAIN, "lib64", &["libusr.so.1"], Tree::new()
            .with_glibc("lib64").lib("usr/lib64/libusr.so.1", "libusr.so.1")
            .lib("lib64/libboth.so.1", "libboth.so.1").lib("usr/lib64/libboth.so.1", "libboth.so.1").lib("lib/libboth.so.1", "libboth.so.1")
            .narrow("lib/libnarrow.so.1", "libnarrow.so.1").file("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n")),
        case("Arch", &["/usr/lib", "/usr/lib64"], "usr/lib", &["libfoo.so.4"], Tree::new().link("lib", "usr/lib").link("lib64", "usr/lib").link("usr/lib64", "lib")
            .with_glibc("usr/lib").linked("usr/lib/libfoo.so.4.5", "libfoo.so.4").narrow("usr/lib32/libc.so.6", "libc.so.6").narrow("usr/lib32/libfoo.so.4", "libfoo.so.4")
            .file("etc/ld.so.conf", "# Dynamic linker/loader configuration.\n# See ld.so(8) and ldconfig(8) for details.\n\ninclude /etc/ld.so.conf.d/*.conf\n")
            .file("etc/ld.so.conf.d/lib32-glibc.conf", "/usr/lib32\n").file("etc/ld.so.conf.d/fakeroot.conf", "/usr/lib/libfakeroot\n")),
        case("SUSE", PLAIN, "lib64", &["liblocal.so.1"], Tree::new()
            .with_glibc("lib64").lib("usr/local/lib64/liblocal.so.1", "liblocal.so.1").linked("usr/lib64/libfoo.so.1.2", "libfoo.so.1")
            .file("etc/ld.so.conf", "/usr/local/lib64\n/usr/local/lib\ninclude /etc/ld.so.conf.d/*.conf\n# /lib64, /lib, /usr/lib64 and /usr/lib are added by ldconfig\n")
            .file("etc/ld.so.conf.d/graphviz.conf", "/usr/lib64/graphviz\n/usr/lib64/graphviz/sharp\n")),
        case("libraries for newer processors", &[], DEBIAN, &["libdeep.so.1"], Tree::debian().with_glibc(DEBIAN)
            .linked("usr/lib/x86_64-linux-gnu/libfast.so.1.0", "libfast.so.1").lib("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2/libfast.so.1.0", "libfast.so.1")
            .lib("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so.1.0", "libfast.so.1").lib("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so.1.1", "libfast.so.1")
            .lib("usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v4/libonly.so.1", "libonly.so.1").lib("usr/lib/x86_64-linux-gnu/glibc-hwcaps/power9/libfast.so.1", "libfast.so.1")
            .lib("opt/x/glibc-hwcaps/x86-64-v3/libdeep.so.1", "libdeep.so.1").lib("opt/x/libdeep.so.1", "libdeep.so.1").folder("opt/x/glibc-hwcaps/empty")
            .file("usr/lib/x86_64-linux-gnu/glibc-hwcaps/README", "").file("etc/ld.so.conf", "/opt/x\n")),
        case("an odd ld.so.conf", &[], DEBIAN, &["libb.so.1", "libd.so.1"], Tree::debian().with_glibc(DEBIAN)
            .lib("opt/a/liba.so.1", "liba.so.1").lib("opt/b/libb.so.1", "libb.so.1").lib("opt/b/liba.so.1", "liba.so.1").lib("opt/c/libc1.so.1", "libc1.so.1")
            .lib("opt/d d/libd.so.1", "libd.so.1").lib("opt/e/libe.so.1", "libe.so.1").lib("opt/hidden/libhidden.so.1", "libhidden.so.1").lib("etc/relative/librel.so.1", "librel.so.1")
            .link("opt/alias", "b").file("etc/ld.so.conf", "\n# comment\n  \t/opt/a/   # behind\nhwcap 1 nosegneg\n/opt/alias\n/opt/b/\n/opt/../opt/b\nrelative\n/opt/c=libc6\n\
                include\nincludes /opt/e\ninclude\tld.so.conf.d/[!x]*.conf nested/?.conf  /nowhere/*.conf\n/opt/d d\n/missing\n/etc/ld.so.conf\n/opt/b")
            .file("etc/ld.so.conf.d/y.conf", "/opt/e\r\ninclude ../nested/2.conf").file("etc/ld.so.conf.d/x.conf", "/opt/hidden").file("etc/ld.so.conf.d/.y.conf", "/opt/hidden")
            .file("etc/ld.so.conf.d/z.con", "/opt/hidden").file("etc/nested/1.conf", "/opt/a\n").file("etc/nested/2.conf", "/opt/c\n").file("etc/nested/22.conf", "/opt/hidden\n")),
        case("links and names of every kind", &[], DEBIAN, &["libreal.so.1"], Tree::debian().with_glibc(DEBIAN)
            .linked("usr/lib/x86_64-linux-gnu/libreal.so.1.2.3", "libreal.so.1").link("usr/lib/x86_64-linux-gnu/libreal.so", "libreal.so.1")
            .link("usr/lib/x86_64-linux-gnu/libabsolute.so.1", "/usr/lib/x86_64-linux-gnu/libreal.so.1.2.3").link("usr/lib/x86_64-linux-gnu/libdangling.so.1", "nowhere")
            .link("usr/lib/x86_64-linux-gnu/libloop.so.1", "libloop.so.1").link("usr/lib/x86_64-linux-gnu/libfolder.so.1", ".").folder("usr/lib/x86_64-linux-gnu/libreally.so.1")
            .linked("usr/lib/x86_64-linux-gnu/libother-name.so.9", "libsoname.so.1").lib("usr/lib/x86_64-linux-gnu/libsame.so.1", "libsame.so.1")
            .linked("usr/lib/x86_64-linux-gnu/libmany.so.1.9", "libmany.so.1").lib("usr/lib/x86_64-linux-gnu/libmany.so.1.10", "libmany.so.1").lib("usr/lib/x86_64-linux-gnu/libmany.so.1.2", "libmany.so.1")
            .file("usr/lib/x86_64-linux-gnu/libnone.so.3", elf(Processor::NATIVE, None)).link("usr/lib/x86_64-linux-gnu/libnone.so", "libnone.so.3")
            .file("usr/lib/x86_64-linux-gnu/libscript.so", "/* GNU ld script */\nINPUT(libreal.so.1)\n").file("usr/lib/x86_64-linux-gnu/libempty.so.1", "")
            .file("usr/lib/x86_64-linux-gnu/libreal.so.1-gdb.py", "").lib("usr/lib/x86_64-linux-gnu/notalib.so.1", "notalib.so.1")
            .lib("usr/lib/x86_64-linux-gnu/libprivate.a", "libprivate.so.1").link("usr/lib/x86_64-linux-gnu/libchain.so.1", "libchain.so.1.0").link("usr/lib/x86_64-linux-gnu/libchain.so.1.0", "libreal.so.1.2.3")),
        case("libraries of other machines and older glibcs", &[], DEBIAN, &[], Tree::debian().with_glibc(DEBIAN)
            .file("usr/lib/x86_64-linux-gnu/libarm.so.1", elf(Processor::Aarch64, Some("libarm.so.1"))).file("usr/lib/x86_64-linux-gnu/libx32.so.1", x32("libx32.so.1"))
            .lib("usr/lib/x86_64-linux-gnu/tls/libtls.so.1", "libtls.so.1").lib("usr/lib/x86_64-linux-gnu/haswell/libhas.so.1", "libhas.so.1")
            .lib("usr/lib/x86_64-linux-gnu/tls/x86_64/libtls.so.1", "libtls.so.1").lib("usr/lib/x86_64-linux-gnu/sub/libsub.so.1", "libsub.so.1")),
        case("no ld.so.conf at all", &[], DEBIAN, &[], Tree::debian().with_glibc(DEBIAN).lib("usr/local/lib/libunseen.so.1", "libunseen.so.1")),
    ]
}

/// A library of the x32 ABI: 64-bit machine, 32-bit file.
fn x32(soname: &str) -> Vec<u8> {
    let mut bytes = elf(Processor::I386, Some(soname));
    bytes[18..20].copy_from_slice(&62_u16.to_le_bytes());
    bytes
}

/// A line of `ldconfig -p`: name, kind, and which file it leads to, by device and inode, since `/lib` may be `/usr/lib`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    kind: String,
    file: (u64, u64),
    path: String,
}

impl Entry {
    fn meaning(&self) -> (&str, &str, (u64, u64)) {
        (&self.name, &self.kind, self.file)
    }
}

/// The cache of the tree as glibc's own ldconfig reads it. Left out is what no loader here looks at: the x32 ABI, and
/// folders that only glibc before 2.37 knew (`hwcap: 0x…`), with what ldconfig itself takes for a library but not for which.
fn read_back(top: &Path) -> Vec<Entry> {
    let text = run("ldconfig", &["-r", top.to_str().unwrap(), "-p"]);
    let root = openat(CWD, top, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let entry = |line: &str| {
        let (name, rest) = line.trim().split_once(" (").unwrap();
        let (kind, path) = rest.split_once(") => ").unwrap();
        let found = openat2(&root, &path[1..], OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT);
        let file = found.and_then(fstat).map_or((0, 0), |status| (status.st_dev, status.st_ino));
        Entry { name: name.into(), kind: kind.into(), file, path: path.into() }
    };
    let lines = text.lines().filter(|line| line.starts_with('\t')).map(entry);
    let mut entries: Vec<Entry> = Vec::new();
    for entry in lines.filter(|entry| !entry.kind.contains("x32") && !entry.kind.contains("hwcap: 0x")) {
        // The same file once more, by another of its names, means nothing.
        if !entries.iter().any(|known| known.meaning() == entry.meaning()) {
            entries.push(entry);
        }
    }
    entries
}

/// The first difference, so that a failure is readable.
#[track_caller]
fn assert_same_meaning(what: &str, theirs: &[Entry], ours: &[Entry]) {
    let mut pairs = theirs.iter().zip(ours);
    if let Some((their, our)) = pairs.find(|(their, our)| their.meaning() != our.meaning()) {
        panic!("{what}: ldconfig has {their:?}, ours has {our:?}");
    }
    let names =
        |list: &[Entry]| list.iter().map(|entry| format!("{} ({})", entry.name, entry.kind)).collect::<Vec<_>>();
    assert_eq!(names(theirs), names(ours), "{what}");
}

fn make_theirs(case: &Case) {
    let top = case.tree.folder.path().to_str().unwrap().to_owned();
    if case.built_in.is_empty() {
        run("ldconfig", &["-X", "-r", &top]);
        return;
    }
    let more: String = case.built_in.iter().map(|folder| format!("{folder}\n")).collect();
    let configuration = case.tree.path("etc/theirs.conf");
    fs::write(&configuration, format!("include /etc/ld.so.conf\n{more}")).unwrap();
    run("ldconfig", &["-X", "-r", &top, "-f", "/etc/theirs.conf"]);
    fs::remove_file(configuration).unwrap();
}

#[test]
fn what_we_write_is_what_ldconfig_writes() {
    let cases = cases();
    assert!(cases.len() >= 10);
    for case in &cases {
        fs::create_dir_all(case.tree.path("etc")).unwrap();
        make_theirs(case);
        let theirs = read_back(case.tree.folder.path());
        fs::remove_file(case.tree.path("etc/ld.so.cache")).unwrap();
        assert!(theirs.iter().all(|entry| entry.file != (0, 0)), "{}: {theirs:?}", case.name);

        let given = library(&format!("/{}/{OURS}", case.folder));
        let work = RootWork { libraries: vec![given], ..RootWork::default() };
        let done = case.tree.apply(&work).unwrap();
        assert_eq!(done.changed.len(), 1, "{}: {:?}", case.name, done.changed);
        let ours = read_back(case.tree.folder.path());
        assert_same_meaning(case.name, &theirs, &ours);
        assert!(case.tree.apply(&work).unwrap().changed.is_empty(), "{}: once more", case.name);
    }
}

/// A program in a chroot of the tree, linked with libraries that lie where only the cache can tell or where it must not
/// mislead.
#[test]
fn libraries_load_by_soname_through_our_cache() {
    for case in cases() {
        let tree = &case.tree;
        // Where the kernel looks for the program loader.
        if !tree.path("lib64/ld-linux-x86-64.so.2").exists() {
            copy(tree, "ld-linux-x86-64.so.2", "lib64");
        }
        let (work, folder) = (tree.path("build"), case.folder);
        fs::create_dir_all(&work).unwrap();
        let source = work.join("program.c");
        fs::write(&source, "int answer(void); int main(void) { return answer(); }").unwrap();
        let program = tree.path("program");
        let mut words = vec!["-o", program.to_str().unwrap(), source.to_str().unwrap(), "-Wl,--no-as-needed"];
        let stand_ins: Vec<_> = case.loads.iter().chain(&[OURS]).map(|soname| work.join(soname)).collect();
        for stand_in in &stand_ins {
            compile(stand_in, stand_in.file_name().unwrap().to_str().unwrap(), &[]);
            words.push(stand_in.to_str().unwrap());
        }
        run("cc", &words);
        fs::remove_dir_all(&work).unwrap();
        let given = library(&format!("/{folder}/{OURS}"));
        tree.apply(&RootWork { libraries: vec![given], ..RootWork::default() }).unwrap();
        let done = Command::new("chroot").arg(tree.folder.path()).arg("/program").output().unwrap();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(42), "{}: {complaint}", case.name);
    }
}

/// musl reads no such cache, and gets none.
#[test]
fn a_tree_with_musl_stays_without() {
    let tree = Tree::new().file("etc/alpine-release", "3.20\n").file("lib/ld-musl-x86_64.so.1", "").folder("usr/lib");
    let layout = tree.root().survey();
    assert_eq!(layout.loader, Loader::Musl);
    let before = tree.listing();
    let work = RootWork { libraries: vec![library(&format!("/usr/lib/{OURS}"))], ..RootWork::default() };
    assert!(tree.apply(&work).unwrap().changed.is_empty());
    assert_eq!(tree.listing(), before, "musl looks there anyway");
}

/// A real distribution with a newer glibc, whose own ldconfig made the cache: an overlay of it without that.
#[test]
fn a_real_trixie_gets_the_cache_that_it_had() {
    let Some(trixie) = std::env::var_os("CORTEN_TRIXIE") else {
        let why = std::env::var("CORTEN_NO_TRIXIE").unwrap_or_else(|_| "CORTEN_TRIXIE names no folder".into());
        return left_out::say("a real trixie's loader cache", &format!("there is no Debian trixie here: {why}"));
    };
    if !inside_namespace("trees::a_real_trixie_gets_the_cache_that_it_had") {
        return;
    }
    let tree = Tree::new().folder("upper").folder("work").folder("root");
    let part = |name: &str| tree.path(name).display().to_string();
    let lower = Path::new(&trixie).display().to_string();
    // On a file system of its own: an overlay cannot lie on an overlay.
    run("mount", &["-t", "tmpfs", "tmpfs", tree.folder.path().to_str().unwrap()]);
    ["upper", "work", "root"].iter().for_each(|name| fs::create_dir(tree.path(name)).unwrap());
    let options = format!("lowerdir={lower},upperdir={},workdir={}", part("upper"), part("work"));
    run("mount", &["-t", "overlay", "overlay", "-o", &options, &part("root")]);
    let top = tree.path("root");
    // Packages that were installed without running their triggers would make a difference of their own.
    run("chroot", &[top.to_str().unwrap(), "/sbin/ldconfig", "-X"]);
    let theirs = read_back(&top);
    fs::remove_file(top.join("etc/ld.so.cache")).unwrap();
    let root = ContainerRoot::open(&HostPath::new(top.to_str().unwrap()).unwrap(), ROOT_USER).unwrap();
    let layout = root.survey();
    assert!(layout.native.as_str().ends_with(TRIPLET) && theirs.len() > 50, "{layout:?} {}", theirs.len());
    let libc = format!("/lib/{TRIPLET}/libc.so.6");
    let work = RootWork { libraries: vec![library(&libc)], ..RootWork::default() };
    root.apply(&work, &Layout { read_only: false, ..layout }).unwrap();
    assert_same_meaning("trixie", &theirs, &read_back(&top));
}
