//! `nvidia-cdi-hook`: the one program of ours that may run while a container is being made.
//!
//! A hook that it does not know is a warning and success, so that a spec made by a newer release still starts
//! containers (reference: runtime-and-hook.md 8.1). A hook that it knows and cannot do is an error: the container would
//! lack something that its spec promises.

mod arguments;
mod state;

use crate::{
    codes::Code,
    fault::{Fault, Result},
    programs::Call,
    runtime::logger::{print_error, print_warning},
    version,
};
pub use arguments::is_to_come;
use arguments::{Arguments, Verbosity, What};
use std::process::ExitCode;

/// Runs the hook that the command line names.
pub fn main(call: Call) -> ExitCode {
    let done = Arguments::parse(&call.args, |name| std::env::var(name).ok()).and_then(|arguments| run(&arguments));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            print_error(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Help => print!("{}", arguments::help()),
        What::Version => print!("{}", version::lines("NVIDIA CDI Hook")),
        What::Unknown(name) if arguments.verbosity != Verbosity::Quiet => warn_unknown(name),
        What::Unknown(_) => {}
        What::Hook { name: "noop", .. } => {}
        What::Hook { name: "disable-device-node-modification", container_spec } => {
            return state::hide_modify_device_files(container_spec.as_deref(), arguments.verbosity == Verbosity::Debug);
        }
        What::Hook { name, .. } => {
            return Err(Fault::new(Code::NotYet, format!("the hook {name} is not in this version yet"))
                .next("Use the nvidia runtime, which needs no such hook"));
        }
    }
    Ok(())
}

fn warn_unknown(name: &Option<String>) {
    match name {
        None => print_warning("No CDI hook specified"),
        Some(name) => print_warning(&format!("Unsupported CDI hook: {name}")),
    }
}
