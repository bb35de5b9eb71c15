//! `nvidia-ctk cdi refresh`: keeps the specification that engines read in step with this machine.
//!
//! It is what the service, the path unit and the udev rule start, so it may come at any moment: while the driver's modules
//! are being loaded, while several of its kind are started, on machines that have no GPU and never will. It takes
//! generate's flags and variables, replaces the file only where something changed, and says nothing where nothing did. A
//! machine without devices is no failure: then there is no specification, and one from before, which promises what is
//! gone, is removed.

use super::{
    flags::{Flag, Values},
    generate::{self, places},
    output,
};
use crate::{
    codes::Code,
    fault::{Fault, Result},
    modules,
};
use cdi::{Format, Spec};
use host::{Capabilities, Roots, Wanted};
use kept::CachePlace;
use log::LevelFilter;
use plan::Config;
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Where the original's service leaves the specification.
const FILE: &str = "/var/run/cdi/nvidia.yaml";
const FLAG_COUNT: usize = generate::SHARED.len() + 1;
/// The file, and what is to be in it. To look and write nothing is not what these commands are for: `generate` does that.
pub const FLAGS: &[Flag] = &own_flags();

/// The longest that a module may take to be loaded: on a machine with many GPUs, each of which is found meanwhile.
const MODULES_LIMIT: Duration = Duration::from_secs(30);
/// How often modules are looked at.
const MODULES_STEP: Duration = Duration::from_millis(20);
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
            Err(fault) if fault.code() == Code::NvmlFailed => {
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
    wait_for_modules(&Roots::default());
    // Of two at once, one that looked earlier must not write later. Where nothing can be kept they take their chances.
    let folder = CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref()).folder_to_write();
    let _turn = folder.as_ref().and_then(|folder| folder.lock("refresh", TURN_LIMIT));
    load_modules(&config);
    let before = identity(&file);
    match quietly(|| generate::run(values)) {
        Ok(()) if identity(&file) == before => Ok(Outcome::Unchanged),
        Ok(()) => Ok(Outcome::Written),
        Err(fault) if has_nothing(&fault) => {
            let removed = remove(&file, values)?;
            let why = fault.message().trim_start_matches(generate::FAILED).trim_start_matches(": ").to_owned();
            match removed {
                // Somebody named a device, and it is not there.
                _ if values.is_given("device-id") => Err(fault),
                true => Ok(Outcome::Removed(why)),
                false => Ok(Outcome::Nothing(why)),
            }
        }
        Err(fault) => Err(fault),
    }
}

/// The specification's file, by generate's rules.
pub fn file(values: &Values) -> PathBuf {
    let format = if values.text("format").eq_ignore_ascii_case("json") { Format::Json } else { Format::Yaml };
    output::file(&values.text("output"), format, false).map_or_else(|| FILE.into(), |(file, _)| file)
}

/// There is no driver, or no device, that could be described.
fn has_nothing(fault: &Fault) -> bool {
    matches!(fault.code(), Code::DriverMissing | Code::DeviceUnknown)
}

/// The kernel announces a module before the module has found its GPUs. So whoever is started by that announcement waits
/// until it has.
fn wait_for_modules(roots: &Roots) {
    let deadline = Instant::now() + MODULES_LIMIT;
    let mut told = false;
    while let Some(module) = host::module_in_motion(roots) {
        if !std::mem::replace(&mut told, true) {
            log::debug!("the kernel module {module} is not ready; waiting for it");
        }
        if Instant::now() > deadline {
            log::warn!("the kernel module {module} has been loading for {} s; going on", MODULES_LIMIT.as_secs());
            return;
        }
        thread::sleep(MODULES_STEP);
    }
}

/// A container cannot load what its nodes need, so it is loaded before they are described.
fn load_modules(config: &Config) {
    let wanted = Wanted { capabilities: Capabilities::NONE, driver: false, drm: false, extras: false, ..Wanted::ALL };
    let Ok(inventory) = host::discover(&Roots::default(), wanted) else { return };
    if inventory.gpus.is_empty() {
        return;
    }
    let nodes = [("nvidia-uvm", &inventory.nodes.uvm), ("nvidia-modeset", &inventory.nodes.modeset)];
    let missing: Vec<_> = nodes.into_iter().filter(|(_, node)| node.is_none()).map(|(module, _)| module).collect();
    modules::load(&missing, config);
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

/// Removes the file, if it is a specification of the kind that would have been written. Says whether it was.
fn remove(file: &Path, values: &Values) -> Result<bool> {
    let kind = format!("{}/{}", values.text("vendor"), values.text("class"));
    match Spec::read_file(file) {
        Ok(spec) if spec.kind == kind => {}
        Ok(spec) => {
            log::debug!("{} describes {}, not {kind}, and stays", file.display(), spec.kind);
            return Ok(false);
        }
        Err(_) => return Ok(false),
    }
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let what = format!("cannot remove {}, which describes devices that are gone: {error}", file.display());
            Err(Fault::new(Code::OutputNotWritten, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::HostPath;
    use std::sync::atomic::{AtomicBool, Ordering};

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

    /// It comes back when the module is ready, and not before.
    #[test]
    fn modules_that_are_being_loaded_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().canonicalize().unwrap();
        let file = proc.join("modules");
        let roots = Roots { proc: HostPath::new(proc.to_str().unwrap()).unwrap(), ..Roots::default() };
        wait_for_modules(&roots);
        let line = |state: &str| format!("loop 1 0 - Live 0x0\nnvidia 61440000 0 - {state} 0x0 (POE)\n");
        fs::write(&file, line("Loading")).unwrap();
        let ready = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                wait_for_modules(&roots);
                assert!(ready.load(Ordering::SeqCst));
            });
            // Long enough for several looks, though the test holds however long or short it is.
            thread::sleep(MODULES_STEP * 5);
            ready.store(true, Ordering::SeqCst);
            fs::write(proc.join("new"), line("Live")).unwrap();
            fs::rename(proc.join("new"), &file).unwrap();
        });
    }

    #[test]
    fn only_what_would_have_been_written_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nvidia.yaml");
        let spec = |kind: &str| {
            format!(
                "cdiVersion: 0.5.0\nkind: {kind}\ndevices:\n- name: '0'\n  containerEdits:\n    env: [A=b]\ncontainerEdits: {{}}\n"
            )
        };
        for (content, goes) in [
            (spec("nvidia.com/gpu"), true),
            (spec("vendor.com/gpu"), false),
            ("a note of the administrator's\n".to_owned(), false),
        ] {
            fs::write(&file, &content).unwrap();
            assert_eq!(remove(&file, &values("")).unwrap(), goes, "{content}");
            assert_eq!(file.exists(), !goes, "{content}");
        }
        fs::write(&file, spec("vendor.com/gpu")).unwrap();
        assert!(remove(&file, &values("--vendor=vendor.com")).unwrap());
        assert!(!remove(&file, &values("")).unwrap(), "nothing is there");
    }
}
