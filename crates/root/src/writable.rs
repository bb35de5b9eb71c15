//! A root that is read-only for the container and not for those who prepare it: `root.readonly` in config.json.
//!
//! runc makes such a root read-only when all is prepared, crun before it runs the hooks that prepare it; there a hook that
//! writes would fail, and the container with it. What is read-only then is the mount and not the file system. A copy of
//! the mount that nobody else sees, without that flag, leads to the same files.

use crate::{
    ContainerRoot,
    mount::{Attributes, Line, set_attributes, table},
};
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
        if !self.mount().is_some_and(|mount| was_made_read_only(&table, mount)) {
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

/// The mount is read-only, and neither its file system is nor the mount on which it lies, which is where a low-level
/// runtime found the root. `table` is a mountinfo (`proc_pid_mountinfo(5)`).
fn was_made_read_only(table: &str, mount: u64) -> bool {
    let find = |id: u64| table.lines().filter_map(Line::read).find(|line| line.id == id);
    find(mount).is_some_and(|line| {
        line.read_only && !line.system_read_only && find(line.parent).is_some_and(|parent| !parent.read_only)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_runtime_made_read_only_is_written() {
        let table = "\
20 1 0:5 / / rw,relatime shared:1 - ext4 /dev/vda rw
21 20 0:5 /b/rootfs /b/rootfs ro,relatime - ext4 /dev/vda rw,discard
22 20 0:6 / /squash ro,relatime master:2 - squashfs /dev/loop0 ro
23 22 0:6 / /squash ro,relatime - squashfs /dev/loop0 ro
24 20 0:5 /c /c ro,relatime - ext4 /dev/vda rw
25 24 0:5 /c /c ro,relatime - ext4 /dev/vda rw
26 99 0:5 /d /d ro - ext4 /dev/vda rw
27 short
";
        for (mount, want) in [(20, false), (21, true), (23, false), (25, false), (26, false), (27, false), (28, false)]
        {
            assert_eq!(was_made_read_only(table, mount), want, "{mount}");
        }
    }
}
