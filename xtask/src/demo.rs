//! `cargo xtask demo`: the main job, shown. A real container, started by a real low-level runtime through our shim,
//! lists its GPUs.

use crate::{
    dist,
    shell::{Outcome, as_root, run as run_command, say, workspace},
    system, unknown,
};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask demo [--machine FILE] [--gpus LIST]

Builds everything, installs runc if it is missing, and runs `nvidia-smi -L` in a container.
With an NVIDIA driver on this machine the container gets the real GPUs; without one, those of a simulated machine.

  --machine FILE  a simulated machine of lab/machines, also where there is a real driver (two-gpus.toml)
  --gpus LIST     NVIDIA_VISIBLE_DEVICES of the container (all)
";

/// What was asked for on the command line.
struct Options {
    machine: Option<PathBuf>,
    gpus: String,
}

/// `cargo xtask demo`.
pub fn run(arguments: &[String]) -> Outcome {
    let options = Options::parse(arguments)?;
    system::ensure(&[&system::RUNC])?;
    dist::run_all()?;
    let mut inner = on_machine(&options);
    inner.arg("inside-demo").arg(&options.gpus);
    run_command(&mut inner)?;
    print_next_steps();
    Ok(())
}

/// Ourselves, on this machine's driver or within the simulated machine.
fn on_machine(options: &Options) -> Command {
    let ourselves = env::current_exe().unwrap_or_else(|_| "xtask".into());
    match (&options.machine, system::real_driver()) {
        (None, Some(driver)) => {
            say(&format!("this machine has a driver: {driver}"));
            as_root(ourselves)
        }
        (machine, _) => {
            let machine = machine.clone().unwrap_or_else(|| workspace().join("lab/machines/two-gpus.toml"));
            say(&format!("simulating the machine of {}", machine.display()));
            let mut lab = as_root(dist::lab_folder().join("lab"));
            lab.args(["run", "--machine"]).arg(machine).arg("--").arg(ourselves);
            lab
        }
    }
}

/// The part that runs where the GPUs are.
pub fn inside(arguments: &[String]) -> Outcome {
    let gpus = arguments.first().map_or("all", String::as_str);
    let bundle = env::temp_dir().join(format!("corten-demo-{}", std::process::id()));
    let shown = show(&bundle, gpus);
    let removed = fs::remove_dir_all(&bundle).map_err(|why| format!("could not remove {}: {why}", bundle.display()));
    shown.and(removed)
}

fn show(bundle: &Path, gpus: &str) -> Outcome {
    say("making a container: a small root file system and the config.json of `runc spec`");
    fs::create_dir_all(bundle).map_err(|why| format!("could not make {}: {why}", bundle.display()))?;
    let mut rootfs = Command::new(dist::lab_folder().join("lab"));
    run_command(rootfs.args(["rootfs", "--kind", "debian", "--to"]).arg(bundle.join("rootfs")))?;
    run_command(shim().arg("spec").current_dir(bundle))?;
    ask_for_gpus(&bundle.join("config.json"), gpus)?;
    say(&format!("nvidia-container-runtime run, with NVIDIA_VISIBLE_DEVICES={gpus}; the container says:"));
    run_command(shim().args(["run", "--bundle"]).arg(bundle).arg(format!("corten-demo-{}", std::process::id())))
}

fn shim() -> Command {
    Command::new(dist::folder().join("bin/nvidia-container-runtime"))
}

/// What one would change in `config.json` by hand: the command, the variable, no terminal.
fn ask_for_gpus(config: &Path, gpus: &str) -> Outcome {
    let fail = |why: String| format!("{}: {why}", config.display());
    let text = fs::read_to_string(config).map_err(|why| fail(why.to_string()))?;
    let mut spec: Value = serde_json::from_str(&text).map_err(|why| fail(why.to_string()))?;
    let process = &mut spec["process"];
    process["terminal"] = json!(false);
    process["args"] = json!(["nvidia-smi", "-L"]);
    match process["env"].as_array_mut() {
        Some(list) => list.push(json!(format!("NVIDIA_VISIBLE_DEVICES={gpus}"))),
        None => return Err(fail("runc spec wrote no process.env".into())),
    }
    fs::write(config, spec.to_string()).map_err(|why| fail(why.to_string()))
}

fn print_next_steps() {
    eprintln!(
        "\n\
         That was a real container: runc started it, our shim gave it the GPUs. Try next:\n\n\
         \x20 cargo xtask demo --gpus 1                               only the second GPU\n\
         \x20 cargo xtask demo --machine lab/machines/mig.toml        MIG instances\n\
         \x20 cargo xtask demo --gpus 7                               an error that says what to do\n\
         \x20 cargo xtask test                                        everything we promise\n\n\
         README.md tells how to install it and how to use it with Docker, containerd and Podman."
    );
}

impl Options {
    /// `None`: help is wanted.
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options { machine: None, gpus: "all".into() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().ok_or_else(|| format!("{word} needs a value; see --help"));
            match word.as_str() {
                "--machine" => options.machine = Some(absolute(&value()?)?),
                "--gpus" => options.gpus = value()?,
                other => return Err(unknown(other)),
            }
        }
        Ok(options)
    }
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|why| format!("{path}: {why}; the machines that ship are in lab/machines"))
}
