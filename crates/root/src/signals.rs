//! Being asked to end, as something to wait for. It is here because it needs `unsafe`, and only this crate and `nvml` may
//! have any.

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem::MaybeUninit, ptr};

/// The signals by which a service is asked to end. From the moment this is made they no longer end the process by
/// themselves; it does so when it has finished what it is at.
#[derive(Debug)]
pub struct EndSignals {
    descriptor: OwnedFd,
}

impl EndSignals {
    /// Catches SIGTERM, SIGINT and SIGHUP. The process must have one thread only: others would not know.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn catch() -> io::Result<EndSignals> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` writes the whole set before anything reads it, and the set lives through all calls; the
        // signals are valid ones; the null pointer says that the old mask is not wanted.
        let descriptor = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `signalfd` has just made it, and nobody else knows it.
        Ok(EndSignals { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }
}

/// Readable as soon as one of the signals has come. It is never read, so it stays so.
impl AsFd for EndSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
