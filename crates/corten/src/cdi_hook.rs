//! `nvidia-cdi-hook`: the one program of ours that may run while a container is being made.
//!
//! Our own runtime prepares a container from outside and adds at most one hook. The others are for engines that take
//! devices from CDI specs themselves: a spec has no other way to make a link, or libraries known to a loader.
//!
//! A hook that it does not know is a warning and success, so that a spec made by a newer release still starts
//! containers (reference: runtime-and-hook.md 8.1). A hook that it knows and cannot do is an error: the container would
//! lack something that its spec promises.
//!
//! Several hooks may be one process: `nvidia-cdi-hook jobs HOOK … HOOK …` does one after the other. Each process more
//! costs a start as much as its work, and needs the same few privileges anew.

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
use arguments::{Arguments, Job, Verbosity, What};
use root::privileges::{self, Refused};
use state::Subject;
use std::process::ExitCode;

/// Runs the hook that the command line names.
pub fn main(call: Call) -> ExitCode {
    let variables = arguments::Variables::of_process();
    let done = privileges::forget_caller()
        .map_err(|error| refused(&error))
        .and_then(|()| Arguments::parse(&call.args, &variables))
        .and_then(run);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            print_error(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}

fn refused(error: &Refused) -> Fault {
    Fault::from_error(Code::HookInput, error).next("Report this as a fault of ours")
}

/// A hook that is to be run.
struct Run<'a> {
    /// Its options, in order.
    options: &'a [(&'static str, String)],
    /// The container that it is run for.
    subject: &'a Subject,
    verbosity: Verbosity,
}

impl Run<'_> {
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
        What::Jobs { jobs, unknown, container_spec } => {
            unknown.iter().for_each(|name| verbosity.warn(&format!("Unsupported CDI hook: {name}")));
            if jobs.is_empty() && unknown.is_empty() {
                verbosity.warn("No CDI hook specified");
            }
            return work(&jobs, container_spec.as_deref(), verbosity);
        }
    }
    Ok(())
}

/// Does the jobs in order; the first that fails is the last, as if each were a hook of its own.
fn work(jobs: &[Job], container_spec: Option<&str>, verbosity: Verbosity) -> Result<()> {
    if jobs.iter().all(|job| job.hook.work.is_none()) {
        return Ok(());
    }
    let subject = Subject::of(container_spec)?;
    privileges::keep_only(&table::keeps(jobs.iter().map(|job| job.hook))).map_err(|error| refused(&error))?;
    for job in jobs {
        if let Some(work) = job.hook.work {
            work(&Run { options: &job.options, subject: &subject, verbosity })?;
        }
    }
    Ok(())
}
