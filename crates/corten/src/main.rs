//! One executable, all programs: the name it is called by says which one it is.
#![forbid(unsafe_code)]

mod cdi_hook;
mod cdi_mode;
mod claims;
mod codes;
mod command;
mod console;
mod container;
mod container_cli;
mod ctk;
mod decision;
mod engine_config;
mod fault;
mod hook;
mod later;
mod machine;
mod memory;
mod modules;
mod nvidia_docker;
mod programs;
mod read_only;
mod recipe;
mod runtime;
mod stdout;
#[cfg(feature = "undefended")]
mod undefended;
mod version;
mod volumes;

use std::process::ExitCode;

fn main() -> ExitCode {
    programs::run(std::env::args_os().collect())
}
