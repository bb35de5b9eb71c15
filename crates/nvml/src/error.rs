//! Why NVML's facts cannot be had, and what to do about it.

use std::{io, path::PathBuf, time::Duration};

/// A wanted fact that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot learn {wanted}: {problem}")]
pub struct NvmlError {
    /// As in [`crate::Ask::wanted`].
    pub wanted: String,
    /// Why.
    #[source]
    pub problem: Problem,
}

/// What went wrong between asking and an answer. `at` is the NVML function that was being called, `said` what the helper
/// left on stderr; both can be empty.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no helper.
    #[error("{} does not exist; reinstall Corten, which installs it beside its own executable", .0.display())]
    HelperMissing(PathBuf),
    /// The helper exists but does not start.
    #[error("{} does not start: {error}", helper.display())]
    NotStarted {
        /// The helper.
        helper: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The helper does not load the library: absent, for another architecture, not readable.
    #[error(
        "NVML cannot be loaded ({0}); install the driver's libnvidia-ml.so.1, or check that the driver root is right"
    )]
    NotLoaded(String),
    /// NVML says no.
    #[error("{step} failed: {words} (NVML code {code}); {advice}", advice = advice(*code))]
    Refused {
        /// The NVML function.
        step: String,
        /// `nvmlReturn_t`.
        code: u32,
        /// NVML's own words.
        words: String,
    },
    /// NVML did not come back.
    #[error(
        "NVML did not answer within {} s{} and was stopped{}; see the kernel log for Xid messages and whether nvidia-smi \
         hangs too",
        .limit.as_secs_f32(), during(.at), quoted(.said)
    )]
    TimedOut {
        /// The time limit.
        limit: Duration,
        /// In which function.
        at: String,
        /// The helper's stderr.
        said: String,
    },
    /// NVML took its process down.
    #[error(
        "NVML crashed{} (signal {signal}){}; the driver's libraries are damaged or do not belong to the loaded kernel \
         module, reinstall the driver",
        during(.at), quoted(.said)
    )]
    Crashed {
        /// Its number.
        signal: i32,
        /// In which function.
        at: String,
        /// The helper's stderr.
        said: String,
    },
    /// What came back is no answer.
    #[error("corten-nvml gave no usable answer ({why}){}; is it of the same version as this program?", quoted(.said))]
    Garbage {
        /// What is wrong with it.
        why: String,
        /// The helper's stderr.
        said: String,
    },
    /// A system call on our side of the pipe failed.
    #[error("cannot watch corten-nvml: {0}")]
    Watch(#[source] io::Error),
}

impl Problem {
    /// The same question asked by root may be answered.
    pub(crate) fn may_be_closed_to_nobody(&self) -> bool {
        match self {
            // No permission, driver not loaded (so it looks to whom /dev/nvidiactl is closed), blocked, unknown.
            Problem::Refused { code, .. } => matches!(code, 4 | 9 | 17 | 999),
            Problem::NotLoaded(_) | Problem::NotStarted { .. } => true,
            _ => false,
        }
    }
}

fn advice(code: u32) -> &'static str {
    match code {
        4 => "the device nodes are closed to this user, set nvidia-container-cli.user to one who may open them",
        9 => "load the kernel module (modprobe nvidia) and check that /dev/nvidiactl exists",
        15 | 16 => "a GPU is lost or needs a reset, see the kernel log for Xid messages",
        17 => "something forbids this process to open /dev/nvidia*, check device cgroups",
        18 => "the driver was updated while the old kernel module is still loaded, reload it or reboot",
        _ => "see whether nvidia-smi works on this machine, and the kernel log",
    }
}

fn during(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!(" in {at}") }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", saying {said:?}") }
}
