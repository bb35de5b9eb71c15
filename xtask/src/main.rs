//! What the README tells you to type: `cargo xtask demo`, `cargo xtask test`, and what they are made of.
#![forbid(unsafe_code)]

mod bench;
mod demo;
mod dist;
mod fuzz;
mod hardware_check;
mod hostile;
mod shell;
mod system;
mod test;
mod trixie;

use std::{env, process::ExitCode};

/// A task: takes the rest of the command line.
type Task = fn(&[String]) -> shell::Outcome;

/// Sub-commands: name, what it does, what runs it. The `inside-` ones run in the simulated machine and are not listed.
const COMMANDS: &[(&str, &str, Task)] = &[
    ("demo", "start a real container that sees its GPUs, on this machine's driver or on a simulated one", demo::run),
    ("test", "run every test, installing first what they need from the distribution", test::run),
    ("hostile", "attack what is built with every image that means harm", hostile::run),
    ("dist", "build everything there is to install into target/dist", dist::run),
    ("fuzz", "let libFuzzer look for inputs for which something does not hold", fuzz::run),
    ("bench", "measure what a GPU costs at container start, beside plain runc and beside the original", bench::run),
    (
        "hardware-check",
        "build a folder that checks a machine with GPUs, offline, into target/hardware-check",
        hardware_check::run,
    ),
    ("inside-demo", "", demo::inside),
    ("inside-bench", "", bench::inside),
    ("inside-bench-legacy", "", bench::inside_legacy),
    ("inside-bench-specs", "", bench::inside_specs),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((name, rest)) =
        arguments.split_first().filter(|(name, _)| !matches!(name.as_str(), "-h" | "--help" | "help"))
    else {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    };
    let Some((_, _, command)) = COMMANDS.iter().find(|(known, _, _)| known == name) else {
        eprintln!("xtask: there is no command {name:?}.\n\n{}", usage());
        return ExitCode::from(2);
    };
    match command(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {name}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = "Usage: cargo xtask COMMAND [OPTIONS]\n\nCommands:\n".to_owned();
    for (name, about, _) in COMMANDS.iter().filter(|(_, about, _)| !about.is_empty()) {
        text += &format!("  {name:<14} {about}\n");
    }
    text += "\n`cargo xtask COMMAND --help` tells more about one.\n";
    text
}
