//! What the kernel is asked for, under its own names.

use super::Options;
use rustix::{
    fd::{AsRawFd, BorrowedFd},
    fs::{CWD, Mode, OFlags, StatVfs, StatVfsMountFlags, openat},
    io::Errno,
    mount::{MountAttrFlags, MountFlags},
};

/// `struct mount_attr` of `mount_setattr(2)`.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Attributes {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) user_namespace: u64,
}

/// Changes a mount, not those below it.
pub(crate) fn set_attributes(mount: BorrowedFd, attributes: &Attributes) -> Result<(), Errno> {
    change(mount, attributes, false)
}

/// Gives a mount that nobody sees yet its flags: all of them at once. With `recursive` those below it too.
pub(super) fn seal(mount: BorrowedFd, options: Options, recursive: bool) -> Result<(), Errno> {
    let attributes = Attributes { set: options.attributes(), propagation: libc::MS_PRIVATE, ..Attributes::default() };
    change(mount, &attributes, recursive)
}

fn change(mount: BorrowedFd, attributes: &Attributes, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal, and `attributes` is a live struct of the kernel's layout (four
    // 64-bit fields since version 0) whose size is handed over; the kernel only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

impl Options {
    fn attributes(self) -> u64 {
        let mut set = MountAttrFlags::MOUNT_ATTR_NOSUID;
        set.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        set.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.no_devices);
        set.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.no_execution);
        set.bits().into()
    }

    /// The same for `mount(2)`.
    pub(super) fn flags(self) -> MountFlags {
        let mut flags = MountFlags::NOSUID;
        flags.set(MountFlags::RDONLY, self.read_only);
        flags.set(MountFlags::NODEV, self.no_devices);
        flags.set(MountFlags::NOEXEC, self.no_execution);
        flags
    }

    /// A mount with these flags allows nothing that it should not.
    pub(super) fn hold_on(self, there: &StatVfs) -> bool {
        let mut wanted = StatVfsMountFlags::NOSUID;
        wanted.set(StatVfsMountFlags::RDONLY, self.read_only);
        wanted.set(StatVfsMountFlags::NODEV, self.no_devices);
        wanted.set(StatVfsMountFlags::NOEXEC, self.no_execution);
        there.f_flag.contains(wanted)
    }
}

/// How some kernel, or a seccomp filter, says that it cannot do what was asked for in the new way.
pub(super) fn is_missing(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::OPNOTSUPP)
}

/// A name that leads to just what the descriptor stands for. Calls that take paths only are given this one.
pub(super) fn path(descriptor: BorrowedFd) -> String {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    debug_assert!(openat(CWD, path.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).is_ok(), "needs /proc");
    path
}

/// The mounts that this thread sees (`proc_pid_mountinfo(5)`); its namespace need not be its process's. Somebody else's
/// mount may have any name, which must not hide ours.
pub(crate) fn table() -> std::io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read("/proc/thread-self/mountinfo")?).into_owned())
}
