//! Docker's `--gpus` without our runtime, which starts the prestart hook that is in the daemon's PATH; and our runtime in
//! legacy mode, which starts the same hook. Both end in `nvidia-container-cli`.

use super::checks::{changes, unchanged};
use engines::{
    Answer, Check, GPU_0, count_gpus,
    docker::{Engine, IMAGE},
    equal, holds,
};
use serde_json::Value;
use std::fs;

/// All checks.
pub const ALL: &[Check<Engine>] = &[
    ("gpus_of_every_form_are_just_those", gpus_of_every_form_are_just_those),
    ("capabilities_decide_what_is_there", capabilities_decide_what_is_there),
    ("a_gpu_that_was_not_granted_cannot_be_opened", a_gpu_that_was_not_granted_cannot_be_opened),
    ("a_gpu_that_does_not_exist_is_an_error_that_is_shown", a_gpu_that_does_not_exist_is_an_error_that_is_shown),
    ("legacy_mode_serves_variables_and_gpus_alike", legacy_mode_serves_variables_and_gpus_alike),
    ("exec_and_restarts_see_the_gpus_and_leave_nothing", exec_and_restarts_see_the_gpus_and_leave_nothing),
    ("nvidia_docker_asks_for_the_gpus_of_its_variable", nvidia_docker_asks_for_the_gpus_of_its_variable),
    ("rules_set_anew_take_no_gpu_from_legacy_mode", rules_set_anew_take_no_gpu_from_legacy_mode),
    ("rules_set_anew_take_the_gpu_from_the_hook_alone", rules_set_anew_take_the_gpu_from_the_hook_alone),
];

const GPU_1: &str = "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c";
const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];
const LEGACY: [&str; 3] = ["--runtime=nvidia-legacy", "--env", "NVIDIA_VISIBLE_DEVICES=0"];

fn run(engine: &Engine, flags: &[&str], command: &[&str]) -> Result<Answer, String> {
    engine.docker(&[&RUN[..], flags, &[IMAGE], command].concat())
}

fn gpus_of_every_form_are_just_those(engine: &mut Engine) -> Result<(), String> {
    for (gpus, count) in [("all", 2), ("\"device=0,1\"", 2), ("1", 1), ("device=0", 1)] {
        let seen = run(engine, &["--gpus", gpus], &["nvidia-smi", "-L"])?;
        count_gpus(gpus, count, &seen)?;
    }
    let seen = run(engine, &["--gpus", &format!("device={GPU_1}")], &["nvidia-smi", "-L"])?;
    count_gpus("a UUID", 1, &seen)?;
    holds("the second GPU", &seen.out, GPU_1)
}

fn capabilities_decide_what_is_there(engine: &mut Engine) -> Result<(), String> {
    let list = ["sh", "-c", "nvidia-smi -L >/dev/null && ls /dev /usr/lib/x86_64-linux-gnu"];
    let usual = run(engine, &["--gpus", "all"], &list)?;
    let utility = run(engine, &["--gpus", "all,capabilities=utility"], &list)?;
    for (what, seen, cuda) in [("all", &usual, true), ("utility", &utility, false)] {
        if seen.status != 0 {
            return Err(format!("{what}: {}{}", seen.out, seen.err));
        }
        for name in ["libcuda.so.1", "nvidia-uvm"] {
            if seen.out.lines().any(|line| line == name) != cuda {
                return Err(format!("{what}: whether there is {name} is not {cuda}: {}", seen.out));
            }
        }
        holds(what, &seen.out, "libnvidia-ml.so.1")?;
    }
    Ok(())
}

fn a_gpu_that_was_not_granted_cannot_be_opened(engine: &mut Engine) -> Result<(), String> {
    let script = "mknod /tmp/other c 195 1; cat /tmp/other; cat /dev/nvidia0";
    for flags in [&["--gpus", "device=0"][..], &LEGACY] {
        let seen = run(engine, flags, &["sh", "-c", script])?;
        holds("the one that was not granted", &seen.err, "/tmp/other: Operation not permitted")?;
        holds("the one that was granted", &seen.err, "/dev/nvidia0: No such device or address")?;
    }
    Ok(())
}

fn a_gpu_that_does_not_exist_is_an_error_that_is_shown(engine: &mut Engine) -> Result<(), String> {
    for flags in [&["--gpus", "device=7"][..], &["--runtime=nvidia-legacy", "--env", "NVIDIA_VISIBLE_DEVICES=7"]] {
        let seen = run(engine, flags, &["true"])?;
        if seen.status == 0 {
            return Err("a container started with a GPU that does not exist".into());
        }
        holds("the program's words", &seen.err, "device error: 7: unknown device")?;
    }
    Ok(())
}

/// The hook that Docker put there is the one that the runtime would add.
fn legacy_mode_serves_variables_and_gpus_alike(engine: &mut Engine) -> Result<(), String> {
    equal("a variable", GPU_0, &run(engine, &LEGACY, &["nvidia-smi", "-L"])?)?;
    let both = ["--runtime=nvidia-legacy", "--gpus", "device=0"];
    equal("--gpus", GPU_0, &run(engine, &both, &["nvidia-smi", "-L"])?)?;
    let nothing = run(engine, &["--runtime=nvidia-legacy"], &["sh", "-c", "ls /dev; cat /proc/self/mountinfo"])?;
    match nothing.status == 0 && !nothing.out.contains("nvidia") {
        true => Ok(()),
        false => Err(format!("without a request: {}{}", nothing.out, nothing.err)),
    }
}

fn exec_and_restarts_see_the_gpus_and_leave_nothing(engine: &mut Engine) -> Result<(), String> {
    for (name, flags) in [("hooked", &["--gpus", "all"][..]), ("legacy", &["--runtime=nvidia-legacy", "--gpus", "all"])]
    {
        start(engine, name, flags)?;
        count_gpus("exec", 2, &engine.docker(&["exec", name, "nvidia-smi", "-L"])?)?;
        let once = changes(engine, name)?;
        for _ in 0..3 {
            engine.must(&["restart", "--time", "0", name])?;
        }
        let seen = engine.docker(&["exec", name, "nvidia-smi", "-L"])?;
        let thrice = changes(engine, name)?;
        engine.must(&["rm", "--force", name])?;
        count_gpus("after restarts", 2, &seen)?;
        unchanged(&once, &thrice)?;
    }
    Ok(())
}

fn nvidia_docker_asks_for_the_gpus_of_its_variable(engine: &mut Engine) -> Result<(), String> {
    let mut command = engine.client("nvidia-docker");
    command.env("NV_GPU", "1").args(RUN).args([IMAGE, "nvidia-smi", "-L"]);
    let seen = engines::answer(&mut command)?;
    count_gpus("NV_GPU", 1, &seen)?;
    holds("the second GPU", &seen.out, GPU_1)
}

/// What `systemctl daemon-reload` does: the container's device rules become those of config.json again.
fn rules_set_anew_take_no_gpu_from_legacy_mode(engine: &mut Engine) -> Result<(), String> {
    start(engine, "reloaded", &LEGACY)?;
    let seen = reload(engine, "reloaded");
    engine.must(&["rm", "--force", "reloaded"])?;
    let (rules, opened) = seen?;
    if !allowed(&rules, 195, 0) || allowed(&rules, 195, 1) {
        return Err(format!("config.json says {rules:?}"));
    }
    holds("after the rules were set anew", &opened, "/dev/nvidia0: No such device or address")
}

/// Without our runtime nobody tells config.json, so this cannot be otherwise; and it shows that the check above would see it.
fn rules_set_anew_take_the_gpu_from_the_hook_alone(engine: &mut Engine) -> Result<(), String> {
    start(engine, "reloaded", &["--gpus", "device=0"])?;
    let seen = reload(engine, "reloaded");
    engine.must(&["rm", "--force", "reloaded"])?;
    let (rules, opened) = seen?;
    match allowed(&rules, 195, 0) {
        true => Err(format!("config.json says {rules:?}")),
        false if is_v2() => Ok(()),
        false => holds("after the rules were set anew", &opened, "/dev/nvidia0: Operation not permitted"),
    }
}

/// A container that sleeps.
fn start(engine: &Engine, name: &str, flags: &[&str]) -> Result<(), String> {
    let words = ["run", "--detach", "--network", "none", "--name", name];
    engine.must(&[&words[..], flags, &[IMAGE, "sleep", "600"]].concat()).map(drop)
}

/// Sets the container's rules as its config.json has them, and says what those are and how opening the GPU ends. In a
/// unified hierarchy the rules are a program of the kernel's, which only who attached it can replace: there config.json is
/// all that is looked at.
fn reload(engine: &Engine, name: &str) -> Result<(Vec<Value>, String), String> {
    let id = engine.must(&["inspect", "--format", "{{.Id}}", name])?;
    let pid = engine.must(&["inspect", "--format", "{{.State.Pid}}", name])?;
    let bundle = format!("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{}", id.trim());
    let text = fs::read_to_string(format!("{bundle}/config.json")).map_err(|why| format!("{bundle}: {why}"))?;
    let document: Value = serde_json::from_str(&text).map_err(|why| why.to_string())?;
    let rules = document["linux"]["resources"]["devices"].as_array().cloned().unwrap_or_default();
    holds("before", &engine.docker(&["exec", name, "cat", "/dev/nvidia0"])?.err, "No such device or address")?;
    if !is_v2() {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).map_err(|why| why.to_string())?;
        let own =
            |line: &str| line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == "devices"));
        let line = groups.lines().find(|line| own(line)).ok_or("the container is in no devices cgroup")?;
        let folder = format!("/sys/fs/cgroup/devices{}", line.rsplit(':').next().unwrap_or_default());
        for rule in &rules {
            let file = if rule["allow"] == true { "devices.allow" } else { "devices.deny" };
            fs::write(format!("{folder}/{file}"), written(rule)).map_err(|why| format!("{folder}/{file}: {why}"))?;
        }
    }
    Ok((rules, engine.docker(&["exec", name, "cat", "/dev/nvidia0"])?.err))
}

fn is_v2() -> bool {
    fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default()
}

/// As `devices.allow` takes it.
fn written(rule: &Value) -> String {
    let number = |name: &str| rule[name].as_i64().map_or("*".to_owned(), |number| number.to_string());
    match rule["type"].as_str().unwrap_or("a") {
        "a" => "a".to_owned(),
        kind => format!("{kind} {}:{} {}", number("major"), number("minor"), rule["access"].as_str().unwrap_or("rwm")),
    }
}

/// Whether the rules let a character device be read; the last one that is about it counts.
fn allowed(rules: &[Value], major: i64, minor: i64) -> bool {
    let about = |rule: &&Value| {
        let fits = |name: &str, wanted: i64| rule[name].as_i64().is_none_or(|number| number == wanted);
        matches!(rule["type"].as_str(), None | Some("a" | "c"))
            && fits("major", major)
            && fits("minor", minor)
            && rule["access"].as_str().is_none_or(|access| access.contains('r'))
    };
    rules.iter().rfind(about).is_some_and(|rule| rule["allow"] == true)
}
