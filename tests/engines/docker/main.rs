//! The Docker engine of the distribution, started by hand on the simulated machine, with our shim as its runtime; and that
//! of Debian trixie (26), which reads our CDI specs. Docker's `--gpus` and legacy mode have a suite of their own.

mod checks;
mod with_cdi;
mod with_hook;

use engines::{
    Suite, cdi,
    cdi::Hooks,
    docker::Engine,
    place::{Place, System},
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let modern = Place { machine: "two-gpus", system: System::Trixie };
    engines::run(&[
        Suite {
            name: "docker",
            place: Place { machine: "two-gpus", system: System::Own },
            start: Engine::start,
            checks: checks::ALL.to_vec(),
        },
        Suite {
            name: "docker_with_hook",
            place: Place { machine: "two-gpus", system: System::Own },
            start: Engine::start,
            checks: with_hook::ALL.to_vec(),
        },
        Suite { name: "docker_26_with_hook", place: modern, start: Engine::start, checks: with_hook::ALL.to_vec() },
        Suite {
            name: "docker_with_cdi",
            place: modern,
            start: |programs| Engine::start_with_cdi(programs, Hooks::Ours),
            checks: [cdi::checks(), with_cdi::ALL.to_vec()].concat(),
        },
        Suite {
            name: "docker_with_cdi_and_one_hook",
            place: modern,
            start: |programs| Engine::start_with_cdi(programs, Hooks::One),
            checks: [cdi::checks(), with_cdi::ALL.to_vec()].concat(),
        },
        Suite {
            name: "docker_with_cdi_and_no_hooks",
            place: modern,
            start: |programs| Engine::start_with_cdi(programs, Hooks::None),
            checks: [cdi::checks(), with_cdi::ALL.to_vec()].concat(),
        },
    ])
}
