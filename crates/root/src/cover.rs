//! A file of a root that cannot be written gets other content: as a mount over it, in the container's mount namespace.

use crate::{
    ContainerRoot, RootError,
    mount::{Place, Technique, cover},
    resolve::Last,
};
use oci::ContainerPath;
use rustix::fs::{FileType, fstat};
use std::os::fd::AsFd;

impl ContainerRoot {
    /// Lays a read-only file with this content over the one at `path`, until the mount namespace ends. Only a hook, in
    /// the container's mount namespace, may do this.
    ///
    /// # Errors
    /// [`RootError::NotRegular`] if there is none; [`RootError::Failed`] if it cannot be mounted.
    pub fn cover(&self, path: &ContainerPath, content: &[u8]) -> Result<(), RootError> {
        let target = self.find(path, Last::Follow).map_err(RootError::failed("open", path))?;
        let status = fstat(&target).map_err(RootError::failed("look at", path))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(RootError::NotRegular(path.clone()));
        }
        cover(target.as_fd(), &Place { root: self, path }, content, Technique::Detached)
            .map_err(RootError::failed("mount over", path))
    }
}
