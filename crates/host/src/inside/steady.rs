//! Folders that stay what they are between a look at them and their use by somebody else.
//!
//! `/tmp/nvidia-mps` lies where anybody may make a name. A low-level runtime mounts what a path leads to when it gets to it,
//! so a link there, or a folder that somebody can exchange for a link, would put any folder of this machine into a container.

use super::{Inside, host_path, split};
use oci::HostPath;
use rustix::{
    fs::{FileType, Mode, Stat},
    process::geteuid,
};

/// Whose folder it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root's or the caller's.
    Trusted,
    /// Anybody's: whoever named the folder knows whose it is.
    Anybody,
}

impl Inside {
    /// The real place of the folder `path`, if it is a folder and no link, belongs to whom it may, and lies in folders in which
    /// nobody but root and the caller can exchange it.
    pub fn steady_folder(&self, path: &str, owner: Owner) -> Option<HostPath> {
        // A slash at the end would have a link followed.
        let (folder, name) = split(path.trim_end_matches('/'));
        if matches!(name, "" | "." | "..") {
            return None;
        }
        let above = self.folder(folder).ok()?;
        let here = format!("{above}/{name}");
        let stat = self.status(&here).filter(is_folder)?;
        let fits = owner == Owner::Anybody || is_trusted(&stat);
        (fits && self.is_closed(&above)).then(|| host_path(here).ok()).flatten()
    }

    /// Nobody else can exchange what lies in the real folder `place`, nor one of those above it.
    fn is_closed(&self, place: &str) -> bool {
        let ends = place.match_indices('/').map(|(at, _)| at).chain([place.len()]);
        ends.map(|end| &place[..end]).all(|folder| self.status(folder).is_some_and(|stat| keeps_names(&stat)))
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_trusted(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == geteuid().as_raw()
}

/// Others may make names in it at most (`/tmp`: sticky), and neither take away nor exchange those of root's and the caller's.
fn keeps_names(stat: &Stat) -> bool {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let is_open = mode.intersects(Mode::WGRP | Mode::WOTH);
    is_folder(stat) && is_trusted(stat) && (!is_open || mode.contains(Mode::SVTX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Tree;
    use std::os::unix::fs::{PermissionsExt, chown};

    const MPS: &str = "/tmp/nvidia-mps";

    /// Whether it is found: if it must be trusted, and if it may be anybody's.
    fn found(tree: &Tree) -> [bool; 2] {
        let inside = Inside::open(&tree.root()).unwrap();
        [Owner::Trusted, Owner::Anybody].map(|owner| {
            let found = inside.steady_folder(MPS, owner);
            assert!(found.is_none() || found == Some(tree.root().join(MPS)), "{found:?}");
            found.is_some()
        })
    }

    fn allow(tree: &Tree, path: &str, mode: u32) {
        std::fs::set_permissions(tree.root().join(path).as_path(), PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_real_folder_counts() {
        let tree = Tree::new();
        assert_eq!(found(&tree), [false; 2], "nothing");
        tree.folder("tmp/nvidia-mps");
        assert_eq!(found(&tree), [true; 2]);
        let link = Tree::new();
        link.folder("root").link("tmp/nvidia-mps", "/root");
        assert_eq!(found(&link), [false; 2], "a link");
        link.link("beside", "/root");
        for path in ["beside", "beside/", "/beside//"] {
            assert_eq!(Inside::open(&link.root()).unwrap().steady_folder(path, Owner::Anybody), None, "{path}");
        }
        let file = Tree::new();
        file.file("tmp/nvidia-mps", "");
        assert_eq!(found(&file), [false; 2], "a file");
        for path in ["", "/", "/tmp/..", "/tmp/nvidia-mps/.", "/tmp/."] {
            assert_eq!(Inside::open(&tree.root()).unwrap().steady_folder(path, Owner::Trusted), None, "{path}");
        }
    }

    #[test]
    fn nobody_else_can_exchange_it() {
        let tree = Tree::new();
        tree.folder("tmp/nvidia-mps");
        for (mode, holds) in [(0o1777, true), (0o777, false), (0o775, false), (0o755, true)] {
            allow(&tree, "tmp", mode);
            assert_eq!(found(&tree), [holds; 2], "{mode:o}");
        }
        // Its own mode says who uses it, and not who can put something else in its place.
        allow(&tree, "tmp/nvidia-mps", 0o777);
        assert_eq!(found(&tree), [true; 2]);
        allow(&tree, "", 0o777);
        assert_eq!(found(&tree), [false; 2], "a folder further up");
    }

    #[test]
    fn it_is_nobody_elses() {
        // Only root can give a folder away.
        if !geteuid().is_root() {
            return;
        }
        let tree = Tree::new();
        tree.folder("tmp/nvidia-mps");
        let give = |path: &str, user| chown(tree.root().join(path).as_path(), Some(user), None).unwrap();
        give(MPS, 1000);
        assert_eq!(found(&tree), [false, true]);
        give("tmp", 1000);
        assert_eq!(found(&tree), [false; 2], "who owns the folder above can exchange it");
    }
}
