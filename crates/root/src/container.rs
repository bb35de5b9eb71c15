//! A container's root directory, and reading in it.

use crate::{
    Defence, Resolver, RootError,
    patience::Patience,
    resolve::{self, Last},
};
use oci::{ContainerPath, HostPath};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat, StatxFlags, fstat, fstatfs, makedev, open,
        openat, readlinkat, stat, statx,
    },
    io::Errno,
};
use std::{fs::File, io::Read, rc::Rc};

/// The root directory of a container, seen from this machine.
#[derive(Debug)]
pub struct ContainerRoot {
    fd: OwnedFd,
    /// The number of the mount that it lies on.
    mount: Option<u64>,
    owner: Owner,
    resolver: Resolver,
    patience: Rc<Patience>,
}

/// Who owns what is created: the container's root user, in this machine's numbers (so for a container whose users are
/// remapped, the first host id of its map).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User on this machine.
    pub uid: u32,
    /// Group on this machine.
    pub gid: u32,
}

impl ContainerRoot {
    /// Opens the root. Everything created in it will belong to `owner`.
    ///
    /// # Errors
    /// [`RootError::Open`] if it is not a directory, [`RootError::HostRoot`] if it is this machine's `/`, under
    /// whatever name.
    pub fn open(path: &HostPath, owner: Owner) -> Result<ContainerRoot, RootError> {
        let failed = |source| RootError::Open { path: path.clone(), source };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(path.as_path(), flags, Mode::empty()).map_err(failed)?;
        #[cfg(feature = "undefended")]
        crate::undefended::leak(&fd);
        let found = Found::look(fd).map_err(failed)?;
        let machines = stat("/").map_err(failed)?;
        if found.identity == (machines.st_dev, machines.st_ino) {
            return Err(RootError::HostRoot(path.clone()));
        }
        let (mount, fd) = (found.mount(), found.into_fd());
        let resolver = Resolver::choose(fd.as_fd());
        Ok(ContainerRoot { fd, mount, owner, resolver, patience: Rc::new(Patience::new()) })
    }

    /// The same root with paths resolved in that way, for tests and for kernels whose `openat2` is known bad.
    pub fn with_resolver(self, resolver: Resolver) -> ContainerRoot {
        ContainerRoot { resolver, ..self }
    }

    /// The same root, reached through another descriptor for it.
    pub(crate) fn through(&self, fd: OwnedFd) -> ContainerRoot {
        let (mount, patience) = (mount_of(fd.as_fd()), self.patience.clone());
        ContainerRoot { fd, mount, owner: self.owner, resolver: self.resolver, patience }
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// How long the image may keep us busy.
    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Who owns what is created.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// A regular file's content, at most `limit` bytes. Links are followed inside the root, but not to another mount; and
    /// what lies on another mount must be for everybody to read, or the container would learn from us what it may not see.
    ///
    /// # Errors
    /// [`RootError::NotRegular`], [`RootError::TooLarge`], [`RootError::Strayed`], [`RootError::Hidden`], or
    /// [`RootError::Failed`] with what the kernel says.
    pub fn read(&self, path: &ContainerPath, limit: usize) -> Result<Vec<u8>, RootError> {
        let found = self.enter(path).map_err(self.failed("open", path))?;
        if !self.shows(&found) {
            return Err(RootError::Hidden(path.clone()));
        }
        let size = found.size;
        let file = found.open(path)?;
        let limit = if Defence::BoundedReads.stands() { limit } else { i64::MAX as usize };
        // What is read is bounded too: a size is only what the file claims at this moment.
        if size > limit as u64 {
            return Err(RootError::TooLarge { path: path.clone(), limit });
        }
        let mut content = Vec::with_capacity(size as usize + 1);
        let mut bounded = (&file).take(limit as u64 + 1);
        bounded.read_to_end(&mut content).map_err(|error| RootError::Failed {
            action: "read",
            path: path.clone(),
            source: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        if content.len() > limit {
            return Err(RootError::TooLarge { path: path.clone(), limit });
        }
        Ok(content)
    }

    /// As [`ContainerRoot::read`], for a file that may be absent.
    pub(crate) fn read_if_any(&self, path: &ContainerPath, limit: usize) -> Result<Option<Vec<u8>>, RootError> {
        match self.read(path, limit) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Something that is no folder is there, links followed: a file can be mounted over it.
    pub fn is_file(&self, path: &ContainerPath) -> bool {
        self.kind(path).is_some_and(|kind| kind != FileType::Directory)
    }

    /// A folder is there, links followed.
    pub fn is_folder(&self, path: &ContainerPath) -> bool {
        self.kind(path) == Some(FileType::Directory)
    }

    fn kind(&self, path: &ContainerPath) -> Option<FileType> {
        Some(self.look(path, Last::Follow).ok()?.kind)
    }

    /// What the link at `path` says; `None` where something else lies.
    ///
    /// # Errors
    /// What the kernel says, where nothing lies or the way there ends.
    pub fn link_text(&self, path: &ContainerPath) -> Result<Option<String>, Errno> {
        match readlinkat(self.find(path, Last::Keep)?, c"", Vec::new()) {
            Ok(text) => Ok(Some(text.to_string_lossy().into_owned())),
            // How the kernel says for a descriptor that it is no link's; for a path it is EINVAL.
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Something is there, links followed.
    pub(crate) fn exists(&self, path: &ContainerPath) -> bool {
        self.find(path, Last::Follow).is_ok()
    }

    /// A descriptor (`O_PATH`) for what lies at `path`.
    pub(crate) fn find(&self, path: &ContainerPath, last: Last) -> Result<OwnedFd, Errno> {
        let relative = path.as_str().trim_start_matches('/');
        self.resolver.open(self.fd.as_fd(), if relative.is_empty() { "." } else { relative }, last)
    }

    /// What lies at `path`, looked at.
    pub(crate) fn look(&self, path: &ContainerPath, last: Last) -> Result<Found, Errno> {
        Found::look(self.find(path, last)?)
    }

    /// The path of what lies at `path`, without links on the way or at its end.
    pub(crate) fn without_links(&self, path: &ContainerPath) -> Result<ContainerPath, Errno> {
        let found = resolve::without_links(self.fd.as_fd(), path.as_str())?;
        Ok(ContainerPath::root().join(&found))
    }

    /// The same, if names alone lead there: `ELOOP` where a link is on the way or at the end.
    pub(crate) fn look_by_name(&self, path: &ContainerPath) -> Result<Found, Errno> {
        Found::look(self.resolver.open_by_name(self.fd.as_fd(), path.as_str())?)
    }

    /// The number of the mount that the root lies on.
    pub(crate) fn mount(&self) -> Option<u64> {
        self.mount
    }

    /// Names in the folder, sorted; at most `limit` of them.
    pub(crate) fn list(&self, folder: BorrowedFd, limit: usize) -> Result<Vec<(String, FileType)>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let readable = openat(folder, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        // Names that are no text count for nothing else, but take as long to read.
        for entry in Dir::new(readable)?.take(limit.saturating_add(2)) {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push((name.to_owned(), entry.file_type())),
            }
            if names.len() >= limit {
                break;
            }
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }
}

/// Something in a root, and what one look at it told.
pub(crate) struct Found {
    fd: OwnedFd,
    pub(crate) kind: FileType,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    pub(crate) size: u64,
    mount: Option<u64>,
}

impl Found {
    /// Looks at what an `O_PATH` descriptor found.
    fn look(fd: OwnedFd) -> Result<Found, Errno> {
        if let Ok(status) = statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID) {
            let has_mount = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::MNT_ID);
            return Ok(Found {
                kind: FileType::from_raw_mode(status.stx_mode.into()),
                mode: u32::from(status.stx_mode) & 0o7777,
                identity: (makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino),
                size: status.stx_size,
                mount: has_mount.then_some(status.stx_mnt_id),
                fd,
            });
        }
        // A kernel before 4.11, or a seccomp filter.
        let status = fstat(&fd)?;
        Ok(Found {
            kind: FileType::from_raw_mode(status.st_mode),
            mode: status.st_mode & 0o7777,
            identity: (status.st_dev, status.st_ino),
            size: u64::try_from(status.st_size).unwrap_or_default(),
            mount: None,
            fd,
        })
    }

    /// The number of the mount that it lies on.
    pub(crate) fn mount(&self) -> Option<u64> {
        self.mount.or_else(|| listed_mount_of(self.fd.as_fd()))
    }

    /// What has that name in it; a link is found itself.
    pub(crate) fn below(&self, name: &str) -> Result<Found, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Found::look(openat(&self.fd, name, flags, Mode::empty())?)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Opens it for reading, if it is a regular file. Only then: opening a FIFO could block, opening a device could do
    /// anything.
    pub(crate) fn open(self, path: &ContainerPath) -> Result<File, RootError> {
        if Defence::RegularOnly.stands() && self.kind != FileType::RegularFile {
            return Err(RootError::NotRegular(path.clone()));
        }
        // The one way to turn such a descriptor into a readable one without looking the name up again.
        let again = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if !Defence::RegularOnly.stands() {
            flags.remove(OFlags::NONBLOCK);
        }
        Ok(File::from(openat(CWD, again, flags, Mode::empty()).map_err(RootError::failed("open", path))?))
    }
}

/// As [`Found::open`], for what an `O_PATH` descriptor found.
pub(crate) fn open_regular(found: OwnedFd, path: &ContainerPath) -> Result<File, RootError> {
    Found::look(found).map_err(RootError::failed("open", path))?.open(path)
}

/// The number of the mount that an open file lies on.
pub(crate) fn mount_of(file: BorrowedFd) -> Option<u64> {
    match statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(status) if StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::MNT_ID) => {
            Some(status.stx_mnt_id)
        }
        // A kernel before 5.8, or a seccomp filter.
        _ => listed_mount_of(file),
    }
}

/// The same from what procfs says about the descriptor (`proc_pid_fdinfo(5)`).
fn listed_mount_of(file: BorrowedFd) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// Told by identity, as a name says nothing: on procfs, or just what this machine has at `host` (a simulated machine binds
/// its own there).
pub(crate) fn is_kernels_own(found: BorrowedFd, identity: (u64, u64), host: &HostPath) -> bool {
    fstatfs(found).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC)
        || !Defence::DriversParams.stands()
        || stat(host.as_path()).is_ok_and(|hosts| identity == (hosts.st_dev, hosts.st_ino))
}

/// The same inode of the same file system.
pub(crate) fn same_file(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    pub(crate) fn me() -> Owner {
        Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    fn root_at(path: &std::path::Path) -> Result<ContainerRoot, RootError> {
        ContainerRoot::open(&HostPath::new(path.to_str().unwrap()).unwrap(), me())
    }

    #[test]
    fn both_ways_to_tell_a_mount_agree() {
        for path in ["/", "/proc", "/dev/null"] {
            let file = open(path, OFlags::PATH, Mode::empty()).unwrap();
            assert!(mount_of(file.as_fd()).is_some(), "{path}");
            assert_eq!(listed_mount_of(file.as_fd()), mount_of(file.as_fd()), "{path}");
        }
    }

    #[test]
    fn refuses_what_is_no_containers_root() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/", folder.path().join("slash")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (name, want) in [
            ("slash", "is this machine's own root, not a container's"),
            ("file", "Not a directory (os error 20)"),
            ("nothing", "No such file or directory (os error 2)"),
        ] {
            let error = root_at(&folder.path().join(name)).unwrap_err().to_string();
            assert!(error.ends_with(want), "{error}");
        }
        assert!(matches!(root_at("/".as_ref()), Err(RootError::HostRoot(_))));
    }

    #[test]
    fn reads_only_what_is_regular_and_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("small"), "content").unwrap();
        fs::create_dir(path("directory")).unwrap();
        symlink("/small", path("link")).unwrap();
        symlink("/etc/hostname", path("hosts")).unwrap();
        fs::File::create(path("sparse")).unwrap().set_len(10 << 30).unwrap();
        rustix::fs::mknodat(CWD, path("fifo"), FileType::Fifo, 0o644.into(), 0).unwrap();
        rustix::fs::mknodat(CWD, path("zero"), FileType::CharacterDevice, 0o644.into(), rustix::fs::makedev(1, 5))
            .expect("these tests make device nodes: run them as root");

        let kernel = root_at(folder.path()).unwrap();
        let walk = root_at(folder.path()).unwrap().with_resolver(Resolver::Walk);
        for root in [kernel, walk] {
            let read = |name: &str| root.read(&ContainerPath::new(name).unwrap(), 100);
            assert_eq!(read("/small").unwrap(), b"content");
            assert_eq!(read("/link").unwrap(), b"content");
            assert!(read("/hosts").unwrap_err().is_absent());
            assert!(matches!(read("/sparse"), Err(RootError::TooLarge { limit: 100, .. })));
            for odd in ["/directory", "/fifo", "/zero"] {
                assert!(matches!(read(odd), Err(RootError::NotRegular(_))), "{odd}");
            }
        }
    }
}
