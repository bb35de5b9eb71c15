//! Inside the lab: starts the containers of one machine's cases with one side's programs and writes down what was seen.

use crate::{
    bundle::{self, Places},
    case::{Case, Command as Shape},
    config::{self, Surroundings},
    observe::{Observation, Seen},
    programs::Side,
    root::{Overlay, RootError, Roots},
    upper,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What is to be run, handed from [`crate::outer`] through a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Whose programs.
    pub side: Side,
    /// Their folder.
    pub programs: String,
    /// The program `lab`.
    pub lab: String,
    /// The probe.
    pub probe: String,
    /// A folder that is ours, empty.
    pub work: PathBuf,
    /// What the container asks its loader for.
    pub sonames: Vec<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// What can go wrong besides what is being tested.
#[derive(Debug, thiserror::Error)]
pub enum InnerError {
    /// A root cannot be made.
    #[error("case {0}: {1}")]
    Root(String, RootError),
    /// The operating system refuses.
    #[error("case {0}: {1}: {2}")]
    Io(String, PathBuf, io::Error),
    /// The configuration of the case has no TOML form.
    #[error("case {0}: {1}")]
    Config(String, toml_edit::ser::Error),
    /// The plan or the results have no JSON form.
    #[error("{0}: {1}")]
    Json(PathBuf, serde_json::Error),
}

/// How long one call, and the container's process, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the plan in the file `plan` and writes the observations, in the order of its cases, into `results`.
///
/// # Errors
/// [`InnerError`]; a case that a program refuses is an observation, not an error.
pub fn run(plan: &Path, results: &Path) -> Result<(), InnerError> {
    // Bundles, roots and the probe are for containers with other users, whoever built and runs the tests.
    rustix::process::umask(rustix::fs::Mode::from(0o022));
    let io = |error| InnerError::Io("-".into(), plan.to_owned(), error);
    let text = fs::read(plan).map_err(io)?;
    let mut plan: Plan = serde_json::from_slice(&text).map_err(|error| InnerError::Json(plan.to_owned(), error))?;
    let probe = plan.work.join("probe");
    fs::copy(&plan.probe, &probe)
        .and_then(|_| fs::set_permissions(&probe, PermissionsExt::from_mode(0o755)))
        .and_then(|()| fs::set_permissions(&plan.work, PermissionsExt::from_mode(0o755)))
        .map_err(|error| InnerError::Io("-".into(), probe.clone(), error))?;
    plan.probe = probe.display().to_string();
    let mut roots = Roots::new(&plan.lab, &plan.work);
    let mut seen = Vec::new();
    for (number, case) in plan.cases.iter().enumerate() {
        seen.push(Run::new(&plan, case, number, &mut roots)?.observe()?);
    }
    let text = serde_json::to_vec(&seen).map_err(|error| InnerError::Json(results.to_owned(), error))?;
    fs::write(results, text).map_err(|error| InnerError::Io("-".into(), results.to_owned(), error))
}

/// One case being run.
struct Run<'a> {
    plan: &'a Plan,
    case: &'a Case,
    folder: PathBuf,
    id: String,
    overlay: Overlay,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, case: &'a Case, number: usize, roots: &mut Roots) -> Result<Run<'a>, InnerError> {
        let folder = plan.work.join(format!("case-{number}"));
        let overlay = roots.overlay(case, &folder).map_err(|error| InnerError::Root(case.name.clone(), error))?;
        let id = format!("corten-{}-{number}", std::process::id());
        let run = Run { plan, case, folder, id, overlay };
        run.write_cdi()?;
        run.write_config()?;
        Ok(run)
    }

    fn observe(&self) -> Result<Observation, InnerError> {
        let before = upper::written(&self.overlay.upper).map_err(|error| self.fail(&self.overlay.upper, error))?;
        let (temporary, run) = (self.folder.join("tmp"), PathBuf::from("/run"));
        fs::create_dir_all(&temporary).map_err(|error| self.fail(&temporary, error))?;
        let outside = outside(&[&temporary, &run]);
        let mut seen = Observation::default();
        for _ in 0..self.case.starts {
            let document = self.write_bundle()?;
            self.start(&mut seen)?;
            seen.spec = self.rewritten(&document)?;
        }
        let after = upper::written(&self.overlay.upper).map_err(|error| self.fail(&self.overlay.upper, error))?;
        seen.written = after.into_iter().filter(|written| !before.contains(written)).collect();
        seen.left = self::outside(&[&temporary, &run]).difference(&outside).cloned().collect();
        seen.cli = fs::read_to_string(self.folder.join("cli-args")).ok().map(|text| self.without_paths(&text));
        Ok(seen)
    }

    /// Starts the container once, waits for its process, and deletes it.
    fn start(&self, seen: &mut Observation) -> Result<(), InnerError> {
        let out = self.folder.join("stdout");
        let bundle = self.overlay.bundle.display().to_string();
        let (name, arguments): (&str, Vec<String>) = match self.case.command {
            Shape::Create => ("create", vec!["create".into(), "--bundle".into(), bundle]),
            Shape::CreateShort => ("create", vec!["create".into(), format!("-b={bundle}")]),
            Shape::CreateHere => ("create", vec!["create".into()]),
            Shape::Run => ("run", vec!["run".into(), "--bundle".into(), bundle]),
        };
        let mut ok = self.call(name, &arguments, &out, seen)?;
        if ok && name == "create" {
            ok = self.call("start", &["start".to_owned()], &self.folder.join("stdout-start"), seen)?;
        }
        if ok {
            seen.seen = self.probed(&out)?;
        }
        if ok && name == "create" {
            self.call("delete", &["delete".into(), "--force".into()], &self.folder.join("stdout-delete"), seen)?;
        } else {
            self.clean_up();
        }
        Ok(())
    }

    /// Calls the shim and says whether it succeeded.
    fn call(&self, name: &str, arguments: &[String], out: &Path, seen: &mut Observation) -> Result<bool, InnerError> {
        let errors = self.folder.join(format!("stderr-{name}"));
        let mut shim = match self.case.is_bare() {
            true => Command::new(&self.case.program),
            false => Command::new(format!("{}/{}", self.plan.programs, self.case.program)),
        };
        shim.arg("--root").arg(self.folder.join("state")).args(arguments).arg(&self.id);
        shim.env("NVIDIA_CTK_CONFIG_FILE_PATH", self.folder.join("config.toml"));
        shim.env("TMPDIR", self.folder.join("tmp"))
            .env_remove("XDG_CONFIG_HOME")
            .current_dir(&self.overlay.bundle)
            .stdin(Stdio::null());
        shim.stdout(self.create(out)?).stderr(self.create(&errors)?);
        let child = shim.spawn().map_err(|error| self.fail(Path::new(&self.case.program), error))?;
        let code = wait(child).map_err(|error| self.fail(out, error))?.and_then(|status| status.code()).unwrap_or(-1);
        seen.calls.push((name.to_owned(), code));
        if code != 0 {
            seen.stderr = fs::read_to_string(&errors).map_err(|error| self.fail(&errors, error))?;
        }
        Ok(code == 0)
    }

    /// What the probe wrote, once it has ended its line.
    fn probed(&self, out: &Path) -> Result<Option<Seen>, InnerError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(out).map_err(|error| self.fail(out, error))?;
            if let Some(line) = text.strip_suffix('\n') {
                return serde_json::from_str(line).map(Some).map_err(|error| InnerError::Json(out.to_owned(), error));
            }
            if Instant::now() > until {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Deletes what a start that failed half-way may have left with the engine.
    fn clean_up(&self) {
        let mut engine = Command::new(self.case.engine.program());
        engine.arg("--root").arg(self.folder.join("state")).args(["delete", "--force", &self.id]);
        // Mostly there is nothing to delete, which engines report as an error.
        let _ = engine.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    fn write_cdi(&self) -> Result<(), InnerError> {
        for (name, text) in &self.case.cdi {
            self.write(&format!("cdi/{name}"), text)?;
        }
        Ok(())
    }

    fn write_config(&self) -> Result<(), InnerError> {
        let text = config::text(self.case, &self.surroundings());
        let text = text.map_err(|error| InnerError::Config(self.case.name.clone(), error))?;
        self.write("config.toml", &text)?;
        let record = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", self.folder.join("cli-args").display());
        let cli = self.write("nvidia-container-cli", &record)?;
        rustix::fs::chmod(&cli, rustix::fs::Mode::from(0o755)).map_err(|error| self.fail(&cli, error.into()))
    }

    fn surroundings(&self) -> Surroundings {
        let programs = &self.plan.programs;
        Surroundings {
            ctk: format!("{programs}/nvidia-ctk"),
            hook: format!("{programs}/nvidia-container-runtime-hook"),
            cdi: self.folder.join("cdi").display().to_string(),
            cli: match self.case.whole {
                true => format!("{programs}/nvidia-container-cli"),
                false => self.folder.join("nvidia-container-cli").display().to_string(),
            },
        }
    }

    /// Writes config.json as new and returns its text.
    fn write_bundle(&self) -> Result<String, InnerError> {
        let places = Places {
            root: self.overlay.root().display().to_string(),
            probe: self.plan.probe.clone(),
            hook: format!("{}/nvidia-container-runtime-hook", self.plan.programs),
        };
        let text = bundle::config_json(self.case, &places, &self.plan.sonames).to_string();
        self.write("bundle/config.json", &text)?;
        Ok(text)
    }

    fn rewritten(&self, before: &str) -> Result<Option<serde_json::Value>, InnerError> {
        let path = self.overlay.bundle.join("config.json");
        let after = fs::read_to_string(&path).map_err(|error| self.fail(&path, error))?;
        if after == before {
            return Ok(None);
        }
        serde_json::from_str(&after).map(Some).map_err(|error| InnerError::Json(path, error))
    }

    /// The arguments of the recorded CLI call, one a line, without what differs from run to run.
    fn without_paths(&self, text: &str) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let steady = |line: &str| match line.strip_prefix("--pid=") {
            Some(_) => "--pid=PID".to_owned(),
            None => line.replace(&folder, "CASE"),
        };
        text.lines().map(steady).collect()
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, InnerError> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|error| self.fail(&path, error))?;
        Ok(path)
    }

    fn create(&self, path: &Path) -> Result<fs::File, InnerError> {
        fs::File::create(path).map_err(|error| self.fail(path, error))
    }

    fn fail(&self, path: &Path, error: io::Error) -> InnerError {
        InnerError::Io(self.case.name.clone(), path.to_owned(), error)
    }
}

/// Waits, but not for ever; `None` when the child had to be killed.
fn wait(mut child: Child) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// What lies where programs are known to leave things outside of containers. Our cache is no litter.
fn outside(folders: &[&Path]) -> BTreeSet<String> {
    let theirs_or_ours = |name: &str| ["nvidia", "nvc", "corten-"].iter().any(|part| name.contains(part));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| theirs_or_ours(name)).collect()
}
