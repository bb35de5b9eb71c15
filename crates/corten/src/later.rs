//! Programs whose names are installed already and whose work comes in a later version.

use crate::{codes::Code, fault::Fault, programs::Call, runtime::logger, version};
use std::process::ExitCode;

/// Answers `--version`, and refuses everything else in one line.
pub fn main(call: Call) -> ExitCode {
    if call.args.len() == 1 && call.args[0] == "--version" {
        print!("{}", version::lines(title(call.name)));
        return ExitCode::SUCCESS;
    }
    let fault = Fault::new(Code::NotYet, format!("{} is not in this version yet", call.name)).next(next(call.name));
    logger::print_error(&fault.to_string());
    ExitCode::FAILURE
}

/// The name in the original's version lines.
fn title(name: &str) -> &'static str {
    match name {
        "nvidia-container-cli" => "NVIDIA Container CLI",
        _ => "NVIDIA Container Toolkit Installer",
    }
}

/// What gets the user further today.
fn next(name: &str) -> &'static str {
    match name {
        "nvidia-container-cli" => "`corten inventory` lists what this machine has",
        _ => "`corten --help` lists what this version can do",
    }
}
