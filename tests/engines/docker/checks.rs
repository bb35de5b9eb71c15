//! What a user of Docker relies on.

use engines::{
    Answer, Check, GPU_0, count_gpus,
    docker::{Engine, IMAGE},
    equal, holds,
};
use std::collections::BTreeSet;

/// All checks, in the order they run. The last one changes the engine's flags.
pub const ALL: &[Check<Engine>] = &[
    ("run_shows_the_gpus_asked_for", run_shows_the_gpus_asked_for),
    ("a_container_that_asks_for_nothing_gets_nothing", a_container_that_asks_for_nothing_gets_nothing),
    ("a_gpu_that_was_not_granted_cannot_be_opened", a_gpu_that_was_not_granted_cannot_be_opened),
    ("exec_sees_the_gpus", exec_sees_the_gpus),
    ("ten_restarts_leave_what_one_start_left", ten_restarts_leave_what_one_start_left),
    ("a_committed_image_starts_with_and_without_gpus", a_committed_image_starts_with_and_without_gpus),
    ("a_read_only_container_has_its_gpus", a_read_only_container_has_its_gpus),
    ("an_error_reaches_the_user_with_its_code", an_error_reaches_the_user_with_its_code),
    ("default_runtime_serves_everybody", default_runtime_serves_everybody),
];

const GPU_1: &str = "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c";
const RUN: [&str; 5] = ["run", "--rm", "--network", "none", "--runtime=nvidia"];

/// `docker run` with our runtime and these variables.
fn run(engine: &Engine, variables: &[&str], command: &[&str]) -> Result<Answer, String> {
    let mut words = RUN.to_vec();
    for variable in variables {
        words.extend(["--env", variable]);
    }
    words.push(IMAGE);
    words.extend(command);
    engine.docker(&words)
}

fn run_shows_the_gpus_asked_for(engine: &mut Engine) -> Result<(), String> {
    let one = run(engine, &["NVIDIA_VISIBLE_DEVICES=0"], &["nvidia-smi", "-L"])?;
    equal("GPU 0", GPU_0, &one)?;
    let all = run(engine, &["NVIDIA_VISIBLE_DEVICES=all"], &["nvidia-smi", "-L"])?;
    count_gpus("all", 2, &all)?;
    let prefix = run(engine, &["NVIDIA_VISIBLE_DEVICES=GPU-4404041a"], &["nvidia-smi", "-L"])?;
    count_gpus("a prefix", 1, &prefix)?;
    holds("the second GPU", &prefix.out, GPU_1)
}

fn a_container_that_asks_for_nothing_gets_nothing(engine: &mut Engine) -> Result<(), String> {
    for variables in [&[][..], &["NVIDIA_VISIBLE_DEVICES=void"], &["NVIDIA_VISIBLE_DEVICES="]] {
        let seen = run(engine, variables, &["sh", "-c", "ls /dev; cat /proc/self/mountinfo"])?;
        if seen.status != 0 || seen.out.contains("nvidia") {
            return Err(format!("{variables:?}: {}{}", seen.out, seen.err));
        }
    }
    Ok(())
}

/// Whoever may make device nodes still meets the device cgroup: the rules are in config.json, for just what was granted.
fn a_gpu_that_was_not_granted_cannot_be_opened(engine: &mut Engine) -> Result<(), String> {
    let script = "mknod /tmp/other c 195 1; cat /tmp/other; cat /dev/nvidia0";
    let seen = run(engine, &["NVIDIA_VISIBLE_DEVICES=0"], &["sh", "-c", script])?;
    holds("the one that was not granted", &seen.err, "/tmp/other: Operation not permitted")?;
    holds("the one that was granted", &seen.err, "/dev/nvidia0: No such device or address")
}

fn exec_sees_the_gpus(engine: &mut Engine) -> Result<(), String> {
    start_sleeper(engine, "executed", &[])?;
    let listed = engine.docker(&["exec", "executed", "nvidia-smi", "-L"])?;
    engine.must(&["rm", "--force", "executed"])?;
    count_gpus("exec", 2, &listed)
}

fn ten_restarts_leave_what_one_start_left(engine: &mut Engine) -> Result<(), String> {
    start_sleeper(engine, "restarted", &[])?;
    let once = changes(engine, "restarted")?;
    for _ in 0..10 {
        engine.must(&["restart", "--time", "0", "restarted"])?;
    }
    let listed = engine.docker(&["exec", "restarted", "nvidia-smi", "-L"])?;
    count_gpus("after ten restarts", 2, &listed)?;
    let tenth = changes(engine, "restarted")?;
    engine.must(&["rm", "--force", "restarted"])?;
    unchanged(&once, &tenth)
}

fn a_committed_image_starts_with_and_without_gpus(engine: &mut Engine) -> Result<(), String> {
    start_sleeper(engine, "committed", &[])?;
    engine.must(&["commit", "committed", "corten-committed"])?;
    engine.must(&["rm", "--force", "committed"])?;
    let without = engine.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--env",
        "NVIDIA_VISIBLE_DEVICES=void",
        "corten-committed",
        "ls",
        "/dev",
    ])?;
    if without.status != 0 || without.out.contains("nvidia") {
        return Err(format!("without GPUs: {}{}", without.out, without.err));
    }
    let mut words = RUN.to_vec();
    words.extend(["--env", "NVIDIA_VISIBLE_DEVICES=0", "corten-committed", "nvidia-smi", "-L"]);
    equal("with a GPU", GPU_0, &engine.docker(&words)?)
}

fn a_read_only_container_has_its_gpus(engine: &mut Engine) -> Result<(), String> {
    let mut words = RUN.to_vec();
    words.extend(["--read-only", "--env", "NVIDIA_VISIBLE_DEVICES=0", IMAGE, "nvidia-smi", "-L"]);
    equal("read-only", GPU_0, &engine.docker(&words)?)
}

/// containerd makes its message from the last error line of the `--log` file, so our words must be there.
fn an_error_reaches_the_user_with_its_code(engine: &mut Engine) -> Result<(), String> {
    let seen = run(engine, &["NVIDIA_VISIBLE_DEVICES=7"], &["true"])?;
    if seen.status == 0 {
        return Err("a container started with a GPU that does not exist".into());
    }
    holds("the code", &seen.err, "CORTEN-E")?;
    holds("what was asked for", &seen.err, "NVIDIA_VISIBLE_DEVICES")
}

fn default_runtime_serves_everybody(engine: &mut Engine) -> Result<(), String> {
    engine.restart_with(&["--default-runtime=nvidia"])?;
    let run = ["run", "--rm", "--network", "none"];
    let with = [&run[..], &["--env", "NVIDIA_VISIBLE_DEVICES=all", IMAGE, "nvidia-smi", "-L"]].concat();
    count_gpus("default runtime", 2, &engine.docker(&with)?)?;
    let without = engine.must(&[&run[..], &[IMAGE, "ls", "/dev"]].concat())?;
    match without.contains("nvidia") {
        false => Ok(()),
        true => Err(format!("a container that asked for nothing got: {without}")),
    }
}

/// A container that sleeps, with all GPUs.
fn start_sleeper(engine: &Engine, name: &str, flags: &[&str]) -> Result<(), String> {
    let mut words = vec!["run", "--detach", "--network", "none", "--runtime=nvidia", "--name", name];
    words.extend(["--env", "NVIDIA_VISIBLE_DEVICES=all"]);
    words.extend(flags);
    words.extend([IMAGE, "sleep", "600"]);
    engine.must(&words).map(drop)
}

/// What the container's own layer holds over the image's.
pub(super) fn changes(engine: &Engine, container: &str) -> Result<BTreeSet<String>, String> {
    Ok(engine.must(&["diff", container])?.lines().map(str::to_owned).collect())
}

/// Both starts left the same there.
pub(super) fn unchanged(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Result<(), String> {
    let litter: Vec<_> = before.symmetric_difference(after).collect();
    match litter.is_empty() {
        true => Ok(()),
        false => Err(format!("restarting changed the container's files: {litter:?}")),
    }
}
