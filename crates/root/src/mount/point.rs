//! The place in a container's root that is mounted over.

use super::{Ground, Mount, Prepared, What, prepare::Identity};
use crate::{
    Defence, RootError,
    container::{is_kernels_own, mount_of},
};
use oci::ContainerPath;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FileType, Mode, OFlags, Stat, fstat, fstatvfs, openat},
    io::Errno,
};
use std::{cell::OnceCell, rc::Rc};

/// Such a place, held by descriptor: no rename leads elsewhere.
pub(crate) struct Point {
    pub(crate) folder: Rc<OwnedFd>,
    pub(crate) name: String,
    /// What lies there now; a mount, if one does.
    pub(crate) target: OwnedFd,
    pub(crate) status: Stat,
    mount: OnceCell<Option<u64>>,
}

impl Point {
    /// What lies under that name; a link is found itself.
    pub(crate) fn look(folder: Rc<OwnedFd>, name: &str) -> Result<Point, Errno> {
        let target = look(&folder, name)?;
        let status = fstat(&target)?;
        Ok(Point { folder, name: name.to_owned(), target, status, mount: OnceCell::new() })
    }

    /// The number of the mount that it lies on.
    pub(crate) fn mount(&self) -> Option<u64> {
        *self.mount.get_or_init(|| mount_of(self.target.as_fd()))
    }

    /// What lies there after something was mounted over it; `EBUSY` if nothing was, or somebody was faster.
    pub(super) fn covered(&self) -> Result<OwnedFd, Errno> {
        let top = look(&self.folder, &self.name)?;
        match mount_of(top.as_fd()) {
            Some(mount) if Some(mount) != self.mount() => Ok(top),
            _ => Err(Errno::BUSY),
        }
    }

    /// A folder can be mounted over a folder only, and anything else over anything else.
    pub(crate) fn check_kind(&self, at: &ContainerPath, folder: bool) -> Result<(), RootError> {
        match (FileType::from_raw_mode(self.status.st_mode), folder) {
            (FileType::Symlink, _) => Err(RootError::Link(at.clone())),
            (FileType::Directory, false) => Err(RootError::Directory(at.clone())),
            (FileType::Directory, true) | (_, false) => Ok(()),
            (_, true) => Err(RootError::failed("mount over", at)(Errno::NOTDIR)),
        }
    }

    /// What the mount is to bring lies there already, and allows no more than the mount would.
    pub(super) fn has(&self, mount: &Prepared) -> bool {
        let is_mount = self.mount().is_some_and(|own| Some(own) != mount_of(self.folder.as_fd()));
        if !is_mount || !fstatvfs(&self.target).is_ok_and(|there| mount.mount.options.hold_on(&there)) {
            return false;
        }
        match &mount.mount.what {
            What::Host(_) => mount.identity == Some(Identity::of(&self.status)),
            What::Tmpfs(tmpfs) => tmpfs.is(self.target.as_fd()),
        }
    }

    /// What lies there is what the mount expects.
    pub(super) fn check_ground(&self, mount: &Mount) -> Result<(), RootError> {
        match &mount.ground {
            Ground::Any => Ok(()),
            Ground::Kernels(host) => {
                let identity = (self.status.st_dev, self.status.st_ino);
                match is_kernels_own(self.target.as_fd(), identity, host) {
                    true => Ok(()),
                    false => Err(RootError::Foreign(mount.at.clone())),
                }
            }
        }
    }
}

fn look(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !Defence::NoLinkAtEnd.stands() {
        flags.remove(OFlags::NOFOLLOW);
    }
    openat(folder, name, flags, Mode::empty())
}
