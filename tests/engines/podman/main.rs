//! Podman, which has no daemon, with our CDI specs: that of this machine's distribution (4.3 on Debian 12), and that of
//! Debian trixie (5).

mod engine;

use engine::{Engine, IMAGE, RUN};
use engines::{
    Check, GPU_0, Programs, Suite, answer,
    cdi::{self, Hooks},
    count_gpus, equal,
    place::{Place, System},
};
use std::process::ExitCode;

type Start = fn(&Programs) -> Result<Engine, String>;

fn main() -> ExitCode {
    let suite =
        |name, start: Start, system, machine, checks| Suite { name, place: Place { machine, system }, start, checks };
    let two = || [cdi::checks(), OWN_CHECKS.to_vec()].concat();
    engines::run(&[
        suite("podman_with_cdi", older, System::Own, "two-gpus", two()),
        suite("podman_with_cdi_and_no_hooks", older_without_hooks, System::Own, "two-gpus", two()),
        suite("podman_with_cdi_and_one_hook", older_with_one_hook, System::Own, "two-gpus", two()),
        suite("podman_with_cdi_and_mig", older, System::Own, "mig", cdi::mig_checks()),
        suite("podman_5_with_cdi", newer, System::Trixie, "two-gpus", two()),
        suite("podman_5_with_cdi_and_no_hooks", newer_without_hooks, System::Trixie, "two-gpus", two()),
        suite("podman_5_with_cdi_and_one_hook", newer_with_one_hook, System::Trixie, "two-gpus", two()),
        suite("podman_5_with_cdi_and_mig", newer_without_hooks, System::Trixie, "mig", cdi::mig_checks()),
    ])
}

/// What older releases need: Podman before 5 reads no spec of version 0.7.0, and says "unresolvable CDI devices" instead.
const OLDER: &[&str] = &["--feature-flag=no-additional-gids-for-device-nodes"];

fn older(programs: &Programs) -> Result<Engine, String> {
    Engine::start(programs, Hooks::Ours, OLDER)
}

fn older_without_hooks(programs: &Programs) -> Result<Engine, String> {
    Engine::start(programs, Hooks::None, OLDER)
}

fn older_with_one_hook(programs: &Programs) -> Result<Engine, String> {
    Engine::start(programs, Hooks::One, OLDER)
}

fn newer_with_one_hook(programs: &Programs) -> Result<Engine, String> {
    Engine::start(programs, Hooks::One, &[])
}

fn newer(programs: &Programs) -> Result<Engine, String> {
    Engine::start(programs, Hooks::Ours, &[])
}

fn newer_without_hooks(programs: &Programs) -> Result<Engine, String> {
    Engine::start(programs, Hooks::None, &[])
}

const OWN_CHECKS: &[Check<Engine>] = &[
    ("exec_and_restart_see_the_gpus", exec_and_restart_see_the_gpus),
    ("a_read_only_container_has_its_gpus", a_read_only_container_has_its_gpus),
];

fn exec_and_restart_see_the_gpus(engine: &mut Engine) -> Result<(), String> {
    let kept = ["--detach", "--name=kept", "--device=nvidia.com/gpu=all", IMAGE, "sleep", "600"];
    engine.must(&[&RUN[..], &kept].concat())?;
    let list = ["exec", "kept", "nvidia-smi", "-L"];
    count_gpus("exec", 2, &answer(&mut engine.podman(&list))?)?;
    for _ in 0..3 {
        engine.must(&["restart", "--time=0", "kept"])?;
    }
    let seen = answer(&mut engine.podman(&list))?;
    engine.must(&["rm", "--force", "--time=0", "kept"])?;
    count_gpus("after restarts", 2, &seen)
}

/// crun makes such a root read-only before it runs hooks, runc after.
fn a_read_only_container_has_its_gpus(engine: &mut Engine) -> Result<(), String> {
    let flags = ["--rm", "--read-only", "--device=nvidia.com/gpu=0", IMAGE, "nvidia-smi", "-L"];
    equal("read-only", GPU_0, &answer(&mut engine.podman(&[&RUN[..], &flags].concat()))?)
}
