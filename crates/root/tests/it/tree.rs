//! Small container roots, and the work that a start with a GPU means for them.

use host::LibraryClass;
use oci::{ContainerPath, HostPath};
use plan::{Because, Layout, Link, LoaderEntry, Reason, RootWork};
use root::{ContainerRoot, Done, Owner, RootError};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

pub const TRIPLET: &str = host::elf::Machine::HOST.triplet();
pub const ROOT_USER: Owner = Owner { uid: 0, gid: 0 };

/// A container's root in a temporary folder.
pub struct Tree {
    pub folder: tempfile::TempDir,
}

impl Tree {
    pub fn new() -> Tree {
        assert!(rustix::process::geteuid().is_root(), "these tests prepare roots as root does: run them as root");
        Tree { folder: tempfile::tempdir().unwrap() }
    }

    /// Debian's signs, with merged /usr.
    pub fn debian() -> Tree {
        Tree::new()
            .file("etc/debian_version", "12.0\n")
            .folder(&format!("usr/lib/{TRIPLET}"))
            .link("lib", "usr/lib")
            .folder("usr/lib64")
            .link("lib64", "usr/lib64")
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Tree {
        self.make_parent(path);
        fs::write(self.path(path), content).unwrap();
        self
    }

    pub fn folder(self, path: &str) -> Tree {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    pub fn link(self, at: &str, target: &str) -> Tree {
        self.make_parent(at);
        symlink(target, self.path(at)).unwrap();
        self
    }

    fn make_parent(&self, path: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
    }

    pub fn root(&self) -> ContainerRoot {
        self.root_for(ROOT_USER)
    }

    pub fn root_for(&self, owner: Owner) -> ContainerRoot {
        ContainerRoot::open(&HostPath::new(self.folder.path().to_str().unwrap()).unwrap(), owner).unwrap()
    }

    /// Surveys and applies.
    pub fn apply(&self, work: &RootWork) -> Result<Done, RootError> {
        let root = self.root();
        root.apply(work, &root.survey())
    }

    /// Everything in the tree, by path: kind, owner, mode, inode, content or target.
    pub fn listing(&self) -> BTreeMap<PathBuf, String> {
        let mut listing = BTreeMap::new();
        list(self.folder.path(), self.folder.path(), &mut listing);
        listing
    }
}

fn list(base: &Path, folder: &Path, listing: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let status = fs::symlink_metadata(&path).unwrap();
        let content = if status.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if status.is_file() && status.len() < 1 << 20 {
            format!("{:?}", fs::read(&path).unwrap())
        } else {
            String::new()
        };
        let (uid, gid, mode, inode) = (status.uid(), status.gid(), status.mode(), status.ino());
        let line = format!("{uid}:{gid} {mode:o} #{inode} {content}");
        listing.insert(path.strip_prefix(base).unwrap().to_owned(), line);
        if status.is_dir() {
            list(base, &path, listing);
        }
    }
}

pub fn because<T>(what: T) -> Because<T> {
    Because::new(what, Reason { request: "a test".into(), rule: "needs it".into() })
}

pub fn at(path: &str) -> ContainerPath {
    ContainerPath::new(path).unwrap()
}

pub fn link(path: &str, target: &str) -> Because<Link> {
    because(Link { at: at(path), target: target.into() })
}

pub fn library(path: &str) -> Because<LoaderEntry> {
    let path = at(path);
    because(LoaderEntry { soname: path.file_name().to_owned(), path, class: LibraryClass::Native })
}

/// What a container with GPUs 0 and 5 asks for, as `plan` makes it for this layout.
pub fn work(layout: &Layout) -> RootWork {
    let mut work = RootWork { application_profile: Some(because(0x21)), ..RootWork::default() };
    for name in ["libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler"] {
        let soname = layout.native.join(&format!("{name}.so.1"));
        work.links.push(link(soname.as_str(), &format!("{name}.so.550.54.14")));
        work.libraries.push(library(soname.as_str()));
    }
    work.links.push(link(layout.native.join("libcuda.so").as_str(), "libcuda.so.1"));
    work.links.push(link("/dev/dri/by-path/pci-0000:07:00.0-card", "../card1"));
    work
}

/// Runs a program and returns what it prints.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{printed}{complaint}", output.status);
    printed
}
