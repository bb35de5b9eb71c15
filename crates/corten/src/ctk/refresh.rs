//! `nvidia-ctk cdi refresh`: keeps the specification that engines read in step with this machine.
//!
//! It is what the service, the path unit and the udev rule start, so it may come at any moment: while the driver's modules
//! are being loaded, while several of its kind are started, on machines that have no GPU and never will. It takes
//! generate's flags and variables, replaces the file only where something changed, and says nothing where nothing did. A
//! machine without devices is no failure, and neither is a driver root that a driver container has yet to make: then
//! there is no specification, and one from before, which promises what is gone, is removed ([`gone`]).

mod gone;
mod modules;
pub mod sight;

use super::{
    flags::{Flag, Values, join},
    generate::{self, Made, nothing, places},
    output,
};
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use cdi::Format;
use host::Roots;
use kept::CachePlace;
use log::LevelFilter;
use plan::Config;
use sight::Sight;
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Where the original's service leaves the specification.
const FILE: &str = "/var/run/cdi/nvidia.yaml";
/// The file, and what is to be in it. To look and write nothing is not what these commands are for: `generate` does.
pub const FLAGS: &[Flag] = &join::<{ OWN.len() + generate::SHARED.len() }>(OWN, generate::SHARED);

const OWN: &[Flag] =
    &[Flag::text("output", "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "the file to keep up to date").by_default(FILE)];

/// The longest to wait for another refresh, which may be asking NVML.
const TURN_LIMIT: Duration = Duration::from_secs(60);
/// NVML that is up, but not well, or behind the kernel, is often so for a moment: while a machine boots, or is
/// partitioned.
const PATIENCE: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(750), Duration::from_secs(4)];
/// A machine whose GPUs are being partitioned changes again before so much time has passed.
const PAUSE: Duration = Duration::from_millis(250);
/// Nothing is begun anew after so much time: the machine never rests, and whoever sees that it does can start us again.
const LIMIT: Duration = Duration::from_secs(30);

/// What a refresh did.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The specification is the same.
    Unchanged,
    /// There is a new one.
    Written,
    /// There was one, and this machine has nothing for it any more: why.
    Removed(String),
    /// There is nothing to describe, and nothing that says otherwise: why.
    Nothing(String),
}

/// A refresh, and what is to be known about it.
pub struct Refreshed {
    pub outcome: Outcome,
    /// The file is what it should be. Otherwise NVML is behind the kernel, and what it says next is another matter.
    pub settled: bool,
    /// What was seen before, with the files as they were left.
    pub sight: Sight,
}

/// Which of generate's warnings are of interest: of a second attempt at the same, none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    First,
    Again,
}

/// The command. Whoever starts us because something changed starts us once for several changes, and systemd does not
/// hear of those that come while we are at work (a path unit watches nothing while its service runs). So it goes on
/// until the machine is at rest: until it looks as it did before, and NVML lists what the kernel lists.
pub fn run(values: &Values) -> Result<()> {
    let task = Task::of(values)?;
    let end = Instant::now() + LIMIT;
    let (mut waits, mut attempt) = (PATIENCE.iter(), Attempt::First);
    loop {
        let refreshed = match task.once(attempt) {
            Err(fault) if may_pass(&fault) => {
                let Some(wait) = waits.next() else { return Err(fault) };
                log::debug!("{fault}; trying again");
                thread::sleep(*wait);
                continue;
            }
            result => result?,
        };
        refreshed.outcome.tell(&task.file);
        if refreshed.settled && refreshed.sight.may_be_cut() {
            thread::sleep(PAUSE);
        }
        let rests = task.look().is_ok_and(|sight| sight == refreshed.sight);
        match (rests, refreshed.settled) {
            (true, true) => return Ok(()),
            (true, false) => {
                let Some(wait) = waits.next() else {
                    let file = task.file.display();
                    log::warn!(
                        "{file}: NVML does not list what the kernel lists; refresh it again when `nvidia-smi -L` does"
                    );
                    return Ok(());
                };
                log::debug!("NVML does not list what the kernel lists; trying again");
                thread::sleep(*wait);
                attempt = Attempt::Again;
            }
            (false, _) if Instant::now() > end => {
                log::warn!("{}: this machine has not been at rest for {} s", task.file.display(), LIMIT.as_secs());
                return Ok(());
            }
            (false, _) => {
                log::debug!("this machine has changed meanwhile; looking again");
                (waits, attempt) = (PATIENCE.iter(), Attempt::First);
            }
        }
    }
}

impl Outcome {
    /// One line for each change; what changed nothing is for those who ask.
    pub fn tell(&self, file: &Path) {
        let file = file.display();
        match self {
            Outcome::Unchanged => log::debug!("{file}: nothing has changed"),
            Outcome::Written => log::info!("{file}: written, as this machine is now"),
            Outcome::Removed(why) => log::info!("{file}: removed: {why}"),
            Outcome::Nothing(why) => log::debug!("{file}: there is nothing to write: {why}"),
        }
    }
}

/// What is to be kept up to date, and from what.
pub struct Task<'a> {
    values: &'a Values,
    config: Config,
    /// Where the machine is looked at.
    pub roots: Roots,
    /// The specification's file, by generate's rules.
    pub file: PathBuf,
}

impl Task<'_> {
    /// What the command line says.
    pub fn of(values: &Values) -> Result<Task<'_>> {
        let config = places::config(values)?;
        Ok(Task { values, roots: places::roots(values, &config)?, config, file: file(values)? })
    }

    /// Looks at the machine.
    pub fn look(&self) -> Result<Sight> {
        Sight::take(self.values, &self.roots, &self.file)
    }

    /// Refreshes once.
    pub fn once(&self, attempt: Attempt) -> Result<Refreshed> {
        modules::wait(&Roots::default());
        // Of two at once, one that looked earlier must not write later. Where nothing can be kept they take their
        // chances.
        let folder = CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref()).folder_to_write();
        let _turn = folder.as_ref().and_then(|folder| folder.lock("refresh", TURN_LIMIT));
        modules::load(&self.config);
        let sight = self.look()?;
        let before = sight.file().copied();
        match quietly(attempt, || generate::make(self.values))? {
            Made::Specification { settled } => {
                let sight = sight.with_files(&self.file);
                let outcome = if sight.file() == before.as_ref() { Outcome::Unchanged } else { Outcome::Written };
                // Somebody may have taken the file away at once.
                Ok(Refreshed { outcome, settled: settled && sight.file().is_some(), sight })
            }
            Made::Nothing(fault) => {
                let removed = self.gone().remove(&self.file)?;
                let why = fault.message().trim_start_matches(generate::FAILED).trim_start_matches(": ").to_owned();
                let outcome = match removed {
                    // Somebody named a device, and it is not there.
                    _ if self.values.list("device-id").iter().any(|name| name != "all") => return Err(fault),
                    true => Outcome::Removed(why),
                    false => Outcome::Nothing(why),
                };
                Ok(Refreshed { outcome, settled: true, sight: sight.with_files(&self.file) })
            }
        }
    }

    /// What is known besides the files of a machine that has nothing to describe.
    fn gone(&self) -> gone::Case<'_> {
        let text = |flag: &str| self.values.text(flag);
        let about_gpus = ["auto", "nvml"].contains(&text("mode").to_ascii_lowercase().as_str());
        gone::Case {
            kind: format!("{}/{}", text("vendor"), text("class")),
            no_gpu: about_gpus && !nothing::has_no_root(&self.roots),
            config: &self.config,
        }
    }
}

fn file(values: &Values) -> Result<PathBuf> {
    let format = if values.text("format").eq_ignore_ascii_case("json") { Format::Json } else { Format::Yaml };
    let named = output::file(&values.text("output"), format, false).map(|(file, _)| file);
    named.ok_or_else(|| {
        Fault::new(Code::Usage, "--output names no file")
            .next("Name the file to keep up to date, or leave --output out")
    })
}

/// It is often otherwise a moment later: NVML is up, but not well, or it is behind the kernel.
pub fn may_pass(fault: &Fault) -> bool {
    matches!(fault.code(), Code::NvmlFailed | Code::FactUnknown)
}

/// What generate has to say of an ordinary run is of no interest where nobody looks.
fn quietly<T>(attempt: Attempt, work: impl FnOnce() -> T) -> T {
    let level = log::max_level();
    let enough = if attempt == Attempt::First { LevelFilter::Warn } else { LevelFilter::Error };
    if level < LevelFilter::Debug {
        log::set_max_level(level.min(enough));
    }
    let result = work();
    log::set_max_level(level);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Values {
        Values::of_line(line, FLAGS)
    }

    #[test]
    fn generates_flags_are_taken_but_for_the_one_that_writes_nothing() {
        assert_eq!(file(&values("")).unwrap(), Path::new(FILE));
        assert_eq!(file(&values("--output=/x/a --format=JSON")).unwrap(), Path::new("/x/a.json"));
        assert_eq!(file(&values("--output=")).unwrap_err().code(), Code::Usage);
        let theirs = generate::FLAGS.iter().filter(|flag| flag.name() != "explain");
        for (own, theirs) in FLAGS.iter().zip(theirs) {
            assert_eq!((own.names, own.variable), (theirs.names, theirs.variable));
            assert_eq!(own.default == theirs.default, own.name() != "output", "{}", own.name());
        }
        assert_eq!(FLAGS.len() + 1, generate::FLAGS.len());
    }
}
