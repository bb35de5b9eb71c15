//! The faults that the defences rule out, as small as they can be. Only in the build that the suite `tests/hostile` attacks
//! to see that its attacks can succeed.

use crate::{
    Owner,
    defence::Defence,
    resolve::{self, Last},
};
use rustix::{
    fd::{AsRawFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chmodat, chownat, openat, openat2, readlink},
    io::Errno,
};
use std::{
    fs::File,
    io::{Read, Write},
};

/// What takes the place of resolving in the root, if one of its defences is off.
pub(crate) fn open(root: BorrowedFd, path: &str, last: Last) -> Option<Result<OwnedFd, Errno>> {
    if !Defence::InRoot.stands() {
        return Some(joined(root, path, last));
    }
    (!Defence::ByDescriptor.stands()).then(|| by_text(root, path, last))
}

/// The path is joined to the root's, and the kernel follows what it finds.
fn joined(root: BorrowedFd, path: &str, last: Last) -> Result<OwnedFd, Errno> {
    let resolve = match Defence::NoMagicLinks.stands() {
        true => ResolveFlags::NO_MAGICLINKS,
        false => ResolveFlags::empty(),
    };
    openat2(root, path, flags(last), Mode::empty(), resolve)
}

/// The path is resolved in the root and then looked up once more (reference: libnvidia-container.md, 22).
fn by_text(root: BorrowedFd, path: &str, last: Last) -> Result<OwnedFd, Errno> {
    let (folder, name) = match last {
        Last::Follow => (path, ""),
        Last::Keep => path.rsplit_once('/').unwrap_or((".", path)),
    };
    let found = resolve::without_links(root, folder)?;
    let root = readlink(format!("/proc/self/fd/{}", root.as_raw_fd()), Vec::new())?;
    let text = format!("{}{found}/{name}", root.to_string_lossy());
    openat(CWD, text.trim_end_matches('/'), flags(last), Mode::empty())
}

fn flags(last: Last) -> OFlags {
    match last {
        Last::Follow => OFlags::PATH | OFlags::CLOEXEC,
        Last::Keep => OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
    }
}

/// A descriptor of the root is left behind for whatever is executed next.
pub(crate) fn leak(root: &OwnedFd) {
    if !Defence::CloseOnExec.stands() {
        // A duplicate is not closed by exec; a failure would only spare the attack its work.
        let _ = rustix::io::dup(root).map(std::mem::forget);
    }
}

/// What lies under the name now is given away: its owner, and the mode of a folder.
pub(crate) fn give_by_name(folder: &OwnedFd, name: &str, owner: Owner, mode: Option<u32>) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    mode.map_or(Ok(()), |mode| chmodat(folder, name, Mode::from_raw_mode(mode), AtFlags::empty()))
}

/// What lies under the name is written to, whatever it is.
pub(crate) fn write_in_place(folder: &OwnedFd, name: &str, content: &[u8]) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    File::from(openat(folder, name, flags, Mode::from_raw_mode(0o644))?).write_all(content)
}

/// The whole file, as a reader of slices wants it.
pub(crate) fn read_whole(mut file: &File) -> std::io::Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.read_exact(&mut content).map(|()| content)
}
