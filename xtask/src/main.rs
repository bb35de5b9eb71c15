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

/// A sub-command.
struct Task {
    name: &'static str,
    /// What it does, in the list of them all. Those without this run in the simulated machine and are not listed.
    about: &'static str,
    /// What `--help` prints.
    help: &'static str,
    /// Takes the rest of the command line, in which there is no `--help`.
    run: fn(&[String]) -> shell::Outcome,
}

const TASKS: &[Task] = &[
    Task {
        name: "demo",
        about: "start a real container that sees its GPUs, on this machine's driver or on a simulated one",
        help: demo::HELP,
        run: demo::run,
    },
    Task {
        name: "test",
        about: "run every test, installing first what they need from the distribution",
        help: test::HELP,
        run: test::run,
    },
    Task {
        name: "hostile",
        about: "attack what is built with every image that means harm",
        help: hostile::HELP,
        run: hostile::run,
    },
    Task {
        name: "dist",
        about: "build everything there is to install into target/dist",
        help: dist::HELP,
        run: dist::run,
    },
    Task {
        name: "fuzz",
        about: "let libFuzzer look for inputs for which something does not hold",
        help: fuzz::HELP,
        run: fuzz::run,
    },
    Task {
        name: "bench",
        about: "measure what a GPU costs at container start, beside plain runc and beside the original",
        help: bench::HELP,
        run: bench::run,
    },
    Task {
        name: "hardware-check",
        about: "build a folder that checks a machine with GPUs, offline, into target/hardware-check",
        help: hardware_check::HELP,
        run: hardware_check::run,
    },
    Task { name: "inside-demo", about: "", help: "", run: demo::inside },
    Task { name: "inside-bench", about: "", help: "", run: bench::inside },
    Task { name: "inside-bench-legacy", about: "", help: "", run: bench::inside_legacy },
    Task { name: "inside-bench-specs", about: "", help: "", run: bench::inside_specs },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((name, rest)) =
        arguments.split_first().filter(|(name, _)| !matches!(name.as_str(), "-h" | "--help" | "help"))
    else {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("xtask: there is no command {name:?}.\n\n{}", usage());
        return ExitCode::from(2);
    };
    if rest.iter().any(|word| word == "-h" || word == "--help") {
        print!("{}", task.help);
        return ExitCode::SUCCESS;
    }
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {name}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = "Usage: cargo xtask COMMAND [OPTIONS]\n\nCommands:\n".to_owned();
    for Task { name, about, .. } in TASKS.iter().filter(|task| !task.about.is_empty()) {
        text += &format!("  {name:<14} {about}\n");
    }
    text += "\n`cargo xtask COMMAND --help` tells more about one.\n";
    text
}

/// A word of the command line that means nothing to the task.
fn unknown(word: &str) -> String {
    format!("there is no option {word:?}; see --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Before anything is built or installed.
    #[test]
    fn a_word_that_means_nothing_is_an_error_that_names_it() {
        for task in TASKS.iter().filter(|task| !task.about.is_empty()) {
            let error = (task.run)(&["--no-such-option".to_owned()]).expect_err(task.name);
            assert_eq!(error, "there is no option \"--no-such-option\"; see --help", "{}", task.name);
            assert!(task.help.starts_with(&format!("Usage: cargo xtask {}", task.name)), "{}", task.help);
            assert!(task.help.lines().all(|line| line.chars().count() <= 120), "{}", task.help);
        }
        for task in [dist::run, hardware_check::run, bench::run] {
            assert_eq!(task(&["abc".to_owned()]), Err("there is no option \"abc\"; see --help".to_owned()));
        }
        assert_eq!(bench::run(&["0".to_owned()]), Err("there is no option \"0\"; see --help".to_owned()));
    }
}
