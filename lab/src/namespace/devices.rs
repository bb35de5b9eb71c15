//! A private `/dev`: a tmpfs with copies of the host's nodes and links, and the host's mounts within it moved over, so
//! that the real one is never touched.

use crate::{Error, Result, dev, mounts, tree::Tree};
use machine::Machine;
use rustix::fs::{CWD, FileType, Gid, Mode, Uid};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// Replaces `/dev`, building the new one below `stage`.
pub(super) fn install(machine: &Machine, stage: &Path) -> Result<()> {
    let inner = mounts::grab_inner(Path::new("/dev"))?;
    let fresh = stage.join("dev");
    fs::create_dir(&fresh).map_err(Error::file("make the folder", &fresh))?;
    mounts::tmpfs(&fresh, 0o755)?;
    copy(Path::new("/dev"), &Tree::new(&fresh), "")?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    dev::install(machine, dev::Groups::from_text(&groups), &Tree::new(&fresh))?;
    let whole = mounts::grab(&fresh)?;
    mounts::put(&whole, "/dev")?;
    inner.into_iter().try_for_each(|(path, tree)| mounts::put(&tree, path))
}

/// Copies what is on the file system of `/dev` itself, except nodes of what is simulated.
fn copy(from: &Path, to: &Tree, inside: &str) -> Result<()> {
    let device = fs::metadata(from).map_err(Error::file("look at", from))?.dev();
    for entry in fs::read_dir(from).map_err(Error::file("list", from))? {
        let path = entry.map_err(Error::file("list", from))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if inside.is_empty() && dev::simulated(&name) {
            continue;
        }
        copy_entry(&path, to, &format!("{inside}/{name}"), device)?;
    }
    Ok(())
}

fn copy_entry(path: &Path, to: &Tree, inside: &str, device: u64) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(Error::file("look at", path))?;
    let kind = FileType::from_raw_mode(found.mode());
    match kind {
        FileType::Directory => {
            to.folder(inside)?;
            keep_rights(&to.path(inside), &found)?;
            if found.dev() == device { copy(path, to, inside) } else { Ok(()) }
        }
        FileType::Symlink => to.link(inside, fs::read_link(path).map_err(Error::file("read", path))?),
        FileType::CharacterDevice | FileType::BlockDevice => {
            let target = to.path(inside);
            rustix::fs::mknodat(CWD, &target, kind, Mode::from_raw_mode(0o600), found.rdev())
                .map_err(Error::file("make the device node", &target))?;
            keep_rights(&target, &found)
        }
        FileType::RegularFile => to.file(inside, [], found.mode() & 0o7777),
        _ => Ok(()),
    }
}

fn keep_rights(path: &Path, like: &fs::Metadata) -> Result<()> {
    rustix::fs::chown(path, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))
        .map_err(Error::file("set the owner of", path))?;
    let mode = fs::Permissions::from_mode(like.mode() & 0o7777);
    fs::set_permissions(path, mode).map_err(Error::file("set the mode of", path))
}
