//! What Docker does with CDI devices besides what every engine does.

use super::checks::{changes, unchanged};
use engines::{
    Check, GPU_0, count_gpus,
    docker::{Engine, IMAGE},
    equal,
};

/// All of it.
pub const ALL: &[Check<Engine>] = &[
    ("exec_and_restarts_see_the_gpus_and_leave_nothing", exec_and_restarts_see_the_gpus_and_leave_nothing),
    ("a_read_only_container_has_its_gpus", a_read_only_container_has_its_gpus),
    ("our_shim_serves_the_variables_beside_cdi", our_shim_serves_the_variables_beside_cdi),
];

fn exec_and_restarts_see_the_gpus_and_leave_nothing(engine: &mut Engine) -> Result<(), String> {
    let run = ["run", "--detach", "--network", "none", "--name", "kept", "--device", "nvidia.com/gpu=all"];
    engine.must(&[&run[..], &[IMAGE, "sleep", "600"]].concat())?;
    count_gpus("exec", 2, &engine.docker(&["exec", "kept", "nvidia-smi", "-L"])?)?;
    let once = changes(engine, "kept")?;
    for _ in 0..3 {
        engine.must(&["restart", "--time", "0", "kept"])?;
    }
    let seen = engine.docker(&["exec", "kept", "nvidia-smi", "-L"])?;
    let thrice = changes(engine, "kept")?;
    engine.must(&["rm", "--force", "kept"])?;
    count_gpus("after restarts", 2, &seen)?;
    unchanged(&once, &thrice)
}

fn a_read_only_container_has_its_gpus(engine: &mut Engine) -> Result<(), String> {
    let run = ["run", "--rm", "--network", "none", "--read-only", "--device", "nvidia.com/gpu=0"];
    equal("read-only", GPU_0, &engine.docker(&[&run[..], &[IMAGE, "nvidia-smi", "-L"]].concat())?)
}

fn our_shim_serves_the_variables_beside_cdi(engine: &mut Engine) -> Result<(), String> {
    let run = ["run", "--rm", "--network", "none", "--runtime=nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=0"];
    equal("the shim", GPU_0, &engine.docker(&[&run[..], &[IMAGE, "nvidia-smi", "-L"]].concat())?)
}
