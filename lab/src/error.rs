//! What can go wrong while a machine is made. Every variant is one situation, and says what to do where we know it.

use std::{io, path::PathBuf};

/// What functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the machine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// Verb, as in "cannot VERB PATH".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A mount or namespace operation failed.
    #[error("cannot {action} at {}: {source}", path.display())]
    Mount {
        /// What was to be done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Mounting and `mknod` need root.
    #[error(
        "a machine needs mounts and device nodes, which only root may make: run it with sudo, or as root in a container with --privileged"
    )]
    NotRoot,

    /// A file of ours that lies beside the `lab` program is not there.
    #[error("{file} is not in {}: build it with `cargo xtask dist`, or set CORTEN_LAB_DIR to the folder that has it", folder.display())]
    Companion {
        /// Its name.
        file: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },

    /// The machine's file is not a machine.
    #[error("{} does not describe a machine: {reason}", path.display())]
    Machine {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },

    /// A `--set` that cannot be carried out.
    #[error("cannot set {setting:?}: {reason}")]
    Setting {
        /// As given.
        setting: String,
        /// Why not.
        reason: String,
    },

    /// The machine asks for something that is not simulated.
    #[error("the lab cannot make {what}; see `lab machines` for what it can")]
    Unsupported {
        /// What was asked for.
        what: String,
    },

    /// A program that the lab runs failed.
    #[error("{program} failed with {status}: {output}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said, on one line.
        output: String,
    },

    /// A container's `config.json` or state that cannot be read.
    #[error("{what} is not what the OCI runtime specification says: {reason}")]
    Oci {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A program or library for a container root is not on this machine.
    #[error("this machine has no {name}, which a container root needs: install {package}")]
    Missing {
        /// The file looked for.
        name: String,
        /// Debian's package.
        package: &'static str,
    },

    /// The folder a tree should be written to is in use.
    #[error("{} is not empty: name a folder that does not exist yet, so that nothing of yours is overwritten", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err` after a file operation.
    pub fn file<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source: source.into() }
    }

    /// For `map_err` after a mount operation.
    pub fn mount<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Error {
        let path = path.into();
        move |source| Error::Mount { action, path, source: source.into() }
    }
}
