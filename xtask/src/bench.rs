//! `cargo xtask bench`: what a GPU costs at container start, as far as it can be measured on one machine at one time.
//!
//! Every figure is a median of interleaved runs (A B C A B C …), because these figures are only comparable within one
//! run: machines drift. Each run is one process, started and waited for, output thrown away.

mod bundle;
mod contest;
mod hooks;
mod legacy;
mod specs;

use crate::{
    dist,
    shell::{Outcome, as_root, output, run as run_command, say, workspace},
    system, unknown,
};
use bundle::Bundle;
use contest::{Contest, Contestant, Row};
use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask bench [RUNS]

Prints the table of docs/performance.md for this machine: ours beside the bare low-level runtime, and beside the
original where CORTEN_THEIRS names the folder of its programs and CORTEN_THEIRS_CLI its nvidia-container-cli. RUNS is
the number of counted runs of each (40).
The GPUs are simulated (two of them, eight for specifications, a full driver); everything else is real.
";

/// Stands for a low-level runtime that costs nothing.
const NOTHING: &str = "/bin/true";

/// `cargo xtask bench`.
pub fn run(arguments: &[String]) -> Outcome {
    let runs = match arguments {
        [] => 40,
        [runs] => runs.parse().ok().filter(|runs| *runs > 0).ok_or_else(|| unknown(runs))?,
        [_, word, ..] => return Err(unknown(word)),
    };
    system::ensure(&[&system::RUNC, &system::TIME])?;
    dist::run_all()?;
    // The original never mounts 32-bit libraries in this mode, so they would compare more files with fewer.
    in_lab("two-gpus", &["driver.compat32=false"], "inside-bench", runs)?;
    in_lab("two-gpus", &[], "inside-bench-legacy", runs)?;
    in_lab("eight-gpus-nvswitch", &[], "inside-bench-specs", runs)
}

/// Runs one of our own commands in a simulated machine.
fn in_lab(machine: &str, settings: &[&str], command: &str, runs: u32) -> Outcome {
    let ourselves = env::current_exe().map_err(|why| format!("could not find ourselves: {why}"))?;
    let mut lab = as_root(dist::lab_folder().join("lab"));
    lab.args(["run", "--machine"]).arg(workspace().join(format!("lab/machines/{machine}.toml")));
    lab.args(settings.iter().flat_map(|setting| ["--set", setting]));
    run_command(lab.arg("--").arg(ourselves).arg(command).arg(runs.to_string()))
}

/// The part about specifications, which runs in a machine with eight GPUs.
pub fn inside_specs(arguments: &[String]) -> Outcome {
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(40);
    // As below.
    thread::sleep(Duration::from_secs(3));
    print_table(&specs::measure(runs)?, runs);
    Ok(())
}

/// The part about the legacy command line.
pub fn inside_legacy(arguments: &[String]) -> Outcome {
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(40);
    let folder = env::temp_dir().join(format!("corten-bench-{}", std::process::id()));
    // As below.
    thread::sleep(Duration::from_secs(3));
    let measured = Bundle::make(&folder).and_then(|bundle| {
        print_table(&legacy::measure(&bundle, runs)?, runs);
        Ok(())
    });
    let removed = fs::remove_dir_all(&folder).map_err(|why| format!("could not remove {}: {why}", folder.display()));
    measured.and(removed)
}

/// The part that runs in the simulated machine.
pub fn inside(arguments: &[String]) -> Outcome {
    let runs = arguments.first().and_then(|runs| runs.parse().ok()).unwrap_or(40);
    let folder = env::temp_dir().join(format!("corten-bench-{}", std::process::id()));
    // The driver's files are remembered once they are older than the coarsest clock of a file system, as on any machine
    // that was not installed this second (crates/host/src/evidence.rs).
    thread::sleep(Duration::from_secs(3));
    let measured = Bundle::make(&folder).and_then(|bundle| {
        let mut rows = measure(&bundle, runs)?;
        rows.extend(hooks::measure(&bundle, runs)?);
        print_table(&rows, runs);
        print_sizes(&bundle)
    });
    let removed = fs::remove_dir_all(&folder).map_err(|why| format!("could not remove {}: {why}", folder.display()));
    measured.and(removed)
}

fn measure(bundle: &Bundle, runs: u32) -> Result<Vec<Row>, String> {
    let runc = system::find("runc").ok_or("no runc")?;
    let fake = bundle.configuration("fake", NOTHING, None)?;
    let real = bundle.configuration("real", &runc, None)?;
    let theirs = theirs();
    let their_fake = theirs.as_deref().map(|bin| bundle.configuration("their-fake", NOTHING, Some(bin))).transpose()?;
    let their_real = theirs.as_deref().map(|bin| bundle.configuration("their-real", &runc, Some(bin))).transpose()?;
    let ours = dist::folder().join("bin/nvidia-container-runtime");
    let their = |configuration: &Option<PathBuf>| {
        Some((theirs.as_ref()?.join("nvidia-container-runtime"), configuration.clone()?))
    };

    let mut rows = Vec::new();
    let mut row = |what: &str, contest: Contest| {
        say(&format!("measuring: {what}"));
        contest.run(runs).map(|row| rows.push(row.named(what)))
    };
    let forward = ["state", "corten-bench"];
    row(
        "a forwarded call (`state`)",
        Contest::of(Contestant::new(Command::new(NOTHING), &forward))
            .against(Contestant::shim(&ours, &fake, &forward))
            .against_some(
                their(&their_fake).map(|(shim, configuration)| Contestant::shim(&shim, &configuration, &forward)),
            ),
    )?;
    let create = ["create", "--bundle", bundle.text(), "corten-bench"];
    row(
        "`create`, all GPUs, without the low-level runtime",
        Contest::of(Contestant::new(Command::new(NOTHING), &create).before(bundle.fresh("all")))
            .against(Contestant::shim(&ours, &fake, &create).before(bundle.fresh("all")))
            .against_some(their(&their_fake).map(|(shim, configuration)| {
                Contestant::shim(&shim, &configuration, &create).before(bundle.fresh("all"))
            })),
    )?;
    row(
        "the same, first start after boot (NVML asked)",
        Contest::of(Contestant::new(Command::new(NOTHING), &create).before(bundle.fresh_after_boot("all")))
            .against(Contestant::shim(&ours, &fake, &create).before(bundle.fresh_after_boot("all"))),
    )?;
    let start = ["run", "--bundle", bundle.text(), "corten-bench"];
    row(
        "a whole container (runc run /bin/true)",
        Contest::of(Contestant::new(Command::new(&runc), &start).before(bundle.fresh("void")))
            .against(Contestant::shim(&ours, &real, &start).before(bundle.fresh("all"))),
    )?;
    // The original leaves `run` alone, so it is measured with the steps that an engine takes; so are we, beside it.
    let engine = |program: &Path, configuration: Option<&Path>, gpus: &'static str| {
        Contestant::engine(program, configuration, bundle.text()).before(bundle.fresh(gpus))
    };
    row(
        "a whole container (create, start, delete)",
        Contest::of(engine(Path::new(&runc), None, "void"))
            .against(engine(&ours, Some(&real), "all"))
            .against_some(their(&their_real).map(|(shim, configuration)| engine(&shim, Some(&configuration), "all"))),
    )?;
    Ok(rows)
}

/// The folder of the original's programs, if we were given one.
fn theirs() -> Option<PathBuf> {
    env::var_os("CORTEN_THEIRS").map(PathBuf::from)
}

fn print_table(rows: &[Row], runs: u32) {
    println!("\nmedians of {runs} interleaved runs, milliseconds; + is what is added to the first column\n");
    println!("| what | bare | Corten | | original | | original's addition over ours |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        println!("{row}");
    }
}

/// Memory of a forwarded call, and the size of what is installed.
fn print_sizes(bundle: &Bundle) -> Outcome {
    let ours = dist::folder().join("bin");
    let configuration = bundle.configuration("sizes", NOTHING, None)?;
    let memory = |folder: &Path| peak_memory(folder, &configuration);
    println!("\n| what | Corten | original |\n|---|---:|---:|");
    println!("| peak memory of a forwarded call | {} | {} |", memory(&ours)?, with_theirs(memory)?);
    println!("| all executables | {} | {} |", size(&ours)?, with_theirs(size)?);
    Ok(())
}

fn with_theirs(figure: impl Fn(&Path) -> Result<String, String>) -> Result<String, String> {
    theirs().map_or(Ok("not given".into()), |folder| figure(&folder))
}

/// Largest resident set of a call that is forwarded to a program which needs next to nothing.
fn peak_memory(folder: &Path, configuration: &Path) -> Result<String, String> {
    let mut command = Command::new("/usr/bin/time");
    command.args(["--format", "%M"]).arg(folder.join("nvidia-container-runtime")).args(["state", "corten-bench"]);
    command.env("NVIDIA_CTK_CONFIG_FILE_PATH", configuration);
    let printed = command.output().map_err(|why| format!("could not run /usr/bin/time: {why}"))?;
    let text = String::from_utf8_lossy(&printed.stderr).into_owned();
    let kilobytes: f64 =
        text.lines().last().and_then(|line| line.parse().ok()).ok_or_else(|| format!("time printed {text:?}"))?;
    Ok(format!("{:.1} MB", kilobytes / 1024.0))
}

fn size(folder: &Path) -> Result<String, String> {
    let list = output(Command::new("find").arg(folder).args(["-type", "f", "-perm", "/111"]))?;
    let bytes: u64 = list.lines().filter_map(|path| fs::metadata(path).ok()).map(|file| file.size()).sum();
    Ok(format!("{:.1} MB", bytes as f64 / 1e6))
}
