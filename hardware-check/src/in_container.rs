//! Containers, started with the low-level runtime that the folder brings: one without GPUs, to see whether any can be
//! started here; then with GPUs, by our runtime from the machine as it is, and by our runtime from the CDI specification.

use crate::{
    child::Done,
    cuda, discovery, in_place,
    machine::Machine,
    report::{Bad, Verdict, fail, skip},
    specification,
    stage::Stage,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// Any container at all.
pub fn plain(stage: &Stage) -> Verdict {
    if let Err(why) = &stage.isolated {
        return skip(format!("{why}; containers need CAP_SYS_ADMIN, so what follows would not start"));
    }
    let container = Container::make(stage, "plain", "void", &["true"])?;
    let done = container.run("runc")?;
    match done.success {
        true => Ok("starts a container without GPUs".to_owned()),
        false => skip(format!("no container can be started here: {}", done.complaint(stage.limit))),
    }
}

/// `nvidia-smi -L` in a container that asks for every GPU.
pub fn list(stage: &Stage, machine: &Machine, expected: Result<&str, &Bad>) -> Verdict {
    specification::configure(stage, machine)?;
    same_list(stage, machine, expected, "list", &everything(machine), "nvidia-container-runtime")
}

/// The CUDA driver API in such a container.
pub fn cuda(stage: &Stage, machine: &Machine) -> Verdict {
    specification::configure(stage, machine)?;
    probe(stage, machine, "cuda", &everything(machine), "nvidia-container-runtime")
}

/// `nvidia-smi -L` in a container that asks for the specification's `all`.
pub fn list_by_spec(stage: &Stage, machine: &Machine, expected: Result<&str, &Bad>, spec: &Verdict) -> Verdict {
    ready(spec)?;
    same_list(stage, machine, expected, "list-cdi", ALL_OF_SPEC, "nvidia-container-runtime.cdi")
}

/// The CUDA driver API in such a container.
pub fn cuda_by_spec(stage: &Stage, machine: &Machine, spec: &Verdict) -> Verdict {
    ready(spec)?;
    probe(stage, machine, "cuda-cdi", ALL_OF_SPEC, "nvidia-container-runtime.cdi")
}

const ALL_OF_SPEC: &str = "nvidia.com/gpu=all";

/// Its failure has a line of its own.
fn ready(spec: &Verdict) -> Verdict<()> {
    match spec {
        Ok(_) => Ok(()),
        Err(_) => skip("there is no specification to start it by"),
    }
}

/// In a container that was given a part of a machine, `all` would be more than can be had.
fn everything(machine: &Machine) -> String {
    match machine.is_part() {
        true => machine.seen().map(|gpu| gpu.uuid.as_str()).collect::<Vec<_>>().join(","),
        false => "all".to_owned(),
    }
}

fn same_list(
    stage: &Stage,
    machine: &Machine,
    expected: Result<&str, &Bad>,
    name: &str,
    gpus: &str,
    runtime: &str,
) -> Verdict {
    let expected = expected.map_err(Clone::clone)?;
    // It is there, or there would be no list.
    let Some(program) = machine.program("nvidia-smi") else { return skip("this driver has no nvidia-smi") };
    let done = Container::make(stage, name, gpus, &[program.path.as_str(), "-L"])?.run(runtime)?;
    let list = in_place::listed(&done, stage)?;
    if list == expected {
        return Ok(format!("{}, as outside", in_place::describe(&list)));
    }
    let differ = expected.lines().zip(list.lines()).find(|(outside, inside)| outside != inside);
    match differ {
        Some((outside, inside)) => fail(format!("outside {:?}, in the container {:?}", outside.trim(), inside.trim())),
        None => {
            fail(format!("{} outside, {} in the container", in_place::describe(expected), in_place::describe(&list)))
        }
    }
}

fn probe(stage: &Stage, machine: &Machine, name: &str, gpus: &str, runtime: &str) -> Verdict {
    if machine.driver().is_none() {
        return discovery::no_driver();
    }
    if !stage.path("driver/libcuda.so.1").exists() {
        return skip("this driver has no libcuda.so.1");
    }
    let done = Container::make(stage, name, gpus, &["cuda-probe"])?.run(runtime)?;
    cuda::judge(&done, stage.limit, machine.nvml.as_ref().ok())
}

/// One container.
struct Container<'a> {
    stage: &'a Stage,
    id: String,
    bundle: PathBuf,
}

impl<'a> Container<'a> {
    /// Its bundle: a copy of our root, and `runc spec`'s own configuration with a command and a request.
    fn make(stage: &'a Stage, name: &str, gpus: &str, words: &[&str]) -> Verdict<Container<'a>> {
        let id = format!("corten-check-{name}-{}", std::process::id());
        let container = Container { stage, id, bundle: stage.path(name) };
        let spec = container.specify()?;
        let failed = |error: std::io::Error| Bad::Fail(format!("{}: {error}", container.bundle.display()));
        stage.new_root(&container.bundle.join("rootfs")).map_err(failed)?;
        let text = edited(&spec, gpus, words).map_err(|error| Bad::Fail(format!("runc spec: {error}")))?;
        fs::write(container.bundle.join("config.json"), text).map_err(failed)?;
        Ok(container)
    }

    fn specify(&self) -> Verdict<String> {
        fs::create_dir(&self.bundle).map_err(|error| Bad::Fail(error.to_string()))?;
        let done =
            self.stage.run(self.stage.program("runc").arg("spec").current_dir(&self.bundle)).map_err(Bad::Fail)?;
        if !done.success {
            return fail(format!("runc spec: {}", done.complaint(self.stage.limit)));
        }
        fs::read_to_string(self.bundle.join("config.json")).map_err(|error| Bad::Fail(format!("runc spec: {error}")))
    }

    /// Starts it, waits for its end, and removes it.
    fn run(&self, runtime: &str) -> Verdict<Done> {
        let mut command = self.stage.program(runtime);
        command.arg("--root").arg(self.stage.path("state")).args(["run", "--bundle"]).arg(&self.bundle).arg(&self.id);
        let done = self.stage.run(&mut command).map_err(Bad::Fail)?;
        if done.late {
            let mut delete = self.stage.program("runc");
            delete.arg("--root").arg(self.stage.path("state")).args(["delete", "--force", &self.id]);
            self.stage.run(&mut delete).map_err(Bad::Fail)?;
        }
        let _ = fs::remove_dir_all(&self.bundle);
        Ok(done)
    }
}

/// The configuration with what this container is for.
fn edited(spec: &str, gpus: &str, words: &[&str]) -> serde_json::Result<String> {
    let mut spec: Value = serde_json::from_str(spec)?;
    let process = &mut spec["process"];
    process["terminal"] = json!(false);
    process["args"] = json!(words);
    process["env"] = json!([
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        format!("NVIDIA_VISIBLE_DEVICES={gpus}"),
        "NVIDIA_DRIVER_CAPABILITIES=utility,compute"
    ]);
    // Mount points for the driver's files are made in it.
    spec["root"]["readonly"] = json!(false);
    // A simulated machine's procfs does not come with a new mount of procfs; the lab says what to add for that.
    if let Ok(hook) = fs::read_to_string(machine::HOOK_FILE) {
        spec["hooks"]["prestart"] = json!([serde_json::from_str::<Value>(&hook)?]);
    }
    Ok(spec.to_string())
}
