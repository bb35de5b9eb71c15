//! Paths below a root whose links are resolved as if that root were `/`.
//!
//! A driver container's `/usr/lib/libcuda.so.1` may be a link to `/etc/alternatives/…`: that means the driver
//! container's `/etc`, not this machine's. The walk is done here, lexically and with `readlink`, rather than by
//! `openat2(RESOLVE_IN_ROOT)`: it also gives the real path, works where `openat2` is filtered, and remembers which
//! folders are no links, so that 60 files in one folder cost 60 calls, not 300. The tree is the administrator's own
//! (roots of containers are `crates/root`'s business), so a race with a rename is nothing worse than a missing file.

use oci::HostPath;
use rustix::{
    fs::{AtFlags, CWD, FileType, Stat, readlinkat, statat},
    io::Errno,
};
use std::{cell::RefCell, collections::HashSet, io};

/// Links followed before a path counts as a loop, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A root, and what has been learnt about the folders below it.
pub(crate) struct Inside {
    root: HostPath,
    /// Real folders: no link, at any level.
    real: RefCell<HashSet<String>>,
}

impl Inside {
    /// The root at `path`, which may itself be reached through links: those are this machine's.
    pub(crate) fn open(path: &HostPath) -> io::Result<Self> {
        let real = std::fs::canonicalize(path)?;
        if !real.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let text = real.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let root = HostPath::new(text).map_err(|_| io::ErrorKind::InvalidFilename)?;
        Ok(Inside { root, real: RefCell::default() })
    }

    /// The root's real path on this machine.
    pub(crate) fn root(&self) -> &HostPath {
        &self.root
    }

    /// The real place of `path` (a path below the root, with or without a leading slash). The last component must
    /// exist, whatever it is.
    pub(crate) fn resolve(&self, path: &str) -> Result<HostPath, Errno> {
        let mut done: Vec<String> = Vec::new();
        let mut todo: Vec<String> = parts(path);
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let last = todo.is_empty();
            done.push(part);
            if let Some(target) = self.link_at(&done, last)? {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                todo.extend(parts(&target));
            }
        }
        Ok(self.root.join(&done.join("/")))
    }

    /// What the link at `parts` says; `None` for anything else that exists.
    fn link_at(&self, parts: &[String], last: bool) -> Result<Option<String>, Errno> {
        let below = parts.join("/");
        if self.real.borrow().contains(&below) {
            return Ok(None);
        }
        match readlinkat(CWD, self.root.join(&below).as_path(), Vec::new()) {
            Ok(target) => target.into_string().map(Some).map_err(|_| Errno::ILSEQ),
            Err(Errno::INVAL) => {
                if !last {
                    self.real.borrow_mut().insert(below);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The real place of `path` and what lies there.
    pub(crate) fn find(&self, path: &str) -> Option<(HostPath, Stat)> {
        let real = self.resolve(path).ok()?;
        let stat = statat(CWD, real.as_path(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((real, stat))
    }

    /// The real place of `path`, if a file of that kind lies there.
    pub(crate) fn find_kind(&self, path: &str, kind: FileType) -> Option<HostPath> {
        let (real, stat) = self.find(path)?;
        (FileType::from_raw_mode(stat.st_mode) == kind).then_some(real)
    }

    /// `host` with the root cut off, absolute again; a path outside the root stays as it is.
    pub(crate) fn strip<'a>(&self, host: &'a HostPath) -> &'a str {
        match (self.root.as_str(), host.strip_prefix(&self.root)) {
            ("/", _) | (_, None) => host.as_str(),
            (root, Some(_)) => &host.as_str()[root.len()..],
        }
    }
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
