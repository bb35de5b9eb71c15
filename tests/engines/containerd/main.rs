//! containerd of the distribution, used through `ctr`, with our shim as the binary that its runc shim calls.

use engines::{
    Answer, Check, GPU_0, Programs, Suite, answer,
    containerd::{Daemon, ctr},
    count_gpus, equal, holds, make_root,
    place::{Place, System},
};
use std::{path::PathBuf, process::ExitCode};

const CHECKS: &[Check<Engine>] = &[
    ("run_shows_the_gpus_asked_for", run_shows_the_gpus_asked_for),
    ("a_container_that_asks_for_nothing_gets_nothing", a_container_that_asks_for_nothing_gets_nothing),
    ("an_error_reaches_the_user_with_its_code", an_error_reaches_the_user_with_its_code),
];

fn main() -> ExitCode {
    engines::run(&[Suite {
        name: "containerd",
        place: Place { machine: "two-gpus", system: System::Own },
        start: Engine::start,
        checks: CHECKS.to_vec(),
    }])
}

/// A containerd and our shim.
struct Engine {
    daemon: Daemon,
    shim: PathBuf,
    started: u32,
}

impl Engine {
    /// Starts it and makes the root of its containers.
    fn start(programs: &Programs) -> Result<Engine, String> {
        let daemon = Daemon::start("version = 2\n")?;
        make_root(&programs.lab, &daemon.path("root"))?;
        Ok(Engine { daemon, shim: programs.bin.join("nvidia-container-runtime"), started: 0 })
    }

    /// A container with these variables that runs `command` (the program by its path: there is no image to set `PATH`).
    fn run(&mut self, variables: &[&str], command: &[&str]) -> Result<Answer, String> {
        self.started += 1;
        let mut ctr = ctr();
        ctr.args(["run", "--rm", "--rootfs", "--runc-binary"]).arg(&self.shim);
        for variable in variables {
            ctr.args(["--env", variable]);
        }
        ctr.arg(self.daemon.path("root")).arg(format!("test-{}", self.started)).args(command);
        answer(&mut ctr)
    }
}

const LIST: [&str; 2] = ["/usr/bin/nvidia-smi", "-L"];

fn run_shows_the_gpus_asked_for(engine: &mut Engine) -> Result<(), String> {
    equal("GPU 0", GPU_0, &engine.run(&["NVIDIA_VISIBLE_DEVICES=0"], &LIST)?)?;
    count_gpus("all", 2, &engine.run(&["NVIDIA_VISIBLE_DEVICES=all"], &LIST)?)
}

fn a_container_that_asks_for_nothing_gets_nothing(engine: &mut Engine) -> Result<(), String> {
    let seen = engine.run(&[], &["/bin/ls", "/dev"])?;
    match seen.status == 0 && !seen.out.contains("nvidia") {
        true => Ok(()),
        false => Err(format!("status {}: {}{}", seen.status, seen.out, seen.err)),
    }
}

fn an_error_reaches_the_user_with_its_code(engine: &mut Engine) -> Result<(), String> {
    let seen = engine.run(&["NVIDIA_VISIBLE_DEVICES=7"], &["/bin/true"])?;
    if seen.status == 0 {
        return Err("a container started with a GPU that does not exist".into());
    }
    holds("the code", &seen.err, "CORTEN-E")
}
