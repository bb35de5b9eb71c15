//! A containerd of our own: its own socket and folders, gone when it is dropped.

use crate::stop;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Where it listens.
pub const SOCKET: &str = "/run/containerd-test.sock";

/// A running `containerd`.
pub struct Daemon {
    /// Holds its data, its log, and what a test puts there.
    pub folder: PathBuf,
    process: Child,
}

impl Daemon {
    /// Starts it with this `config.toml`.
    pub fn start(settings: &str) -> Result<Daemon, String> {
        // The data folder must not lie on an overlay, which the engine's own overlays could not lie on.
        let folder = env::temp_dir().join(format!("corten-containerd-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let configuration = folder.join("config.toml");
        fs::write(&configuration, settings).map_err(|why| format!("{}: {why}", configuration.display()))?;
        let log = fs::File::create(folder.join("log")).map_err(|why| format!("log: {why}"))?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(configuration).arg("--root").arg(folder.join("data"));
        command.args(["--state", "/run/containerd-test", "--address", SOCKET]).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().map_err(|why| format!("could not start containerd: {why}"))?;
        let daemon = Daemon { folder, process };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ctr().arg("version").output().is_ok_and(|done| done.status.success()) {
            if Instant::now() > deadline {
                return Err(format!("containerd does not answer:\n{}", daemon.log()));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A folder or file of the test's.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        stop(&mut self.process);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The client.
pub fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--address", SOCKET]);
    command
}
