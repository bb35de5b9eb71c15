//! Puts links and files into the root: each whole or not at all, and all of them or none.

mod make;

use crate::{ContainerRoot, RootError, folders::Folders, mount::Point};
use make::TAKEN;
use oci::ContainerPath;
use rustix::{
    fd::{AsRawFd, OwnedFd, RawFd},
    fs::{AtFlags, FileType, RenameFlags, renameat, renameat_with, statat, unlinkat},
    io::Errno,
};
use std::{collections::HashMap, rc::Rc};

/// How spare names end.
const SPARE: &str = ".corten";
/// Times that a name is tried again when another process takes our spare name away. Several that do the same take it from
/// each other, and each of them must get to the end of one attempt.
const ATTEMPTS: u32 = 64;

/// Puts things into a root and remembers how to take them back.
pub(crate) struct Placer<'a> {
    folders: Folders<'a>,
    journal: Vec<Change>,
    /// Folders in which links belong to the right owner from the start, or do not.
    born_right: HashMap<RawFd, bool>,
}

/// One change, and what undoes it. Held by descriptor, so that undoing cannot lead elsewhere either.
enum Change {
    /// A new folder.
    Folder(Rc<OwnedFd>, String),
    /// A new link or file.
    New(Rc<OwnedFd>, String),
    /// Something was replaced or removed; it waits under the spare name.
    Replaced(Rc<OwnedFd>, String),
    /// A new empty file of this inode, to mount over.
    Point(Rc<OwnedFd>, String, u64),
}

impl<'a> Placer<'a> {
    pub(crate) fn new(root: &'a ContainerRoot) -> Self {
        Placer { folders: Folders::new(root), journal: Vec::new(), born_right: HashMap::new() }
    }

    /// A symbolic link; what was there is replaced, a directory is an error.
    pub(crate) fn link(&mut self, at: &ContainerPath, target: &str) -> Result<(), RootError> {
        let owner = self.folders.root.owner();
        let folder = self.folder(&at.parent(), 0o755)?;
        let born_right = self.born_right.get(&folder.as_raw_fd()).copied();
        let made = match make::link(&folder, at.file_name(), target, owner, born_right) {
            Ok(right) => {
                self.born_right.insert(folder.as_raw_fd(), right);
                self.journal.push(Change::New(folder.clone(), at.file_name().to_owned()));
                Ok(())
            }
            Err(Errno::EXIST) => {
                let make =
                    |folder: &OwnedFd, name: &str| make::link(folder, name, target, owner, born_right).map(|_| 0);
                self.replace(folder.clone(), at, make)
            }
            Err(TAKEN) => Err(RootError::Contended(at.clone())),
            Err(error) => Err(RootError::failed("create", at)(error)),
        };
        match made {
            // Whoever was faster made the same: another start in the same root.
            Err(RootError::Contended(_)) if make::is_link(&folder, at.file_name(), target, owner) => Ok(()),
            made => made,
        }
    }

    /// A regular file, never seen half-written; missing folders are made with `folder_mode`.
    pub(crate) fn file(
        &mut self,
        at: &ContainerPath,
        content: &[u8],
        mode: u32,
        folder_mode: u32,
    ) -> Result<(), RootError> {
        let owner = self.folders.root.owner();
        let folder = self.folder(&at.parent(), folder_mode)?;
        #[cfg(feature = "undefended")]
        if !crate::Defence::NewFile.stands() {
            let written = crate::undefended::write_in_place(&folder, at.file_name(), content);
            return written.map_err(|_| RootError::failed("write", at)(Errno::IO));
        }
        self.replace(folder, at, |folder, name| make::file(folder, name, content, mode, owner))
    }

    /// Nothing, where a link or file was.
    pub(crate) fn remove(&mut self, at: &ContainerPath) -> Result<(), RootError> {
        let folder = self.folders.open(&at.parent()).map_err(self.folders.root.failed("open", at))?;
        let name = at.file_name();
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => {
                return Err(RootError::Directory(at.clone()));
            }
            _ => {}
        }
        match renameat(&folder, name, &folder, spare(name)) {
            Ok(()) => self.journal.push(Change::Replaced(folder, name.to_owned())),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(RootError::failed("remove", at)(error)),
        }
        Ok(())
    }

    /// The place at `at`, to mount something over it. If nothing lies there, an empty file or a folder is made; what lies
    /// there must be of that kind. Links on the way are followed inside the root, one at the end never.
    pub(crate) fn mount_point(&mut self, at: &ContainerPath, folder: bool, mode: u32) -> Result<Point, RootError> {
        let parent = self.folder(&at.parent(), 0o755)?;
        let found = match Point::look(parent.clone(), at.file_name()) {
            Err(Errno::NOENT) => {
                match folder {
                    true => drop(self.make_folder(at, mode)?),
                    false => self.make_point(parent.clone(), at, mode)?,
                }
                Point::look(parent, at.file_name())
            }
            found => found,
        };
        let point = found.map_err(RootError::failed("open", at))?;
        point.check_kind(at, folder)?;
        Ok(point)
    }

    /// Something was mounted at `at`: what was known about folders there is about what it covers.
    pub(crate) fn forget_below(&mut self, at: &ContainerPath) {
        self.folders.forget_below(at);
    }

    fn make_point(&mut self, folder: Rc<OwnedFd>, at: &ContainerPath, mode: u32) -> Result<(), RootError> {
        let name = at.file_name();
        match make::file(&folder, name, b"", mode, self.folders.root.owner()) {
            Ok(inode) => {
                self.journal.push(Change::Point(folder, name.to_owned(), inode));
                Ok(())
            }
            // Somebody else was faster: what lies there now is looked at like anything else.
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(RootError::failed("create", at)(error)),
        }
    }

    /// Everything stays. What was replaced is removed for good.
    pub(crate) fn commit(self) {
        for change in self.journal {
            if let Change::Replaced(folder, name) = change {
                let _ = unlinkat(&folder, spare(&name), AtFlags::empty());
            }
        }
    }

    /// Nothing stays. A step that cannot be undone does not keep the others from it.
    pub(crate) fn undo(self) {
        for change in self.journal.into_iter().rev() {
            let _ = match change {
                Change::Folder(parent, name) => unlinkat(&parent, name, AtFlags::REMOVEDIR),
                Change::New(folder, name) => unlinkat(&folder, name, AtFlags::empty()),
                Change::Replaced(folder, name) => renameat(&folder, spare(&name), &folder, &name),
                Change::Point(folder, name, inode) => remove_point(&folder, &name, inode),
            };
        }
    }

    /// The folder at `path`, made with its parents if it is missing.
    fn folder(&mut self, path: &ContainerPath, mode: u32) -> Result<Rc<OwnedFd>, RootError> {
        match self.folders.open(path) {
            Err(Errno::NOENT) if *path != ContainerPath::root() => self.make_folder(path, mode),
            result => result.map_err(self.folders.root.failed("open", path)),
        }
    }

    fn make_folder(&mut self, path: &ContainerPath, mode: u32) -> Result<Rc<OwnedFd>, RootError> {
        let parent = self.folder(&path.parent(), mode)?;
        let name = path.file_name();
        match make::folder(&parent, name, mode, self.folders.root.owner()) {
            Ok(folder) => {
                self.journal.push(Change::Folder(parent, name.to_owned()));
                Ok(self.folders.remember(path, folder))
            }
            Err(TAKEN) => Err(RootError::Contended(path.clone())),
            // Another start in the same root was faster.
            Err(Errno::EXIST) => {
                self.folders.open(path).map_err(|_| RootError::failed("create the folder", path)(Errno::EXIST))
            }
            Err(error) => Err(RootError::failed("create the folder", path)(error)),
        }
    }

    /// Makes the thing under a spare name and moves it to its own.
    fn replace<M>(&mut self, folder: Rc<OwnedFd>, at: &ContainerPath, make: M) -> Result<(), RootError>
    where
        M: Fn(&OwnedFd, &str) -> Result<u64, Errno>,
    {
        let name = at.file_name();
        let spare = spare(name);
        for _ in 0..ATTEMPTS {
            let inode = match make(&folder, &spare) {
                Ok(inode) => inode,
                // Left by a process that was killed.
                Err(Errno::EXIST | TAKEN) => {
                    remove(&folder, &spare).map_err(RootError::failed("clear the way for", at))?;
                    continue;
                }
                Err(error) => {
                    let _ = remove(&folder, &spare);
                    return Err(RootError::failed("create", at)(error));
                }
            };
            match move_in(&folder, &spare, name) {
                Ok(moved) if is(&folder, name, inode) => {
                    self.journal.push(match moved {
                        Moved::New => Change::New(folder, name.to_owned()),
                        Moved::Exchanged => Change::Replaced(folder, name.to_owned()),
                    });
                    return Ok(());
                }
                // Another process that does the same took our spare name; what it put there may not be whole yet.
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => {
                    let _ = remove(&folder, &spare);
                    return Err(match error {
                        Errno::ISDIR => RootError::Directory(at.clone()),
                        _ => RootError::failed("replace", at)(error),
                    });
                }
            }
        }
        Err(RootError::Contended(at.clone()))
    }
}

/// Removes what a killed process may have left beside `path`.
pub(crate) fn clear_spare(folders: &mut Folders, path: &ContainerPath) {
    if let Ok(folder) = folders.open(&path.parent()) {
        let _ = remove(&folder, &spare(path.file_name()));
    }
}

/// The name under which a thing waits beside its place: fixed, so that a killed process leaves at most this one and the
/// next removes it.
fn spare(name: &str) -> String {
    format!(".{name}{SPARE}")
}

/// A name of that kind.
pub(crate) fn is_spare(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(SPARE)
}

enum Moved {
    New,
    /// What was there lies under the spare name now.
    Exchanged,
}

/// Moves `spare` to `name` and keeps what was there; `EISDIR` if that is a directory.
fn move_in(folder: &OwnedFd, spare: &str, name: &str) -> Result<Moved, Errno> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => renameat(folder, spare, folder, name).map(|()| Moved::New),
        Err(error) => Err(error),
        Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => Err(Errno::ISDIR),
        Ok(_) => match renameat_with(folder, spare, folder, name, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => exchange_in_steps(folder, spare, name),
            result => result,
        }
        .map(|()| Moved::Exchanged),
    }
}

/// For file systems that cannot exchange two names (NFS, fuse-overlayfs): for a moment `name` is missing.
fn exchange_in_steps(folder: &OwnedFd, spare: &str, name: &str) -> Result<(), Errno> {
    let third = format!("{spare}-old");
    renameat(folder, name, folder, &third)?;
    renameat(folder, spare, folder, name)?;
    renameat(folder, &third, folder, spare)
}

/// `name` is the inode that we made. Inode numbers are not compared for links, whose content is never partial.
fn is(folder: &OwnedFd, name: &str, inode: u64) -> bool {
    inode == 0 || statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| status.st_ino == inode)
}

/// Removes a file to mount over, unless it is another's, or has got content meanwhile.
fn remove_point(folder: &OwnedFd, name: &str, inode: u64) -> Result<(), Errno> {
    let status = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_ours = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile && status.st_ino == inode;
    if is_ours && status.st_size == 0 { unlinkat(folder, name, AtFlags::empty()) } else { Ok(()) }
}

fn remove(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
