//! The Docker engine of the distribution, started by hand on the simulated machine, with our shim as its runtime.
//!
//! One engine serves all checks, since starting it takes longer than they do. So this is not a set of `#[test]`s but a
//! list of checks that run in turn and in one place: this program starts itself again within `lab run`.

mod checks;
mod engine;

use engine::Engine;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Set for the copy of us that runs in the simulated machine.
const INSIDE: &str = "CORTEN_TEST_INSIDE";

fn main() -> ExitCode {
    if env::args().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let done = match env::var_os(INSIDE) {
        Some(_) => run_checks(),
        None => enter_lab(),
    };
    done.unwrap_or_else(|why| {
        eprintln!("docker: {why}");
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

fn run_checks() -> Result<ExitCode, String> {
    let filter = env::args().skip(1).find(|word| !word.starts_with('-'));
    let mut engine = Engine::start(&folder_from("CORTEN_BIN")?, &folder_from("CORTEN_LAB")?)?;
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in checks::ALL.iter().filter(|(name, _)| filter.as_ref().is_none_or(|part| name.contains(part))) {
        match check(&mut engine) {
            Ok(()) => {
                passed += 1;
                println!("test docker::{name} ... ok");
            }
            Err(why) => {
                failed += 1;
                println!("test docker::{name} ... FAILED\n    {}", why.replace('\n', "\n    "));
            }
        }
    }
    println!("\ndocker: {passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A folder that `cargo xtask test` names for us.
fn folder_from(variable: &str) -> Result<PathBuf, String> {
    match env::var_os(variable) {
        Some(folder) => Ok(Path::new(&folder).to_owned()),
        None => Err(format!("{variable} is not set: run this through `cargo xtask test docker`")),
    }
}
