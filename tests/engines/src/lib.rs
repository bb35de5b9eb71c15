//! How an engine's checks are run: this program starts itself again on the simulated machine, starts the engine there, and
//! lets one check after another use it, since starting an engine takes longer than they do.
#![forbid(unsafe_code)]

pub mod cdi;
pub mod containerd;
pub mod docker;
pub mod place;

use place::Place;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode},
};

/// The GPU that the two-GPU machine lists first, as `nvidia-smi -L` prints it.
pub const GPU_0: &str = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c)\n";

/// A check with its name: `Err` says what was seen instead.
pub type Check<E> = (&'static str, fn(&mut E) -> Result<(), String>);

/// Checks that share an engine.
pub struct Suite<E> {
    /// Name, which its checks' names begin with.
    pub name: &'static str,
    /// The machine, and whose engine it is.
    pub place: Place,
    /// Starts the engine.
    pub start: fn(&Programs) -> Result<E, String>,
    /// Run in turn.
    pub checks: Vec<Check<E>>,
}

/// Where the built programs are.
pub struct Programs {
    /// What people install.
    pub bin: PathBuf,
    /// The lab's.
    pub lab: PathBuf,
}

/// What a command ended with.
pub struct Answer {
    /// Exit status; -1 for a signal.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The `main` of an engine's tests.
pub fn run<E>(suites: &[Suite<E>]) -> ExitCode {
    if env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let failed = match place::inside() {
        Some(name) => match suites.iter().find(|suite| suite.name == name) {
            Some(suite) => usize::from(!reported(suite.name, checked(suite))),
            None => usize::from(!reported(&name, Err("there is no such suite".into()))),
        },
        // Every suite runs, whatever became of the one before it.
        None => suites.iter().filter(|suite| !reported(suite.name, enter(suite))).count(),
    };
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether it went well; an error is said.
fn reported(name: &str, done: Result<bool, String>) -> bool {
    done.unwrap_or_else(|why| {
        eprintln!("{name}: {why}");
        false
    })
}

/// Sends the suite to its machine, unless the filter leaves nothing of it.
fn enter<E>(suite: &Suite<E>) -> Result<bool, String> {
    match suite.chosen().next() {
        Some(_) => suite.place.enter(suite.name),
        None => Ok(true),
    }
}

/// Runs the checks, on the machine.
fn checked<E>(suite: &Suite<E>) -> Result<bool, String> {
    let (mut passed, mut failed) = (0, 0);
    let mut engine = (suite.start)(&Programs { bin: place::folder("CORTEN_BIN")?, lab: place::folder("CORTEN_LAB")? })?;
    for (check, body) in suite.chosen() {
        match body(&mut engine) {
            Ok(()) => {
                passed += 1;
                println!("test {}::{check} ... ok", suite.name);
            }
            Err(why) => {
                failed += 1;
                println!("test {}::{check} ... FAILED\n    {}", suite.name, why.replace('\n', "\n    "));
            }
        }
    }
    println!("\n{}: {passed} passed, {failed} failed", suite.name);
    Ok(failed == 0)
}

impl<E> Suite<E> {
    /// The checks that the command line's filter names.
    fn chosen(&self) -> impl Iterator<Item = &Check<E>> {
        let filter = env::args().skip(1).find(|word| !word.starts_with('-'));
        let named = move |check: &&Check<E>| {
            filter.as_ref().is_none_or(|part| format!("{}::{}", self.name, check.0).contains(part))
        };
        self.checks.iter().filter(named)
    }
}

/// Makes the container root that the checks start, with the lab.
pub fn make_root(lab: &Path, to: &Path) -> Result<(), String> {
    let made = Command::new(lab.join("lab")).args(["rootfs", "--kind", "debian", "--to"]).arg(to).status();
    match made.is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err("lab rootfs failed".into()),
    }
}

/// Ends a daemon as an administrator would, and waits for it.
pub fn stop(daemon: &mut Child) {
    if let Some(pid) = Pid::from_raw(daemon.id().cast_signed()) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = daemon.wait();
}

/// Runs a command, whatever it ends with.
pub fn answer(command: &mut Command) -> Result<Answer, String> {
    let done = command.output().map_err(|why| format!("could not start {command:?}: {why}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer { status: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) })
}

/// It succeeded and printed just this.
pub fn equal(what: &str, want: &str, seen: &Answer) -> Result<(), String> {
    match seen.status == 0 && seen.out == want {
        true => Ok(()),
        false => Err(format!("{what}: status {}, printed {:?}{:?}", seen.status, seen.out, seen.err)),
    }
}

/// It succeeded, and `nvidia-smi -L` listed so many GPUs.
pub fn count_gpus(what: &str, want: usize, seen: &Answer) -> Result<(), String> {
    match seen.out.lines().filter(|line| line.starts_with("GPU ")).count() {
        count if count == want && seen.status == 0 => Ok(()),
        count => Err(format!("{what}: {count} GPUs instead of {want}: {}{}", seen.out, seen.err)),
    }
}

/// `part` stands in `text`.
pub fn holds(what: &str, text: &str, part: &str) -> Result<(), String> {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("{what}: no {part:?} in {text:?}")),
    }
}
