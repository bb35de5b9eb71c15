//! A root that is read-only for the container and not for those who prepare it: `root.readonly` in config.json.
//!
//! runc makes such a root read-only when all is prepared, crun before it runs the hooks that prepare it; there a hook that
//! writes would fail, and the container with it. What is read-only then is the mount and not the file system. A copy of
//! the mount that nobody else sees, without that flag, leads to the same files.

use crate::{
    ContainerRoot,
    mount::{Attributes, set_attributes, table},
};
use host::procfs;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{StatVfsMountFlags, fstatvfs},
    io::Errno,
    mount::{MountAttrFlags, OpenTreeFlags, open_tree},
};

impl ContainerRoot {
    /// The low-level runtime has made the root read-only for the container. A root that was read-only before is another
    /// matter: somebody meant that.
    pub fn was_made_read_only(&self) -> bool {
        // The kernel writes the table of mounts anew for each reader, which takes it longer than most hooks take in all.
        let is_read_only =
            fstatvfs(self.descriptor()).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
        let table = || table().unwrap_or_default();
        is_read_only && self.mount().is_some_and(|mount| procfs::was_made_read_only(&table(), mount))
    }

    /// The same root as it is now, with all mounts below it, through mounts of our own that nobody else sees and of which
    /// the root's can be written. `None` where the kernel (before 5.12) or the caller's capabilities are not enough.
    pub fn copy_to_write(&self) -> Option<ContainerRoot> {
        copy(self).ok().map(|fd| self.through(fd))
    }
}

fn copy(root: &ContainerRoot) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let copy = open_tree(root.descriptor(), "", flags)?;
    let clear = MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into();
    set_attributes(copy.as_fd(), &Attributes { clear, propagation: libc::MS_PRIVATE, ..Attributes::default() })?;
    Ok(copy)
}
