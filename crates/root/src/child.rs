//! Running a program of the host's to its end, within a time limit, so that nothing of the caller's reaches it. It is
//! here because it needs `unsafe`, and only this crate and `nvml` may have any.
//!
//! The program gets no environment but a fixed `PATH`, no descriptors but its three, and a process group of its own that
//! is killed as a whole when it is late. Unlike `nvml`'s helper it keeps its privileges: it is started for what only
//! root can do.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    process::{Pid, Signal, kill_process_group},
};
use std::{
    ffi::OsStr,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where programs find theirs (`modprobe`, and what a modprobe.d `install` line names).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of what the program complains about is kept.
const LONGEST_NOTES: usize = 2048;
/// How often a program that has closed its stderr is looked at.
const STEP: Duration = Duration::from_millis(2);
/// Descriptors that are marked one by one where there is no `close_range`.
const DESCRIPTORS_BY_HAND: libc::c_int = 4096;

/// Why the program did no good.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It did not start, or cannot be watched.
    #[error("{0}")]
    NotRun(#[from] io::Error),
    /// It was killed when its time was over.
    #[error("it did not end within {} s", .0.as_secs())]
    Late(Duration),
    /// It ended, but not well.
    #[error("it ended with {status}{}", said(.notes))]
    Failed {
        /// How.
        status: ExitStatus,
        /// The beginning of what it wrote to stderr.
        notes: String,
    },
}

fn said(notes: &str) -> String {
    match notes.trim() {
        "" => String::new(),
        notes => format!(" and said: {notes}"),
    }
}

/// Runs the program at `path` with `args`. Its standard input is empty and its standard output nobody's.
///
/// # Errors
/// [`ChildError`]; the program has ended, whatever is returned.
pub fn run<W: AsRef<OsStr>>(path: &Path, args: &[W], limit: Duration) -> Result<(), ChildError> {
    let deadline = Instant::now() + limit;
    let mut command = Command::new(path);
    command.args(args).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: `forget_descriptors` only makes system calls: it neither allocates nor locks, so it may run between fork
    // and exec even if other threads of the caller hold locks.
    unsafe { command.pre_exec(forget_descriptors) };
    let mut child = command.spawn()?;
    let mut notes = Notes { pipe: child.stderr.take(), text: Vec::new() };
    let ended = watch(&mut child, &mut notes, deadline);
    if !matches!(ended, Ok(Some(_))) {
        stop(&mut child);
    }
    match ended? {
        None => Err(ChildError::Late(limit)),
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(ChildError::Failed { status, notes: notes.into_text() }),
    }
}

/// Marks all but the standard three to be closed by exec; not closed at once, as the pipe that reports a failed exec must
/// live until then.
fn forget_descriptors() -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: plain integers.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if done != 0 {
        for descriptor in 3..DESCRIPTORS_BY_HAND {
            // SAFETY: plain integers; a number that is not open is an error without effect.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// How the child ended; `None` if it has not by the deadline.
fn watch(child: &mut Child, notes: &mut Notes, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            notes.take(Duration::ZERO)?;
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        notes.take(left)?;
    }
}

/// Ends the child and whatever it started. It has not been waited for yet, so its number is still its own.
fn stop(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An error means that nobody is left in the group.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// What the child says, of which the beginning is kept and the rest is read and forgotten.
struct Notes {
    pipe: Option<ChildStderr>,
    text: Vec<u8>,
}

impl Notes {
    /// Waits for something to be said, for at most `patience`, and takes it.
    fn take(&mut self, patience: Duration) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            thread::sleep(patience.min(STEP));
            return Ok(());
        };
        fcntl_setfl(&*pipe, OFlags::NONBLOCK)?;
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        poll(&mut [PollFd::new(&*pipe, PollFlags::IN)], Some(&timeout))?;
        let mut buffer = [0; 4096];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                let room = LONGEST_NOTES - self.text.len();
                self.text.extend_from_slice(&buffer[..length.min(room)]);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<(), ChildError> {
        run(Path::new("/bin/sh"), &["-c", script], limit)
    }

    #[test]
    fn nothing_of_ours_reaches_it() {
        let file = tempfile::tempfile().unwrap();
        // SAFETY: plain integers; 77 is nobody's.
        assert_eq!(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 77) }, 77, "without close-on-exec");
        let script =
            format!("test ! -e /proc/self/fd/77 && test \"$(env | grep -cv ^PATH=)\" = 2 && test $PATH = {PATH}");
        // The shell itself adds PWD and `_`; dash only PWD.
        let script = script.replace("= 2", "-le 2");
        shell(&script, Duration::from_secs(20)).unwrap();
        // SAFETY: ours.
        unsafe { libc::close(77) };
    }

    #[test]
    fn says_how_it_failed() {
        let error = shell("echo no module >&2; exit 3", Duration::from_secs(20)).unwrap_err();
        assert_eq!(error.to_string(), "it ended with exit status: 3 and said: no module");
        let error = shell("kill -SEGV $$", Duration::from_secs(20)).unwrap_err();
        assert!(matches!(error, ChildError::Failed { .. }), "{error}");
        assert!(matches!(run(Path::new("/nope"), &["x"], Duration::from_secs(1)), Err(ChildError::NotRun(_))));
    }

    #[test]
    fn what_is_late_or_talks_without_end_is_stopped() {
        for script in ["sleep 1000", "exec 2>&-; sleep 1000", "while :; do echo noise >&2; done"] {
            let error = shell(script, Duration::from_millis(200)).unwrap_err();
            assert!(matches!(error, ChildError::Late(_)), "{script}: {error}");
        }
        let error = shell("yes | head -c 100000 >&2; exit 1", Duration::from_secs(20)).unwrap_err();
        assert!(matches!(error, ChildError::Failed { notes, .. } if notes.len() == LONGEST_NOTES));
    }
}
