//! LXC of the distribution, with its own hook for NVIDIA GPUs, which calls `nvidia-container-cli` in the container's
//! namespaces; started as Incus starts it, too.

use engines::{
    Answer, Check, GPU_0, Programs, Suite, answer, count_gpus, equal, holds, make_root,
    place::{Place, System},
};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// A folder for containers that share a root.
struct Lxc {
    folder: PathBuf,
    bin: PathBuf,
}

const HOOK: &str = "/usr/share/lxc/hooks/nvidia";

/// First id of this machine that the containers have, and how many.
const IDS: (u32, u32) = (100_000, 65_536);

const CHECKS: &[Check<Lxc>] = &[
    ("a_gpu_that_is_asked_for_is_there_and_no_other", a_gpu_that_is_asked_for_is_there_and_no_other),
    ("capabilities_decide_what_is_there", capabilities_decide_what_is_there),
    ("a_container_that_asks_for_nothing_gets_nothing", a_container_that_asks_for_nothing_gets_nothing),
    ("a_requirement_that_does_not_hold_stops_the_container", a_requirement_that_does_not_hold_stops_the_container),
    ("incus_adds_the_nodes_itself", incus_adds_the_nodes_itself),
];

fn main() -> ExitCode {
    engines::run(&[Suite {
        name: "lxc",
        place: Place { machine: "two-gpus", system: System::Own },
        start: Lxc::start,
        checks: CHECKS.to_vec(),
    }])
}

impl Lxc {
    fn start(programs: &Programs) -> Result<Lxc, String> {
        let folder = env::temp_dir().join(format!("corten-lxc-{}", std::process::id()));
        let failed = |why: std::io::Error| format!("{}: {why}", folder.display());
        for part in ["", "state"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).map_err(failed)?;
            // The container's root is another user of this machine, who must get here.
            fs::set_permissions(&part, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        let lxc = Lxc { folder, bin: programs.bin.clone() };
        let root = lxc.folder.join("root");
        make_root(&programs.lab, &root)?;
        own(&root, IDS.0).map_err(|why| format!("{}: {why}", root.display()))?;
        let plain = lxc.execute(&[], &[], "echo started")?;
        match plain.out.contains("started") {
            true => Ok(lxc),
            false => Err(format!("LXC starts no container here, with or without GPUs: {}{}", plain.err, lxc.log())),
        }
    }

    /// Runs a shell script in a new container of the same root, with these variables and lines of configuration.
    fn execute(&self, variables: &[&str], lines: &[&str], script: &str) -> Result<Answer, String> {
        let config = self.folder.join("config");
        fs::write(&config, self.config(variables, lines)).map_err(|why| format!("{}: {why}", config.display()))?;
        let mut command = Command::new("lxc-execute");
        command.arg("--lxcpath").arg(self.folder.join("state")).args(["--name", "corten", "--rcfile"]).arg(config);
        command.args(["--", "/bin/sh", "-c", script]);
        let path = env::var("PATH").unwrap_or_default();
        answer(command.env("PATH", format!("{}:{path}", self.bin.display())))
    }

    fn config(&self, variables: &[&str], lines: &[&str]) -> String {
        let (first, count) = IDS;
        let folder = self.folder.display();
        let mut text = format!(
            "lxc.rootfs.path = dir:{folder}/root\nlxc.uts.name = corten\nlxc.net.0.type = none\n\
             lxc.idmap = u 0 {first} {count}\nlxc.idmap = g 0 {first} {count}\n\
             lxc.apparmor.profile = unconfined\nlxc.log.file = {folder}/log\nlxc.log.level = DEBUG\n\
             lxc.mount.auto = proc:mixed\nlxc.hook.mount = {HOOK}\n\
             # A new procfs does not show the simulated part.\n\
             lxc.mount.entry = /proc/driver proc/driver none rbind 0 0\n"
        );
        text.extend(variables.iter().map(|variable| format!("lxc.environment = {variable}\n")));
        text.extend(lines.iter().map(|line| format!("{line}\n")));
        text
    }

    /// What LXC and its hook complained about.
    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let telling =
            |line: &&str| line.contains("produced output") || line.contains("ERROR") || !line.starts_with("lxc-");
        text.lines().filter(telling).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Lxc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Gives everything below a folder to a user.
fn own(path: &Path, id: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(id), Some(id))?;
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::read_dir(path)?.try_for_each(|entry| own(&entry?.path(), id)),
        false => Ok(()),
    }
}

const USUAL: [&str; 2] = ["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"];

fn a_gpu_that_is_asked_for_is_there_and_no_other(lxc: &mut Lxc) -> Result<(), String> {
    equal("GPU 0", GPU_0, &lxc.execute(&USUAL, &[], "nvidia-smi -L")?)?;
    let seen = lxc.execute(&USUAL, &[], "cd /dev && echo nvidia*; cat /proc/driver/nvidia/params")?;
    holds("nodes", &seen.out, "nvidia-uvm nvidia-uvm-tools nvidia0 nvidiactl\n")?;
    holds("parameters", &seen.out, "ModifyDeviceFiles: 0\n")
}

/// Without any that it is told, the hook asks for utility.
fn capabilities_decide_what_is_there(lxc: &mut Lxc) -> Result<(), String> {
    // Mount points of containers that had more are still in the root that they share.
    let seen = lxc.execute(&["NVIDIA_VISIBLE_DEVICES=all"], &[], "nvidia-smi -L; cat /proc/self/mountinfo")?;
    count_gpus("all", 2, &seen)?;
    match seen.out.contains("libcuda") {
        true => Err(format!("libcuda came without being asked for: {}", seen.out)),
        false => Ok(()),
    }
}

fn a_container_that_asks_for_nothing_gets_nothing(lxc: &mut Lxc) -> Result<(), String> {
    for variables in [&[][..], &["NVIDIA_VISIBLE_DEVICES=void"]] {
        let seen = lxc.execute(variables, &[], "ls /dev; cat /proc/self/mountinfo")?;
        if seen.status != 0 || seen.out.lines().any(|line| line.contains("nvidia") && !line.contains("/proc/driver")) {
            return Err(format!("{variables:?}: {}{}", seen.out, seen.err));
        }
    }
    Ok(())
}

fn a_requirement_that_does_not_hold_stops_the_container(lxc: &mut Lxc) -> Result<(), String> {
    let seen = lxc.execute(&[USUAL[0], "NVIDIA_REQUIRE_CUDA=cuda>=99"], &[], "true")?;
    if seen.status == 0 {
        return Err("the container started".into());
    }
    holds("the program's words", &lxc.log(), "unsatisfied condition: cuda>=99")
}

/// Incus asks its hook for `none` and mounts the nodes of the GPUs that it was told of.
fn incus_adds_the_nodes_itself(lxc: &mut Lxc) -> Result<(), String> {
    let variables = ["NVIDIA_VISIBLE_DEVICES=none", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"];
    let node = "lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,create=file 0 0";
    equal("GPU 0", GPU_0, &lxc.execute(&variables, &[node], "nvidia-smi -L")?)
}
