//! The CDI specification that `nvidia-ctk cdi generate` makes from the kernel's files, held against the one that it makes
//! when NVML lists the GPUs.

use crate::{
    discovery,
    machine::Machine,
    report::{Bad, Verdict, fail},
    stage::Stage,
};

/// Makes it twice, compares, and keeps it for containers.
pub fn same_both_ways(stage: &Stage, machine: &Machine) -> Verdict {
    discovery::facts(machine)?;
    configure(stage, machine)?;
    let written = generate(stage, machine, "kernel")?;
    let (kernel, nvml) = (without_origin(&written), without_origin(&generate(stage, machine, "nvml")?));
    if kernel == nvml {
        std::fs::write(stage.path("cdi/nvidia.yaml"), written).map_err(|error| Bad::Fail(error.to_string()))?;
        return Ok(format!("{} lines, the same from the kernel's files and from NVML", kernel.lines().count()));
    }
    let differ = kernel.lines().zip(nvml.lines()).enumerate().find(|(_, (ours, theirs))| ours != theirs);
    match differ {
        Some((number, (ours, theirs))) => fail(format!(
            "from line {} on: {:?} from the kernel's files, {:?} from NVML",
            number + 1,
            ours.trim(),
            theirs.trim()
        )),
        None => fail(format!(
            "{} lines from the kernel's files, {} from NVML",
            kernel.lines().count(),
            nvml.lines().count()
        )),
    }
}

/// Without the comment that says how it was made, which is all in which the two may differ.
fn without_origin(spec: &str) -> String {
    spec.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
}

/// The configuration of all our programs.
pub fn configure(stage: &Stage, machine: &Machine) -> Verdict<()> {
    let quoted = |path: String| format!("{path:?}");
    let text = format!(
        "[nvidia-container-cli]\nroot = {}\n[nvidia-container-runtime]\nruntimes = [{}]\n\
         [nvidia-container-runtime.modes.cdi]\nspec-dirs = [{}]\n",
        quoted(machine.roots.driver.to_string()),
        quoted(stage.text("bin/runc")),
        quoted(stage.text("cdi"))
    );
    std::fs::write(stage.path("config.toml"), text).map_err(|error| Bad::Fail(format!("config.toml: {error}")))
}

/// The specification.
fn generate(stage: &Stage, machine: &Machine, from: &str) -> Verdict {
    let mut command = stage.program("nvidia-ctk");
    command.args(["--quiet", "cdi", "generate", "--gpus-from", from]);
    command.arg(format!("--driver-root={}", machine.roots.driver)).arg(format!("--dev-root={}", machine.roots.dev));
    command.arg(format!("--nvidia-cdi-hook-path={}", stage.text("bin/nvidia-cdi-hook")));
    if machine.is_part() {
        // In a container NVML counts only what it sees, so indices are not comparable.
        let uuids: Vec<_> = machine.seen().map(|gpu| gpu.uuid.as_str()).collect();
        command.args(["--device-name-strategy=uuid", "--device-id", &uuids.join(",")]);
    }
    let done = stage.run(&mut command).map_err(Bad::Fail)?;
    match done.success {
        true => Ok(done.stdout),
        false => fail(format!("generate --gpus-from={from}: {}", done.complaint(stage.limit))),
    }
}
