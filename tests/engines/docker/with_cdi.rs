//! What Docker does with CDI devices besides what every engine does.

use super::engine::{Engine, IMAGE};
use engines::{Check, GPU_0, count_gpus, equal};

/// All of it.
pub const ALL: &[Check<Engine>] = &[
    ("exec_and_restart_see_the_gpus", exec_and_restart_see_the_gpus),
    ("a_read_only_container_has_its_gpus", a_read_only_container_has_its_gpus),
    ("our_shim_serves_the_variables_beside_cdi", our_shim_serves_the_variables_beside_cdi),
];

fn exec_and_restart_see_the_gpus(engine: &mut Engine) -> Result<(), String> {
    let device = ["--device", "nvidia.com/gpu=all"];
    let run = [&["run", "--detach", "--network", "none", "--name", "kept"], &device[..], &[IMAGE, "sleep", "600"]];
    engine.must(&run.concat())?;
    count_gpus("exec", 2, &engine.docker(&["exec", "kept", "nvidia-smi", "-L"])?)?;
    for _ in 0..3 {
        engine.must(&["restart", "--time", "0", "kept"])?;
    }
    let seen = engine.docker(&["exec", "kept", "nvidia-smi", "-L"])?;
    engine.must(&["rm", "--force", "kept"])?;
    count_gpus("after restarts", 2, &seen)
}

fn a_read_only_container_has_its_gpus(engine: &mut Engine) -> Result<(), String> {
    let run = ["run", "--rm", "--network", "none", "--read-only", "--device", "nvidia.com/gpu=0"];
    equal("read-only", GPU_0, &engine.docker(&[&run[..], &[IMAGE, "nvidia-smi", "-L"]].concat())?)
}

fn our_shim_serves_the_variables_beside_cdi(engine: &mut Engine) -> Result<(), String> {
    let run = ["run", "--rm", "--network", "none", "--runtime=nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=0"];
    equal("the shim", GPU_0, &engine.docker(&[&run[..], &[IMAGE, "nvidia-smi", "-L"]].concat())?)
}
