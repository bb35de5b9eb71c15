//! `corten-nvml`: opens NVML, asks it about this machine, prints the answer as one JSON document and ends.
//!
//! The only program of Corten that loads a driver library. It decides nothing and changes nothing; who runs it, for how
//! long and what becomes of the answer is settled by the library of this package ([`nvml::facts`]).

mod library;
mod questions;

use library::Library;
use nvml::wire::Complaint;
use std::{ffi::OsString, io::Write, process::ExitCode};

const HELP: &str = "\
usage: corten-nvml [--library FILE]
Prints what NVML says about this machine as JSON.
  --library FILE  the real file of libnvidia-ml.so.1 (default: let the loader find it)
";

fn main() -> ExitCode {
    match arguments() {
        Ok(Task::Ask(library)) => ask(library),
        Ok(Task::Help) => print(HELP, ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("corten-nvml: {error}\n{HELP}");
            ExitCode::from(2)
        }
    }
}

enum Task {
    Ask(OsString),
    Help,
}

fn arguments() -> Result<Task, lexopt::Error> {
    let mut library = OsString::from("libnvidia-ml.so.1");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("library") => library = parser.value()?,
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Task::Help),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Ask(library))
}

fn ask(library: OsString) -> ExitCode {
    let answer = Library::open(&library).and_then(|nvml| questions::machine(&nvml));
    match answer {
        Ok(facts) => print_json(&facts, ExitCode::SUCCESS),
        Err(complaint) => print_json::<Complaint>(&complaint, ExitCode::FAILURE),
    }
}

fn print_json<T: serde::Serialize>(document: &T, code: ExitCode) -> ExitCode {
    match serde_json::to_string(document) {
        Ok(text) => print(&(text + "\n"), code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints; half an answer is none.
fn print(text: &str, code: ExitCode) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
