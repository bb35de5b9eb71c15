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
    io::Errno,
    mount::{MountAttrFlags, OpenTreeFlags, open_tree},
};

impl ContainerRoot {
    /// The same root, through a mount of our own that can be written, if the low-level runtime made the container's
    /// read-only. A root that was read-only before stays so: somebody meant that. So does one for which the kernel
    /// (before 5.12) or the caller's capabilities are not enough.
    pub fn writable(self) -> ContainerRoot {
        let table = table().unwrap_or_default();
        if !self.mount().is_some_and(|mount| procfs::was_made_read_only(&table, mount)) {
            return self;
        }
        match copy(&self) {
            Ok(fd) => self.through(fd),
            Err(_) => self,
        }
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
