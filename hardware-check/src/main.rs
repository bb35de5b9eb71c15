//! `hardware-check`: shows on a machine with GPUs that Corten finds what is there and gives it to containers.
//!
//! One folder (`cargo xtask hardware-check` builds it) with all it needs: our programs, a low-level runtime, a C library
//! and a container's root. It needs no network and nothing of the machine but its driver, changes nothing on it, and
//! says for each thing that we promise whether it holds here. docs/hardware.md tells what the lines mean.
#![forbid(unsafe_code)]

mod child;
mod cuda;
mod discovery;
mod in_container;
mod in_place;
mod machine;
mod portable;
mod report;
mod specification;
mod stage;

use lexopt::{Arg, Parser, ValueExt};
use report::{Report, Verdict};
use std::{path::PathBuf, process::ExitCode, time::Duration};

const HELP: &str = "\
usage: ./hardware-check [OPTION...]
Checks on this machine that Corten finds the GPUs and gives them to containers. Needs root;
needs no network; leaves nothing behind.

  --driver-root DIR  the folder that holds the driver (default: looked for)
  --limit SECONDS    how long one step may take (default: 60)
  --json             print the report as JSON, at the end
  --report FILE      also write it to FILE, to be put into an issue: it holds no host name
                     and no whole UUID
  -h, --help         show this text

Exit status: 0 all that could be checked holds, 1 something does not, 2 nothing was checked.
";

/// What the command line says.
struct Options {
    driver_root: Option<String>,
    limit: Duration,
    json: bool,
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return nothing_checked(&format!("{error}; see --help")),
    };
    if !rustix::process::geteuid().is_root() {
        return nothing_checked("containers and device nodes need root; run it as root, or with sudo");
    }
    match check(&options) {
        Ok(code) => code,
        Err(why) => nothing_checked(&why),
    }
}

fn nothing_checked(why: &str) -> ExitCode {
    eprintln!("hardware-check: {why}");
    ExitCode::from(2)
}

/// `None`: help is wanted.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { driver_root: None, limit: Duration::from_secs(60), json: false, report: None };
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("driver-root") => options.driver_root = Some(parser.value()?.string()?),
            Arg::Long("limit") => options.limit = Duration::from_secs(parser.value()?.parse()?),
            Arg::Long("json") => options.json = true,
            Arg::Long("report") => options.report = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}

fn check(options: &Options) -> Result<ExitCode, String> {
    let ourselves = std::env::current_exe().map_err(|error| format!("cannot find our own folder: {error}"))?;
    let bundle = ourselves.parent().ok_or("this program has no folder")?;
    let stage = stage::Stage::make(bundle, options.limit)?;
    let machine = machine::Machine::look(&stage, options.driver_root.as_deref());
    let mut report = Report::new(&machine, !options.json);
    run_all(&stage, &machine, &mut report)?;
    drop(stage);
    report.finish();
    let json = report.to_json();
    if options.json {
        print!("{json}");
    }
    if let Some(file) = &options.report {
        std::fs::write(file, json).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Every check, in an order in which a failure explains those after it.
fn run_all(stage: &stage::Stage, machine: &machine::Machine, report: &mut Report) -> Result<(), String> {
    report.line("driver", discovery::driver(machine));
    report.line("nvml", discovery::nvml(machine));
    report.line("driver version", discovery::driver_version(machine));
    report.line("gpus", discovery::gpus(machine));
    report.line("mig devices", discovery::mig_devices(machine));
    report.line("device nodes", discovery::nodes(machine));
    let spec = specification::same_both_ways(stage, machine);
    report.line("cdi spec", spec.clone());
    let place = in_place::Place::make(stage, machine)?;
    let listed = place.list(machine);
    report.line("list, in place", listed.as_ref().map(|list| in_place::describe(list)).map_err(Clone::clone));
    report.line("cuda, in place", place.cuda(machine));
    let plain = in_container::plain(stage);
    report.line("runc", plain.clone());
    let usable: Verdict<()> = plain.map(drop).map_err(|_| report::Bad::Skip("no container can be started here".into()));
    let listed = listed.map_err(|_| report::Bad::Skip("the machine's own list is not there to compare with".into()));
    let shim = |check: &dyn Fn() -> Verdict| usable.clone().and_then(|()| check());
    report.line("list, container", shim(&|| in_container::list(stage, machine, listed.as_deref())));
    report.line("cuda, container", shim(&|| in_container::cuda(stage, machine)));
    report.line("list, cdi", shim(&|| in_container::list_by_spec(stage, machine, listed.as_deref(), &spec)));
    report.line("cuda, cdi", shim(&|| in_container::cuda_by_spec(stage, machine, &spec)));
    Ok(())
}
