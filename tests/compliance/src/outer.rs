//! Outside the lab: sends a machine's cases into it and brings the facts back.

use crate::{
    case::Case,
    facts::Facts,
    inner::Plan,
    observe::{self, Observation},
    probe,
    programs::{self, Missing, Side},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The lab did not give back what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OuterError {
    /// A program or machine is not there.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The operating system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// The plan or the results have no JSON form.
    #[error("{0}: {1}")]
    Json(PathBuf, serde_json::Error),
    /// `lab run` failed: the harness is at fault, not the programs under test.
    #[error("machine {0}: the cases could not be run: {1}")]
    Lab(String, String),
}

/// Programs of one run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Whose programs are tested.
    pub side: Side,
    /// Their folder.
    pub folder: String,
    /// `compliance`, which is started again in the lab.
    pub inner: String,
    /// `compliance-probe`.
    pub probe: String,
}

/// What one case came to.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// What is compared.
    pub facts: Facts,
    /// Standard error of the call that failed, for people.
    pub stderr: String,
}

/// Runs `cases`, all of one machine, and gives what each came to, in the same order. `work` is an empty folder.
///
/// # Errors
/// [`OuterError`]; what a program under test does is never one.
pub fn run(machine: &str, cases: &[Case], with: &Programs, work: &Path) -> Result<Vec<Shown>, OuterError> {
    let lab = programs::lab("lab")?;
    let plan = Plan {
        side: with.side,
        programs: with.folder.clone(),
        lab: lab.clone(),
        probe: with.probe.clone(),
        work: work.join("roots"),
        sonames: probe::SONAMES.map(str::to_owned).to_vec(),
        cases: cases.to_vec(),
    };
    let (plan_file, results) = (work.join("plan.json"), work.join("results.json"));
    let text = serde_json::to_vec(&plan).map_err(|error| OuterError::Json(plan_file.clone(), error))?;
    fs::create_dir_all(&plan.work).map_err(at(work))?;
    fs::write(&plan_file, text).map_err(at(&plan_file))?;
    let mut command = Command::new(&lab);
    command.args(["run", "--machine"]).arg(programs::machine(machine)?).arg("--");
    command.arg(&with.inner).arg("inner").args([&plan_file, &results]);
    let output = command.output().map_err(at(Path::new(&lab)))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(OuterError::Lab(machine.to_owned(), text));
    }
    let text = fs::read(&results).map_err(at(&results))?;
    let seen: Vec<Observation> =
        serde_json::from_slice(&text).map_err(|error| OuterError::Json(results.clone(), error))?;
    let shown = |(case, seen): (&Case, Observation)| Shown { facts: observe::facts(case, &seen), stderr: seen.stderr };
    Ok(cases.iter().zip(seen).map(shown).collect())
}

/// Runs a bash script on that machine, with our programs and the lab's first in `PATH`, in the folder `work`. Says what
/// it printed, both streams together.
///
/// # Errors
/// [`OuterError`], also when the script fails: its text is in the error.
pub fn script(machine: &str, script: &str, work: &Path) -> Result<String, OuterError> {
    script_on(machine, &[], script, work)
}

/// The same on that machine with changes, each `KEY=VALUE` as `lab run --set` takes it.
///
/// # Errors
/// As [`script`].
pub fn script_on(machine: &str, settings: &[&str], script: &str, work: &Path) -> Result<String, OuterError> {
    programs::need_root()?;
    let (lab, ours) = (programs::lab("lab")?, programs::ours()?);
    let folder = Path::new(&lab).parent().unwrap_or(Path::new("/"));
    let path = format!("{ours}:{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(&lab);
    command.args(["run", "--machine"]).arg(programs::machine(machine)?);
    command.args(settings.iter().flat_map(|setting| ["--set", setting])).args(["--", "bash", "-ec"]);
    command.arg(format!("exec 2>&1; {script}")).current_dir(work).env("PATH", path);
    let output = command.stdin(Stdio::null()).output().map_err(at(Path::new(&lab)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(OuterError::Lab(machine.to_owned(), text + &String::from_utf8_lossy(&output.stderr))),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OuterError {
    let path = path.to_owned();
    |error| OuterError::Io(path, error)
}
