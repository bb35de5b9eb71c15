//! The one thing that only a hook can do: hide the driver's `ModifyDeviceFiles: 1` from a container (reference:
//! runtime-and-hook.md, 8.6).
//!
//! With that switch on, NVIDIA's libraries make device nodes for every GPU of the machine when they start, also for those
//! that the container was not given. `/proc/driver/nvidia/params` is where they look, and low-level runtimes refuse
//! mounts below `/proc`; so a createContainer hook lays a copy that says 0 over it, in the container's mount namespace
//! before its root is entered.

use crate::{
    ContainerRoot, RootError,
    container::is_kernels_own,
    mount::{Place, cover},
};
use oci::{ContainerPath, HostPath};
use rustix::{fs::FileType, io::Errno};
use std::{fs::File, io::Read};

pub use crate::mount::Technique;

/// Where the driver shows its parameters.
pub const PATH: &str = "/proc/driver/nvidia/params";
/// The real file has about 1 KiB.
const MAX_FILE: usize = 64 << 10;
const ON: &str = "ModifyDeviceFiles: 1";
const OFF: &str = "ModifyDeviceFiles: 0";

/// What [`hide`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The driver is not loaded, or its switch is off.
    NotNeeded,
    /// The container has no such file.
    NotVisible,
    /// The container sees a copy already.
    HiddenBefore,
    /// The container sees a copy now.
    Hidden,
}

/// Why the switch could not be hidden.
#[derive(Debug, thiserror::Error)]
pub enum ParamsError {
    /// The host's file cannot be read.
    #[error("cannot read {path}: {source}")]
    Host {
        /// The file.
        path: HostPath,
        /// Why.
        source: std::io::Error,
    },
    /// The file in the container cannot be read, or not be mounted over.
    #[error(transparent)]
    Container(#[from] RootError),
    /// Something else lies there: a file of the image's, which we must not take for the driver's.
    #[error("{0} in the container is not the driver's: it is neither on procfs nor the host's file")]
    Foreign(ContainerPath),
}

/// Makes the container see `ModifyDeviceFiles: 0` if the host's parameters (at `host`, usually [`PATH`]) say 1. Must
/// run in the container's mount namespace, with the host's `/proc` still in sight.
///
/// # Errors
/// [`ParamsError`]; nothing is mounted then.
pub fn hide(root: &ContainerRoot, host: &HostPath) -> Result<Outcome, ParamsError> {
    hide_by(root, host, Technique::Detached)
}

/// The same with a chosen technique, for tests and for kernels whose detached mounts are known bad.
///
/// # Errors
/// As [`hide`].
pub fn hide_by(root: &ContainerRoot, host: &HostPath, how: Technique) -> Result<Outcome, ParamsError> {
    let Some(copy) = read_host(host)?.as_deref().and_then(switched_off) else { return Ok(Outcome::NotNeeded) };
    let path = ContainerPath::root().join(PATH);
    let target = match root.enter(&path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Outcome::NotVisible),
        result => result.map_err(root.failed("open", &path))?,
    };
    if target.kind != FileType::RegularFile {
        return Err(ParamsError::Foreign(path));
    }
    if !is_kernels_own(target.fd(), target.identity, host) {
        return match root.read(&path, MAX_FILE)? == copy.as_bytes() {
            true => Ok(Outcome::HiddenBefore),
            false => Err(ParamsError::Foreign(path)),
        };
    }
    let place = Place { root, path: &path };
    cover(target.fd(), target.mount(), &place, copy.as_bytes(), how)?;
    Ok(Outcome::Hidden)
}

/// The driver's parameters; `None` when it is not loaded.
fn read_host(path: &HostPath) -> Result<Option<String>, ParamsError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE as u64).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ParamsError::Host { path: path.clone(), source }),
    }
}

/// The parameters with the switch off; `None` when it is off already, or unknown to this driver.
pub fn switched_off(params: &str) -> Option<String> {
    let lines = || params.split('\n');
    if lines().any(|line| line == OFF) || !lines().any(|line| line == ON) {
        return None;
    }
    let changed: Vec<&str> = lines().map(|line| if line == ON { OFF } else { line }).collect();
    Some(changed.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_line_is_changed() {
        for (params, want) in [
            ("A: 1\nModifyDeviceFiles: 1\nB: 2\n", Some("A: 1\nModifyDeviceFiles: 0\nB: 2\n")),
            ("ModifyDeviceFiles: 1", Some("ModifyDeviceFiles: 0")),
            ("ModifyDeviceFiles: 0\n", None),
            ("ModifyDeviceFiles: 1\nModifyDeviceFiles: 0\n", None),
            (" ModifyDeviceFiles: 1\nModifyDeviceFiles: 10\n", None),
            ("", None),
        ] {
            assert_eq!(switched_off(params).as_deref(), want, "{params:?}");
        }
    }
}
