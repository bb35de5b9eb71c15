//! Runs the helper so that nothing it or a driver library does can harm or delay the caller beyond the time limit.
//!
//! It gets no environment, no descriptors but its three, no capabilities, no way to gain any, and a process group of its
//! own that is killed as a whole when it ends or is late. Its output is read up to a bound.

mod confine;
mod watch;

pub use confine::User;

use crate::error::Problem;
use oci::HostPath;
use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What the helper left behind.
#[derive(Debug, Default)]
pub struct Output {
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// The end of stderr.
    pub stderr: Vec<u8>,
    /// The exit status was not 0.
    pub failed: bool,
    /// It was ended by this signal, not by us.
    pub signal: Option<i32>,
}

/// Runs `helper` to its end, or for `limit`.
///
/// # Errors
/// A helper that is missing, does not start, is late or says too much.
pub fn run(helper: &Path, library: Option<&HostPath>, user: Option<User>, limit: Duration) -> Result<Output, Problem> {
    let deadline = Instant::now() + limit;
    let mut child = start(helper, library, user)?;
    let watched = watch::until_the_end(&mut child, deadline);
    stop(&child);
    let status = child.wait();
    let seen = watched.map_err(Problem::Watch)?;
    let (at, said) = crate::wire::split_notes(&seen.stderr);
    match seen.ending {
        watch::Ending::Late => Err(Problem::TimedOut { limit, at, said }),
        watch::Ending::TooMuch => Err(Problem::Garbage { why: "its answer is longer than 1 MiB".into(), said }),
        watch::Ending::Done => {
            // Where SIGCHLD is ignored nobody learns the status; then the output alone has to make sense.
            let status = status.ok();
            Ok(Output {
                stdout: seen.stdout,
                stderr: seen.stderr,
                failed: status.is_some_and(|status| !status.success()),
                signal: status.and_then(|status| status.signal()),
            })
        }
    }
}

fn start(helper: &Path, library: Option<&HostPath>, user: Option<User>) -> Result<Child, Problem> {
    let mut command = Command::new(helper);
    command.env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(library) = library {
        command.args(["--library", library.as_str()]);
    }
    // SAFETY: `confine::enter` only makes system calls: it neither allocates nor locks, so it may run between fork and
    // exec even if other threads of the caller hold locks.
    unsafe { command.pre_exec(move || confine::enter(user)) };
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !helper.exists() => Problem::HelperMissing(helper.to_owned()),
        _ => Problem::NotStarted { helper: helper.to_owned(), error },
    })
}

/// Ends the helper and whatever it started. It has not been waited for yet, so its number is still its own.
fn stop(child: &Child) {
    if let Ok(group) = i32::try_from(child.id())
        && let Some(group) = rustix::process::Pid::from_raw(group)
    {
        // An error means that nobody is left in the group.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
