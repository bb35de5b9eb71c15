//! Mounts in a container, by descriptor.
//!
//! What is to be mounted is cloned or made where nobody sees it, gets all its flags at once (a bind mount that is asked to
//! be read-only is not, Q35), and is attached at the very end: `open_tree`, `mount_setattr`, `move_mount`. Where it goes is
//! found in the container's root by descriptor and never through a link at its end. So a list of mounts is prepared first,
//! in the host's mount namespace if need be; attaching it, in the container's, either succeeds or leaves nothing
//! ([`Attached`]). Nothing is mounted on a volume that others would see it on ([`Peers`]). Kernels before 5.12, or a seccomp
//! filter, may lack these calls; then `mount(2)` does the same in steps, on the descriptors' own names below `/proc/self/fd`.

mod attach;
mod kernel;
mod peers;
mod point;
mod prepare;
mod single;
mod tmpfs;

pub use attach::Attached;
pub(crate) use kernel::{Attributes, set_attributes, table};
pub(crate) use peers::Peers;
pub(crate) use point::Point;
pub use prepare::Prepared;
pub(crate) use single::{Place, cover};
pub(crate) use tmpfs::is_tmpfs;

use oci::{ContainerPath, HostPath};

/// How a mount is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technique {
    /// By mounts that are never visible before they are complete (Linux 5.12; for a single file with content of ours 6.15).
    /// Where the kernel cannot do that, as [`Technique::Classic`].
    Detached,
    /// By `mount(2)`, in steps.
    Classic,
}

/// A mount that a container is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where. Missing folders, and the file or folder to mount over, are made.
    pub at: ContainerPath,
    /// What.
    pub what: What,
    /// What it does not allow.
    pub options: Options,
    /// What must lie there now.
    pub ground: Ground,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Something of this machine's.
    Host(Source),
    /// A new file system in memory.
    Tmpfs(Tmpfs),
}

/// Something of this machine's. It is opened once, and is mounted only if it is what it is taken for; a link is nothing of
/// that, so give what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub path: HostPath,
    /// What it must be.
    pub kind: Kind,
}

/// What a source must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder {
        /// With what is mounted below it.
        with_mounts: bool,
    },
    /// A socket.
    Socket,
    /// A character device with these numbers: a name says nothing about a node.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// A file system in memory with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// Permission bits of its top.
    pub mode: u32,
    /// Files and folders in it; a folder stands before what lies in it.
    pub holds: Vec<Held>,
}

/// Something in a [`Tmpfs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where in it: names with slashes between them.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// A file's content; a folder has none.
    pub content: Option<Vec<u8>>,
}

/// What a mount does not allow. Set-user-id programs never; and it is private: nothing is told to other namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Writing, also to what is mounted below a folder.
    pub read_only: bool,
    /// Opening device nodes.
    pub no_devices: bool,
    /// Running programs.
    pub no_execution: bool,
}

impl Options {
    /// For libraries and programs.
    pub const LIBRARIES: Options = Options { read_only: true, no_devices: true, no_execution: false };
    /// For device nodes. A node on a read-only mount can be written to.
    pub const NODES: Options = Options { read_only: true, no_devices: false, no_execution: true };
    /// For what the kernel says about the driver.
    pub const FACTS: Options = Options { read_only: true, no_devices: true, no_execution: true };
    /// For sockets, and for file systems in which more is to be mounted.
    pub const SOCKETS: Options = Options { read_only: false, no_devices: true, no_execution: true };
}

/// What must lie at a mount's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// Whatever the image has, or nothing.
    #[default]
    Any,
    /// Something that the kernel shows: it lies on procfs, or is what this machine has at that path (a simulated machine
    /// binds it there). The image's own would be another's word for what the kernel says.
    Kernels(HostPath),
}

impl What {
    /// The mount is one of a folder.
    fn is_folder(&self) -> bool {
        match self {
            What::Host(source) => matches!(source.kind, Kind::Folder { .. }),
            What::Tmpfs(_) => true,
        }
    }

    /// The mount brings others with it.
    fn is_tree(&self) -> bool {
        matches!(self, What::Host(Source { kind: Kind::Folder { with_mounts: true }, .. }))
    }
}
