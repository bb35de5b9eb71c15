//! Device nodes: what the kernel's numbers say a node must be, held against what lies on disk. A node on disk is
//! believed in its mode and owner only if its numbers are right; one that is missing can be described all the same.

mod gpu;
mod mig;
mod shared;

use crate::{Node, folder, kernel::Kernel, procfs::Params};
use oci::{ContainerPath, HostPath};
use rustix::{
    fs::{self, AtFlags, CWD, FileType, Stat, accessat, major, minor, statat},
    io::Errno,
};

pub(crate) use gpu::gpus;
pub(crate) use mig::mig_device_folder;
pub(crate) use shared::{SharedWanted, shared};

/// Describes nodes below one dev root.
pub(crate) struct Nodes<'a> {
    pub(crate) kernel: &'a Kernel<'a>,
    root: HostPath,
    pub(crate) remarks: &'a mut Vec<String>,
}

/// Permission bits and owner of a node that does not exist yet.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Access {
    /// What udev and the driver's tools give nodes that no parameter governs.
    const OPEN: Access = Access { mode: 0o666, uid: 0, gid: 0 };
    /// What udev gives DRM nodes, as far as it can be told without its groups.
    const DRM: Access = Access { mode: 0o660, uid: 0, gid: 0 };
}

impl From<Params> for Access {
    fn from(Params { mode, uid, gid, .. }: Params) -> Self {
        Access { mode, uid, gid }
    }
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(kernel: &'a Kernel<'a>, remarks: &'a mut Vec<String>) -> Self {
        // Without links and `..`, so that cutting the root off a path is exact; a root that is missing has no nodes.
        let real = std::fs::canonicalize(&kernel.roots.dev).ok();
        let real = real.and_then(|path| HostPath::new(path.to_str()?).ok());
        Nodes { kernel, root: real.unwrap_or_else(|| kernel.roots.dev.clone()), remarks }
    }

    /// The node `name` (below `dev`) with these numbers; `otherwise` says how it would be made if it does not exist.
    pub(crate) fn node(&mut self, name: &str, numbers: (u32, u32), otherwise: Access) -> Node {
        let host = self.path(name);
        let found = status(&host);
        let right = found.filter(|stat| character(stat) == Some(numbers));
        if right.is_none() && found.is_some() {
            let (major, minor) = numbers;
            self.remarks.push(format!(
                "{host} is not the character device {major}:{minor} that the kernel has by that name; it is not trusted."
            ));
        }
        let Access { mode, uid, gid } = right.as_ref().map_or(otherwise, access);
        Node {
            path: in_container(name),
            host,
            major: numbers.0,
            minor: numbers.1,
            mode,
            uid,
            gid,
            exists: right.is_some(),
        }
    }

    /// The node `name` with the numbers that it has on disk; `None` if it is no character device.
    pub(crate) fn on_disk(&self, name: &str) -> Option<Node> {
        let host = self.path(name);
        let stat = status(&host)?;
        let (major, minor) = character(&stat)?;
        let Access { mode, uid, gid } = access(&stat);
        Some(Node { path: in_container(name), host, major, minor, mode, uid, gid, exists: true })
    }

    /// As [`Nodes::on_disk`], if the node's major is the one that the kernel has under `driver`, where it has one.
    pub(crate) fn of_driver(&mut self, name: &str, driver: &str) -> Option<Node> {
        let node = self.on_disk(name)?;
        match self.kernel.majors.get(driver) {
            Some(major) if major != node.major => {
                let Node { host, major: found, .. } = node;
                self.remarks.push(format!("{host} has major {found}, but {driver} has {major}; it is not trusted."));
                None
            }
            _ => Some(node),
        }
    }

    /// The names in the folder `name` (below `dev`) that `keep` accepts, sorted.
    pub(crate) fn names(&self, name: &str, keep: impl Fn(&str) -> bool) -> Vec<String> {
        folder::names(&self.path(name), keep)
    }

    /// Where the node `name` lies on this machine.
    pub(crate) fn path(&self, name: &str) -> HostPath {
        self.root.join("dev").join(name)
    }
}

/// Where a container gets the node `name`.
fn in_container(name: &str) -> ContainerPath {
    ContainerPath::root().join("dev").join(name)
}

/// What lies at `path`; a link counts as a link.
fn status(path: &HostPath) -> Option<Stat> {
    statat(CWD, path.as_path(), AtFlags::SYMLINK_NOFOLLOW).ok()
}

/// This process could open the node to read and write, as NVML opens a GPU's. The kernel asks the device cgroup here, too
/// (`inode_permission` in its fs/namei.c), of version 1 and 2 alike; and unlike an open this wakes no GPU.
fn is_open(path: &HostPath) -> bool {
    let wanted = fs::Access::READ_OK | fs::Access::WRITE_OK;
    match accessat(CWD, path.as_path(), wanted, AtFlags::EACCESS) {
        // The device cgroup, or a filter of system calls that does not know this one: the older call tells them apart.
        Err(Errno::PERM | Errno::NOSYS) => accessat(CWD, path.as_path(), wanted, AtFlags::empty()).is_ok(),
        result => result.is_ok(),
    }
}

/// The numbers of a character device.
fn character(stat: &Stat) -> Option<(u32, u32)> {
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    device.then(|| (major(stat.st_rdev), minor(stat.st_rdev)))
}

fn access(stat: &Stat) -> Access {
    Access { mode: stat.st_mode & 0o777, uid: stat.st_uid, gid: stat.st_gid }
}

#[cfg(test)]
mod tests;
