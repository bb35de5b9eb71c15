//! Mounts that tell others what is mounted on them (`mount_namespaces(7)`, shared subtrees).
//!
//! A volume with shared propagation is one mount in several namespaces, this machine's among them as a rule: what is
//! mounted on it in the container appears there too, and stays when the container is gone. The root's own mount is for
//! whoever made it to judge: low-level runtimes make it private before they run hooks; a root that is shared is prepared
//! by somebody in the namespace that is meant, and what is mounted below it as well.

use super::table;
use crate::{ContainerRoot, Defence, RootError};
use host::procfs;
use oci::ContainerPath;
use std::cell::RefCell;

/// Tells them, for one root. The table of mounts is read when there is something to tell, and kept.
pub(crate) struct Peers<'a> {
    root: &'a ContainerRoot,
    table: RefCell<String>,
}

impl<'a> Peers<'a> {
    pub(crate) fn new(root: &'a ContainerRoot) -> Self {
        Peers { root, table: RefCell::default() }
    }

    /// What is mounted over `at`, which lies on this mount, is mounted nowhere else.
    pub(crate) fn check(&self, at: &ContainerPath, mount: Option<u64>) -> Result<(), RootError> {
        let roots = self.root.mount();
        match mount == roots || !Defence::Unshared.stands() || !self.is_shared(mount) || self.is_shared(roots) {
            true => Ok(()),
            false => Err(RootError::Shared(at.clone())),
        }
    }

    /// A mount that cannot be told is taken for one.
    fn is_shared(&self, mount: Option<u64>) -> bool {
        let Some(mount) = mount else { return true };
        let known = procfs::is_shared(&self.table.borrow(), mount);
        known.unwrap_or_else(|| {
            // It is newer than the table.
            let newer = table().unwrap_or_default();
            let shared = procfs::is_shared(&newer, mount);
            self.table.replace(newer);
            shared.unwrap_or(true)
        })
    }
}
