//! Replacing a file of the user's: at any moment, and after any failure, the file is the old one whole or the new one whole.
//!
//! The new text goes to a temporary file beside the old one, which then takes its name by `rename(2)`. A link in the file's
//! place stays; what it points to is replaced. Mode and owner are those of the old file. Extended attributes and other
//! names (hard links) of the old file are not carried over.
//!
//! There is no falling back to writing in place when the folder cannot be written: that is what leaves half a file behind
//! when the disk is full (runtime-and-hook.md Q12). The error says what to change instead.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// Why a file was not replaced. It is what it was before, and nothing lies beside it.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The file, or what a link in its place points to, cannot be found or looked at.
    #[error("cannot replace {path}: {source}")]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder, device, FIFO or socket.
    #[error("cannot replace {path}: it is not a regular file")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// No temporary file can be made beside it.
    #[error(
        "cannot replace {path}: cannot create a file in {folder}: {source}; files are replaced by renaming, so that none is \
         ever left half written: make that folder writable"
    )]
    FolderNotWritable {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The new file cannot be given to the old one's owner.
    #[error("cannot replace {path}: cannot keep its owner {uid}:{gid}: {source}; do it as that user or as root")]
    OwnerLost {
        /// The file.
        path: PathBuf,
        /// Owner of the old file.
        uid: u32,
        /// Group of the old file.
        gid: u32,
        /// The system's reason.
        source: io::Error,
    },
    /// The new text cannot be written; a full disk, as a rule.
    #[error("cannot replace {path}: cannot write the new text to {folder}: {source}; the file is unchanged")]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The new file cannot take the old one's place; it may be a mount of its own.
    #[error("cannot replace {path}: cannot rename the new file to it: {source}; the file is unchanged")]
    NotRenamed {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// For how long a new text must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It must be on disk before the file is replaced.
    Forever,
    /// A crash of the machine may take it.
    UntilReboot,
}

/// Replaces the content of an existing file and has it on disk before it returns.
///
/// # Errors
/// [`ReplaceError`]; the file is unchanged then.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<(), ReplaceError> {
    replace(path, content, Keep::Forever)
}

/// As [`replace_file`]; a file that does not exist is made with these permission bits. Its folder must exist.
///
/// # Errors
/// [`ReplaceError`].
pub fn create_or_replace_file(path: &Path, content: &[u8], mode_if_new: u32) -> Result<(), ReplaceError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let how = Owner { mode: mode_if_new, uid_gid: None };
            put(path, path, how, Keep::Forever, |file| file.write_all(content))
        }
        _ => replace(path, content, Keep::Forever),
    }
}

pub(crate) fn replace(path: &Path, content: &[u8], keep: Keep) -> Result<(), ReplaceError> {
    replace_with(path, keep, |file| file.write_all(content))
}

fn replace_with(path: &Path, keep: Keep, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), ReplaceError> {
    let unreachable = |source| ReplaceError::Unreachable { path: path.to_owned(), source };
    let target = fs::canonicalize(path).map_err(unreachable)?;
    let old = fs::symlink_metadata(&target).map_err(unreachable)?;
    if !old.is_file() {
        return Err(ReplaceError::NotRegular { path: path.to_owned() });
    }
    put(path, &target, Owner::of(&old), keep, fill)
}

/// Whom a new file belongs to, and who may do what with it.
#[derive(Clone, Copy)]
struct Owner {
    mode: u32,
    /// The caller's, if absent.
    uid_gid: Option<(u32, u32)>,
}

impl Owner {
    fn of(old: &Metadata) -> Self {
        Owner { mode: old.mode() & 0o7777, uid_gid: Some((old.uid(), old.gid())) }
    }
}

/// Fills a temporary file beside `target` and renames it to `target`. `path` is how the caller calls it, for errors.
fn put(
    path: &Path,
    target: &Path,
    owner: Owner,
    keep: Keep,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), ReplaceError> {
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let error = |make: fn(PathBuf, PathBuf, io::Error) -> ReplaceError| {
        move |source| make(path.to_owned(), folder.to_owned(), source)
    };
    let mut new = Temporary::create(folder).map_err(error(|path, folder, source| ReplaceError::FolderNotWritable {
        path,
        folder,
        source,
    }))?;
    new.give_to(owner, path)?;
    fill(&mut new.file)
        .and_then(|()| new.settle(owner.mode, keep))
        .map_err(error(|path, folder, source| ReplaceError::NotWritten { path, folder, source }))?;
    new.rename_to(target).map_err(|source| ReplaceError::NotRenamed { path: path.to_owned(), source })?;
    if keep == Keep::Forever {
        // The rename itself. The new text is in place already, so a file system that cannot do this is no failure.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// A file beside the one to be replaced, which goes away unless it takes its place.
struct Temporary {
    file: File,
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    /// Makes one that nobody else can read yet. A name that is taken, be it a link, is never opened.
    fn create(folder: &Path) -> io::Result<Self> {
        const ATTEMPTS: u32 = 64;
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..ATTEMPTS {
            let path = folder.join(format!(".corten-{}-{attempt}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Temporary { file, path, renamed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn give_to(&self, owner: Owner, path: &Path) -> Result<(), ReplaceError> {
        let Some((uid, gid)) = owner.uid_gid else { return Ok(()) };
        let lost = |source| ReplaceError::OwnerLost { path: path.to_owned(), uid, gid, source };
        let mine = self.file.metadata().map_err(lost)?;
        if (mine.uid(), mine.gid()) == (uid, gid) {
            return Ok(());
        }
        fchown(&self.file, Some(uid), Some(gid)).map_err(lost)
    }

    /// Permissions come last: a change of owner or a write clears some of them.
    fn settle(&self, mode: u32, keep: Keep) -> io::Result<()> {
        self.file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        match keep {
            Keep::Forever => self.file.sync_all(),
            Keep::UntilReboot => Ok(()),
        }
    }

    fn rename_to(&mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // There is nobody left to tell: the caller is being told of the failure that led here.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn mode_and_link_stay() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real/file");
        fs::create_dir(folder.path().join("real")).unwrap();
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, PermissionsExt::from_mode(0o4751)).unwrap();
        let link = folder.path().join("link");
        symlink("real/file", &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("real/file"));
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o4751);
        assert_eq!(names(folder.path()), ["link", "real"]);
        assert_eq!(names(&folder.path().join("real")), ["file"]);
    }

    #[test]
    fn the_owner_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        // Only root can give a file away; for anybody else the owner is its own and must stay that.
        let given_away = std::os::unix::fs::chown(&path, Some(12), Some(34)).is_ok();
        let before = fs::metadata(&path).unwrap();
        assert_eq!((before.uid(), before.gid()) == (12, 34), given_away);
        replace_file(&path, b"new").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    }

    #[test]
    fn a_failed_write_leaves_the_old_text_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let error = replace_with(&path, Keep::Forever, |file| {
            file.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(error, Err(ReplaceError::NotWritten { .. })), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn leftovers_and_traps_under_the_temporary_name_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let victim = folder.path().join("victim");
        fs::write(&path, "old").unwrap();
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path().join(format!(".corten-{}-0", std::process::id()))).unwrap();
        replace_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(matches!(replace_file(&missing, b""), Err(ReplaceError::Unreachable { .. })));
        assert!(matches!(replace_file(folder.path(), b""), Err(ReplaceError::NotRegular { .. })));
        symlink("nowhere", &missing).unwrap();
        assert!(matches!(create_or_replace_file(&missing, b"", 0o644), Err(ReplaceError::Unreachable { .. })));
        assert_eq!(names(folder.path()), ["missing"]);
    }

    #[test]
    fn a_new_file_gets_the_mode_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        create_or_replace_file(&path, b"1", 0o640).unwrap();
        create_or_replace_file(&path, b"2", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }
}
