//! One folder of kept things, through one descriptor.

use oci::HostPath;
use rustix::{
    fd::OwnedFd,
    fs::{
        self, Access, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat,
        renameat, unlinkat,
    },
    io::Errno,
};
use std::{
    fs::File,
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything that is kept.
const LONGEST: u64 = 4 << 20;
/// Read at once; what is kept is rarely longer.
const USUAL: usize = 64 << 10;
/// How often a held lock is tried again; short beside what its holder does.
const LOCK_STEP: Duration = Duration::from_millis(2);

/// A folder that was seen to be safe.
#[derive(Debug)]
pub struct Folder {
    path: HostPath,
    fd: OwnedFd,
}

/// The right to write one name in a folder; given back when dropped.
#[derive(Debug)]
pub struct Lock<'a> {
    folder: &'a Folder,
    name: &'a str,
    #[expect(dead_code, reason = "held open, not used")]
    file: OwnedFd,
}

impl Folder {
    /// The folder, if it is there and safe.
    pub fn open(path: &HostPath) -> Option<Folder> {
        remark(path, Folder::opened(path))
    }

    /// The folder, made if need be.
    pub fn open_or_make(path: &HostPath) -> Option<Folder> {
        remark(path, Folder::opened_or_made(path))
    }

    /// Where it is.
    pub fn path(&self) -> &HostPath {
        &self.path
    }

    /// The caller may make files here.
    pub fn is_writable(&self) -> bool {
        fs::accessat(&self.fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
    }

    /// What is kept here as `name`, if it can be believed.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        remark(&self.path, self.content(&format!("{name}.json")))
    }

    /// Waits for the lock of `name`, at most this long.
    pub fn lock<'a>(&'a self, name: &'a str, patience: Duration) -> Option<Lock<'a>> {
        let deadline = Instant::now() + patience;
        let file = remark(&self.path, self.lock_file(&format!("{name}.lock")))?;
        loop {
            match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(Lock { folder: self, name, file }),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOCK_STEP),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    fn opened(path: &HostPath) -> Result<Folder, Unusable> {
        let above = openat(CWD, path.parent().as_str(), FOLDER, Mode::empty())?;
        safe(&fstat(&above)?, FileType::Directory)?;
        Folder::below(&above, path)
    }

    fn below(above: &OwnedFd, path: &HostPath) -> Result<Folder, Unusable> {
        let fd = openat(above, path.file_name(), FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        safe(&fstat(&fd)?, FileType::Directory)?;
        Ok(Folder { path: path.clone(), fd })
    }

    fn opened_or_made(path: &HostPath) -> Result<Folder, Unusable> {
        let above = openat(CWD, path.parent().as_str(), FOLDER, Mode::empty())?;
        safe(&fstat(&above)?, FileType::Directory)?;
        match mkdirat(&above, path.file_name(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Folder::below(&above, path),
            Err(error) => Err(error.into()),
        }
    }

    fn content(&self, file: &str) -> Result<Vec<u8>, Unusable> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.fd, file, flags, Mode::empty())?;
        safe(&fstat(&file)?, FileType::RegularFile)?;
        let mut content = Vec::with_capacity(USUAL);
        File::from(file).take(LONGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LONGEST { Err(Unusable::TooLong) } else { Ok(content) }
    }

    fn lock_file(&self, file: &str) -> Result<OwnedFd, Unusable> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // Readable for its owner alone: nobody else can hold the lock.
        let file = openat(&self.fd, file, flags, Mode::from_raw_mode(0o600))?;
        safe(&fstat(&file)?, FileType::RegularFile)?;
        Ok(file)
    }

    fn replace(&self, file: &str, new: &str, content: &[u8]) -> std::io::Result<()> {
        // One that a killed writer left; the lock says that it is nobody's.
        let _ = unlinkat(&self.fd, new, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut out = File::from(openat(&self.fd, new, flags, Mode::from_raw_mode(0o600))?);
        out.write_all(content)?;
        // Whatever the caller's umask: rootless callers read what root kept.
        fchmod(&out, Mode::from_raw_mode(0o644))?;
        Ok(renameat(&self.fd, new, &self.fd, file)?)
    }
}

impl Lock<'_> {
    /// Replaces what is kept. A failure costs the next caller the work that this was to save, nothing else.
    pub fn keep(&self, content: &[u8]) {
        let (file, new) = (format!("{}.json", self.name), format!(".{}.json.new", self.name));
        if let Err(error) = self.folder.replace(&file, &new, content) {
            log::warn!("{}/{file}: cannot be kept: {error}", self.folder.path);
            let _ = unlinkat(&self.folder.fd, &new, AtFlags::empty());
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Why something of the cache is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it belongs to user {0}, neither root nor the caller")]
    ForeignOwner(u32),
    #[error("others can write it (mode {0:o})")]
    OpenToOthers(u32),
    #[error("it is not a regular file")]
    OddFile,
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl From<Errno> for Unusable {
    fn from(error: Errno) -> Unusable {
        Unusable::System(error.into())
    }
}

/// Belongs to root or the caller, and nobody else can write it.
fn safe(stat: &Stat, kind: FileType) -> Result<(), Unusable> {
    let caller = rustix::process::geteuid().as_raw();
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Err(Unusable::OddFile);
    }
    if stat.st_uid != 0 && stat.st_uid != caller {
        return Err(Unusable::ForeignOwner(stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(Unusable::OpenToOthers(stat.st_mode & 0o7777));
    }
    Ok(())
}

/// What is merely absent, or not ours to make, needs no words.
fn remark<T>(path: &HostPath, result: Result<T, Unusable>) -> Option<T> {
    match &result {
        Err(Unusable::System(error)) if is_ordinary(error) => {}
        Err(why) => log::warn!("{path}: what is kept there is not used: {why}"),
        Ok(_) => {}
    }
    result.ok()
}

fn is_ordinary(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink, path::Path};

    fn with_folder(test: impl FnOnce(&Path, &Folder)) {
        let dir = tempfile::tempdir().unwrap();
        let path = HostPath::new(dir.path().canonicalize().unwrap().to_str().unwrap()).unwrap().join("kept");
        test(path.as_path(), &Folder::open_or_make(&path).unwrap());
    }

    #[test]
    fn gives_back_what_is_kept() {
        with_folder(|path, folder| {
            assert_eq!(folder.read("a"), None);
            for content in ["one", "two"] {
                folder.lock("a", Duration::ZERO).unwrap().keep(content.as_bytes());
                assert_eq!(folder.read("a").unwrap(), content.as_bytes());
            }
            assert_eq!(folder.read("b"), None);
            assert_eq!(fs::read_dir(path).unwrap().count(), 2, "a file and its lock");
        });
    }

    #[test]
    fn one_name_has_one_writer() {
        with_folder(|_, folder| {
            let held = folder.lock("a", Duration::ZERO);
            assert!(held.is_some() && folder.lock("a", Duration::ZERO).is_none());
            assert!(folder.lock("b", Duration::ZERO).is_some());
            drop(held);
            assert!(folder.lock("a", Duration::ZERO).is_some());
        });
    }

    #[test]
    fn links_and_open_files_are_not_believed() {
        with_folder(|path, folder| {
            fs::write(path.join("a.json"), "x").unwrap();
            symlink("a.json", path.join("b.json")).unwrap();
            assert!(folder.read("a").is_some() && folder.read("b").is_none());
            fs::set_permissions(path.join("a.json"), fs::Permissions::from_mode(0o666)).unwrap();
            assert!(folder.read("a").is_none());
        });
    }
}
