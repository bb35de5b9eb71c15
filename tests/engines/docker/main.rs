//! The Docker engine of the distribution, started by hand on the simulated machine, with our shim as its runtime.

mod checks;
mod engine;

use engine::Engine;
use std::process::ExitCode;

fn main() -> ExitCode {
    engines::run("docker", Engine::start, checks::ALL)
}
