//! The mount namespace of a container that is being made: entered by descriptor, on a thread of its own, so that the
//! caller never leaves the host's.

use crate::{Owner, container::same_file};
use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{CWD, FsWord, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, openat, readlinkat, stat},
    io::Errno,
    process::Pid,
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};
use std::thread;

/// `NSFS_MAGIC` of the kernel: what a namespace's file lies on.
const NSFS_MAGIC: FsWord = 0x6e73_6673;

/// Why a namespace cannot be reached or entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// There is no such process, or it has ended.
    #[error("process {pid} has no mount namespace that could be opened: {source}")]
    Process {
        /// Its number.
        pid: i32,
        /// Why.
        source: Errno,
    },
    /// What lies at `/proc` is not procfs, here or in the container's namespace, so it says nothing about processes.
    #[error("/proc is not procfs, or shows other processes than ours")]
    NotProc,
    /// Something else lies where the namespace should.
    #[error("what /proc has for the mount namespace of process {0} is no namespace")]
    NotNamespace(i32),
    /// The kernel refused.
    #[error("cannot {action}: {source}")]
    Refused {
        /// `enter the container's mount namespace` …
        action: &'static str,
        /// Why.
        source: Errno,
    },
}

/// A process, held by its folder in procfs: when it ends, its number may become another's, but the folder does not.
#[derive(Debug)]
pub struct Process {
    folder: OwnedFd,
    pid: i32,
}

/// The mount namespace of a process.
#[derive(Debug)]
pub struct MountNamespace {
    file: OwnedFd,
}

impl Process {
    /// Finds it by its number in our PID namespace.
    ///
    /// # Errors
    /// [`NamespaceError::NotProc`], or [`NamespaceError::Process`] if there is none.
    pub fn open(pid: Pid) -> Result<Process, NamespaceError> {
        let pid = pid.as_raw_nonzero().get();
        let failed = |source| NamespaceError::Process { pid, source };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let table = openat(CWD, "/proc", flags, Mode::empty()).map_err(failed)?;
        if !fstatfs(&table).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC) {
            return Err(NamespaceError::NotProc);
        }
        let folder = openat(&table, pid.to_string(), flags | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
        // Another file system could lie over the folder of one process.
        match fstatfs(&folder).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC) {
            true => Ok(Process { folder, pid }),
            false => Err(NamespaceError::NotProc),
        }
    }

    /// The caller. `/proc` may be that of a PID namespace above ours, where processes have other numbers than we know: LXC runs
    /// its hooks like that. It says who we are there.
    ///
    /// # Errors
    /// [`NamespaceError::NotProc`] if `/proc` does not know us.
    pub fn this() -> Result<Process, NamespaceError> {
        let number = readlinkat(CWD, "/proc/self", Vec::new()).map_err(|_| NamespaceError::NotProc)?;
        let pid = number.to_str().ok().and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
        Process::open(pid.ok_or(NamespaceError::NotProc)?)
    }

    /// Its number in `/proc`.
    pub fn number(&self) -> i32 {
        self.pid
    }

    /// The user that it runs as, in this machine's numbers: whom the container's files should belong to.
    ///
    /// # Errors
    /// [`NamespaceError::Process`] if it has ended.
    pub fn owner(&self) -> Result<Owner, NamespaceError> {
        let status = fstat(&self.folder).map_err(|source| NamespaceError::Process { pid: self.pid, source })?;
        Ok(Owner { uid: status.st_uid, gid: status.st_gid })
    }

    /// Its mount namespace.
    ///
    /// # Errors
    /// [`NamespaceError`]; also when it has ended.
    pub fn mount_namespace(&self) -> Result<MountNamespace, NamespaceError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.folder, "ns/mnt", flags, Mode::empty())
            .map_err(|source| NamespaceError::Process { pid: self.pid, source })?;
        match fstatfs(&file).is_ok_and(|system| system.f_type == NSFS_MAGIC) {
            true => Ok(MountNamespace { file }),
            false => Err(NamespaceError::NotNamespace(self.pid)),
        }
    }
}

impl MountNamespace {
    /// The one that the caller's thread is in: mounting there would mount on the host.
    pub fn is_ours(&self) -> bool {
        let ours = stat("/proc/thread-self/ns/mnt");
        // When in doubt it is.
        match (ours, fstat(&self.file)) {
            (Ok(ours), Ok(this)) => same_file(&ours, &this),
            _ => true,
        }
    }

    /// Does `work` in it, on a thread that ends with it. Working directory and root of that thread are the namespace's.
    ///
    /// # Errors
    /// [`NamespaceError::Refused`] without the privileges, [`NamespaceError::NotProc`] where `/proc` there is of no use:
    /// paths below it are how a descriptor is named to the kernel. `work` was not begun then.
    ///
    /// # Panics
    /// If `work` does.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                Ok(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn enter(&self) -> Result<(), NamespaceError> {
        let refused = |action| move |source| NamespaceError::Refused { action, source };
        // SAFETY: root and working directory stop being shared with other threads; descriptors stay shared.
        unsafe { unshare_unsafe(UnshareFlags::FS) }.map_err(refused("have a working directory of its own"))?;
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Mount))
            .map_err(refused("enter the container's mount namespace"))?;
        let seen = stat(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        match (seen, fstat(&self.file)) {
            (Ok(seen), Ok(this)) if same_file(&seen, &this) => Ok(()),
            _ => Err(NamespaceError::NotProc),
        }
    }
}
