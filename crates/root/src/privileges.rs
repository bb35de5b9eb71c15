//! What a hook does first: give up everything that it does not need. And what a program asks before it listens to its
//! caller.
//!
//! A hook runs as root beside a container that may be hostile. It needs one or two capabilities for a millisecond; with
//! the others gone, a fault in the rest of it is worth little to an attacker.

use crate::Defence;
use rustix::{
    io::Errno,
    process::{DumpableBehavior, chdir, set_dumpable_behavior},
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};

/// A capability that a hook may keep (`capabilities(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Mount file systems.
    SysAdmin,
    /// Reach files whatever their permissions.
    DacOverride,
    /// Give files to the container's user.
    Chown,
    /// Change the permissions of files that belong to somebody else.
    Fowner,
    /// Set the bit for a group that the hook is not in.
    Fsetid,
}

impl Capability {
    fn bit(self) -> CapabilitySet {
        match self {
            Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
            Capability::DacOverride => CapabilitySet::DAC_OVERRIDE,
            Capability::Chown => CapabilitySet::CHOWN,
            Capability::Fowner => CapabilitySet::FOWNER,
            Capability::Fsetid => CapabilitySet::FSETID,
        }
    }
}

/// Why privileges could not be given up. The hook must end then.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} for the hook's work: {source}")]
pub struct Refused {
    action: &'static str,
    source: Errno,
}

/// The first acts of a hook: [`forget_caller`], then [`keep_only`].
///
/// # Errors
/// [`Refused`] names the step that failed.
pub fn enter_hook(keep: &[Capability]) -> Result<(), Refused> {
    forget_caller()?;
    keep_only(keep)
}

/// What a hook does before it reads anything: closes every descriptor but the three standard ones (CVE-2024-21626 was one
/// that leaked), cannot be traced or dumped, can never gain privileges, and forgets its environment, which may be an
/// image's: whatever a library of ours would take from it (`TMPDIR`, `PATH`, `RUST_BACKTRACE`) is its default from then on.
///
/// Call it while the process has one thread.
///
/// # Errors
/// [`Refused`] names the step that failed.
pub fn forget_caller() -> Result<(), Refused> {
    step(Defence::ClosedFiles, "close inherited files", &|| close_from(3))?;
    step(Defence::NotDumpable, "forbid tracing", &|| set_dumpable_behavior(DumpableBehavior::NotDumpable))?;
    step(Defence::NoNewPrivileges, "forbid new privileges", &|| set_no_new_privs(true))?;
    // SAFETY: no other thread reads the environment meanwhile, as the caller sees to; nobody holds a reference to a
    // variable, since the standard library hands out copies only.
    match unsafe { libc::clearenv() } {
        0 => Ok(()),
        _ => Err(Refused { action: "clear the environment", source: Errno::NOMEM }),
    }
}

/// Moves to `/` and keeps no capability but those in `keep`, nor can any program that is started. Files that the command
/// line names must be open by then.
///
/// Call it while the process has one thread: capabilities belong to threads.
///
/// # Errors
/// [`Refused`] names the step that failed.
pub fn keep_only(keep: &[Capability]) -> Result<(), Refused> {
    let wanted: CapabilitySet = keep.iter().map(|capability| capability.bit()).collect();
    step(Defence::LeftFolder, "leave the working directory", &|| chdir("/"))?;
    step(Defence::FewCapabilities, "drop capabilities", &|| drop_all_but(wanted))
}

/// This program has more rights than whoever started it, who must not steer it then: it is set-user-id or set-group-id, or
/// its file has capabilities (`AT_SECURE` in `getauxval(3)`; what `secure_getenv(3)` goes by).
pub fn exceed_callers() -> bool {
    // SAFETY: only reads what the kernel told the process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// What a program does before it becomes another that works on a container: closes every descriptor but the three standard
/// ones, since what it was handed by whoever started it is none of the other's business.
///
/// # Errors
/// [`Refused`].
pub fn close_inherited() -> Result<(), Refused> {
    step(Defence::ClosedFiles, "close inherited files", &|| close_from(3))
}

fn step(defence: Defence, action: &'static str, act: &dyn Fn() -> Result<(), Errno>) -> Result<(), Refused> {
    match defence.stands() {
        true => act().map_err(|source| Refused { action, source }),
        false => Ok(()),
    }
}

fn drop_all_but(keep: CapabilitySet) -> Result<(), Errno> {
    clear_ambient_capability_set()?;
    for bit in (0..64).map(|bit| CapabilitySet::from_bits_retain(1 << bit)).filter(|bit| !keep.contains(*bit)) {
        match remove_capability_from_bounding_set(bit) {
            Ok(()) => {}
            // The first number that the kernel does not know ends the list. Without `CAP_SETPCAP` the set cannot shrink; then
            // it is no way to gain anything either, as new privileges are forbidden.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(error),
        }
    }
    let held = rustix::thread::capabilities(None)?;
    let left = held.permitted & keep;
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() })
}

/// Closes `first` and every descriptor above it.
fn close_from(first: u32) -> Result<(), Errno> {
    // SAFETY: the call takes three numbers and no pointer. The descriptors that it closes were inherited: a hook calls
    // this before it opens any of its own, or as its last act, so no owner of one is left with a closed descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    match (result, std::io::Error::last_os_error().raw_os_error()) {
        (0, _) => Ok(()),
        (_, Some(libc::ENOSYS | libc::EPERM)) => close_listed(first),
        (_, code) => Err(Errno::from_raw_os_error(code.unwrap_or(libc::EIO))),
    }
}

/// The same for kernels before 5.9: those that `/proc` lists.
fn close_listed(first: u32) -> Result<(), Errno> {
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let open: Vec<_> = std::fs::read_dir("/proc/self/fd")
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|number| *number >= first)
        .collect();
    for number in open {
        // SAFETY: as above; the folder's own descriptor is closed already, which makes this a harmless EBADF.
        unsafe { libc::close(number as i32) };
    }
    Ok(())
}
