//! `cargo xtask test`: everything we promise, tested. What CI runs.

use crate::{
    dist, fuzz, hardware_check, hostile,
    shell::{Outcome, cargo, run as run_command, say, workspace},
    system,
    trixie::{self, Trixie},
    unknown,
};
use std::{fs, path::PathBuf, process::Command};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask test [FILTER]

Installs what the tests need from the distribution, builds what people install, and runs every test against that:
formatting and lints, unit tests, the comparison with the original (its recorded facts, or its programs where
CORTEN_THEIRS names their folder), real containers with runc and crun, and with Docker, containerd and Podman: this
distribution's, and those of Debian trixie, which is made once as a folder in target/roots where apt reaches a mirror.
Then every fuzz target runs for two seconds (cargo xtask fuzz).
FILTER is handed to `cargo test`; with one, nothing is fuzzed and style is not checked. At the end it says which tests
this machine could not have, and why.
";

/// `cargo xtask test`.
pub fn run(arguments: &[String]) -> Outcome {
    if let Some(word) = arguments.iter().find(|word| word.starts_with('-')) {
        return Err(unknown(word));
    }
    system::ensure(&[
        &system::RUNC,
        &system::CRUN,
        &system::DOCKER,
        &system::PODMAN,
        &system::LXC,
        &system::STRACE,
        &system::MUSL,
        &system::BINUTILS,
        &system::SYSTEMD,
        &system::CXX,
    ])?;
    telling_what_is_left_out(|| {
        if arguments.is_empty() {
            style()?;
        }
        dist::run_all()?;
        hardware_check::build()?;
        hostile::build()?;
        let mut tests = command()?;
        tests.args(["--workspace", "--no-fail-fast"]);
        say("running the tests");
        run_command(tests.args(arguments))?;
        if arguments.is_empty() { fuzz::run_briefly() } else { Ok(()) }
    })
}

/// Does this, and then says what tests could not be had on this machine, whatever became of the others: a test harness
/// counts those among the passed.
pub fn telling_what_is_left_out(task: impl FnOnce() -> Outcome) -> Outcome {
    let file = left_out_file();
    let failed = |why: std::io::Error| format!("{}: {why}", file.display());
    // The folder is there unless cargo builds elsewhere; the file is ours, also where the tests run as root.
    fs::create_dir_all(workspace().join("target")).and_then(|()| fs::write(&file, "")).map_err(failed)?;
    let done = task();
    let lines = left_out::all(&file).map_err(failed)?;
    match lines.len() {
        0 => say("nothing was left out"),
        number => say(&format!("left out on this machine: {number}")),
    }
    lines.iter().for_each(|line| eprintln!("    {line}"));
    done
}

fn left_out_file() -> PathBuf {
    workspace().join("target/left-out")
}

fn leave_out(what: &str, why: &str) -> Outcome {
    let file = left_out_file();
    say(&format!("leaving out {what}: {why}"));
    left_out::add(&file, what, why).map_err(|why| format!("{}: {why}", file.display()))
}

/// Formatting and lints, where the toolchain has them.
fn style() -> Outcome {
    match system::has_cargo_component("fmt") {
        true => run_command(cargo().args(["fmt", "--all", "--check"]))?,
        false => leave_out("formatting", "this toolchain has no rustfmt")?,
    }
    match system::has_cargo_component("clippy") {
        true => run_command(cargo().args([
            "clippy",
            "--quiet",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ])),
        false => leave_out("lints", "this toolchain has no clippy"),
    }
}

/// `cargo test`, as root (namespaces, device nodes), told where the built programs are.
pub fn command() -> Result<Command, String> {
    let mut command = cargo();
    command.args(["test", "--locked"]);
    command.env("CORTEN_UNDEFENDED_BIN", hostile::folder());
    command.env("CORTEN_BIN", dist::folder().join("bin")).env("CORTEN_LAB", dist::lab_folder());
    command.env("CORTEN_HARDWARE_CHECK", hardware_check::folder()).env(left_out::VARIABLE, left_out_file());
    command.env("CORTEN_LAB_DIR", dist::lab_folder()).env("CORTEN_MACHINES", workspace().join("lab/machines"));
    match trixie::folder()? {
        Trixie::Made(folder) => command.env("CORTEN_TRIXIE", folder),
        Trixie::Absent(why) => {
            say(&format!("not testing Docker 26, containerd 1.7 and Podman 5 with CDI: {why}"));
            command.env("CORTEN_NO_TRIXIE", why)
        }
    };
    if !rustix::process::geteuid().is_root() {
        say("the tests make namespaces and device nodes: they run through sudo");
        command.args(["--config", "target.'cfg(all())'.runner = ['sudo', '--preserve-env']"]);
    }
    Ok(command)
}
