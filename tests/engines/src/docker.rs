//! A Docker engine of our own: its own socket, data folder and pid file, gone when it is dropped.

use crate::{
    Answer, Programs, answer,
    cdi::{self, Consumer, Hooks},
    make_root, stop,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Name of the image that all checks start from.
pub const IMAGE: &str = "corten-test";

/// Where it listens, on the simulated machine.
const SOCKET: &str = "unix:///run/docker.sock";

/// A running `dockerd`.
#[derive(Debug)]
pub struct Engine {
    folder: PathBuf,
    bin: PathBuf,
    daemon: Child,
}

/// `daemon.json`: its own, so that the machine's does not matter.
const PLAIN: &str = "{}";
/// With CDI, which Docker has since 25 and switches on by itself since 28.2.
const WITH_CDI: &str = r#"{"features": {"cdi": true}}"#;

impl Engine {
    /// Starts it with our shim as runtimes `nvidia` and `nvidia-legacy`, with our hook in its PATH, and imports the image.
    pub fn start(programs: &Programs) -> Result<Engine, String> {
        Engine::configured(programs, PLAIN)
    }

    /// The same, with CDI, on a machine that our spec describes.
    pub fn start_with_cdi(programs: &Programs, hooks: Hooks) -> Result<Engine, String> {
        cdi::describe_machine(programs, hooks, &[])?;
        Engine::configured(programs, WITH_CDI)
    }

    fn configured(programs: &Programs, settings: &str) -> Result<Engine, String> {
        let engine = Engine::bare(programs, settings)?;
        engine.import_image(&programs.lab)?;
        Ok(engine)
    }

    /// Starts it with this `daemon.json` and without an image.
    pub fn bare(programs: &Programs, settings: &str) -> Result<Engine, String> {
        // The data folder must not lie on an overlay, which the engine's own overlays could not lie on.
        let folder = env::temp_dir().join(format!("corten-docker-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let configuration = folder.join("daemon.json");
        fs::write(&configuration, settings).map_err(|why| format!("{}: {why}", configuration.display()))?;
        let daemon = spawn(&folder, &programs.bin, &[])?;
        let mut engine = Engine { folder, bin: programs.bin.clone(), daemon };
        engine.wait_until_it_answers()?;
        Ok(engine)
    }

    /// Stops it and starts it again with more flags, as an administrator would.
    pub fn restart_with(&mut self, flags: &[&str]) -> Result<(), String> {
        self.stop();
        self.daemon = spawn(&self.folder, &self.bin, flags)?;
        self.wait_until_it_answers()
    }

    /// `docker` with these words, whatever it ends with.
    pub fn docker(&self, words: &[&str]) -> Result<Answer, String> {
        answer(client().args(words))
    }

    /// A program of ours that becomes Docker's client.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.env("DOCKER_HOST", SOCKET).env_remove("DOCKER_CONTEXT");
        command
    }

    /// `docker` with these words; its standard output, or an error if it fails.
    pub fn must(&self, words: &[&str]) -> Result<String, String> {
        let answer = self.docker(words)?;
        match answer.status {
            0 => Ok(answer.out),
            status => Err(format!("docker {} ended with {status}: {}{}", words.join(" "), answer.out, answer.err)),
        }
    }

    fn import_image(&self, lab: &Path) -> Result<(), String> {
        let root = self.folder.join("image");
        make_root(lab, &root)?;
        self.import(&root, IMAGE)
    }

    /// Makes an image of a folder.
    pub fn import(&self, root: &Path, name: &str) -> Result<(), String> {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root).args(["-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().map_err(|why| format!("could not start tar: {why}"))?;
        let stream = tar.stdout.take().ok_or("tar has no output")?;
        let imported = client().args(["import", "-", name]).stdin(stream).stdout(Stdio::null()).status();
        let packed = tar.wait().is_ok_and(|status| status.success());
        match packed && imported.is_ok_and(|status| status.success()) {
            true => Ok(()),
            false => Err("docker import failed".into()),
        }
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if client().arg("info").output().is_ok_and(|done| done.status.success()) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.daemon.try_wait() {
                return Err(format!("dockerd ended with {status}:\n{}", self.last_log_lines()));
            }
            sleep(Duration::from_millis(100));
        }
        Err(format!("dockerd does not answer:\n{}", self.last_log_lines()))
    }

    fn last_log_lines(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn stop(&mut self) {
        stop(&mut self.daemon);
    }
}

impl Consumer for Engine {
    fn run(&mut self, devices: &[&str], command: &[&str]) -> Result<Answer, String> {
        let mut words = vec!["run", "--rm", "--network", "none"];
        for device in devices {
            words.extend(["--device", device]);
        }
        words.push(IMAGE);
        words.extend(command);
        self.docker(&words)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Ok(all) = self.docker(&["ps", "--all", "--quiet"]) {
            for container in all.out.lines() {
                let _ = self.docker(&["rm", "--force", container]);
            }
        }
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn client() -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_HOST", SOCKET).env_remove("DOCKER_CONTEXT");
    command
}

fn spawn(folder: &Path, bin: &Path, flags: &[&str]) -> Result<Child, String> {
    let log = fs::File::create(folder.join("log")).map_err(|why| format!("log: {why}"))?;
    let errors = log.try_clone().map_err(|why| format!("log: {why}"))?;
    let mut command = Command::new("dockerd");
    command.arg("--data-root").arg(folder.join("data")).args(["--exec-root", "/run/docker"]);
    command.args(["--host", SOCKET, "--pidfile", "/run/docker.pid"]);
    // No network: these containers need none, and a test must not touch the machine's firewall.
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
    command.arg("--config-file").arg(folder.join("daemon.json"));
    command.arg("--add-runtime").arg(format!("nvidia={}", bin.join("nvidia-container-runtime").display()));
    let legacy = bin.join("nvidia-container-runtime.legacy");
    command.arg("--add-runtime").arg(format!("nvidia-legacy={}", legacy.display()));
    // Where Docker looks for what serves `--gpus`, and the hook for what it becomes.
    command.env("PATH", format!("{}:{}", bin.display(), env::var("PATH").unwrap_or_default()));
    command.args(flags).stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().map_err(|why| format!("could not start dockerd: {why}"))
}
