//! containerd of the distribution, used through `ctr`, with our shim as the binary that its runc shim calls.

use engines::{Answer, Check, GPU_0, Programs, answer, count_gpus, equal, holds, make_root};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const CHECKS: &[Check<Engine>] = &[
    ("run_shows_the_gpus_asked_for", run_shows_the_gpus_asked_for),
    ("a_container_that_asks_for_nothing_gets_nothing", a_container_that_asks_for_nothing_gets_nothing),
    ("an_error_reaches_the_user_with_its_code", an_error_reaches_the_user_with_its_code),
];

fn main() -> ExitCode {
    engines::run("containerd", Engine::start, CHECKS)
}

/// A running containerd of our own.
struct Engine {
    folder: PathBuf,
    shim: PathBuf,
    daemon: Child,
    started: u32,
}

impl Engine {
    fn start(programs: &Programs) -> Result<Engine, String> {
        let folder = env::temp_dir().join(format!("corten-containerd-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        make_root(&programs.lab, &folder.join("root"))?;
        let log = fs::File::create(folder.join("log")).map_err(|why| format!("log: {why}"))?;
        let mut command = Command::new("containerd");
        command.arg("--root").arg(folder.join("data")).args(["--state", "/run/containerd-test"]);
        command.args(["--address", "/run/containerd-test.sock"]).stdout(Stdio::null()).stderr(log);
        let daemon = command.spawn().map_err(|why| format!("could not start containerd: {why}"))?;
        let shim = programs.bin.join("nvidia-container-runtime");
        let engine = Engine { folder, shim, daemon, started: 0 };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ctr().arg("version").output().is_ok_and(|done| done.status.success()) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(engine.folder.join("log")).unwrap_or_default();
                return Err(format!("containerd does not answer:\n{log}"));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(engine)
    }

    /// A container with these variables that runs `command` (the program by its path: there is no image to set `PATH`).
    fn run(&mut self, variables: &[&str], command: &[&str]) -> Result<Answer, String> {
        self.started += 1;
        let mut ctr = ctr();
        ctr.args(["run", "--rm", "--rootfs", "--runc-binary"]).arg(&self.shim);
        for variable in variables {
            ctr.args(["--env", variable]);
        }
        ctr.arg(self.folder.join("root")).arg(format!("test-{}", self.started)).args(command);
        answer(&mut ctr)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.daemon.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.daemon.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--address", "/run/containerd-test.sock"]);
    command
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
