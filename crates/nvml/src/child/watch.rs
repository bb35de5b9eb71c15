//! Reads what the helper says until it ends, says too much or is late; never blocks beyond the deadline.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, OwnedFd},
    fs::{OFlags, fcntl_setfl},
    io::{Errno, read},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{io, process::Child, time::Instant};

/// The longest answer: a machine with 64 GPUs of 7 MIG devices needs a tenth.
const LONGEST_ANSWER: usize = 1 << 20;
/// How much of stderr is kept, from the end.
const LONGEST_NOTES: usize = 4096;

/// What was seen.
pub struct Seen {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub ending: Ending,
}

/// How watching ended.
pub enum Ending {
    /// The helper ended, or closed both pipes.
    Done,
    /// The deadline came first.
    Late,
    /// The answer is longer than any can be.
    TooMuch,
}

/// Watches until the end. The child is left to be killed and waited for.
pub fn until_the_end(child: &mut Child, deadline: Instant) -> io::Result<Seen> {
    // The end of the process is an event of its own: somebody it started may keep the pipes open. Kernels before 5.3
    // have no such descriptor; there the end of both pipes has to do.
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut stdout = Pipe::new(child.stdout.take().map(OwnedFd::from))?;
    let mut stderr = Pipe::new(child.stderr.take().map(OwnedFd::from))?;
    let ending = loop {
        let ended = wait(&stdout, &stderr, process.as_ref(), deadline)?;
        stdout.drain()?;
        stderr.drain()?;
        stderr.forget_all_but(LONGEST_NOTES);
        if stdout.content.len() > LONGEST_ANSWER {
            break Ending::TooMuch;
        }
        let closed = stdout.open.is_none() && stderr.open.is_none();
        if ended || (closed && process.is_none()) {
            break Ending::Done;
        }
        if Instant::now() >= deadline {
            break Ending::Late;
        }
    };
    Ok(Seen { stdout: stdout.content, stderr: stderr.content, ending })
}

/// Waits for anything to happen; true once the process has ended.
fn wait(stdout: &Pipe, stderr: &Pipe, process: Option<&OwnedFd>, deadline: Instant) -> io::Result<bool> {
    let fds = [stdout.open.as_ref(), stderr.open.as_ref(), process];
    let mut polled: Vec<PollFd<'_>> = fds.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(process.is_some() && polled.last().is_some_and(|process| !process.revents().is_empty()))
}

/// One end of a pipe and what came through it.
struct Pipe {
    open: Option<OwnedFd>,
    content: Vec<u8>,
}

impl Pipe {
    fn new(open: Option<OwnedFd>) -> io::Result<Pipe> {
        if let Some(fd) = &open {
            fcntl_setfl(fd, OFlags::NONBLOCK)?;
        }
        Ok(Pipe { open, content: Vec::new() })
    }

    /// Takes what is there, up to a pipe's worth or two, so that an endless stream cannot hold the caller here.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16384];
        for _ in 0..8 {
            let Some(fd) = &self.open else { return Ok(()) };
            match read(fd.as_fd(), &mut buffer) {
                Ok(0) => self.open = None,
                Ok(length) => self.content.extend_from_slice(&buffer[..length]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn forget_all_but(&mut self, length: usize) {
        let surplus = self.content.len().saturating_sub(length);
        self.content.drain(..surplus);
    }
}
