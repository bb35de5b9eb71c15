//! Permissions of what lies in a root already (reference: runtime-and-hook.md, 8.3).

use crate::{ContainerRoot, RootError};
use oci::ContainerPath;
use rustix::{
    fs::{Mode, chmod},
    io::Errno,
};
use std::os::fd::AsRawFd;

/// What [`ContainerRoot::set_permissions`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// They were changed.
    Changed,
    /// They were so already.
    Unchanged,
    /// Nothing is there.
    Absent,
    /// It belongs to somebody whose files the caller may not change, as in a container without privileges.
    NotOurs,
}

impl ContainerRoot {
    /// Gives what lies at `path`, links followed inside the root, but not to another mount, these permission bits, set-uid,
    /// set-gid and sticky bit included.
    ///
    /// # Errors
    /// [`RootError::Failed`] for anything but absence and lack of permission.
    pub fn set_permissions(&self, path: &ContainerPath, bits: u32) -> Result<Permissions, RootError> {
        let found = match self.enter(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Permissions::Absent),
            result => result.map_err(self.failed("open", path))?,
        };
        if found.mode == bits {
            return Ok(Permissions::Unchanged);
        }
        // The descriptor was opened without being able to do anything with the file; its name below /proc leads to the
        // file itself and not through any name that an image could change.
        let file = format!("/proc/self/fd/{}", found.fd().as_raw_fd());
        match chmod(file, Mode::from_raw_mode(bits)) {
            Ok(()) => Ok(Permissions::Changed),
            Err(Errno::PERM | Errno::ACCESS) => Ok(Permissions::NotOurs),
            Err(error) => Err(RootError::failed("change the permissions of", path)(error)),
        }
    }
}
