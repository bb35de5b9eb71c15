//! Why something in a container's root could not be done.

use oci::{ContainerPath, HostPath};
use rustix::io::Errno;

/// A failure in a container's root. [`crate::ContainerRoot::apply`] leaves the root as it was when it returns one.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The root itself cannot be opened.
    #[error("cannot open the container's root {path}: {source}")]
    Open {
        /// The root.
        path: HostPath,
        /// Why.
        source: Errno,
    },
    /// A "container root" that is this machine's own root: whoever asks for that has lost a variable.
    #[error("{0} is this machine's own root, not a container's")]
    HostRoot(HostPath),
    /// A system call failed.
    #[error("cannot {action} {path} in the container: {source}")]
    Failed {
        /// `read`, `create`, `list` …
        action: &'static str,
        /// On what.
        path: ContainerPath,
        /// Why.
        source: Errno,
    },
    /// A FIFO, device, socket or directory lies where a file should.
    #[error("{0} in the container is not a regular file")]
    NotRegular(ContainerPath),
    /// The file is longer than anything that belongs there.
    #[error("{path} in the container is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: ContainerPath,
        /// Bytes.
        limit: usize,
    },
    /// The image has a directory of that name; replacing it could delete data.
    #[error(
        "{0} in the container is a directory, where a file or link of the driver belongs; remove it from the image"
    )]
    Directory(ContainerPath),
    /// The image has a link where something is to be mounted. Following it would mount somewhere else.
    #[error(
        "{0} in the container is a symbolic link, where something of the driver is to be mounted; remove it from the image"
    )]
    Link(ContainerPath),
    /// Something else lies where the kernel's own should: another could have put it there.
    #[error("{0} in the container is not the kernel's: it is neither on procfs nor this machine's own")]
    Foreign(ContainerPath),
    /// A link leads to another mount: a volume, or what the kernel shows.
    #[error(
        "cannot use {path} in the container: the symbolic link {link} makes it {place}, which lies on another mount; remove \
         the link from the image, or mount the volume at {path}"
    )]
    Strayed {
        /// What was asked for.
        path: ContainerPath,
        /// The first link on the way.
        link: ContainerPath,
        /// The same without links.
        place: ContainerPath,
    },
    /// What lies there is not the image's, and not everybody may read it.
    #[error("{0} in the container lies on another mount, and is no file that everybody may read")]
    Hidden(ContainerPath),
    /// What is mounted there would be mounted elsewhere too.
    #[error(
        "cannot mount over {0} in the container: it lies on a shared mount, so that others would see it too, as this machine \
         may; mount that volume without shared propagation (rslave, rprivate)"
    )]
    Shared(ContainerPath),
    /// What is to be mounted cannot be opened, or not be mounted anywhere.
    #[error("cannot mount {path} of this machine: {source}")]
    Source {
        /// What.
        path: HostPath,
        /// Why.
        source: Errno,
    },
    /// What is to be mounted is not what it is taken for.
    #[error("{path} on this machine is not {expected}")]
    Unexpected {
        /// What.
        path: HostPath,
        /// What it should be: `a regular file`, `the character device 195:0`.
        expected: String,
    },
    /// Another process keeps changing the same name.
    #[error("{0} in the container is being changed by another process")]
    Contended(ContainerPath),
}

impl RootError {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn failed(action: &'static str, path: &ContainerPath) -> impl FnOnce(Errno) -> RootError {
        move |source| RootError::Failed { action, path: path.clone(), source }
    }

    /// What lies there is no file that could be read; something of ours may take its place.
    pub(crate) fn is_unusable(&self) -> bool {
        matches!(
            self,
            RootError::NotRegular(_)
                | RootError::TooLarge { .. }
                | RootError::Strayed { .. }
                | RootError::Hidden(_)
                | RootError::Failed { source: Errno::LOOP, .. }
        )
    }

    /// The file system, or the mount, cannot be written.
    pub fn is_read_only(&self) -> bool {
        matches!(self, RootError::Failed { source: Errno::ROFS, .. })
    }

    /// The file, or a folder on its way, does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, RootError::Failed { source: Errno::NOENT | Errno::NOTDIR, .. })
    }
}
