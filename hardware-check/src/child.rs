//! Runs a program for a limited time, and keeps what it says. Output goes through files: a container that outlives the
//! program which started it would hold a pipe open.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    /// The exit status was 0.
    pub success: bool,
    /// It was stopped, because it took too long.
    pub late: bool,
    /// What it printed.
    pub stdout: String,
    /// And where it complains.
    pub stderr: String,
}

/// More than any of our programs says.
const LONGEST: u64 = 4 << 20;
/// How often the program is looked at; short beside what it does.
const STEP: Duration = Duration::from_millis(5);

/// Runs `command` with this environment and no other, keeping its output in `folder` meanwhile.
///
/// # Errors
/// When it does not start.
pub fn run(command: &mut Command, folder: &Path, limit: Duration) -> io::Result<Done> {
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let mut child = command.process_group(0).spawn()?;
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => thread::sleep(STEP),
        }
    };
    if status.is_none() {
        // Its group, as a whole; it has not been waited for, so the number is still its own.
        if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        child.wait()?;
    }
    Ok(Done {
        success: status.is_some_and(|status| status.success()),
        late: status.is_none(),
        stdout: text(&out)?,
        stderr: text(&err)?,
    })
}

impl Done {
    /// Why it did not end well, in its own words as far as it has any.
    pub fn complaint(&self, limit: Duration) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        self.ending(limit, said)
    }

    /// The same, where only this counts as its own words.
    pub fn ending(&self, limit: Duration, said: &str) -> String {
        let said = said.trim();
        match (self.late, said.is_empty()) {
            (true, true) => format!("it did not end within {} s and was stopped", limit.as_secs()),
            (true, false) => format!("it did not end within {} s and was stopped, saying {said}", limit.as_secs()),
            (false, true) => "it failed and said nothing".to_owned(),
            (false, false) => said.to_owned(),
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64) -> Done {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("/bin/sh").args(["-c", script]), folder.path(), Duration::from_secs(limit)).unwrap()
    }

    #[test]
    fn output_and_status_are_kept() {
        let done = shell("echo a; echo b >&2; exit 3", 60);
        assert_eq!((done.success, done.late, done.stdout.as_str(), done.stderr.as_str()), (false, false, "a\n", "b\n"));
        assert!(shell("true", 60).success);
    }

    #[test]
    fn what_takes_too_long_is_stopped() {
        let done = shell("echo a; sleep 600 & wait", 1);
        assert!(done.late && !done.success);
        assert_eq!(done.complaint(Duration::from_secs(1)), "it did not end within 1 s and was stopped, saying a");
    }
}
