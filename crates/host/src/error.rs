//! What can go wrong in looking at a machine. An absent part is no error: it is an empty part of the inventory.

use oci::HostPath;
use std::io;

/// Why a machine could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The driver root does not exist or is not a folder.
    #[error(
        "cannot use {path} as driver root: {source}; set nvidia-container-cli.root to the folder that holds the driver"
    )]
    Root {
        /// As configured.
        path: HostPath,
        /// Why.
        source: io::Error,
    },
    /// A file that is there cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: HostPath,
        /// Why.
        source: io::Error,
    },
}
