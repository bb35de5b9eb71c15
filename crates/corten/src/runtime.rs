//! `nvidia-container-runtime`: adds to a container what it asks for, then becomes the low-level runtime.
//!
//! Every call goes through here, also those that concern no GPU, so the way from start to `exec` is short: two looks at
//! the command line, one small file, one `exec` (reference: runtime-and-hook.md section 2).

mod arguments;
mod create;
mod exec;
pub mod logger;
pub mod lowlevel;
pub mod programs;
pub mod settings;

use crate::{
    codes::Code,
    fault::{Fault, Result},
    programs::Call,
    version,
};
use arguments::Arguments;
use logger::Format;
use plan::Config;
use settings::Location;
use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Which of its names the shim was called by, as far as that decides the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The mode is the configuration's.
    Configured,
    /// The same, with the older release's ways of naming the low-level runtime.
    Experimental,
    /// Always cdi.
    Cdi,
    /// Always legacy.
    Legacy,
}

/// Names the low-level runtime of [`Variant::Experimental`].
const RUNTIME_PATH: &str = "NVIDIA_CONTAINER_RUNTIME_PATH";

/// Runs the shim. Returns only when it failed: otherwise this process is the low-level runtime by then.
pub fn main(call: Call, variant: Variant) -> ExitCode {
    let arguments = Arguments::scan(&call.args);
    start_log(&arguments);
    let Err(fault) = run(&call, &arguments, variant);
    let line = fault.to_string();
    log::error!("{line}");
    logger::print_error(&line);
    ExitCode::FAILURE
}

fn run(call: &Call, arguments: &Arguments, variant: Variant) -> Result<std::convert::Infallible> {
    if arguments.version {
        say(&version::runtime_lines());
    }
    let config = configure(arguments, variant)?;
    let runtime = low_level_runtime(&config, variant)?;
    if arguments.version {
        say("\n");
    }
    if let Some(create) = &arguments.create {
        log::debug!("Create command detected; applying OCI specification modifications");
        create::modify(create, &config)?;
        log::debug!("Applied required modification to OCI specification");
    }
    log::debug!("Forwarding command to runtime {}", runtime.display());
    let error = exec::become_runtime(&runtime, &call.args);
    let code = match error {
        exec::ExecError::Refused { .. } => Code::RuntimeNotExecuted,
        exec::ExecError::Loop(_) => Code::RuntimeLoop,
    };
    Err(Fault::from_error(code, &error))
}

/// Opens `--log` before anything can fail. Only a version is asked for: no log at all, as in the original.
fn start_log(arguments: &Arguments) {
    let level = if arguments.debug { log::LevelFilter::Debug } else { log::LevelFilter::Info };
    logger::start(if arguments.json { Format::Json } else { Format::Text }, level);
    if let (Some(file), false) = (&arguments.log, arguments.version) {
        logger::add_file(file);
    }
}

/// Loads the configuration and lets it take effect on the log.
fn configure(arguments: &Arguments, variant: Variant) -> Result<Config> {
    let mut config = Location::find(|name| env::var(name).ok()).load()?;
    let file = &config.runtime.debug;
    if !arguments.version && !file.is_empty() && file != "/dev/null" {
        logger::add_file(&PathBuf::from(file));
    }
    if !arguments.debug {
        match logger::level(&config.runtime.log_level) {
            Some(level) => log::set_max_level(level),
            None => log::warn!("Invalid log-level {:?}; using info", config.runtime.log_level),
        }
    }
    match variant {
        Variant::Configured | Variant::Experimental => {}
        Variant::Cdi => "cdi".clone_into(&mut config.runtime.mode),
        Variant::Legacy => "legacy".clone_into(&mut config.runtime.mode),
    }
    log::trace!("Running with config: {config:?}");
    Ok(config)
}

fn low_level_runtime(config: &Config, variant: Variant) -> Result<PathBuf> {
    let chosen = match variant {
        Variant::Experimental => env::var(RUNTIME_PATH)
            .ok()
            .filter(|path| !path.is_empty())
            .or_else(|| Some(config.runtime.experimental_runtime_path.clone())),
        Variant::Configured | Variant::Cdi | Variant::Legacy => None,
    };
    let candidates = lowlevel::candidates(chosen, &config.runtime.runtimes);
    lowlevel::find(&candidates, &env::var_os("PATH").unwrap_or_default()).map_err(|error| {
        Fault::from_error(Code::RuntimeMissing, &error).within(
            "failed to create NVIDIA Container Runtime: error constructing low-level runtime: error locating runtime",
        )
    })
}

/// Prints at once: this process will not be there to flush a buffer. A closed stdout is the caller's choice.
fn say(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
