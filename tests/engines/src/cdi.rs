//! What every engine that reads CDI specs by itself must do with ours, whatever its command line looks like.

use crate::{Answer, Check, GPU_0, Programs, answer, count_gpus, equal, holds};
use std::{fs, path::Path, process::Command};

/// An engine that takes CDI names on its command line.
pub trait Consumer {
    /// Runs `command`, whose program is given by its path, in a container with these devices.
    fn run(&mut self, devices: &[&str], command: &[&str]) -> Result<Answer, String>;
}

/// Who gives a container its libraries' links and loader cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// The spec's hooks, which are our `nvidia-cdi-hook`.
    Ours,
    /// The same work in one hook.
    One,
    /// Nobody: the spec mounts all there is to be.
    None,
}

const LIST: [&str; 2] = ["/usr/bin/nvidia-smi", "-L"];
const GPU_1: &str = "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c";
const SPEC: &str = "/etc/cdi/nvidia.yaml";

/// Installs our programs as the README says and writes the machine's spec, with these flags besides the hooks'.
pub fn describe_machine(programs: &Programs, hooks: Hooks, flags: &[&str]) -> Result<(), String> {
    for entry in fs::read_dir(&programs.bin).map_err(|why| format!("{}: {why}", programs.bin.display()))? {
        let path = entry.map_err(|why| why.to_string())?.path();
        succeed(Command::new("cp").args(["--no-dereference", "--force"]).arg(path).arg("/usr/bin/"))?;
    }
    let mut generate = Command::new("/usr/bin/nvidia-ctk");
    generate.args(["cdi", "generate"]).arg(format!("--output={SPEC}")).args(flags);
    generate.args(match hooks {
        Hooks::Ours => &[][..],
        Hooks::One => &["--hooks=one"],
        Hooks::None => &["--hooks=none"],
    });
    succeed(&mut generate)?;
    let text = fs::read_to_string(Path::new(SPEC)).map_err(|why| format!("{SPEC}: {why}"))?;
    match (hooks, text.matches("hookName:").count()) {
        (Hooks::Ours, 2..) | (Hooks::One, 1) | (Hooks::None, 0) => Ok(()),
        (_, found) => Err(format!("asked for hooks {hooks:?}, and the spec has {found}")),
    }
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let done = answer(command)?;
    match done.status {
        0 => Ok(()),
        status => Err(format!("{command:?} ended with {status}: {}", done.err)),
    }
}

/// Checks for the machine with two GPUs.
pub fn checks<E: Consumer>() -> Vec<Check<E>> {
    vec![
        ("a_gpu_by_its_index_is_just_that_one", by_index),
        ("a_gpu_by_its_uuid_is_just_that_one", by_uuid),
        ("all_gpus_at_once_and_one_by_one", all),
        ("a_gpu_that_was_not_granted_cannot_be_opened", only_what_was_granted),
        ("the_loader_finds_the_driver", libraries),
        ("a_name_that_does_not_exist_is_an_error", unknown),
        ("a_container_that_asks_for_nothing_gets_nothing", nothing),
    ]
}

/// Checks for the machine with MIG devices.
pub fn mig_checks<E: Consumer>() -> Vec<Check<E>> {
    vec![("a_mig_device_is_just_that_one", one_mig_device), ("all_mig_devices", all_mig_devices)]
}

/// Twice: the second start may meet what the first left behind.
fn by_index<E: Consumer>(engine: &mut E) -> Result<(), String> {
    equal("the first start", GPU_0, &engine.run(&["nvidia.com/gpu=0"], &LIST)?)?;
    equal("the second start", GPU_0, &engine.run(&["nvidia.com/gpu=0"], &LIST)?)
}

fn by_uuid<E: Consumer>(engine: &mut E) -> Result<(), String> {
    let seen = engine.run(&[&format!("nvidia.com/gpu={GPU_1}")], &LIST)?;
    count_gpus("the second GPU", 1, &seen)?;
    holds("the second GPU", &seen.out, GPU_1)
}

fn all<E: Consumer>(engine: &mut E) -> Result<(), String> {
    count_gpus("all", 2, &engine.run(&["nvidia.com/gpu=all"], &LIST)?)?;
    count_gpus("both", 2, &engine.run(&["nvidia.com/gpu=0", "nvidia.com/gpu=1"], &LIST)?)
}

/// Whoever may make device nodes still meets the device cgroup, which the engine made of the spec's nodes.
fn only_what_was_granted<E: Consumer>(engine: &mut E) -> Result<(), String> {
    let script = "mknod /tmp/other c 195 1; cat /tmp/other; cat /dev/nvidia0; test ! -e /dev/nvidia1";
    let seen = engine.run(&["nvidia.com/gpu=0"], &["/bin/sh", "-c", script])?;
    holds("the one that was not granted", &seen.err, "/tmp/other: Operation not permitted")?;
    holds("the one that was granted", &seen.err, "/dev/nvidia0: No such device or address")?;
    match seen.status {
        0 => Ok(()),
        _ => Err("the node of the GPU that was not granted is there".into()),
    }
}

/// Names that programs ask the loader for: sonames, and the one that `dlopen` of older programs uses.
fn libraries<E: Consumer>(engine: &mut E) -> Result<(), String> {
    let names = ["libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1"];
    let seen = engine.run(&["nvidia.com/gpu=all"], &[&["/usr/bin/lab-probe"], &names[..]].concat())?;
    names.iter().try_for_each(|name| holds("what can be loaded", &seen.out, &format!("\"{name}\": \"ok\"")))
}

fn unknown<E: Consumer>(engine: &mut E) -> Result<(), String> {
    let seen = engine.run(&["nvidia.com/gpu=7"], &LIST)?;
    match seen.status {
        0 => Err(format!("a container started with a GPU that does not exist: {}", seen.out)),
        _ => holds("the error", &seen.err, "nvidia.com/gpu=7"),
    }
}

fn nothing<E: Consumer>(engine: &mut E) -> Result<(), String> {
    let seen = engine.run(&[], &["/bin/sh", "-c", "ls /dev; cat /proc/self/mountinfo"])?;
    match seen.status == 0 && !seen.out.contains("nvidia") {
        true => Ok(()),
        false => Err(format!("status {}: {}{}", seen.status, seen.out, seen.err)),
    }
}

/// Its UUIDs, in `lab/machines/mig.toml`.
const MIG: [&str; 2] = ["MIG-b3f1ad9e-9a3a-5c7c-8b5e-6f2c5b8f0a11", "MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22"];

fn one_mig_device<E: Consumer>(engine: &mut E) -> Result<(), String> {
    for (name, [own, other]) in [("0:0", MIG), ("0:1", [MIG[1], MIG[0]]), (MIG[1], [MIG[1], MIG[0]])] {
        let seen = engine.run(&[&format!("nvidia.com/gpu={name}")], &LIST)?;
        holds(name, &seen.out, own).map_err(|why| format!("{why}{}", seen.err))?;
        if seen.out.contains(other) {
            return Err(format!("{name} also gave {other}"));
        }
    }
    Ok(())
}

fn all_mig_devices<E: Consumer>(engine: &mut E) -> Result<(), String> {
    let seen = engine.run(&["nvidia.com/gpu=all"], &LIST)?;
    MIG.iter().try_for_each(|uuid| holds("all", &seen.out, uuid)).map_err(|why| format!("{why}{}", seen.err))
}
