//! Makes links, files and folders that belong to whom they should.
//!
//! Somebody else may be able to rename things in the same folder: a shared root, or a volume. So what has just been made under
//! a name need not be what lies there at the next call, and nothing is given to the container's root user, or made open to
//! others, by its name. A file's descriptor comes from the call that made the file. A link is looked at through a descriptor
//! first. A folder is made where nobody else can reach it, and then moved.

use super::{ATTEMPTS, remove, spare};
use crate::{Defence, Owner};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, chownat, fchmod, fchown, fstat, mkdirat, openat,
        readlinkat, renameat, renameat_with, symlinkat, unlinkat,
    },
    io::Errno,
    process::{getegid, geteuid},
};
use std::{fs::File, io::Write};

/// Somebody else put something else under the name meanwhile.
pub(super) const TAKEN: Errno = Errno::AGAIN;

/// What a folder is called while nobody else can reach it: nothing that somebody's own folder has in it.
const INSIDE: &str = ".inside.corten";

/// The bit of a mode that lets the owner write.
const WRITABLE: u32 = 0o200;

/// Makes a link, and says whether it belonged to `owner` from the start. The kernel gives all links that one process
/// makes in one folder to the same owner (that of the folder's group where the folder is set-gid), so the first tells
/// whether the others need to be given away.
pub(super) fn link(
    folder: &OwnedFd,
    name: &str,
    target: &str,
    owner: Owner,
    born_right: Option<bool>,
) -> Result<bool, Errno> {
    symlinkat(target, folder, name)?;
    if born_right == Some(true) {
        return Ok(true);
    }
    #[cfg(feature = "undefended")]
    if !Defence::ByDescriptor.stands() {
        return crate::undefended::give_by_name(folder, name, owner, None).map(|()| false);
    }
    let made = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let made = made.map_err(missing_is_taken)?;
    let status = fstat(&made)?;
    if is_owned(&status, owner) {
        return Ok(true);
    }
    // Whoever puts a link here that says just this, and has no other name, has made what we would have made for him.
    let is_link = FileType::from_raw_mode(status.st_mode) == FileType::Symlink && status.st_nlink <= 1;
    if !is_link || readlinkat(&made, c"", Vec::with_capacity(256))?.as_bytes() != target.as_bytes() {
        return Err(TAKEN);
    }
    let (uid, gid) = ids(owner);
    match chownat(&made, c"", uid, gid, AtFlags::EMPTY_PATH) {
        Ok(()) => Ok(false),
        // Nobody has taken note of it yet.
        Err(error) => unlinkat(folder, name, AtFlags::empty()).and(Err(error)),
    }
}

/// Just this link lies there, and belongs to `owner`.
pub(super) fn is_link(folder: &OwnedFd, name: &str, target: &str, owner: Owner) -> bool {
    let found = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let says = |found: OwnedFd| {
        let is_owners = is_owned(&fstat(&found)?, owner);
        Ok(is_owners && readlinkat(&found, c"", Vec::with_capacity(256))?.as_bytes() == target.as_bytes())
    };
    found.and_then(says).unwrap_or(false)
}

/// Makes a file, and returns its inode.
pub(super) fn file(folder: &OwnedFd, name: &str, content: &[u8], mode: u32, owner: Owner) -> Result<u64, Errno> {
    let mut flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !Defence::NoFollow.stands() {
        flags.remove(OFlags::EXCL | OFlags::NOFOLLOW);
    }
    // An empty file has nothing to hide until it belongs to the right owner.
    let at_first = if content.is_empty() { Mode::from_raw_mode(mode) } else { Mode::RUSR | Mode::WUSR };
    let mut file = File::from(openat(folder, name, flags, at_first)?);
    let made =
        file.write_all(content).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)).and_then(|()| {
            let status = fstat(&file)?;
            if !is_right(&status, mode, owner) {
                give(&file, mode, owner)?;
            }
            Ok(status.st_ino)
        });
    if made.is_err() {
        // Nobody has taken note of it yet.
        let _ = unlinkat(folder, name, AtFlags::empty());
    }
    made
}

/// Makes a folder, and opens it.
pub(super) fn folder(parent: &OwnedFd, name: &str, mode: u32, owner: Owner) -> Result<OwnedFd, Errno> {
    #[cfg(feature = "undefended")]
    if !Defence::ByDescriptor.stands() {
        mkdirat(parent, name, Mode::from_raw_mode(mode))?;
        crate::undefended::give_by_name(parent, name, owner, Some(mode))?;
        return open(parent, name);
    }
    // Most are ours to keep, and need nothing done to them once they are there. The others (another owner's, those in a
    // set-gid folder, or under an odd umask) are made where that can be done.
    if (geteuid().as_raw(), getegid().as_raw()) == (owner.uid, owner.gid) {
        mkdirat(parent, name, Mode::from_raw_mode(mode))?;
        let made = open(parent, name).and_then(|made| Ok((is_right(&fstat(&made)?, mode, owner), made)));
        if let Ok((true, made)) = made {
            return Ok(made);
        }
        unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(|_| TAKEN)?;
        made.map_err(missing_is_taken)?;
    }
    for _ in 0..ATTEMPTS {
        match in_private(parent, name, mode, owner) {
            // Whoever took something away from us has most likely made the folder.
            Err(TAKEN | Errno::NOENT) if exists(parent, name) => return Err(Errno::EXIST),
            Err(TAKEN | Errno::NOENT) => {}
            done => return done,
        }
    }
    Err(TAKEN)
}

/// Makes the folder in another one that is ours alone, and moves it to its place. Which folder that is does not matter, even if it
/// is not the one just made: in any that belongs to us, and is open to nobody else, nobody else can exchange anything.
fn in_private(parent: &OwnedFd, name: &str, mode: u32, owner: Owner) -> Result<OwnedFd, Errno> {
    let spare = spare(name);
    match mkdirat(parent, &spare, Mode::RWXU) {
        // Left by a process that was killed: as good as a new one.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let private = match open(parent, &spare) {
        Err(Errno::NOTDIR | Errno::LOOP) => return remove(parent, &spare).and(Err(TAKEN)),
        private => private?,
    };
    let status = fstat(&private)?;
    let made = match status.st_uid == geteuid().as_raw() && status.st_mode & 0o077 == 0 {
        true => moved_in(&private, parent, name, mode, owner),
        false => Err(TAKEN),
    };
    let _ = unlinkat(parent, &spare, AtFlags::REMOVEDIR);
    made
}

/// If it is there already, another start makes the same at this moment, or was killed while it did: then it is made for both,
/// and moved by one.
fn moved_in(private: &OwnedFd, parent: &OwnedFd, name: &str, mode: u32, owner: Owner) -> Result<OwnedFd, Errno> {
    let made = match mkdirat(private, INSIDE, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open(private, INSIDE),
        Err(error) => Err(error),
    };
    let moved = made.and_then(|folder| {
        // Only what can be written can be moved by a caller without privileges, since its `..` changes.
        give(&folder, mode | WRITABLE, owner)?;
        match renameat_with(private, INSIDE, parent, name, RenameFlags::NOREPLACE) {
            // A file system without that (NFS, fuse-overlayfs); the name was free a moment ago.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(private, INSIDE, parent, name),
            moved => moved,
        }?;
        Ok(folder)
    });
    match moved {
        Ok(folder) if mode & WRITABLE != 0 => Ok(folder),
        Ok(folder) => fchmod(&folder, Mode::from_raw_mode(mode)).map(|()| folder),
        Err(error) => {
            let _ = unlinkat(private, INSIDE, AtFlags::REMOVEDIR);
            Err(error)
        }
    }
}

/// Opens a folder for what is to be made in it.
fn open(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn exists(parent: &OwnedFd, name: &str) -> bool {
    openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// What was made a moment ago is gone.
fn missing_is_taken(error: Errno) -> Errno {
    if error == Errno::NOENT { TAKEN } else { error }
}

fn is_right(status: &Stat, mode: u32, owner: Owner) -> bool {
    is_owned(status, owner) && status.st_mode & 0o7777 == mode
}

fn is_owned(status: &Stat, owner: Owner) -> bool {
    (status.st_uid, status.st_gid) == (owner.uid, owner.gid)
}

/// Owner first: changing it clears bits of the mode.
fn give(thing: impl AsFd, mode: u32, owner: Owner) -> Result<(), Errno> {
    let (uid, gid) = ids(owner);
    fchown(&thing, uid, gid)?;
    fchmod(&thing, Mode::from_raw_mode(mode))
}

fn ids(owner: Owner) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}
