//! File systems in memory: made where nobody sees them, and filled before anybody does.

use super::{Tmpfs, kernel::path};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{FileType, FsWord, Mode, OFlags, fchmod, fstat, fstatfs, mkdirat, openat},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
        mount,
    },
};
use std::{
    ffi::CString,
    fs::File,
    io::{Read, Write},
};

/// `TMPFS_MAGIC` of `statfs(2)`.
const MAGIC: FsWord = 0x0102_1994;
/// A tmpfs counts in pages; these are arm64's.
const LARGEST_PAGE: usize = 64 << 10;

/// A tmpfs of this size (bytes) that is attached nowhere.
pub(super) fn detached(size: usize, mode: u32) -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "size", size.to_string().as_str())?;
    fsconfig_set_string(&context, "mode", format!("{mode:o}").as_str())?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// The same by `mount(2)`, on a folder.
pub(super) fn mount_on(folder: BorrowedFd, size: usize, mode: u32, flags: MountFlags) -> Result<(), Errno> {
    let options = CString::new(format!("size={size},mode={mode:o}")).map_err(|_| Errno::INVAL)?;
    mount("tmpfs", path(folder), "tmpfs", flags, options.as_c_str())
}

/// The file lies in a file system in memory.
pub(crate) fn is_tmpfs(file: BorrowedFd) -> bool {
    fstatfs(file).is_ok_and(|system| system.f_type == MAGIC)
}

/// Room for these contents and no more. The folders and mount points that are made in it later take no page.
pub(super) fn size<'a>(contents: impl Iterator<Item = &'a [u8]>) -> usize {
    contents.map(|content| content.len().next_multiple_of(LARGEST_PAGE)).sum::<usize>().max(LARGEST_PAGE)
}

/// Makes a file that is not there; what it returns cannot be written to.
pub(super) fn make_file(folder: BorrowedFd, name: &str, content: &[u8], mode: u32) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    fchmod(&file, Mode::from_raw_mode(mode))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::empty())?))
}

impl Tmpfs {
    /// With room for one more: a file that is replaced is there twice for a moment.
    pub(super) fn size(&self) -> usize {
        size(self.holds.iter().filter_map(|held| held.content.as_deref())) + LARGEST_PAGE
    }

    /// Puts into an empty one what it is to hold.
    pub(super) fn fill(&self, top: BorrowedFd) -> Result<(), Errno> {
        for held in &self.holds {
            match &held.content {
                Some(content) => drop(make_file(top, &held.name, content, held.mode)?),
                None => {
                    mkdirat(top, &*held.name, Mode::from_raw_mode(held.mode))?;
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    fchmod(openat(top, &*held.name, flags, Mode::empty())?, Mode::from_raw_mode(held.mode))?;
                }
            }
        }
        Ok(())
    }

    /// It is a tmpfs that holds all that.
    pub(super) fn is(&self, top: BorrowedFd) -> bool {
        is_tmpfs(top) && self.holds.iter().all(|held| held.is_in(top))
    }
}

impl super::Held {
    /// A container may have had time to lay something else over it, so nothing but a regular file is opened.
    fn is_in(&self, top: BorrowedFd) -> bool {
        let find = || -> Result<(OwnedFd, FileType), Errno> {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = openat(top, &*self.name, flags, Mode::empty())?;
            let kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
            Ok((found, kind))
        };
        match (find(), &self.content) {
            (Ok((_, FileType::Directory)), None) => true,
            (Ok((found, FileType::RegularFile)), Some(wanted)) => has_content(found.as_fd(), wanted),
            _ => false,
        }
    }
}

fn has_content(found: BorrowedFd, wanted: &[u8]) -> bool {
    let mut content = Vec::new();
    let read = File::open(path(found)).and_then(|file| file.take(wanted.len() as u64 + 1).read_to_end(&mut content));
    read.is_ok() && content == wanted
}
