//! What tests of programs need of the kernel beyond what the rest does.

use super::*;
use std::fs;

/// Attaches a program by a link (Linux 5.7).
pub(in super::super) fn create_link(group: BorrowedFd, program: BorrowedFd) -> Result<OwnedFd, Errno> {
    const LINK_CREATE: libc::c_int = 28;
    let mut request = [number(program), number(group), CGROUP_DEVICE, 0];
    // SAFETY: plain numbers; the result is a descriptor that the kernel has just made for us.
    unsafe { call(LINK_CREATE, &mut request).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// Lets the kernel harden what is loaded until it is dropped. The switch is the whole machine's, so it is on for a moment
/// only, and only one process at a time may turn it.
pub(in super::super) fn set_hardening() -> Hardening {
    let switch = fs::File::open(HARDEN).unwrap();
    switch.lock().unwrap();
    let before = fs::read_to_string(HARDEN).unwrap();
    fs::write(HARDEN, "2").unwrap();
    Hardening { before, _switch: switch }
}

/// Nothing is hardened until it is dropped, unless the machine does so of itself.
fn no_hardening() -> fs::File {
    let switch = fs::File::open(HARDEN).unwrap();
    switch.lock_shared().unwrap();
    switch
}

const HARDEN: &str = "/proc/sys/net/core/bpf_jit_harden";

pub(in super::super) struct Hardening {
    before: String,
    /// Locked until it is closed.
    _switch: fs::File,
}

impl Drop for Hardening {
    fn drop(&mut self) {
        let _ = fs::write(HARDEN, &self.before);
    }
}

#[test]
fn the_kernel_shows_what_was_loaded() {
    let _switch = no_hardening();
    let program = load(&super::super::program::tests::runtimes()).unwrap();
    let info = info(rustix::fd::AsFd::as_fd(&program)).unwrap();
    assert_eq!(info.name, "corten_devices");
    assert_eq!(info.instructions, Ok(super::super::program::tests::runtimes()));
}

#[test]
fn a_refused_program_comes_with_the_verifiers_reason() {
    let runtime = super::super::program::tests::runtimes();
    let (error, said) = load(&runtime[runtime.len() - 1..]).unwrap_err();
    assert_eq!(error, Errno::ACCESS);
    assert!(said.contains("R0 !read_ok"), "{said}");
}
