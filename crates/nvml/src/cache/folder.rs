//! One folder of the cache, through one descriptor.

use super::{FORMAT, Kept};
use host::NvmlFacts;
use oci::HostPath;
use rustix::{
    fd::OwnedFd,
    fs::{
        self, Access, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, fstat, mkdirat, openat,
        renameat, unlinkat,
    },
    io::Errno,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

const FILE: &str = "nvml.json";
const NEW_FILE: &str = ".nvml.json.new";
const LOCK: &str = "nvml.lock";
/// Longer than any answer (see [`crate::child`]) and its fingerprint.
const LONGEST: u64 = 4 << 20;
/// How often a held lock is tried again; short beside what its holder does.
const LOCK_STEP: Duration = Duration::from_millis(2);

/// A folder that was seen to be safe.
#[derive(Debug)]
pub struct Folder {
    path: HostPath,
    fd: OwnedFd,
}

/// The right to write in a folder; given back when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held open, not used")] OwnedFd);

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

    /// What is kept here, if it can be believed and understood; for which machine is for the caller to compare.
    pub fn read<F: DeserializeOwned>(&self) -> Option<Kept<F, NvmlFacts>> {
        let content = remark(&self.path, self.content())?;
        match serde_json::from_slice::<Kept<F, NvmlFacts>>(&content) {
            Ok(kept) if kept.format == FORMAT => Some(kept),
            Ok(_) => None,
            Err(error) => {
                log::warn!("{}/{FILE}: ignored, it makes no sense: {error}", self.path);
                None
            }
        }
    }

    /// Waits for the lock, at most this long.
    pub fn lock(&self, patience: Duration) -> Option<Lock> {
        let deadline = Instant::now() + patience;
        let file = remark(&self.path, self.lock_file())?;
        loop {
            match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(Lock(file)),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOCK_STEP),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Replaces what is kept. A failure costs the next caller a question to NVML, nothing else.
    pub fn keep<F: Serialize>(&self, _lock: &Lock, kept: &Kept<&F, &NvmlFacts>) {
        if let Err(error) = self.replace(kept) {
            log::warn!("{}/{FILE}: cannot keep NVML's answer: {error}", self.path);
            let _ = unlinkat(&self.fd, NEW_FILE, AtFlags::empty());
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

    fn content(&self) -> Result<Vec<u8>, Unusable> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.fd, FILE, flags, Mode::empty())?;
        safe(&fstat(&file)?, FileType::RegularFile)?;
        let mut content = Vec::new();
        File::from(file).take(LONGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LONGEST { Err(Unusable::TooLong) } else { Ok(content) }
    }

    fn lock_file(&self) -> Result<OwnedFd, Unusable> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // Readable for its owner alone: nobody else can hold the lock.
        let file = openat(&self.fd, LOCK, flags, Mode::from_raw_mode(0o600))?;
        safe(&fstat(&file)?, FileType::RegularFile)?;
        Ok(file)
    }

    fn replace<F: Serialize>(&self, kept: &Kept<&F, &NvmlFacts>) -> std::io::Result<()> {
        // One that a killed writer left; the lock says that it is nobody's.
        let _ = unlinkat(&self.fd, NEW_FILE, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.fd, NEW_FILE, flags, Mode::from_raw_mode(0o600))?);
        file.write_all(&serde_json::to_vec(kept)?)?;
        // Whatever the caller's umask: rootless callers read root's answer.
        fchmod(&file, Mode::from_raw_mode(0o644))?;
        Ok(renameat(&self.fd, NEW_FILE, &self.fd, FILE)?)
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
        Err(why) => log::warn!("{path}: NVML's kept answer is not used: {why}"),
        Ok(_) => {}
    }
    result.ok()
}

fn is_ordinary(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem)
}
