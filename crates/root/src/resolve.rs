//! Turns a path inside a container into a descriptor, without ever leaving the root.
//!
//! Links are followed as the container would follow them: absolute ones start at its root, and `..` stops there
//! (Q33: images with an absolute link for `/run`, `/etc` or `/lib` are ordinary images). The kernel does that since 5.6
//! (`openat2(2)`, `RESOLVE_IN_ROOT`); for older ones there is a walk, component by component.

use crate::Defence;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat},
    io::Errno,
};
use std::collections::VecDeque;

/// Links followed on one path before it is taken for a loop, as in the kernel.
const MAX_LINKS: u32 = 40;
/// Components looked at on one path, those of links included. Each takes our own walk some system calls, and forty links have room
/// for eighty thousand; no real path has a hundred.
const MAX_COMPONENTS: u32 = 1024;
/// Times that a path is tried again when a rename elsewhere made the kernel unsure (`EAGAIN`).
const RETRIES: u32 = 16;

/// How paths are resolved. Chosen once for a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// By the kernel.
    Kernel,
    /// By our own walk.
    Walk,
}

/// What to do with a link at the end of a path. Links on the way are always followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Open what it points to.
    Follow,
    /// Open the link itself.
    Keep,
}

impl Resolver {
    /// The kernel's, unless it has none or a seccomp filter hides it.
    pub(crate) fn choose(root: BorrowedFd) -> Resolver {
        match by_kernel(root, ".", Last::Follow) {
            Err(Errno::NOSYS | Errno::PERM) => Resolver::Walk,
            _ => Resolver::Kernel,
        }
    }

    /// A descriptor (`O_PATH`) for `path` below `root`. Opening so has no effect on what is opened: a FIFO does not
    /// block, a device is not touched.
    pub(crate) fn open(self, root: BorrowedFd, path: &str, last: Last) -> Result<OwnedFd, Errno> {
        #[cfg(feature = "undefended")]
        if let Some(found) = crate::undefended::open(root, path, last) {
            return found;
        }
        match self {
            Resolver::Walk => walk(root, path, last),
            Resolver::Kernel => by_kernel(root, path, last),
        }
    }

    /// The same, if names alone lead there: `ELOOP` where a link is on the way or at the end.
    pub(crate) fn open_by_name(self, root: BorrowedFd, path: &str) -> Result<OwnedFd, Errno> {
        let asked = match self {
            Resolver::Walk => None,
            Resolver::Kernel => ask_kernel(root, path, OFlags::empty(), ResolveFlags::NO_SYMLINKS),
        };
        asked.unwrap_or_else(|| walk_by_name(root, path))
    }
}

fn by_kernel(root: BorrowedFd, path: &str, last: Last) -> Result<OwnedFd, Errno> {
    let flags = if last == Last::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
    ask_kernel(root, path, flags, ResolveFlags::empty()).unwrap_or_else(|| walk(root, path, last))
}

/// `None` if the kernel stays unsure.
fn ask_kernel(root: BorrowedFd, path: &str, flags: OFlags, how: ResolveFlags) -> Option<Result<OwnedFd, Errno>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | how;
    (0..RETRIES).find_map(|_| match openat2(root, path, flags, Mode::empty(), how) {
        Err(Errno::AGAIN | Errno::INTR) => None,
        result => Some(result),
    })
}

/// The same by hand.
fn walk(root: BorrowedFd, path: &str, last: Last) -> Result<OwnedFd, Errno> {
    match steps(root, path, last)?.pop() {
        Some((_, end)) => Ok(end),
        None => openat(root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
    }
}

/// The same by hand where no link is to be followed.
fn walk_by_name(root: BorrowedFd, path: &str) -> Result<OwnedFd, Errno> {
    let mut here = openat(root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    for name in components(path) {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = openat(&here, &*name, flags, Mode::empty())?;
        // `..` is no name; paths of containers have none.
        if name == ".." || FileType::from_raw_mode(fstat(&here)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    Ok(here)
}

/// The first link on the way to `path`, or at its end. For messages.
pub(crate) fn first_link(root: BorrowedFd, path: &str) -> Option<String> {
    let mut at = String::new();
    components(path).find_map(|name| {
        at = format!("{at}/{name}");
        matches!(walk_by_name(root, &at), Err(Errno::LOOP)).then(|| at.clone())
    })
}

/// The same path without links: what lies there has this name too.
pub(crate) fn without_links(root: BorrowedFd, path: &str) -> Result<String, Errno> {
    let steps = steps(root, path, Last::Follow)?;
    Ok(steps.iter().map(|(name, _)| format!("/{name}")).collect())
}

/// The way, without links. Holds a descriptor for every folder between the root and where it stands, so that `..` is a
/// step back on its own way and no rename can lead it out.
fn steps(root: BorrowedFd, path: &str, last: Last) -> Result<Vec<(String, OwnedFd)>, Errno> {
    let mut ahead: VecDeque<String> = components(path).collect();
    let mut behind: Vec<(String, OwnedFd)> = Vec::new();
    let (mut links, mut looked_at) = (0, 0);
    while let Some(name) = ahead.pop_front() {
        looked_at += 1;
        if looked_at > MAX_COMPONENTS && Defence::BoundedTime.stands() {
            return Err(Errno::LOOP);
        }
        if name == ".." {
            behind.pop();
            continue;
        }
        let here = behind.last().map_or(root, |(_, folder)| folder.as_fd());
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = openat(here, &*name, flags, Mode::empty())?;
        let kind = FileType::from_raw_mode(fstat(&next)?.st_mode);
        if kind == FileType::Symlink && !(ahead.is_empty() && last == Last::Keep) {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(&next, c"", Vec::new())?;
            let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
            if target.starts_with('/') {
                behind.clear();
            }
            components(target).rev().for_each(|component| ahead.push_front(component));
        } else if kind == FileType::Directory || ahead.is_empty() {
            behind.push((name, next));
        } else {
            return Err(Errno::NOTDIR);
        }
    }
    Ok(behind)
}

fn components(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::{fs, os::unix::fs::symlink, path::Path};

    fn inode_of(path: &Path) -> u64 {
        rustix::fs::lstat(path).unwrap().st_ino
    }

    /// Both ways must agree on every path; `Ok` holds the path that must be reached.
    #[test]
    fn both_ways_stay_inside_and_agree() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("usr/lib/sub")).unwrap();
        fs::write(root.join("usr/lib/file"), "").unwrap();
        fs::write(outer.path().join("secret"), "").unwrap();
        for (at, target) in [
            ("lib", "/usr/lib"),
            ("relative", "usr/lib"),
            ("out", "../../../../secret"),
            ("outabs", "/../secret"),
            ("host", outer.path().join("secret").to_str().unwrap()),
            ("up", "usr/lib/sub/../../../../../usr"),
            ("a", "b"),
            ("b", "a"),
            ("dangling", "nowhere"),
            ("through", "usr/lib/file/x"),
        ] {
            symlink(target, root.join(at)).unwrap();
        }
        let fd = openat(CWD, &root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let cases: &[(&str, Last, Result<&str, Errno>)] = &[
            (".", Last::Follow, Ok("")),
            ("lib/file", Last::Follow, Ok("usr/lib/file")),
            ("relative/sub", Last::Follow, Ok("usr/lib/sub")),
            ("lib", Last::Keep, Ok("lib")),
            ("lib", Last::Follow, Ok("usr/lib")),
            ("up/lib/file", Last::Follow, Ok("usr/lib/file")),
            ("dangling", Last::Keep, Ok("dangling")),
            ("dangling", Last::Follow, Err(Errno::NOENT)),
            ("out", Last::Follow, Err(Errno::NOENT)),
            ("outabs", Last::Follow, Err(Errno::NOENT)),
            ("host", Last::Follow, Err(Errno::NOENT)),
            ("a", Last::Follow, Err(Errno::LOOP)),
            ("a/x", Last::Keep, Err(Errno::LOOP)),
            ("usr/lib/file/x", Last::Follow, Err(Errno::NOTDIR)),
            ("through", Last::Follow, Err(Errno::NOTDIR)),
        ];
        for (path, last, want) in cases {
            for resolver in [Resolver::Kernel, Resolver::Walk] {
                let got = resolver.open(fd.as_fd(), path, *last).map(|found| fstat(&found).unwrap().st_ino);
                assert_eq!(got, want.map(|path| inode_of(&root.join(path))), "{path} by {resolver:?}");
            }
            let by_name = [Resolver::Kernel, Resolver::Walk]
                .map(|resolver| resolver.open_by_name(fd.as_fd(), path).map(|found| fstat(&found).unwrap().st_ino));
            let through_a_link = first_link(fd.as_fd(), path).is_some();
            let expected = if through_a_link { Err(Errno::LOOP) } else { want.map(|path| inode_of(&root.join(path))) };
            assert_eq!(by_name, [expected; 2], "{path} by name");
            if *last == Last::Follow {
                let want = want.map(|path| if path.is_empty() { String::new() } else { format!("/{path}") });
                assert_eq!(without_links(fd.as_fd(), path), want, "{path}");
            }
        }
    }

    #[test]
    fn our_own_walk_takes_no_way_of_a_thousand_components() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d/e")).unwrap();
        symlink("d/../".repeat(500), root.path().join("short")).unwrap();
        symlink("d/../".repeat(600), root.path().join("long")).unwrap();
        let fd = openat(CWD, root.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let open = |resolver: Resolver, path: &str| resolver.open(fd.as_fd(), path, Last::Follow).map(|_| ());
        for (path, by_walk) in [("short/d/e", Ok(())), ("long/d/e", Err(Errno::LOOP))] {
            assert_eq!((open(Resolver::Kernel, path), open(Resolver::Walk, path)), (Ok(()), by_walk), "{path}");
        }
    }
}
