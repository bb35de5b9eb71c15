//! A file of a root that cannot be written gets other content: as a mount over it, in the container's mount namespace.

use crate::{
    ContainerRoot, RootError,
    container::Found,
    mount::{Place, Point, Technique, cover},
};
use oci::ContainerPath;
use rustix::{fd::AsFd, fs::FileType};
use std::rc::Rc;

impl ContainerRoot {
    /// Lays a read-only file with this content over the one at `path`, until the mount namespace ends. Only a hook, in
    /// the container's mount namespace, may do this. A link is no file: what it leads to would be covered for everybody who
    /// uses that.
    ///
    /// # Errors
    /// [`RootError::Link`] or [`RootError::NotRegular`] if there is none; [`RootError::Shared`], or [`RootError::Failed`], if
    /// it cannot be mounted.
    pub fn cover(&self, path: &ContainerPath, content: &[u8]) -> Result<(), RootError> {
        let parent = path.parent();
        let folder = self.enter(&parent).map(Found::into_fd).map_err(self.failed("open", &parent))?;
        let point = Point::look(Rc::new(folder), path.file_name()).map_err(RootError::failed("open", path))?;
        match FileType::from_raw_mode(point.status.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Err(RootError::Link(path.clone())),
            _ => return Err(RootError::NotRegular(path.clone())),
        }
        let place = Place { root: self, path };
        cover(point.target.as_fd(), point.mount(), &place, content, Technique::Detached)
    }
}
