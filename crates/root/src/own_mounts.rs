//! Mounts that nobody else sees. It is here because it needs `unsafe`, and only this crate and `nvml` may have any.

use rustix::{io, mount::MountPropagationFlags, thread::UnshareFlags};

/// Gives this thread a mount namespace of its own, from which nothing is told to others. What is mounted from now on is
/// gone with its last process. To be called before there are further threads, which would stay behind.
///
/// # Errors
/// As the kernel says; `EPERM` where the caller lacks `CAP_SYS_ADMIN`.
pub fn separate() -> io::Result<()> {
    // SAFETY: only the mount namespace is unshared; no file descriptor table is.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}
