//! Device cgroups of a container that runs already: grants devices to its group, and takes the grants back.
//!
//! Only the legacy way needs this, where a hook adds devices to a container that the low-level runtime has restricted
//! before (reference: libnvidia-container.md, 17). Elsewhere the rules stand in `config.json`.
//!
//! - [`of_process`] finds the groups of a process ([`host::procfs::cgroups`]).
//! - [`allow`] grants. In the first version of cgroups that is a line in `devices.allow`; in the second, programs in the
//!   kernel decide, and each is replaced by one that asks our rules first. What allows the devices already is left alone,
//!   so a second call changes nothing. A group that nothing restricts stays as it is.
//! - [`Granted::undo`] puts back what was there.
//!
//! Kernels run both versions side by side, and a process has a group in each; a device must be allowed by both.

mod bpf;
mod program;
mod rule;
mod v1;
mod v2;

pub use host::procfs::cgroups::{FindError, Group, Version};
pub use program::Unreadable;
pub use rule::{Access, Kind, Rule};
pub use v2::Replacing;

use host::procfs::cgroups::device_groups;
use oci::HostPath;
use rustix::io::Errno;
use std::{fs, io};

/// Why devices were not granted. What had been changed for the call is put back when it is returned.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file that says where the group is cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// They do not say it.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The group's folder, or a file in it, cannot be used.
    #[error("cannot {action} {path}: {source}")]
    Group {
        /// `open`, `read` or `write`.
        action: &'static str,
        /// What.
        path: String,
        /// Why.
        source: Errno,
    },
    /// The folder is no cgroup: something else is mounted there.
    #[error("{0} is not a cgroup's folder")]
    NotCgroup(HostPath),
    /// A group of version 1 may not have more than its parent.
    #[error("the device cgroup {group} may not be given `{rule}`, since the group above it does not have that")]
    Parent {
        /// The group.
        group: HostPath,
        /// The rule.
        rule: String,
    },
    /// `bpf(2)` failed for the group.
    #[error("cannot {action} of the device cgroup {group}: {source}{}", hint(*.source))]
    Programs {
        /// What could not be done to the programs.
        action: &'static str,
        /// The group.
        group: HostPath,
        /// Why.
        source: Errno,
    },
    /// A program decides about devices there which cannot be rebuilt with our rules in it.
    #[error("the device cgroup {group} is ruled by BPF program {id}{}, which cannot be extended: {why}", named(.name))]
    Foreign {
        /// The group.
        group: HostPath,
        /// The program's number, as `bpftool prog show id` takes it.
        id: u32,
        /// Its name; may be empty.
        name: String,
        /// Why, and what to do.
        why: Unreadable,
    },
    /// The kernel does not accept the program that was built.
    #[error("the kernel refuses to replace BPF program {id} of the device cgroup {group}: {source}: {verifier}")]
    Refused {
        /// The group.
        group: HostPath,
        /// The program that was to be replaced.
        id: u32,
        /// The error.
        source: Errno,
        /// The last line that the verifier wrote.
        verifier: String,
    },
    /// Somebody replaces the programs as fast as we do.
    #[error("the BPF programs of the device cgroup {0} are being changed by another process")]
    Contended(HostPath),
}

fn named(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" ({name})"),
    }
}

/// What to do about an error of `bpf(2)` whose reason is known.
fn hint(source: Errno) -> &'static str {
    match source {
        Errno::PERM | Errno::ACCESS => {
            "; that takes CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN in the first user namespace, so start the container as \
             root, or without device cgroups (no-cgroups = true)"
        }
        Errno::NOSYS | Errno::INVAL => "; this kernel has no BPF programs for devices (Linux 4.15, CONFIG_CGROUP_BPF)",
        _ => "",
    }
}

/// What [`allow`] changed. Dropped, it leaves the grants in place.
#[derive(Debug, Default)]
pub struct Granted {
    steps: Vec<Step>,
    inherited: Vec<u32>,
    /// The process has a group of version 1 too.
    has_first_version: bool,
}

#[derive(Debug)]
enum Step {
    First(v1::Change),
    Second(v2::Change),
}

impl Granted {
    /// Whether anything had to be changed.
    pub fn changed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Numbers of the BPF programs of groups further up. They were not touched, since they rule other containers too, and
    /// may still refuse what was granted here.
    pub fn inherited(&self) -> &[u32] {
        &self.inherited
    }

    /// Puts back what was there before, the last change first. A program that somebody else has replaced in the meantime
    /// stays. In a version 1 group that allows everything but some devices, what the grant removed from those is not
    /// known and stays granted.
    ///
    /// # Errors
    /// The first that occurred; the other steps are taken nonetheless.
    pub fn undo(self) -> Result<(), CgroupError> {
        let undone = self.steps.into_iter().rev().map(|step| match step {
            Step::First(change) => change.undo(),
            Step::Second(change) => change.undo(),
        });
        // Every step is taken, whatever became of those before it.
        undone.collect::<Vec<_>>().into_iter().collect()
    }
}

/// The device groups of the process `pid`, in the numbers and mounts of this process.
///
/// # Errors
/// [`CgroupError::Unreadable`], as when the process has ended, and [`CgroupError::Find`].
pub fn of_process(pid: u32) -> Result<Vec<Group>, CgroupError> {
    let groups = read(format!("/proc/{pid}/cgroup"))?;
    Ok(device_groups(&groups, &read("/proc/self/mountinfo".to_owned())?)?)
}

/// Both files are the kernel's own, but for the names of groups in them.
fn read(path: String) -> Result<String, CgroupError> {
    let content = fs::read(&path).map_err(|source| CgroupError::Unreadable { path, source })?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Lets the processes of these groups use the devices of `rules`, besides what they may use already.
///
/// # Errors
/// [`CgroupError`]; then nothing has changed, unless putting it back failed as well.
pub fn allow(groups: &[Group], rules: &[Rule]) -> Result<Granted, CgroupError> {
    allow_by(groups, rules, Replacing::AsTheKernelCan)
}

/// The same with a chosen way to exchange programs, for tests.
///
/// # Errors
/// As [`allow`].
pub fn allow_by(groups: &[Group], rules: &[Rule], how: Replacing) -> Result<Granted, CgroupError> {
    let rules = rule::merged(rules);
    let has_first_version = groups.iter().any(|group| group.version == Version::V1);
    let mut granted = Granted { has_first_version, ..Granted::default() };
    for group in groups {
        let done = match group.version {
            Version::V1 => v1::allow(&group.path, &rules, &mut granted.steps),
            Version::V2 => v2::allow(&group.path, &rules, how, &mut granted),
        };
        if let Err(error) = done {
            // The first failure is the one to tell; this one would only say that the group is gone.
            let _ = granted.undo();
            return Err(error);
        }
    }
    Ok(granted)
}
