//! What happens in the child between fork and exec: it becomes somebody harmless. Only system calls here, no allocation.

use std::{io, ptr};

/// Whom the helper runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id; the only group it is in.
    pub gid: u32,
}

impl User {
    /// Nobody: enough where device nodes are open to all, as they are by default.
    pub const NOBODY: User = User { uid: 65534, gid: 65534 };
    /// Root, who owns the nodes; still without capabilities.
    pub const ROOT: User = User { uid: 0, gid: 0 };
}

/// The kernel's flag for `close_range`: mark, do not close, as the pipe that reports a failed exec must live until then.
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
/// `SECBIT_NOROOT` and its lock: user id 0 gains nothing by exec.
const SECBITS_NOROOT_LOCKED: libc::c_ulong = 1 | 2;
/// Descriptors that are marked one by one where there is no `close_range`.
const DESCRIPTORS_BY_HAND: libc::c_int = 4096;

/// Everything, in the order in which each step is still allowed.
pub fn enter(user: Option<User>) -> io::Result<()> {
    forget_descriptors();
    limit()?;
    // Only a process with CAP_SETPCAP can and need do this.
    // SAFETY: plain integers.
    unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECBITS_NOROOT_LOCKED) };
    if let Some(user) = user {
        become_user(user)?;
    }
    drop_capabilities()?;
    // SAFETY: plain integers. The second call comes after the change of user, which would undo it.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: as above.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}

fn forget_descriptors() {
    // SAFETY: plain integers.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    for descriptor in 3..DESCRIPTORS_BY_HAND {
        // SAFETY: plain integers; a number that is not open is an error without effect.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// No core dump of a process that holds driver state, and default signal actions that a caller may have changed.
fn limit() -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` lives through the call; the signal is a valid one.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        check(libc::setrlimit(libc::RLIMIT_CORE, &raw const none))
    }
}

/// System calls and not libc's functions, which would tell all threads: of those there are none after a fork.
fn become_user(user: User) -> io::Result<()> {
    // SAFETY: plain integers and an empty list.
    unsafe {
        let groups = check(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()) as libc::c_int);
        // The root of a user namespace made by an ordinary user may not change groups, and has none to lose.
        if libc::geteuid() != user.uid {
            groups?;
        }
        check(libc::syscall(libc::SYS_setresgid, user.gid, user.gid, user.gid) as libc::c_int)?;
        check(libc::syscall(libc::SYS_setresuid, user.uid, user.uid, user.uid) as libc::c_int)
    }
}

/// `capset` with three empty sets, which also empties the ambient one.
fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    /// `_LINUX_CAPABILITY_VERSION_3`, whose sets have two words.
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let empty = [0u32; 6];
    // SAFETY: both live through the call and have the layout that this version means: two times effective, permitted,
    // inheritable.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, empty.as_ptr()) } as libc::c_int)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
