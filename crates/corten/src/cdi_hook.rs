//! `nvidia-cdi-hook`: the one program of ours that may run while a container is being made.
//!
//! Our own runtime prepares a container from outside and adds at most one hook. The others are for engines that take
//! devices from CDI specs themselves: a spec has no other way to make a link, or libraries known to a loader.
//!
//! A hook that it does not know is a warning and success, so that a spec made by a newer release still starts
//! containers (reference: runtime-and-hook.md 8.1). A hook that it knows and cannot do is an error: the container would
//! lack something that its spec promises.

mod arguments;
mod compat;
mod links;
mod loader;
mod params;
mod permissions;
mod profile;
mod state;
mod table;
mod unwritable;
mod voice;

use crate::{
    codes::Code,
    fault::{Fault, Result},
    programs::Call,
    runtime::logger::print_error,
    version,
};
use arguments::{Arguments, Verbosity, What};
use root::privileges;
use std::process::ExitCode;

/// Runs the hook that the command line names.
pub fn main(call: Call) -> ExitCode {
    let done = Arguments::parse(&call.args, |name| std::env::var(name).ok()).and_then(run);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            print_error(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}

/// A hook that is to be run.
struct Run {
    /// Its options, in order.
    options: Vec<(&'static str, String)>,
    /// The container's state, where it was given as a file.
    state: Option<Vec<u8>>,
    verbosity: Verbosity,
}

impl Run {
    /// The values of an option that may be given several times.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// The value of an option; the last counts.
    fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rfind(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let verbosity = arguments.verbosity;
    match arguments.what {
        What::Help => print!("{}", arguments::help()),
        What::Version => print!("{}", version::lines("NVIDIA CDI Hook")),
        What::Unknown(None) => verbosity.warn("No CDI hook specified"),
        What::Unknown(Some(name)) => verbosity.warn(&format!("Unsupported CDI hook: {name}")),
        What::Hook { hook, options, container_spec } => {
            let Some(work) = hook.work else { return Ok(()) };
            let state = state::given(container_spec.as_deref())?;
            privileges::enter_hook(hook.keeps)
                .map_err(|error| Fault::from_error(Code::HookInput, &error).next("Report this as a fault of ours"))?;
            return work(&Run { options, state, verbosity });
        }
    }
    Ok(())
}
