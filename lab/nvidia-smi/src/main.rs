//! The `nvidia-smi` of a simulated GPU machine: what people run in a container to see whether the GPU arrived.
//!
//! It finds `libnvidia-ml.so.1` through the loader by its bare name and asks it everything, as the real one does, so
//! that a missing library, a stale `ld.so.cache` or a forbidden device node shows in the same words and exit codes.
//! And like the real one it makes device nodes that are missing, unless the driver's parameters forbid it.

mod nodes;
mod nvml;
mod query;
mod report;

use nvml::{Failure, Nvml};
use std::{env, io::Write, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (text, code) = match Task::from_arguments(&arguments).and_then(run) {
        Ok(text) => (text, 0),
        Err(Stop { text, code }) => (text, code),
    };
    // Everything goes to stdout, errors too: so does the real one's.
    let written = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(if written.is_ok() { code } else { 1 })
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    /// Without arguments.
    Table,
    /// `-L`.
    List,
    /// `--query-gpu=… --format=csv…`.
    Query(query::Query),
}

/// Why there is no answer, as the real one says it, and its exit code.
#[derive(Debug, PartialEq, Eq)]
struct Stop {
    text: String,
    code: u8,
}

impl Stop {
    fn new(code: u8, text: impl Into<String>) -> Stop {
        Stop { text: text.into(), code }
    }
}

impl Task {
    fn from_arguments(arguments: &[String]) -> Result<Task, Stop> {
        let (mut fields, mut format, mut list) = (None, None, false);
        for argument in arguments {
            match argument.split_once('=') {
                None if argument == "-L" || argument == "--list-gpus" => list = true,
                Some(("--query-gpu", value)) => fields = Some(value),
                Some(("--format", value)) => format = Some(value),
                _ => return Err(Stop::new(2, format!("Invalid combination of input arguments: {argument}\n"))),
            }
        }
        match (list, fields, format) {
            (true, None, None) => Ok(Task::List),
            (false, None, None) => Ok(Task::Table),
            (false, Some(fields), Some(format)) => query::Query::new(fields, format).map(Task::Query),
            _ => Err(Stop::new(2, "Invalid combination of input arguments. --query-gpu needs --format=csv.\n")),
        }
    }
}

fn run(task: Task) -> Result<String, Stop> {
    nodes::make_missing();
    let nvml = Nvml::open().map_err(stop)?;
    let gpus = nvml.gpus().map_err(stop)?;
    if gpus.is_empty() {
        return Err(Stop::new(6, "No devices found.\n"));
    }
    Ok(match task {
        Task::List => report::list(&gpus),
        Task::Query(query) => query.answer(&gpus),
        Task::Table => report::table(&nvml.versions().map_err(stop)?, &gpus),
    })
}

/// The words and exit codes of the real program.
fn stop(failure: Failure) -> Stop {
    match failure {
        Failure::LibraryMissing => Stop::new(
            12,
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display \
             Driver is properly installed and present in your system.\nPlease also try adding directory that contains \
             libnvidia-ml.so to your system PATH.\n",
        ),
        Failure::Init { code: 9, .. } => Stop::new(
            9,
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest \
             NVIDIA driver is installed and running.\n\n",
        ),
        Failure::Init { code, words } => {
            Stop::new(u8::try_from(code).unwrap_or(255), format!("Failed to initialize NVML: {words}\n"))
        }
        Failure::Call { code, words, .. } => {
            Stop::new(u8::try_from(code).unwrap_or(255), format!("Unable to determine the device handle: {words}\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, Stop> {
        Task::from_arguments(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_name_one_task() {
        assert_eq!(parse(""), Ok(Task::Table));
        assert_eq!(parse("-L"), Ok(Task::List));
        assert!(matches!(parse("--query-gpu=index,uuid --format=csv,noheader"), Ok(Task::Query(_))));
        for bad in ["-x", "-L --format=csv", "--query-gpu=index", "--query-gpu=colour --format=csv"] {
            assert_eq!(parse(bad).map_err(|stop| stop.code), Err(2), "{bad}");
        }
    }

    #[test]
    fn failures_have_the_known_exit_codes() {
        for (failure, code) in [
            (Failure::LibraryMissing, 12),
            (Failure::Init { code: 9, words: "Driver Not Loaded".into() }, 9),
            (Failure::Init { code: 18, words: "Driver/library version mismatch".into() }, 18),
            (Failure::Init { code: 999, words: "Unknown Error".into() }, 255),
        ] {
            assert_eq!(stop(failure).code, code);
        }
    }
}
