//! Everything about a mount that can be done before it is attached.

use super::{
    Kind, Mount, Source, Technique, Tmpfs, What,
    kernel::{is_missing, seal},
    tmpfs,
};
use crate::RootError;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FileType, Mode, OFlags, Stat, fstat, major, minor, open},
    io::Errno,
    mount::{OpenTreeFlags, open_tree},
};

/// A mount that is ready, and that nobody sees. It may be prepared in one mount namespace and attached in another.
#[derive(Debug)]
pub struct Prepared {
    pub(super) mount: Mount,
    /// The source's.
    pub(super) identity: Option<Identity>,
    pub(super) state: State,
}

/// How far it has come.
#[derive(Debug)]
pub(super) enum State {
    /// Complete, with all flags.
    Detached(OwnedFd),
    /// To be made by `mount(2)`.
    Planned,
}

/// What tells a file of this machine from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(status: &Stat) -> Identity {
        Identity { device: status.st_dev, inode: status.st_ino }
    }
}

impl Prepared {
    /// Prepares one. With [`Technique::Classic`], and where the kernel knows nothing else, only the source is checked.
    ///
    /// # Errors
    /// [`RootError::Source`] if the source cannot be opened or cloned, [`RootError::Unexpected`] if it is something else
    /// than its kind says.
    pub fn new(mount: Mount, how: Technique) -> Result<Prepared, RootError> {
        let (made, identity) = match &mount.what {
            What::Host(source) => {
                let (found, identity) = source.open()?;
                // With `mount(2)` it is opened again by the thread that attaches: that call takes no descriptor of
                // another mount namespace.
                let copy = match how {
                    Technique::Detached => clone(&found, &mount).map_err(source.failed())?,
                    Technique::Classic => None,
                };
                (copy, Some(identity))
            }
            What::Tmpfs(tmpfs) if how == Technique::Detached => {
                let made = made(tmpfs, &mount).map_err(RootError::failed("make a file system for", &mount.at))?;
                (made, None)
            }
            What::Tmpfs(_) => (None, None),
        };
        Ok(Prepared { mount, identity, state: made.map_or(State::Planned, State::Detached) })
    }
}

/// `None` where the kernel cannot do that.
fn clone(source: &OwnedFd, mount: &Mount) -> Result<Option<OwnedFd>, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, mount.what.is_tree());
    or_none(open_tree(source, "", flags).and_then(|copy| {
        seal(copy.as_fd(), mount.options, mount.what.is_tree())?;
        Ok(copy)
    }))
}

fn made(holds: &Tmpfs, mount: &Mount) -> Result<Option<OwnedFd>, Errno> {
    let Some(top) = or_none(tmpfs::detached(holds.size(), holds.mode))? else { return Ok(None) };
    holds.fill(top.as_fd())?;
    or_none(seal(top.as_fd(), mount.options, false).map(|()| top))
}

fn or_none<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(error) if is_missing(error) => Ok(None),
        result => result.map(Some),
    }
}

impl Source {
    /// Opens it, without any effect on it, if it is what it must be.
    pub(super) fn open(&self) -> Result<(OwnedFd, Identity), RootError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = open(self.path.as_path(), flags, Mode::empty()).map_err(self.failed())?;
        let status = fstat(&found).map_err(self.failed())?;
        if !self.kind.is(&status) {
            return Err(RootError::Unexpected { path: self.path.clone(), expected: self.kind.name() });
        }
        Ok((found, Identity::of(&status)))
    }

    pub(super) fn failed(&self) -> impl FnOnce(Errno) -> RootError {
        move |source| RootError::Source { path: self.path.clone(), source }
    }
}

impl Kind {
    fn is(self, status: &Stat) -> bool {
        let kind = FileType::from_raw_mode(status.st_mode);
        match self {
            Kind::File => kind == FileType::RegularFile,
            Kind::Folder { .. } => kind == FileType::Directory,
            Kind::Socket => kind == FileType::Socket,
            Kind::Device { major: wanted_major, minor: wanted_minor } => {
                kind == FileType::CharacterDevice
                    && (major(status.st_rdev), minor(status.st_rdev)) == (wanted_major, wanted_minor)
            }
        }
    }

    fn name(self) -> String {
        match self {
            Kind::File => "a regular file".to_owned(),
            Kind::Folder { .. } => "a folder".to_owned(),
            Kind::Socket => "a socket".to_owned(),
            Kind::Device { major, minor } => format!("the character device {major}:{minor}"),
        }
    }
}
