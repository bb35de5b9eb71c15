//! Podman, which has no daemon, with our CDI specs: that of this machine's distribution (4.3 on Debian 12), and that of
//! Debian trixie (5).

use engines::{
    Answer, Check, GPU_0, Programs, Suite, answer,
    cdi::{self, Consumer, Hooks},
    count_gpus, equal, make_root,
    place::{Place, System},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

fn main() -> ExitCode {
    let suite = |name, machine, system, start: fn(&Programs) -> Result<Engine, String>, checks| Suite {
        name,
        place: Place { machine, system },
        start,
        checks,
    };
    let full = || [cdi::checks(), OWN_CHECKS.to_vec()].concat();
    engines::run(&[
        suite("podman", "two-gpus", System::Own, |programs| Engine::start(programs, Hooks::Ours, OLD), full()),
        suite(
            "podman_without_hooks",
            "two-gpus",
            System::Own,
            |programs| Engine::start(programs, Hooks::None, OLD),
            full(),
        ),
        suite(
            "podman_mig",
            "mig",
            System::Own,
            |programs| Engine::start(programs, Hooks::Ours, OLD),
            cdi::mig_checks(),
        ),
        suite("podman_5", "two-gpus", System::Trixie, |programs| Engine::start(programs, Hooks::Ours, &[]), full()),
        suite(
            "podman_5_without_hooks",
            "two-gpus",
            System::Trixie,
            |programs| Engine::start(programs, Hooks::None, &[]),
            full(),
        ),
        suite(
            "podman_5_mig",
            "mig",
            System::Trixie,
            |programs| Engine::start(programs, Hooks::None, &[]),
            cdi::mig_checks(),
        ),
    ])
}

const IMAGE: &str = "localhost/corten-test";

const OWN_CHECKS: &[Check<Engine>] = &[
    ("exec_and_restart_see_the_gpus", exec_and_restart_see_the_gpus),
    ("a_read_only_container_has_its_gpus", a_read_only_container_has_its_gpus),
];

/// What older releases need: Podman before 5 reads no spec of version 0.7.0, and says "unresolvable CDI devices" instead.
const OLD: &[&str] = &["--feature-flag=no-additional-gids-for-device-nodes"];

/// Its configuration: no systemd is here to ask for cgroups, and locks in a file leave nothing in the host's `/dev/shm`.
const SETTINGS: &str = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\n";

/// How each container is run. The limits are what a test machine may have less of than Podman asks for by itself.
const RUN: [&str; 7] = [
    "run",
    "--network=none",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--cap-add=MKNOD",
    "--log-driver=none",
    "--pull=never",
];

/// A Podman with our image.
struct Engine {
    folder: PathBuf,
}

impl Engine {
    fn start(programs: &Programs, hooks: Hooks, flags: &[&str]) -> Result<Engine, String> {
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

    fn podman(&self, words: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.settings()).env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1").args(words);
        command
    }

    fn must(&self, words: &[&str]) -> Result<(), String> {
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

fn a_read_only_container_has_its_gpus(engine: &mut Engine) -> Result<(), String> {
    let flags = ["--rm", "--read-only", "--device=nvidia.com/gpu=0", IMAGE, "nvidia-smi", "-L"];
    equal("read-only", GPU_0, &answer(&mut engine.podman(&[&RUN[..], &flags].concat()))?)
}
