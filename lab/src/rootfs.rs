//! Small container root file systems, made from this machine's own files without a network: enough of each kind of
//! distribution to see where libraries are looked for.

pub mod kind;
pub mod libraries;

use crate::{Error, Result, companions::Companions, tree::Tree};
use kind::Kind;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Programs that a root with a C library has, if this machine has them.
const PROGRAMS: [&str; 15] = [
    "sh", "cat", "ls", "env", "id", "readlink", "stat", "true", "sleep", "touch", "mkdir", "mknod", "rm", "echo",
    "ldconfig",
];

/// Makes a root as [`make`] does, with these files of this machine and the libraries that they need: programs in
/// `usr/bin`, libraries beside the others.
///
/// # Errors
/// As [`make`]; and where the kind has no C library.
pub fn make_with(kind: Kind, oddities: Oddities, companions: &Companions, more: &[PathBuf], to: &Path) -> Result<()> {
    if !more.is_empty() && !kind.has_cache() {
        return Err(Error::Unsupported { what: "a root without glibc that has programs of this machine".into() });
    }
    fill(kind, oddities, companions, more, to)
}

/// What is unusual about a root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// There is no `/etc/ld.so.cache`.
    pub no_cache: bool,
    /// `/run` and `/etc` are absolute links into `/data`.
    pub absolute_links: bool,
}

/// Makes a root of `kind` in the folder `to`, which must be empty or not exist.
///
/// # Errors
/// When `to` is in use, a file cannot be written, or this machine lacks what the kind is made of.
pub fn make(kind: Kind, oddities: Oddities, companions: &Companions, to: &Path) -> Result<()> {
    fill(kind, oddities, companions, &[], to)
}

fn fill(kind: Kind, oddities: Oddities, companions: &Companions, more: &[PathBuf], to: &Path) -> Result<()> {
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::NotEmpty { path: to.into() });
    }
    let tree = Tree::new(to);
    folders(kind, oddities, &tree)?;
    for (path, text) in kind.texts() {
        tree.file(path, text, 0o644)?;
    }
    programs(kind, companions, more, &tree)?;
    if kind.has_cache() && !oddities.no_cache {
        crate::driver::root::write_cache(to)?;
    }
    if oddities.absolute_links { make_links_absolute(&tree) } else { Ok(()) }
}

fn folders(kind: Kind, oddities: Oddities, tree: &Tree) -> Result<()> {
    for folder in ["dev", "proc", "sys", "tmp", "root", "var", "usr/bin", "usr/sbin", "usr/lib"] {
        tree.folder(folder)?;
    }
    for name in ["run", "etc"] {
        if oddities.absolute_links {
            tree.folder(&format!("data/{name}"))?;
            tree.link(name, format!("data/{name}"))?;
        } else {
            tree.folder(name)?;
        }
    }
    kind.links().iter().try_for_each(|(name, text)| {
        let target = tree.path(text);
        fs::create_dir_all(&target).map_err(Error::file("make the folder", target))?;
        tree.link(name, text)
    })?;
    tree.link("var/run", "../run")
}

fn programs(kind: Kind, companions: &Companions, more: &[PathBuf], tree: &Tree) -> Result<()> {
    match kind {
        Kind::Alpine => alpine(companions, tree),
        Kind::Bare => tree.copy(&companions.static_probe()?, "usr/bin/lab-probe", 0o755),
        _ => with_libraries(kind, companions, more, tree),
    }
}

fn with_libraries(kind: Kind, companions: &Companions, more: &[PathBuf], tree: &Tree) -> Result<()> {
    let mut copied = Vec::new();
    for name in PROGRAMS {
        let Some(from) = find(name) else { continue };
        let folder = if name == "ldconfig" { "usr/sbin" } else { "usr/bin" };
        tree.copy(&from, &format!("{folder}/{name}"), 0o755)?;
        copied.push(from);
    }
    let probe = companions.probe()?;
    tree.copy(&probe, "usr/bin/lab-probe", 0o755)?;
    copied.push(probe);
    for file in more {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let folder = if name.contains(".so") { kind.library_folder() } else { "usr/bin" };
        tree.copy(file, &format!("{folder}/{name}"), 0o755)?;
        copied.push(file.clone());
    }
    libraries::copy_needed(&copied, tree, kind.library_folder())
}

/// musl's loader, which is its C library too, and a shell where this machine has a static one.
fn alpine(companions: &Companions, tree: &Tree) -> Result<()> {
    let loader = format!("lib/ld-musl-{}.so.1", env::consts::ARCH);
    let host = Path::new("/").join(&loader);
    if !host.exists() {
        return Err(Error::Missing { name: host.display().to_string(), package: "musl" });
    }
    tree.copy(&host, &loader, 0o755)?;
    tree.copy(&companions.static_probe()?, "usr/bin/lab-probe", 0o755)?;
    let Some(busybox) = find("busybox").filter(|path| libraries::is_static(path)) else { return Ok(()) };
    tree.copy(&busybox, "usr/bin/busybox", 0o755)?;
    PROGRAMS
        .iter()
        .filter(|name| **name != "ldconfig")
        .try_for_each(|name| tree.link(&format!("usr/bin/{name}"), "busybox"))
}

/// A program of this machine, with links resolved.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    let mut folders = env::split_paths(&path).collect::<Vec<_>>();
    folders.extend(usual);
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())?;
    fs::canonicalize(found).ok()
}

/// Turns `/run` and `/etc` into absolute links, as a last step, since writing through them would leave the root.
fn make_links_absolute(tree: &Tree) -> Result<()> {
    ["run", "etc"].iter().try_for_each(|name| tree.link(name, format!("/data/{name}")))
}
