//! `nvidia-ctk cdi refresh`: keeps the specification that engines read in step with this machine.
//!
//! It is what the service, the path unit and the udev rule start, so it may come at any moment: while the driver's modules
//! are being loaded, while several of its kind are started, on machines that have no GPU and never will. It takes
//! generate's flags and variables, replaces the file only where something changed, and says nothing where nothing did. A
//! machine without devices is no failure, and neither is a driver root that a driver container has yet to make: then there
//! is no specification, and one from before, which promises what is gone, is removed ([`gone`]).

mod gone;
mod modules;

use super::{
    flags::{Flag, Values},
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
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Where the original's service leaves the specification.
const FILE: &str = "/var/run/cdi/nvidia.yaml";
const FLAG_COUNT: usize = generate::SHARED.len() + 1;
/// The file, and what is to be in it. To look and write nothing is not what these commands are for: `generate` does that.
pub const FLAGS: &[Flag] = &own_flags();

/// The longest to wait for another refresh, which may be asking NVML.
const TURN_LIMIT: Duration = Duration::from_secs(60);
/// NVML that is up, but not well, is often so for a moment while a machine boots.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

const fn own_flags() -> [Flag; FLAG_COUNT] {
    let output =
        Flag::text("output", "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "the file to keep up to date").by_default(FILE);
    let mut flags = [output; FLAG_COUNT];
    let mut i = 1;
    while i < FLAG_COUNT {
        flags[i] = generate::SHARED[i - 1];
        i += 1;
    }
    flags
}

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

/// The command.
pub fn run(values: &Values) -> Result<()> {
    let mut waits = PATIENCE.into_iter();
    let outcome = loop {
        match once(values) {
            Err(fault) if may_pass(&fault) => {
                let Some(wait) = waits.next() else { return Err(fault) };
                log::debug!("{fault}; trying again");
                thread::sleep(wait);
            }
            result => break result?,
        }
    };
    outcome.tell(&file(values));
    Ok(())
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

/// Refreshes once.
pub fn once(values: &Values) -> Result<Outcome> {
    let config = places::config(values)?;
    let file = file(values);
    modules::wait(&Roots::default());
    // Of two at once, one that looked earlier must not write later. Where nothing can be kept they take their chances.
    let folder = CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref()).folder_to_write();
    let _turn = folder.as_ref().and_then(|folder| folder.lock("refresh", TURN_LIMIT));
    modules::load(&config);
    let before = identity(&file);
    match quietly(|| generate::make(values))? {
        Made::Specification if identity(&file) == before => Ok(Outcome::Unchanged),
        Made::Specification => Ok(Outcome::Written),
        Made::Nothing(fault) => {
            let removed = case(values, &config)?.remove(&file)?;
            let why = fault.message().trim_start_matches(generate::FAILED).trim_start_matches(": ").to_owned();
            match removed {
                // Somebody named a device, and it is not there.
                _ if values.is_given("device-id") => Err(fault),
                true => Ok(Outcome::Removed(why)),
                false => Ok(Outcome::Nothing(why)),
            }
        }
    }
}

/// What is known besides the files of a machine that has nothing to describe.
fn case<'a>(values: &Values, config: &'a Config) -> Result<gone::Case<'a>> {
    let kind = format!("{}/{}", values.text("vendor"), values.text("class"));
    let about_gpus = ["auto", "nvml"].contains(&values.text("mode").to_ascii_lowercase().as_str());
    Ok(gone::Case { kind, no_gpu: about_gpus && !nothing::has_no_root(&places::roots(values, config)?), config })
}

/// It is often otherwise a moment later: NVML is up, but not well, or it is behind the kernel.
fn may_pass(fault: &Fault) -> bool {
    matches!(fault.code(), Code::NvmlFailed | Code::FactUnknown)
}

/// The specification's file, by generate's rules.
pub fn file(values: &Values) -> PathBuf {
    let format = if values.text("format").eq_ignore_ascii_case("json") { Format::Json } else { Format::Yaml };
    output::file(&values.text("output"), format, false).map_or_else(|| FILE.into(), |(file, _)| file)
}

/// What generate has to say of an ordinary run is of no interest where nobody looks.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let level = log::max_level();
    if level == LevelFilter::Info {
        log::set_max_level(LevelFilter::Warn);
    }
    let result = work();
    log::set_max_level(level);
    result
}

/// Tells a file from one that took its place.
fn identity(file: &Path) -> Option<(u64, u64, i64, i64)> {
    let found = fs::metadata(file).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Values {
        Values::of_line(line, FLAGS)
    }

    #[test]
    fn generates_flags_are_taken_but_for_the_one_that_writes_nothing() {
        assert_eq!(file(&values("")), Path::new(FILE));
        assert_eq!(file(&values("--output=/x/a --format=JSON")), Path::new("/x/a.json"));
        let theirs = generate::FLAGS.iter().filter(|flag| flag.name() != "explain");
        for (own, theirs) in FLAGS.iter().zip(theirs) {
            assert_eq!((own.names, own.variable), (theirs.names, theirs.variable));
            assert_eq!(own.default == theirs.default, own.name() != "output", "{}", own.name());
        }
        assert_eq!(FLAGS.len() + 1, generate::FLAGS.len());
    }
}
