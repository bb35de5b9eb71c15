//! The program whose name is installed already and whose work comes in a later version.

use crate::{codes::Code, fault::Fault, programs::Call, runtime::logger, version};
use std::process::ExitCode;

/// Answers `--version`, and refuses everything else in one line.
pub fn main(call: Call) -> ExitCode {
    if call.args.len() == 1 && call.args[0] == "--version" {
        print!("{}", version::lines("NVIDIA Container Toolkit Installer"));
        return ExitCode::SUCCESS;
    }
    let fault = Fault::new(Code::NotYet, format!("{} is not in this version yet", call.name))
        .next("`corten --help` lists what this version can do");
    logger::print_error(&fault.to_string());
    ExitCode::FAILURE
}
