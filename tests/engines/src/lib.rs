//! How an engine's checks are run: this program starts itself again on the simulated machine, starts the engine there, and
//! lets one check after another use it, since starting an engine takes longer than they do.
#![forbid(unsafe_code)]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Set for the copy of us that runs in the simulated machine.
const INSIDE: &str = "CORTEN_TEST_INSIDE";

/// The GPU that the two-GPU machine lists first, as `nvidia-smi -L` prints it.
pub const GPU_0: &str = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c)\n";

/// A check with its name: `Err` says what was seen instead.
pub type Check<E> = (&'static str, fn(&mut E) -> Result<(), String>);

/// Where the built programs are.
pub struct Programs {
    /// What people install.
    pub bin: PathBuf,
    /// The lab's.
    pub lab: PathBuf,
}

/// What a command ended with.
pub struct Answer {
    /// Exit status; -1 for a signal.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The `main` of an engine's test: `start` starts the engine, then `checks` run in turn.
pub fn run<E>(name: &str, start: fn(&Programs) -> Result<E, String>, checks: &[Check<E>]) -> ExitCode {
    if env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let done = match env::var_os(INSIDE) {
        Some(_) => run_checks(name, start, checks),
        None => enter_lab(),
    };
    done.unwrap_or_else(|why| {
        eprintln!("{name}: {why}");
        ExitCode::FAILURE
    })
}

fn enter_lab() -> Result<ExitCode, String> {
    let machine = folder_from("CORTEN_MACHINES")?.join("two-gpus.toml");
    let ourselves = env::current_exe().map_err(|why| why.to_string())?;
    let mut lab = Command::new(folder_from("CORTEN_LAB")?.join("lab"));
    lab.args(["run", "--machine"]).arg(machine).arg("--").arg(ourselves).args(env::args().skip(1)).env(INSIDE, "1");
    let status = lab.status().map_err(|why| format!("could not start {lab:?}: {why}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_checks<E>(
    name: &str,
    start: fn(&Programs) -> Result<E, String>,
    checks: &[Check<E>],
) -> Result<ExitCode, String> {
    let filter = env::args().skip(1).find(|word| !word.starts_with('-'));
    let chosen = |check: &&Check<E>| filter.as_ref().is_none_or(|part| format!("{name}::{}", check.0).contains(part));
    let chosen: Vec<_> = checks.iter().filter(chosen).collect();
    let (mut passed, mut failed) = (0, 0);
    if !chosen.is_empty() {
        let mut engine = start(&Programs { bin: folder_from("CORTEN_BIN")?, lab: folder_from("CORTEN_LAB")? })?;
        for (check, body) in chosen {
            match body(&mut engine) {
                Ok(()) => {
                    passed += 1;
                    println!("test {name}::{check} ... ok");
                }
                Err(why) => {
                    failed += 1;
                    println!("test {name}::{check} ... FAILED\n    {}", why.replace('\n', "\n    "));
                }
            }
        }
    }
    println!("\n{name}: {passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder that `cargo xtask test` names for us.
fn folder_from(variable: &str) -> Result<PathBuf, String> {
    match env::var_os(variable) {
        Some(folder) => Ok(Path::new(&folder).to_owned()),
        None => Err(format!("{variable} is not set: run this through `cargo xtask test`")),
    }
}

/// Makes the container root that the checks start, with the lab.
pub fn make_root(lab: &Path, to: &Path) -> Result<(), String> {
    let made = Command::new(lab.join("lab")).args(["rootfs", "--kind", "debian", "--to"]).arg(to).status();
    match made.is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err("lab rootfs failed".into()),
    }
}

/// Runs a command, whatever it ends with.
pub fn answer(command: &mut Command) -> Result<Answer, String> {
    let done = command.output().map_err(|why| format!("could not start {command:?}: {why}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer { status: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) })
}

/// It succeeded and printed just this.
pub fn equal(what: &str, want: &str, seen: &Answer) -> Result<(), String> {
    match seen.status == 0 && seen.out == want {
        true => Ok(()),
        false => Err(format!("{what}: status {}, printed {:?}{:?}", seen.status, seen.out, seen.err)),
    }
}

/// It succeeded, and `nvidia-smi -L` listed so many GPUs.
pub fn count_gpus(what: &str, want: usize, seen: &Answer) -> Result<(), String> {
    match seen.out.lines().filter(|line| line.starts_with("GPU ")).count() {
        count if count == want && seen.status == 0 => Ok(()),
        count => Err(format!("{what}: {count} GPUs instead of {want}: {}{}", seen.out, seen.err)),
    }
}

/// `part` stands in `text`.
pub fn holds(what: &str, text: &str, part: &str) -> Result<(), String> {
    match text.contains(part) {
        true => Ok(()),
        false => Err(format!("{what}: no {part:?} in {text:?}")),
    }
}
