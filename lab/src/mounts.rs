//! The few mount operations that a machine is made of.

use crate::{Error, Result};
use rustix::{
    fd::OwnedFd,
    fs::CWD,
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags},
};
use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

/// Mounts an empty tmpfs with permission bits `mode`.
///
/// # Errors
/// When the kernel refuses, or the folder does not exist.
pub fn tmpfs(at: impl AsRef<Path>, mode: u32) -> Result<()> {
    let at = at.as_ref();
    let data = CString::new(format!("mode={mode:o}")).unwrap_or_default();
    rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), data.as_c_str())
        .map_err(Error::mount("mount a tmpfs", at))
}

/// Mounts a kernel file system that needs no options, such as `proc`.
///
/// # Errors
/// When the kernel refuses, or the folder does not exist.
pub fn fresh(kind: &str, at: impl AsRef<Path>) -> Result<()> {
    let at = at.as_ref();
    rustix::mount::mount(kind, at, kind, MountFlags::empty(), None)
        .map_err(Error::mount("mount a kernel file system", at))
}

/// Lays a writable layer, kept in `storage`, over a folder. Mounts within that folder stay where they are.
///
/// # Errors
/// When the kernel has no overlayfs, or refuses.
pub fn overlay(over: &Path, storage: &Path) -> Result<()> {
    let name = over.to_string_lossy().replace('/', "-");
    let [upper, work] = ["upper", "work"].map(|part| storage.join(format!("{part}{name}")));
    for folder in [&upper, &work] {
        fs::create_dir(folder).map_err(Error::file("make the folder", folder))?;
    }
    let owner = fs::metadata(over).map_err(Error::file("look at", over))?;
    fs::set_permissions(&upper, owner.permissions()).map_err(Error::file("set the mode of", &upper))?;
    let inner = grab_inner(over)?;
    let data = format!("lowerdir={},upperdir={},workdir={}", over.display(), upper.display(), work.display());
    let data = CString::new(data).unwrap_or_default();
    rustix::mount::mount("overlay", over, "overlay", MountFlags::empty(), data.as_c_str())
        .map_err(Error::mount("mount an overlay", over))?;
    inner.into_iter().try_for_each(|(path, tree)| put(&tree, path))
}

/// Copies of the mounts directly below a folder, each with everything below it.
///
/// # Errors
/// When the list of mounts cannot be read.
pub fn grab_inner(folder: &Path) -> Result<Vec<(PathBuf, OwnedFd)>> {
    let list = fs::read("/proc/self/mountinfo").map_err(Error::file("read", "/proc/self/mountinfo"))?;
    outermost(&mount_points(&String::from_utf8_lossy(&list)), folder)
        .into_iter()
        .map(|path| grab(&path).map(|tree| (path, tree)))
        .collect()
}

/// A detached copy of what is mounted at, or below, a path.
///
/// # Errors
/// When the path cannot be opened.
pub fn grab(path: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags).map_err(Error::mount("copy the mount", path))
}

/// Attaches a detached copy.
///
/// # Errors
/// When `at` does not exist or is of another kind.
pub fn put(tree: &OwnedFd, at: impl AsRef<Path>) -> Result<()> {
    let at = at.as_ref();
    rustix::mount::move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Error::mount("attach a mount", at))
}

/// Binds one file or folder over another.
///
/// # Errors
/// When one of them does not exist.
pub fn bind(from: &Path, to: &Path) -> Result<()> {
    rustix::mount::mount_bind(from, to).map_err(Error::mount("bind", to))
}

/// Makes the mount at `root` this process's root, and shows the old one at `old`, which is below it (pivot_root(2)). The
/// current folder stays the same, under its new name.
///
/// # Errors
/// When `root` is not a mount point of its own, or the process's root is none.
pub fn pivot(root: &Path, old: &Path) -> Result<()> {
    rustix::process::pivot_root(root, old).map_err(Error::mount("change the root", root))
}

/// Takes a mount away as soon as nobody uses it.
///
/// # Errors
/// When nothing is mounted there.
pub fn detach(at: &Path) -> Result<()> {
    rustix::mount::unmount(at, UnmountFlags::DETACH).map_err(Error::mount("unmount", at))
}

/// Fifth field of each line, with the kernel's octal escapes undone (proc_pid_mountinfo(5)).
pub fn mount_points(list: &str) -> Vec<PathBuf> {
    list.lines().filter_map(|line| line.split(' ').nth(4)).map(|field| unescape(field).into()).collect()
}

fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Mount points below `folder` that are not below another one.
fn outermost(points: &[PathBuf], folder: &Path) -> Vec<PathBuf> {
    let mut below: Vec<&PathBuf> = points.iter().filter(|path| path.starts_with(folder) && *path != folder).collect();
    below.sort();
    below.dedup();
    let mut found: Vec<PathBuf> = Vec::new();
    for path in below {
        if !found.last().is_some_and(|last| path.starts_with(last)) {
            found.push(path.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_mounts_are_found_without_those_inside_them() {
        let list = "1 0 8:1 / / rw - ext4 a rw\n2 1 0:5 / /dev rw - devtmpfs d rw\n3 2 0:6 / /dev/pts rw - devpts p rw\n\
                    4 2 0:7 / /dev/a\\040b rw - tmpfs t rw\n5 4 0:7 / /dev/a\\040b/c rw - tmpfs t rw\n6 1 0:8 / /device rw - tmpfs t rw\n";
        let found = outermost(&mount_points(list), Path::new("/dev"));
        assert_eq!(found, [Path::new("/dev/a b"), Path::new("/dev/pts")]);
    }
}
