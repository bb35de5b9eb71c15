//! The part of `bpf(2)` that device programs need, which rustix lacks.
//!
//! Each command takes a struct of its own, the beginning of `union bpf_attr` (`linux/bpf.h`). The kernel takes any length
//! and reads zeros for the rest.

#[cfg(test)]
pub(super) mod tests;

use super::program::{Instruction, Unreadable};
use rustix::{
    fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

// Commands.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;
const LINK_UPDATE: libc::c_int = 29;
const LINK_GET_FD_BY_ID: libc::c_int = 30;
const LINK_GET_NEXT_ID: libc::c_int = 31;

/// `BPF_PROG_TYPE_CGROUP_DEVICE`.
const CGROUP_DEVICE_PROGRAM: u32 = 15;
/// `BPF_CGROUP_DEVICE`.
const CGROUP_DEVICE: u32 = 6;
/// `BPF_LINK_TYPE_CGROUP`.
const CGROUP_LINK: u32 = 3;

/// `BPF_F_ALLOW_MULTI`: several programs may be attached, and all must allow.
pub(super) const MULTI: u32 = 1 << 1;
/// `BPF_F_REPLACE`.
const REPLACE: u32 = 1 << 2;
/// `BPF_F_QUERY_EFFECTIVE`.
const EFFECTIVE: u32 = 1 << 0;

/// As `bpftool` shows it; 15 bytes and a zero at most.
const NAME: &[u8; 16] = b"corten_devices\0\0";
const LICENSE: &std::ffi::CStr = c"Apache-2.0";

/// Programs that are attached to a group.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) ids: Vec<u32>,
    /// The flags with which they are attached.
    pub(super) flags: u32,
}

/// What there is to know about a program.
#[derive(Debug)]
pub(super) struct Info {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) instructions: Result<Vec<Instruction>, Unreadable>,
}

/// The programs of the group alone, or also those further up that apply to it.
pub(super) fn query(group: BorrowedFd, with_inherited: bool) -> Result<Attached, Errno> {
    #[derive(Default)]
    #[repr(C)]
    struct Query {
        group: u32,
        kind: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        unused: u32,
    }
    let mut ids = vec![0u32; 64];
    // The kernel says how many there are; between two calls there may be more.
    for _ in 0..10 {
        let mut request = Query {
            group: number(group),
            kind: CGROUP_DEVICE,
            query_flags: if with_inherited { EFFECTIVE } else { 0 },
            ids: ids.as_mut_ptr() as u64,
            count: ids.len() as u32,
            ..Query::default()
        };
        // SAFETY: `ids` has room for `count` numbers and outlives the call; the kernel writes no more than that.
        match unsafe { call(PROG_QUERY, &mut request) } {
            Ok(_) => {
                ids.truncate(request.count as usize);
                return Ok(Attached { ids, flags: request.attach_flags });
            }
            Err(Errno::NOSPC) => ids.resize(ids.len().max(request.count as usize) * 2, 0),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::NOSPC)
}

/// A descriptor for the program of that number.
pub(super) fn program(id: u32) -> Result<OwnedFd, Errno> {
    descriptor(PROG_GET_FD_BY_ID, &mut [id, 0, 0])
}

/// Reads a program back.
pub(super) fn info(program: BorrowedFd) -> Result<Info, Errno> {
    let mut first = ProgramInfo::default();
    ask(program, &mut first)?;
    let name = &first.name[..first.name.iter().position(|byte| *byte == 0).unwrap_or(first.name.len())];
    let read = |instructions| Info { id: first.id, name: String::from_utf8_lossy(name).into_owned(), instructions };
    // Without the right to look, the kernel reports a length of zero.
    if first.translated_length == 0 {
        return Ok(read(Err(Unreadable::Hidden)));
    }
    if first.maps > 0 {
        return Ok(read(Err(Unreadable::Linked)));
    }
    let mut instructions = vec![Instruction::BLANK; first.translated_length as usize / size_of::<Instruction>()];
    let mut second = ProgramInfo {
        translated: instructions.as_mut_ptr() as u64,
        translated_length: (instructions.len() * size_of::<Instruction>()) as u32,
        ..ProgramInfo::default()
    };
    ask(program, &mut second)?;
    // It takes the pointer away where it will not show hardened instructions.
    Ok(read(if second.translated == 0 { Err(Unreadable::Hardened) } else { Ok(instructions) }))
}

/// Loads a program; a refusal comes with the last line of the verifier's log.
pub(super) fn load(instructions: &[Instruction]) -> Result<OwnedFd, (Errno, String)> {
    let mut outcome = load_once(instructions, None);
    if matches!(outcome, Err(Errno::PERM)) {
        // Before Linux 5.11 programs counted as locked memory, of which processes have little.
        outcome = with_locked_memory(|| load_once(instructions, None));
    }
    match outcome {
        Ok(program) => Ok(program),
        Err(error @ (Errno::PERM | Errno::NOSYS)) => Err((error, String::new())),
        Err(_) => {
            let mut log = vec![0u8; 64 << 10];
            load_once(instructions, Some(&mut log)).map_err(|error| {
                let text = String::from_utf8_lossy(&log[..log.iter().position(|byte| *byte == 0).unwrap_or(0)]);
                let said = |line: &&str| !line.is_empty() && !line.starts_with("processed");
                let reason = text.lines().rev().map(str::trim).find(said).unwrap_or("no reason given");
                (error, reason.to_owned())
            })
        }
    }
}

fn load_once(instructions: &[Instruction], log: Option<&mut Vec<u8>>) -> Result<OwnedFd, Errno> {
    #[derive(Default)]
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let mut request = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        name: *NAME,
        ..Load::default()
    };
    if let Some(log) = log {
        (request.log_level, request.log_size, request.log) = (1, log.len() as u32, log.as_mut_ptr() as u64);
    }
    // SAFETY: instructions, license and log outlive the call; the kernel reads `count` instructions and a string that
    // ends with zero, and writes at most `log_size` bytes.
    let program = unsafe { call(PROG_LOAD, &mut request) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(program) })
}

/// Does something without a limit on locked memory, where we may lift it.
fn with_locked_memory<T>(work: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Memlock);
    let lifted = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    let done = work();
    if lifted.is_ok() {
        // The limit was ours to lift, so it is ours to set.
        let _ = setrlimit(Resource::Memlock, before);
    }
    done
}

/// Attaches a program, where wanted in the place of another (Linux 5.6).
pub(super) fn attach(group: BorrowedFd, new: BorrowedFd, flags: u32, old: Option<BorrowedFd>) -> Result<(), Errno> {
    let replace = if old.is_some() { REPLACE } else { 0 };
    let mut request = [number(group), number(new), CGROUP_DEVICE, flags | replace, old.map_or(0, number)];
    // SAFETY: plain numbers.
    unsafe { call(PROG_ATTACH, &mut request) }.map(|_| ())
}

/// Detaches one of several programs.
pub(super) fn detach(group: BorrowedFd, program: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: plain numbers.
    unsafe { call(PROG_DETACH, &mut [number(group), number(program), CGROUP_DEVICE, 0]) }.map(|_| ())
}

/// The link by which a program is attached to the group with that inode number, if it is attached by one.
pub(super) fn link(group: u64, program: u32) -> Result<Option<OwnedFd>, Errno> {
    let mut id = 0;
    loop {
        let mut next = [id, 0, 0];
        // SAFETY: plain numbers; the kernel writes the second.
        match unsafe { call(LINK_GET_NEXT_ID, &mut next) } {
            Ok(_) => id = next[1],
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        }
        let link = match descriptor(LINK_GET_FD_BY_ID, &mut [id, 0, 0]) {
            Ok(link) => link,
            Err(Errno::NOENT | Errno::AGAIN) => continue, // gone meanwhile, or not there yet
            Err(error) => return Err(error),
        };
        let mut info = LinkInfo::default();
        ask(rustix::fd::AsFd::as_fd(&link), &mut info)?;
        if (info.kind, info.program, info.group, info.attached_as) == (CGROUP_LINK, program, group, CGROUP_DEVICE) {
            return Ok(Some(link));
        }
    }
}

/// Exchanges the program of a link, if it is still the old one.
pub(super) fn update_link(link: BorrowedFd, new: BorrowedFd, old: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: plain numbers.
    unsafe { call(LINK_UPDATE, &mut [number(link), number(new), REPLACE, number(old)]) }.map(|_| ())
}

/// The beginning of `struct bpf_prog_info`.
#[derive(Default)]
#[repr(C)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    machine_length: u32,
    translated_length: u32,
    machine: u64,
    translated: u64,
    loaded_at: u64,
    loaded_by: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// The beginning of `struct bpf_link_info`, with what it says of links to cgroups.
#[derive(Default)]
#[repr(C)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    unused: u32,
    group: u64,
    attached_as: u32,
    unused_too: u32,
}

/// `BPF_OBJ_GET_INFO_BY_FD`. Pointers within `info` must be valid, as those of the two structs here are.
fn ask<T>(object: BorrowedFd, info: &mut T) -> Result<(), Errno> {
    #[repr(C)]
    struct Ask {
        object: u32,
        length: u32,
        info: u64,
    }
    let mut request =
        Ask { object: number(object), length: size_of::<T>() as u32, info: std::ptr::from_mut(info) as u64 };
    // SAFETY: `info` is a live struct of numbers, of which the kernel writes `length` bytes at most; where it holds a
    // pointer (`info()`), that points to as many instructions as its length field says.
    unsafe { call(OBJ_GET_INFO_BY_FD, &mut request) }.map(|_| ())
}

/// A command that makes a descriptor out of plain numbers.
fn descriptor(command: libc::c_int, request: &mut [u32; 3]) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers; the result is a descriptor that the kernel has just made for us.
    unsafe { call(command, request).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

fn number(descriptor: BorrowedFd) -> u32 {
    descriptor.as_raw_fd() as u32
}

/// `bpf(2)`.
///
/// # Safety
/// `request` must be what the command takes, without padding between its fields, and pointers in it must be valid.
unsafe fn call<T>(command: libc::c_int, request: &mut T) -> Result<i32, Errno> {
    // SAFETY: the request is live and as long as said; the caller answers for its content.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>()) };
    match result {
        0.. => Ok(result as i32),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
