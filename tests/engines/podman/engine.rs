//! A Podman of our own: its own configuration, and an image that is gone when it is dropped.

use engines::{
    Answer, Programs, answer,
    cdi::{self, Consumer, Hooks},
    make_root,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The image that all checks start from.
pub const IMAGE: &str = "localhost/corten-test";

/// Its configuration: no systemd is here to ask for cgroups, and locks in a file leave nothing in the host's `/dev/shm`.
const SETTINGS: &str = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\n";

/// How each container is run. The limits are what a test machine may have less of than Podman asks for by itself.
pub const RUN: [&str; 7] = [
    "run",
    "--network=none",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--cap-add=MKNOD",
    "--log-driver=none",
    "--pull=never",
];

/// A Podman with our image.
pub struct Engine {
    folder: PathBuf,
}

impl Engine {
    /// Makes it, on a machine that our spec, made with these flags, describes.
    pub fn start(programs: &Programs, hooks: Hooks, flags: &[&str]) -> Result<Engine, String> {
        cdi::describe_machine(programs, hooks, flags)?;
        let folder = env::temp_dir().join(format!("corten-podman-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let engine = Engine { folder };
        fs::write(engine.settings(), SETTINGS).map_err(|why| format!("{}: {why}", engine.settings().display()))?;
        engine.import_image(&programs.lab)?;
        Ok(engine)
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("containers.conf")
    }

    /// `podman` with these words.
    pub fn podman(&self, words: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.settings()).env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1").args(words);
        command
    }

    /// The same, run; a failure is an error.
    pub fn must(&self, words: &[&str]) -> Result<(), String> {
        let done = answer(&mut self.podman(words))?;
        match done.status {
            0 => Ok(()),
            status => Err(format!("podman {} ended with {status}: {}{}", words.join(" "), done.out, done.err)),
        }
    }

    fn import_image(&self, lab: &Path) -> Result<(), String> {
        let (root, archive) = (self.folder.join("root"), self.folder.join("root.tar"));
        make_root(lab, &root)?;
        let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
        if !packed.is_ok_and(|status| status.success()) {
            return Err("tar failed".into());
        }
        self.must(&["import", "--quiet", &archive.to_string_lossy(), IMAGE])
    }
}

impl Consumer for Engine {
    fn run(&mut self, devices: &[&str], command: &[&str]) -> Result<Answer, String> {
        let mut podman = self.podman(&RUN);
        podman.arg("--rm").args(devices.iter().map(|device| format!("--device={device}"))).arg(IMAGE).args(command);
        answer(podman.stdin(Stdio::null()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.must(&["rm", "--all", "--force", "--time=0"]);
        let _ = self.must(&["image", "rm", "--force", IMAGE]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}
