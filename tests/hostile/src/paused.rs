//! What a hook still has when it begins to work. It waits for its state on standard input then, so it can be looked at, and
//! attacked as a process of the container's root user would (CVE-2024-0135, CVE-2019-5736, CVE-2024-21626).

use crate::{
    image::{Image, Outward},
    operation::Operation,
    programs::Build,
    trial::{Ended, fill_in, library, state, variables, wait},
};
use root::Defence;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the program with folders and files of the host open, one of which it may write, in a folder of the host.
const START: &str = r#"P=$1; shift; cd "$D/outside" || exit 9
exec 5<"$D/outside" 6<"$D/outside/etc/victim" 7>>"$D/outside/etc/linked" 8<. 9</
exec "$P" "$@""#;

/// Looks at a hook that waits; `Err` says what it has that it must not have.
pub type Look = fn(&Paused) -> Result<(), String>;

/// What a waiting hook must not have, and what rules it out.
pub const PROPERTIES: &[(Defence, Look)] = &[
    (Defence::ClosedFiles, no_files),
    (Defence::LeftFolder, no_folder),
    (Defence::NoNewPrivileges, no_new_privileges),
    (Defence::FewCapabilities, few_capabilities),
    (Defence::NotDumpable, executable_out_of_reach),
];

/// A hook that waits for its state.
pub struct Paused {
    child: Child,
    executable: PathBuf,
}

impl Paused {
    /// Starts the hook of `operation` from a copy of its executable, since it may be overwritten.
    ///
    /// # Errors
    /// If it does not come to wait.
    pub fn start(folder: &Path, operation: &Operation, build: Build) -> Result<Paused, String> {
        Image::make(folder, Outward::Absolute, &library()?);
        let executable = folder.join("copy/nvidia-cdi-hook");
        let original = build.folder()?.join("corten");
        fs::create_dir(folder.join("copy"))
            .and_then(|()| fs::copy(original, &executable))
            .map_err(|why| format!("cannot copy the hook: {why}"))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", START, "sh"]).arg(&executable);
        command.args(operation.args.iter().map(|word| fill_in(word, folder)));
        command.envs(variables(folder)).env("CORTEN_UNDEFENDED", build.switched_off());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|why| format!("cannot start sh: {why}"))?;
        let mut paused = Paused { child, executable };
        paused.wait_until_it_waits()?;
        Ok(paused)
    }

    /// It is the hook by then, and sleeps in its `read` of the state.
    fn wait_until_it_waits(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let is_hook = fs::read_link(self.proc("exe")).is_ok_and(|path| path == self.executable);
            // The number of `read` is 0 on one architecture and 63 on the other; its first argument is the descriptor.
            let reads = self.text("syscall").split_whitespace().take(2).eq([READ, "0x0"]);
            if is_hook && reads {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the hook ended before it read its state: {status}"));
            }
            sleep(Duration::from_millis(2));
        }
        Err(format!("the hook never waits for its state: {}", self.text("syscall")))
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.proc(name)).unwrap_or_default()
    }

    /// A field of its status.
    fn status(&self, field: &str) -> Result<String, String> {
        let status = self.text("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned()).ok_or_else(|| format!("no {field} in {status:?}"))
    }
}

#[cfg(target_arch = "x86_64")]
const READ: &str = "0";
#[cfg(not(target_arch = "x86_64"))]
const READ: &str = "63";

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn no_files(paused: &Paused) -> Result<(), String> {
    let mut open: Vec<_> = fs::read_dir(paused.proc("fd"))
        .map_err(|why| why.to_string())?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    open.sort();
    if open == ["0", "1", "2"] { Ok(()) } else { Err(format!("it holds the descriptors {open:?}")) }
}

fn no_folder(paused: &Paused) -> Result<(), String> {
    match fs::read_link(paused.proc("cwd")).map_err(|why| why.to_string())? {
        folder if folder == Path::new("/") => Ok(()),
        folder => Err(format!("it works in {}", folder.display())),
    }
}

fn no_new_privileges(paused: &Paused) -> Result<(), String> {
    let set = paused.status("NoNewPrivs")?;
    if set == "1" { Ok(()) } else { Err("it could gain privileges".to_owned()) }
}

/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID and SYS_ADMIN are what hooks work with, no more than four of them each
/// (`crates/corten/src/cdi_hook/table.rs`).
fn few_capabilities(paused: &Paused) -> Result<(), String> {
    const KNOWN: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 21;
    for (field, most) in [("CapPrm", 4), ("CapEff", 4), ("CapBnd", 4), ("CapInh", 0), ("CapAmb", 0)] {
        let held = u64::from_str_radix(&paused.status(field)?, 16).map_err(|why| why.to_string())?;
        if held & !KNOWN != 0 || held.count_ones() > most {
            return Err(format!("it keeps capabilities: {field} {held:x}"));
        }
    }
    Ok(())
}

/// The container's root user: everything but what lets one trace any process.
const ATTACKER: [&str; 4] = ["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "/bin/sh", "-c"];

/// Takes hold of the hook's executable, waits until the hook has ended, and writes to it.
const OVERWRITE: &str = r#"exec 3<"/proc/$1/exe" || exit 3; echo held; read -r go; echo evil >/proc/self/fd/3"#;

fn executable_out_of_reach(paused: &Paused) -> Result<(), String> {
    let before = fs::read(&paused.executable).map_err(|why| why.to_string())?;
    let mut attacker = Command::new("setpriv");
    attacker.args(ATTACKER).args([OVERWRITE, "sh"]).arg(paused.child.id().to_string());
    attacker.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut attacker = attacker.spawn().map_err(|why| format!("cannot start setpriv: {why}"))?;
    let mut held = String::new();
    if let Some(out) = attacker.stdout.take() {
        // Ends with the line, or because the attacker has failed.
        let _ = std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut held);
    }
    if held.is_empty() {
        return match wait(&mut attacker, PATIENCE)? {
            Some(Ended::Status(status)) if status != 127 => Ok(()),
            ended => Err(format!("the attacker could not try: {ended:?}")),
        };
    }
    // The hook must have ended, or the kernel would refuse: an executable that runs cannot be written.
    let pid = rustix::process::Pid::from_child(&paused.child);
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).map_err(|why| why.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    while !paused.status("State").is_ok_and(|state| state.starts_with('Z')) && Instant::now() < deadline {
        sleep(Duration::from_millis(2));
    }
    if let Some(mut input) = attacker.stdin.take() {
        let _ = input.write_all(b"go\n");
    }
    wait(&mut attacker, PATIENCE)?;
    match fs::read(&paused.executable).map_err(|why| why.to_string())? == before {
        true => Err("its executable could be held through procfs".to_owned()),
        false => Err("its executable was overwritten through procfs".to_owned()),
    }
}

/// The low-level runtime must get no descriptor that leads into the image or the bundle (CVE-2024-21626).
///
/// # Errors
/// Which one it got.
pub fn runtime_gets_no_descriptor(folder: &Path, build: Build) -> Result<(), String> {
    let image = Image::make(folder, Outward::Absolute, &library()?);
    let runtime = folder.join("runtime");
    let script = format!("#!/bin/sh\nls -l /proc/self/fd >{}\n", folder.join("descriptors").display());
    let write = |name: &str, text: String| fs::write(folder.join(name), text).map_err(|why| format!("{name}: {why}"));
    write("runtime", script)?;
    fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(|why| why.to_string())?;
    write("bundle/config.json", crate::trial::specification().to_string())?;
    write("config.toml", format!("[nvidia-container-runtime]\nruntimes = [{runtime:?}]\n"))?;
    write("state", state(&folder.join("bundle")))?;
    let mut command = Command::new(build.folder()?.join("nvidia-container-runtime"));
    command.args(["create", "--bundle"]).arg(folder.join("bundle")).arg("hostile");
    command.envs(variables(folder)).env("CORTEN_UNDEFENDED", build.switched_off());
    let done = command.stdin(Stdio::null()).output().map_err(|why| why.to_string())?;
    let listed = fs::read_to_string(folder.join("descriptors"))
        .map_err(|_| format!("the runtime was not started: {}", String::from_utf8_lossy(&done.stderr)))?;
    let root = image.path("").display().to_string();
    match listed.lines().find(|line| line.contains(root.trim_end_matches('/'))) {
        None => Ok(()),
        Some(line) => Err(format!("the runtime got a descriptor: {line}")),
    }
}
