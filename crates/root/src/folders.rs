//! Folders of a container's root that were opened once and are used for many links.

use crate::ContainerRoot;
use oci::ContainerPath;
use rustix::{fd::OwnedFd, fs::FileType, io::Errno};
use std::{collections::HashMap, rc::Rc};

/// Opens each folder once. Some forty links lie in two or three folders.
pub(crate) struct Folders<'a> {
    pub(crate) root: &'a ContainerRoot,
    known: HashMap<ContainerPath, Rc<OwnedFd>>,
}

impl<'a> Folders<'a> {
    pub(crate) fn new(root: &'a ContainerRoot) -> Self {
        Folders { root, known: HashMap::new() }
    }

    /// The folder at `path`, links on the way followed inside the root, but not to another mount
    /// ([`ContainerRoot::enter`]).
    pub(crate) fn open(&mut self, path: &ContainerPath) -> Result<Rc<OwnedFd>, Errno> {
        if let Some(folder) = self.known.get(path) {
            return Ok(folder.clone());
        }
        let found = self.root.enter(path)?;
        if found.kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        Ok(self.remember(path, found.into_fd()))
    }

    /// Looks again for what lies at `path` and below it.
    pub(crate) fn forget_below(&mut self, path: &ContainerPath) {
        self.known.retain(|known, _| known.strip_prefix(path).is_none());
    }

    pub(crate) fn remember(&mut self, path: &ContainerPath, folder: OwnedFd) -> Rc<OwnedFd> {
        let folder = Rc::new(folder);
        self.known.insert(path.clone(), folder.clone());
        folder
    }
}
