//! One attack on one operation: the image is made, the operation run on it as a low-level runtime would run it, and all
//! that can be seen of that is kept.

use crate::{
    attack::Attack,
    image::{Image, Outward},
    operation::Operation,
    outside::{self, Record},
    programs::Build,
    stage,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

/// How an operation resolves paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By the kernel.
    Kernel,
    /// By our own walk, since the kernel is made to have no `openat2`.
    Walk,
}

/// After so long an operation counts as one that never ends: a hundred times what the slowest takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same where it is expected not to end.
pub const LITTLE_PATIENCE: Duration = Duration::from_secs(4);

/// System calls that are watched: whatever names a file, and what starts a process or mounts.
const WATCHED: &str = "%file,%process,openat2,fchmod,fchown,ftruncate,open_tree,move_mount,fsmount,mount_setattr,setns";

/// Runs "$@" on the image in a mount namespace of its own, between [`stage::BEGIN`] and [`stage::END`]. `$INJECT`: what
/// the kernel is made to lack.
const SCRIPT: &str = r#"
(ulimit -v 1048576
exec strace -f -y -qq -s 4096 -o "$D/trace" -e trace=$WATCHED $INJECT "$@" <"$D/state" >"$D/stdout" 2>"$D/stderr")
status=$?
"#;

/// What was seen.
#[derive(Debug)]
pub struct Trial<'a> {
    /// The attack.
    pub attack: &'a Attack,
    /// What was attacked.
    pub operation: &'a Operation,
    /// The image, as it is now.
    pub image: Image,
    /// How the tree outside was before.
    pub outside: Record,
    /// How it ended; nothing if it did not.
    pub ended: Option<Ended>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl<'a> Trial<'a> {
    /// Runs it, for that long at most. All it makes is in `folder`.
    ///
    /// # Errors
    /// What kept it from being run at all.
    pub fn run(
        folder: &Path,
        attack: &'a Attack,
        operation: &'a Operation,
        how: How,
        build: Build,
        patience: Duration,
    ) -> Result<Trial<'a>, String> {
        let outward = if how == How::Kernel { Outward::Absolute } else { Outward::Climbing };
        let mut image = Image::make(folder, outward, &library()?);
        (attack.image)(&image);
        image.made = SystemTime::now();
        let write = |name: &str, text: String| {
            fs::write(folder.join(name), text).map_err(|why| format!("cannot write {name}: {why}"))
        };
        write("bundle/config.json", specification().to_string())?;
        write("config.toml", configuration(attack.configuration, build)?)?;
        write("state", state(&folder.join("bundle")))?;
        let outside = outside::record(&image.outside("")).map_err(|why| why.to_string())?;

        let mut command = Command::new(stage::ALONE[0]);
        command.args(&stage::ALONE[1..]).args([
            "-c",
            &[stage::BEGIN, SCRIPT, stage::END, "exit $status"].concat(),
            "sh",
        ]);
        command.arg(build.folder()?.join(operation.program));
        command.args(operation.args.iter().map(|word| fill_in(word, folder)));
        command.envs(variables(folder)).envs(stage::variables(operation, true)).env("VOLUMES", stage::volumes(attack));
        command.env("WATCHED", WATCHED).env("CORTEN_UNDEFENDED", build.switched_off());
        command.env("INJECT", if how == How::Walk { "-e inject=openat2:error=ENOSYS" } else { "" });
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(image.path(""));
        let ended = wait(&mut command.spawn().map_err(|why| format!("cannot start unshare: {why}"))?, patience)?;
        Ok(Trial { attack, operation, image, outside, ended })
    }

    /// A file that the trial left.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.image.folder.join(name)).unwrap_or_default()).into_owned()
    }
}

/// How the process ends, if it does in that time.
///
/// # Errors
/// If it cannot be waited for.
pub fn wait(child: &mut Child, patience: Duration) -> Result<Option<Ended>, String> {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait().map_err(|why| why.to_string())? {
            Some(status) => {
                let ended = status.code().map(Ended::Status).or_else(|| status.signal().map(Ended::Signal));
                return Ok(ended);
            }
            None if Instant::now() > deadline => {
                // What it started dies with it: that is what --kill-child is for.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            None => sleep(Duration::from_millis(2)),
        }
    }
}

/// One of the driver's libraries on the simulated machine: a real ELF file, and small.
///
/// # Errors
/// Where there is none.
pub fn library() -> Result<Vec<u8>, String> {
    let folder = Path::new("/").join(crate::image::LIBRARIES);
    fs::read(folder.join("libcuda.so.1")).map_err(|why| format!("the simulated machine has no libcuda.so.1: {why}"))
}

/// What is configured: first what an attack does, then the CLI of this build, and that the low-level runtime is a program that
/// does nothing.
///
/// # Errors
/// Where there is no such build.
pub fn configuration(attacks: &str, build: Build) -> Result<String, String> {
    with_programs(attacks, build).map(|text| text + CONFIGURATION)
}

/// What an attack configures, and which CLI the prestart hook becomes: that of this build.
///
/// # Errors
/// Where there is no such build.
pub fn with_programs(attacks: &str, build: Build) -> Result<String, String> {
    const CLI: &str = "[nvidia-container-cli]\n";
    let program = build.folder()?.join("nvidia-container-cli");
    let switch = format!("CORTEN_UNDEFENDED={}", build.switched_off());
    let cli = format!("{CLI}no-cgroups = true\npath = {program:?}\nenvironment = [{switch:?}]\n");
    // A table is given once.
    Ok(match attacks.contains(CLI) {
        true => attacks.replacen(CLI, &cli, 1),
        false => format!("{attacks}\n{cli}"),
    })
}

const CONFIGURATION: &str = "\n[nvidia-container-runtime]\nruntimes = [\"/bin/true\"]\nmode = \"jit-cdi\"\n\
    [nvidia-container-runtime-hook]\nskip-mode-detection = true\n";

/// `$D`, `$B` and `$R` of arguments.
pub fn fill_in(word: &str, folder: &Path) -> String {
    variables(folder)
        .iter()
        .fold(word.to_owned(), |word, (name, value)| word.replace(&format!("${name}"), &value.to_string_lossy()))
}

/// The same as variables, and where the configuration is.
pub fn variables(folder: &Path) -> [(&'static str, PathBuf); 4] {
    [
        ("D", folder.to_owned()),
        ("B", folder.join("bundle")),
        ("R", folder.join("bundle/rootfs")),
        ("NVIDIA_CTK_CONFIG_FILE_PATH", folder.join("config.toml")),
    ]
}

/// A container's state as runc writes it for a hook. [`stage::BEGIN`] writes the number of the process, where there is one.
pub fn state(bundle: &Path) -> String {
    json!({"ociVersion": "1.0.2", "id": "hostile", "status": "creating", "pid": 0, "bundle": bundle}).to_string()
}

/// The container that is attacked with: its environment, too, is the image's.
pub fn specification() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe"],
            "env": [
                "PATH=/usr/sbin:/usr/bin", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all",
                "LD_PRELOAD=/proc/self/cwd/evil.so", "LD_LIBRARY_PATH=/proc/self/cwd/usr/lib64",
                "LD_AUDIT=/proc/self/cwd/evil.so", "GCONV_PATH=/proc/self/cwd",
            ],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        },
    })
}
