//! Another distribution as the machine's own: its folders from a tree like debootstrap's, the kernel's file systems from
//! this host, and all else empty and in memory. So a machine can run engines that this host's distribution does not have.

use crate::{Error, Result, mounts, tree::Tree};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Where the host that the lab was started on is seen from such a machine.
const HOST: &str = "/host";

/// Folders that a distribution's packages fill; on many, all but three are links.
const PACKAGED: [&str; 9] = ["bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "var"];

/// File systems of the kernel, each with what is mounted in it.
const KERNEL: [&str; 3] = ["dev", "proc", "sys"];

/// Folders that programs expect, with their modes.
const EMPTY: [(&str, u32); 7] =
    [("home", 0o755), ("mnt", 0o755), ("opt", 0o755), ("root", 0o700), ("run", 0o755), ("srv", 0o755), ("tmp", 0o1777)];

/// How what was at `path` is called after [`enter`].
pub(super) fn seen_inside(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

/// Makes `system` the root of this process, whose mount namespace must be its own. The tree itself is not written to: the
/// machine lays what it writes over it, as it does over a host's.
pub(super) fn enter(system: &Path) -> Result<()> {
    let mut parts = Vec::new();
    let mut links = Vec::new();
    for name in PACKAGED {
        let path = system.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => parts.push((name, mounts::grab(&path)?)),
            Ok(found) if found.is_symlink() => {
                links.push((name, fs::read_link(&path).map_err(Error::file("read", &path))?));
            }
            _ => {}
        }
    }
    if !parts.iter().any(|(name, _)| *name == "usr") {
        let what = format!("{} as a machine's system: there is no folder usr in it", system.display());
        return Err(Error::Unsupported { what });
    }
    for name in KERNEL {
        parts.push((name, mounts::grab(&Path::new("/").join(name))?));
    }
    // The new root has to be mounted somewhere, and this place surely exists.
    mounts::tmpfs(system, 0o755)?;
    let root = Tree::new(system);
    for (name, part) in &parts {
        root.folder(name)?;
        mounts::put(part, root.path(name))?;
    }
    links.iter().try_for_each(|(name, text)| root.link(name, text))?;
    for (name, mode) in EMPTY {
        root.folder(name)?;
        set_mode(&root.path(name), mode)?;
    }
    root.folder(HOST)?;
    mounts::pivot(system, &root.path(HOST))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file("set the mode of", path))
}
