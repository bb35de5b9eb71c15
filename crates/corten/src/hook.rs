//! `nvidia-container-runtime-hook`, also `nvidia-container-toolkit`: the prestart hook of legacy mode, and of Docker's
//! `--gpus` (reference: runtime-and-hook.md section 6).
//!
//! It reads what the container asks for and becomes `nvidia-container-cli configure`, which does the work. Everything that
//! it is told comes from a container that may be hostile: the state and config.json are read with a limit, and no text of
//! theirs is more than a word of that command line.

mod arguments;
mod cli;

use crate::{
    codes::Code,
    console,
    container::Container,
    fault::{Fault, Result},
    programs::Call,
    runtime::settings::Location,
    version,
};
use arguments::{Arguments, ParseError, What};
use host::{Capabilities, Platform, Roots, Wanted};
use log::LevelFilter;
use oci::{BundleError, HostPath, State};
use plan::{
    Config, Mode, Request, mode,
    prestart::{self, Target},
};
use std::{convert::Infallible, io, path::Path, process::ExitCode};

/// Runs the hook. It returns only where there is nothing to do, or something failed.
pub fn main(call: Call) -> ExitCode {
    let arguments = match Arguments::parse(&call.args) {
        Ok(arguments) => arguments,
        Err(error) => {
            if error != ParseError::NoCommand {
                eprintln!("{error}");
            }
            eprintln!("{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match arguments.what {
        What::Help => eprintln!("{}", arguments::USAGE),
        What::Version => print!("{}", version::lines("NVIDIA Container Runtime Hook")),
        What::Nothing => {}
        What::Prestart => match prestart(&arguments) {
            Ok(()) => {}
            Err(fault) => {
                // The engine shows this line to its user, so it is bare, as the original's.
                eprintln!("{fault}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn prestart(arguments: &Arguments) -> Result<()> {
    console::start(LevelFilter::Warn);
    let config = Location::of_hook(&arguments.config, |name| std::env::var(name).ok())
        .load_required()
        .map_err(|fault| fault.within("error getting hook config: failed to load config"))?;
    let state = State::read(io::stdin().lock())
        .map_err(|error| Fault::from_error(Code::HookInput, &error).within("could not decode container state"))?;
    let container = container(&state)?;
    let Some(request) = container.request(&prestart::as_legacy(&config))? else { return Ok(()) };
    accept_mode(&request, &config)?;
    let root = container.root_path()?;
    let pid = pid(&state)?;
    let Err(fault) = become_cli(&request, &config, Target { pid, root: &root }, arguments.debug);
    Err(fault)
}

/// The bundle that the state names.
fn container(state: &State) -> Result<Container> {
    let folder =
        state.bundle.as_deref().filter(|folder| !folder.is_empty()).ok_or_else(|| {
            Fault::new(Code::HookInput, "could not open OCI spec: the container's state names no bundle")
        })?;
    let container = Container::read(Path::new(folder), Path::new("config.json")).map_err(|error| unreadable(&error))?;
    let invalid = |error| container.invalid(&error);
    let empty = |part: &str| Err(Fault::new(Code::SpecInvalid, format!("{part} is empty in OCI spec")));
    if container.document.oci_version().map_err(invalid)?.is_none() {
        return empty("Version");
    }
    if !container.document.has_process().map_err(invalid)? {
        return empty("Process");
    }
    if container.document.root().map_err(invalid)?.is_none() {
        return empty("Root");
    }
    Ok(container)
}

fn unreadable(error: &BundleError) -> Fault {
    match error {
        BundleError::Unreadable { .. } => {
            Fault::from_error(Code::SpecUnreadable, error).within("could not open OCI spec")
        }
        _ => Fault::from_error(Code::SpecInvalid, error).within("could not decode OCI spec"),
    }
}

/// This program is for legacy mode. In any other it refuses, with a text that users and their tools know, since another
/// program has done the work, or nobody has (6.4).
fn accept_mode(request: &Request, config: &Config) -> Result<()> {
    if config.hook.skip_mode_detection {
        return Ok(());
    }
    let configured = config.runtime.mode.as_str();
    let resolved = mode::resolve(configured, request, platform(request, config)?, Mode::Legacy).map(|found| found.mode);
    match (&resolved, configured) {
        (Ok(mode), "auto") => eprintln!("Auto-detected mode as '{mode}'"),
        _ => eprintln!("Using requested mode '{configured}'"),
    }
    match resolved {
        Ok(Mode::Legacy) => Ok(()),
        _ => Err(Fault::new(
            Code::HookNotWanted,
            "invoking the NVIDIA Container Runtime Hook directly (e.g. specifying the docker --gpus flag) is not supported",
        )),
    }
}

/// The kind of machine, where the mode depends on it. It is this machine's, wherever the driver lies.
fn platform(request: &Request, config: &Config) -> Result<Platform> {
    const NOTHING: Wanted = Wanted {
        capabilities: Capabilities::NONE,
        driver: false,
        gpus: false,
        drm: false,
        extras: false,
        explicit_libraries: false,
    };
    match config.runtime.mode == "auto" && !request.only_cdi_names() {
        true => host::discover(&Roots::default(), NOTHING)
            .map(|machine| machine.platform)
            .map_err(|error| Fault::from_error(Code::HostUnreadable, &error)),
        false => Ok(Platform::None),
    }
}

/// The container's process. A state without one is for a program that is started where it is (`standalone`).
fn pid(state: &State) -> Result<u64> {
    let pid = state.pid.unwrap_or_default();
    u64::try_from(pid)
        .map_err(|_| Fault::new(Code::HookInput, format!("could not decode container state: {pid} is no process")))
}

fn become_cli(request: &Request, config: &Config, target: Target<'_>, debug: bool) -> Result<Infallible> {
    let path = cli::search_path(&config.cli.root, &std::env::var("PATH").unwrap_or_default());
    let program = cli::locate(&config.cli.path, &path)?;
    let exists = |path: &str| HostPath::new(path).is_ok_and(|path| path.as_path().exists());
    let words = prestart::command_line(request, config, target, debug, exists);
    let environment = cli::environment(&path, |name| std::env::var_os(name), &config.cli.environment);
    root::privileges::close_inherited()
        .map_err(|error| Fault::from_error(Code::HookInput, &error).next("Report this as a fault of ours"))?;
    let words: Vec<_> = words.into_iter().map(Into::into).collect();
    let error = root::exec::become_program(&program, &words, environment.into_iter());
    Err(Fault::from_error(Code::CliUnusable, &error).within(&format!("exec failed: {}", program.display())))
}
