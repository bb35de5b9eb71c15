//! Grants in a group of cgroups version 2: exchanges its BPF programs.

#[cfg(test)]
mod tests;

use super::{CgroupError, Granted, Step, bpf, program::Program, rule::Rule};
use oci::HostPath;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, fstat, fstatfs, open},
    io::Errno,
};

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: i64 = 0x6367_7270;
/// How often we begin anew when somebody else changes the programs meanwhile.
const ATTEMPTS: usize = 5;

/// How a program takes another's place where several may be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacing {
    /// In one step, or in two where the kernel is older than 5.6.
    AsTheKernelCan,
    /// The new one is attached, then the old one detached. Meanwhile both must allow, so that nothing is ever allowed
    /// that neither would allow alone.
    AttachThenDetach,
}

/// How the exchanged program is attached.
#[derive(Debug)]
enum Attachment {
    /// As the only one; a new one takes its place of itself. With these flags.
    Only(u32),
    /// As one of several.
    OneOfSeveral,
    /// By a link, which is what others hold.
    Link(OwnedFd),
}

/// One program that was exchanged.
#[derive(Debug)]
pub(super) struct Change {
    group: OwnedFd,
    path: HostPath,
    attachment: Attachment,
    old: OwnedFd,
    new: OwnedFd,
}

/// What is to be exchanged.
struct Plan {
    id: u32,
    old: OwnedFd,
    new: OwnedFd,
}

/// Extends each program of the group. All of them are read before the first is changed.
pub(super) fn allow(path: &HostPath, rules: &[Rule], how: Replacing, granted: &mut Granted) -> Result<(), CgroupError> {
    let group = open_group(path)?;
    for _ in 0..ATTEMPTS {
        let attached = match bpf::query(group.as_fd(), false) {
            // A kernel without such programs restricts nothing here.
            Err(Errno::INVAL | Errno::NOSYS) => return Ok(()),
            // Where version 1 rules devices, version 2 is mounted but seldom used for them.
            Err(Errno::PERM) if granted.has_first_version => return Ok(()),
            attached => attached.map_err(failed("list the BPF programs", path))?,
        };
        let plans = match plans(path, &attached.ids, rules) {
            Err(Planning::Vanished) => continue,
            Err(Planning::Failed(error)) => return Err(error),
            Ok(plans) => plans,
        };
        let mut contended = false;
        for plan in plans {
            let Plan { id, old, new } = plan;
            match exchange(group.as_fd(), attached.flags, id, old.as_fd(), new.as_fd(), how) {
                Ok(attachment) => {
                    let group = group.try_clone().map_err(|_| CgroupError::Contended(path.clone()))?;
                    granted.steps.push(Step::Second(Change { group, path: path.clone(), attachment, old, new }));
                }
                Err(Errno::NOENT) => contended = true,
                Err(error) => return Err(failed("replace the BPF programs", path)(error)),
            }
        }
        if !contended {
            let effective = bpf::query(group.as_fd(), true).map(|effective| effective.ids).unwrap_or_default();
            let own = bpf::query(group.as_fd(), false).map(|own| own.ids).unwrap_or_default();
            granted.inherited.extend(effective.into_iter().filter(|id| !own.contains(id)));
            return Ok(());
        }
    }
    Err(CgroupError::Contended(path.clone()))
}

/// Why there is no plan.
enum Planning {
    /// A program was there when they were counted, and is not now.
    Vanished,
    Failed(CgroupError),
}

fn plans(path: &HostPath, ids: &[u32], rules: &[Rule]) -> Result<Vec<Plan>, Planning> {
    let mut plans = Vec::new();
    for &id in ids {
        let old = match bpf::program(id) {
            Err(Errno::NOENT) => return Err(Planning::Vanished),
            program => program.map_err(|error| Planning::Failed(failed("open the BPF programs", path)(error)))?,
        };
        let info =
            bpf::info(old.as_fd()).map_err(|error| Planning::Failed(failed("read the BPF programs", path)(error)))?;
        let program = info.instructions.and_then(|instructions| Program::from_instructions(&instructions));
        let program = program
            .map_err(|why| Planning::Failed(CgroupError::Foreign { group: path.clone(), id, name: info.name, why }))?;
        let Some(extended) = program.extended(rules) else { continue };
        let new = bpf::load(&extended).map_err(|(source, verifier)| {
            Planning::Failed(match source {
                Errno::PERM | Errno::NOSYS => failed("replace the BPF programs", path)(source),
                _ => CgroupError::Refused { group: path.clone(), id, source, verifier },
            })
        })?;
        plans.push(Plan { id, old, new });
    }
    Ok(plans)
}

/// Puts `new` in the place of `old`. There is no moment in which neither rules.
///
/// # Errors
/// `ENOENT` if `old` is not attached any more.
fn exchange(
    group: BorrowedFd,
    flags: u32,
    id: u32,
    old: BorrowedFd,
    new: BorrowedFd,
    how: Replacing,
) -> Result<Attachment, Errno> {
    if flags & bpf::MULTI == 0 {
        return bpf::attach(group, new, flags, None).map(|()| Attachment::Only(flags));
    }
    let replaced = match how {
        Replacing::AsTheKernelCan => bpf::attach(group, new, bpf::MULTI, Some(old)),
        Replacing::AttachThenDetach => Err(Errno::INVAL),
    };
    match replaced {
        Ok(()) => Ok(Attachment::OneOfSeveral),
        // What is attached by a link is not found among the programs.
        Err(Errno::NOENT) => {
            let link = bpf::link(fstat(group)?.st_ino, id)?.ok_or(Errno::NOENT)?;
            match bpf::update_link(link.as_fd(), new, old) {
                Ok(()) => Ok(Attachment::Link(link)),
                // It has another program by now.
                Err(Errno::PERM) => Err(Errno::NOENT),
                Err(error) => Err(error),
            }
        }
        Err(Errno::INVAL | Errno::TOOBIG) => {
            bpf::attach(group, new, bpf::MULTI, None)?;
            match bpf::detach(group, old) {
                Ok(()) => Ok(Attachment::OneOfSeveral),
                Err(error) => {
                    bpf::detach(group, new)?;
                    Err(error)
                }
            }
        }
        Err(error) => Err(error),
    }
}

impl Change {
    /// Puts the old program back where ours is still attached.
    pub(super) fn undo(self) -> Result<(), CgroupError> {
        let Change { group, path, attachment, old, new } = self;
        let (group, old, new) = (group.as_fd(), old.as_fd(), new.as_fd());
        let undone = match &attachment {
            Attachment::Only(flags) => is_attached(group, new).and_then(|ours| match ours {
                true => bpf::attach(group, old, *flags, None),
                false => Ok(()),
            }),
            Attachment::OneOfSeveral => exchange(group, bpf::MULTI, 0, new, old, Replacing::AsTheKernelCan).map(|_| ()),
            Attachment::Link(link) => match bpf::update_link(link.as_fd(), old, new) {
                Err(Errno::PERM) => Ok(()),
                result => result,
            },
        };
        match undone {
            // Somebody has put a third in ours' place, or the group is gone.
            Err(Errno::NOENT | Errno::NODEV | Errno::NOLINK) => Ok(()),
            result => result.map_err(failed("restore the BPF programs", &path)),
        }
    }
}

fn is_attached(group: BorrowedFd, program: BorrowedFd) -> Result<bool, Errno> {
    let id = bpf::info(program)?.id;
    Ok(bpf::query(group, false)?.ids.contains(&id))
}

fn open_group(path: &HostPath) -> Result<OwnedFd, CgroupError> {
    let unusable = |source| CgroupError::Group { action: "open", path: path.to_string(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let group = open(path.as_path(), flags, Mode::empty()).map_err(unusable)?;
    match fstatfs(&group).map_err(unusable)?.f_type as i64 {
        CGROUP2 => Ok(group),
        _ => Err(CgroupError::NotCgroup(path.clone())),
    }
}

fn failed(action: &'static str, group: &HostPath) -> impl FnOnce(Errno) -> CgroupError {
    move |source| CgroupError::Programs { action, group: group.clone(), source }
}
