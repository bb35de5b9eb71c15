//! Paths below a root whose links are resolved as if that root were `/`.
//!
//! A driver container's `/usr/lib/libcuda.so.1` may be a link to `/etc/alternatives/…`: that means the driver
//! container's `/etc`, not this machine's. The walk is done here, lexically and with `readlink`, rather than by
//! `openat2(RESOLVE_IN_ROOT)`: it also gives the real path, works where `openat2` is filtered, and remembers which
//! folders are no links, so that 60 files in one folder cost 60 calls, not 300. The tree is the administrator's own
//! (roots of containers are `crates/root`'s business), so a race with a rename is nothing worse than a missing file.

mod steady;

pub use steady::Owner;

use crate::evidence::{Evidence, Notes};
use oci::HostPath;
use rustix::{
    fs::{AtFlags, CWD, FileType, Stat, readlinkat, statat},
    io::Errno,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    io,
};

/// Links followed before a path counts as a loop, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A root, and what has been learnt about the folders below it.
pub struct Inside {
    root: HostPath,
    /// Real paths that are no links.
    real: RefCell<HashSet<String>>,
    /// Where folders lead, by the text that they were asked for by.
    folders: RefCell<HashMap<String, Result<String, Errno>>>,
    /// What was looked at, where somebody wants to know.
    notes: Option<RefCell<Notes>>,
}

impl Inside {
    /// The root at `path`, which may itself be reached through links: those are this machine's.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn open(path: &HostPath) -> io::Result<Self> {
        let real = std::fs::canonicalize(path)?;
        if !real.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let text = real.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let root = HostPath::new(text).map_err(|_| io::ErrorKind::InvalidFilename)?;
        Ok(Inside { root, real: RefCell::default(), folders: RefCell::default(), notes: None })
    }

    /// The same root, by one who knows nothing yet and takes notes of all that is looked at.
    pub(crate) fn with_notes(&self) -> Self {
        let notes = Some(RefCell::new(Notes::new()));
        Inside { root: self.root.clone(), real: RefCell::default(), folders: RefCell::default(), notes }
    }

    /// What was looked at, if notes were taken and are of use.
    pub(crate) fn evidence(self) -> Option<Evidence> {
        self.notes?.into_inner().evidence()
    }

    /// Says that the file or folder at the real path `host` is about to be read.
    pub(crate) fn note_reading(&self, host: &HostPath) {
        if let Some(notes) = &self.notes {
            notes.borrow_mut().read(host.as_str());
        }
    }

    fn note_passing(&self, place: &str) {
        if let Some(notes) = &self.notes {
            notes.borrow_mut().pass(place);
        }
    }

    /// The root's real path on this machine.
    pub fn root(&self) -> &HostPath {
        &self.root
    }

    /// The real place of `path` (a path below the root, with or without a leading slash). The last component must
    /// exist, whatever it is.
    ///
    /// # Errors
    /// What the kernel says where something on the way is missing.
    pub fn resolve(&self, path: &str) -> Result<HostPath, Errno> {
        let (folder, name) = split(path);
        host_path(self.walk(self.folder(folder)?, name)?)
    }

    /// The real place of `path` and what lies there. One call of the kernel where it is no link and its folder is
    /// known.
    pub fn find(&self, path: &str) -> Option<(HostPath, Stat)> {
        let (folder, name) = split(path);
        let folder = self.folder(folder).ok()?;
        let is_plain = !matches!(name, "" | "." | "..");
        let here = is_plain.then(|| format!("{folder}/{name}"));
        if let Some(here) = here {
            let stat = self.status(&here)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                return Some((host_path(here).ok()?, stat));
            }
        }
        let real = self.walk(folder, name).ok()?;
        let stat = self.status(&real)?;
        Some((host_path(real).ok()?, stat))
    }

    /// Where the folder `path` really is, as a path of the host without a trailing slash: empty for `/` itself.
    fn folder(&self, path: &str) -> Result<String, Errno> {
        if let Some(known) = self.folders.borrow().get(path) {
            return known.clone();
        }
        let found = self.walk(self.top().to_owned(), path);
        self.folders.borrow_mut().insert(path.to_owned(), found.clone());
        found
    }

    /// The root as text that a slash and a name can follow.
    fn top(&self) -> &str {
        self.root.as_str().trim_end_matches('/')
    }

    /// Follows `path` from the real folder `place`.
    fn walk(&self, mut place: String, path: &str) -> Result<String, Errno> {
        let mut todo = parts(path);
        let mut links = 0;
        while let Some(part) = todo.pop() {
            let folder = place.len();
            if part == ".." {
                self.climb(&mut place);
                continue;
            }
            place.extend(["/", &part]);
            let Some(target) = self.link_at(&place, todo.is_empty())? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            place.truncate(if target.starts_with('/') { self.top().len() } else { folder });
            todo.extend(parts(&target));
        }
        Ok(place)
    }

    /// Removes the last component, but no part of the root.
    fn climb(&self, place: &mut String) {
        if place.len() > self.top().len() {
            place.truncate(place.rfind('/').unwrap_or(0));
        }
    }

    /// What the link at `place` says; `None` for anything else that exists.
    fn link_at(&self, place: &str, last: bool) -> Result<Option<String>, Errno> {
        if self.real.borrow().contains(place) {
            return Ok(None);
        }
        self.note_passing(place);
        match readlinkat(CWD, place, Vec::new()) {
            Ok(target) => target.into_string().map(Some).map_err(|_| Errno::ILSEQ),
            Err(Errno::INVAL) => {
                if !last {
                    self.real.borrow_mut().insert(place.to_owned());
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What lies at `place`; a link counts as a link.
    fn status(&self, place: &str) -> Option<Stat> {
        self.note_passing(place);
        statat(CWD, if place.is_empty() { "/" } else { place }, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// The real place of `path`, if a file of that kind lies there.
    pub(crate) fn find_kind(&self, path: &str, kind: FileType) -> Option<HostPath> {
        let (real, stat) = self.find(path)?;
        (FileType::from_raw_mode(stat.st_mode) == kind).then_some(real)
    }

    /// `host` with the root cut off, absolute again; a path outside the root stays as it is.
    pub fn strip<'a>(&self, host: &'a HostPath) -> &'a str {
        match (self.root.as_str(), host.strip_prefix(&self.root)) {
            ("/", _) | (_, None) => host.as_str(),
            (root, Some(_)) => &host.as_str()[root.len()..],
        }
    }
}

/// The folder of a path and its last component.
fn split(path: &str) -> (&str, &str) {
    path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path))
}

/// A real place as a path; the empty one is `/`.
fn host_path(place: String) -> Result<HostPath, Errno> {
    HostPath::new(if place.is_empty() { "/".to_owned() } else { place }).map_err(|_| Errno::INVAL)
}

/// The components of a path, last first; `.` and empty ones left out.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Tree;

    #[test]
    fn links_stay_inside() {
        let tree = Tree::new();
        tree.file("usr/lib/real", "")
            .link("lib", "/usr/lib")
            .link("etc/alt", "/lib/real")
            .link("up", "../../../etc/alt");
        let inside = Inside::open(&tree.root()).unwrap();
        for path in ["/usr/lib/real", "lib/real", "/etc/alt", "/up", "/../lib/./real"] {
            let real = inside.resolve(path).unwrap();
            assert_eq!(real, tree.root().join("usr/lib/real"), "{path}");
            assert_eq!(inside.strip(&real), "/usr/lib/real");
        }
    }

    #[test]
    fn a_link_to_this_machine_leads_nowhere() {
        let tree = Tree::new();
        tree.link("libc", "/proc/self/exe");
        assert_eq!(Inside::open(&tree.root()).unwrap().resolve("/libc"), Err(Errno::NOENT));
    }

    #[test]
    fn loops_and_holes_are_errors() {
        let tree = Tree::new();
        tree.link("a", "b").link("b", "a").file("file", "");
        let inside = Inside::open(&tree.root()).unwrap();
        assert_eq!(inside.resolve("/a"), Err(Errno::LOOP));
        assert_eq!(inside.resolve("/none/x"), Err(Errno::NOENT));
        assert_eq!(inside.resolve("/file/x"), Err(Errno::NOTDIR));
        assert!(inside.find("/a").is_none() && inside.find("/file/x").is_none());
    }

    #[test]
    fn the_root_itself_can_be_asked_for() {
        let tree = Tree::new();
        tree.folder("usr/lib");
        let inside = Inside::open(&tree.root()).unwrap();
        for path in ["/", "", ".", "..", "/usr/..", "/usr/../..", "usr/lib/../../../"] {
            assert_eq!(inside.resolve(path), Ok(tree.root()), "{path}");
            assert_eq!(inside.find(path).unwrap().0, tree.root(), "{path}");
        }
        let machine = Inside::open(&HostPath::root()).unwrap();
        assert_eq!(machine.resolve("/.."), Ok(HostPath::root()));
        assert_eq!(machine.find("/proc").unwrap().0.as_str(), "/proc");
    }

    #[test]
    fn finds_what_a_link_leads_to() {
        let tree = Tree::new();
        tree.file("a/file", "").link("b/link", "/a/file").link("c", "b");
        let (real, stat) = Inside::open(&tree.root()).unwrap().find("/c/link").unwrap();
        assert_eq!(real, tree.root().join("a/file"));
        assert_eq!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile);
    }

    #[test]
    fn a_root_behind_a_link_is_the_same_root() {
        let tree = Tree::new();
        tree.file("driver/usr/lib/x", "").link("current", "driver");
        let inside = Inside::open(&tree.root().join("current")).unwrap();
        assert_eq!(inside.root(), &tree.root().join("driver"));
        assert_eq!(inside.strip(&inside.resolve("/usr/lib/x").unwrap()), "/usr/lib/x");
    }
}
