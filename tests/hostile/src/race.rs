//! Images that change while we work in them: names are exchanged with links out, as fast as the kernel does that, while an
//! operation is run again and again (CVE-2026-24260, CVE-2025-23359, CVE-2021-30465).

use crate::{
    image::{Image, LIBRARIES, Outward},
    operation::Operation,
    oracle::nothing_leaked,
    outside,
    programs::Build,
    trial::{fill_in, library, specification, state, variables, wait},
};
use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with},
    mount::{UnmountFlags, mount_bind, unmount},
};
use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long each operation is raced.
pub const TIME: Duration = Duration::from_secs(20);

/// An operation that does not end meanwhile waits for something.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was done in that time.
#[derive(Debug)]
pub struct Raced {
    /// Names exchanged.
    pub exchanges: u64,
    /// Times that the operation ran.
    pub runs: u64,
    /// What went wrong, if something did; then the race ended with it.
    pub escape: Option<String>,
}

/// The operation that mounts, which is run in a mount namespace of its own: what it mounts outside is written down.
const MOUNTS: &str = "disable-device-node-modification";
const SCRIPT: &str = r#""$@"; status=$?
grep -F "$D/outside" /proc/self/mountinfo >>"$D/escaped"
exit $status"#;

/// How long the racer rests between turns: this machine must get to do something else, too.
const REST: Duration = Duration::from_micros(20);

/// Names that lead to what an operation works on, and where their rivals lead.
const RIVALS: [(&str, &str); 10] = [
    (LIBRARIES, "lib"),
    ("usr/lib64", "lib"),
    ("usr", ""),
    ("etc", "etc"),
    ("etc/ld.so.conf.d", "etc/ld.so.conf.d"),
    ("etc/nvidia", "etc/nvidia"),
    ("dev/dri", "dev"),
    ("usr/local/cuda", ""),
    ("usr/local/cuda-12.8/compat", "compat"),
    ("proc/driver/nvidia", "proc/driver/nvidia"),
];

/// Races the operation for [`TIME`], or until something is reached that must not be. `lacking`: a system call that the kernel
/// is made not to have.
///
/// # Errors
/// What kept the race from being run.
pub fn race(
    folder: &Path,
    operation: &Operation,
    build: Build,
    lacking: Option<&'static str>,
) -> Result<Raced, String> {
    let mut image = Image::make(folder, Outward::Absolute, &library()?);
    image.made = SystemTime::now();
    image.file("proc/driver/nvidia/params", "");
    fs::create_dir_all(image.path("etc/nvidia")).map_err(|why| why.to_string())?;
    let rivals = RIVALS.iter().enumerate().map(|(number, (at, outside))| {
        let beside = format!("rival{number}");
        image.link_out(&beside, outside);
        Rival::new(&image, at, beside)
    });
    let rivals = rivals.collect::<Result<Vec<_>, _>>().map_err(|why| why.to_string())?;
    let params = Params::show(&image)?;
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).map_err(|why| format!("{name}: {why}"));
    write("state", &state(&folder.join("bundle")))?;
    write("config.toml", "[nvidia-container-runtime]\nruntimes = [\"/bin/true\"]\nmode = \"jit-cdi\"\n")?;
    let before = outside::record(&image.outside("")).map_err(|why| why.to_string())?;

    let (over, exchanges) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut raced = Raced { exchanges: 0, runs: 0, escape: None };
    let done = thread::scope(|scope| {
        scope.spawn(|| exchange(&rivals, &over, &exchanges));
        let done = runs(&image, operation, build, lacking, &before, &mut raced);
        over.store(true, Ordering::Relaxed);
        done
    });
    drop(params);
    raced.exchanges = exchanges.into_inner();
    // Not before: whoever looks through a tree that changes follows its links himself.
    raced.escape = raced.escape.take().or_else(|| nothing_leaked(&image).err());
    done.map(|()| raced)
}

/// A name and what it is exchanged with. Held by their folders' descriptors: by its path, an inner name could be one
/// outside while an outer one is exchanged, and the race itself would change what it must not.
struct Rival {
    folder: OwnedFd,
    name: String,
    root: OwnedFd,
    beside: String,
}

impl Rival {
    fn new(image: &Image, at: &str, beside: String) -> rustix::io::Result<Rival> {
        let (folder, name) = at.rsplit_once('/').unwrap_or(("", at));
        let open = |name: &str| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, image.path(name), flags, Mode::empty())
        };
        Ok(Rival { folder: open(folder)?, name: name.to_owned(), root: open("")?, beside })
    }

    fn exchange(&self) -> bool {
        renameat_with(&self.folder, &self.name, &self.root, &self.beside, RenameFlags::EXCHANGE).is_ok()
    }
}

/// The driver's parameters in the image, as the container's `/proc` shows them.
struct Params(PathBuf);

impl Params {
    fn show(image: &Image) -> Result<Params, String> {
        let place = image.path("proc/driver/nvidia/params");
        mount_bind("/proc/driver/nvidia/params", &place).map_err(|why| format!("{}: {why}", place.display()))?;
        Ok(Params(image.path("")))
    }
}

impl Drop for Params {
    /// The folder that it lies in may be anywhere by now.
    fn drop(&mut self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let places = table.lines().filter_map(|line| line.split(' ').nth(4));
        for place in places.filter(|place| Path::new(place).starts_with(&self.0)) {
            let _ = unmount(place, UnmountFlags::DETACH);
        }
    }
}

/// Exchanges every name with its rival, again and again.
fn exchange(rivals: &[Rival], over: &AtomicBool, exchanges: &AtomicU64) {
    for turn in 0_u64.. {
        for (number, rival) in rivals.iter().enumerate() {
            // Each at a rhythm of its own, so that all combinations come about.
            if turn % (number as u64 + 1) == 0 && rival.exchange() {
                exchanges.fetch_add(1, Ordering::Relaxed);
            }
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(REST);
    }
}

fn runs(
    image: &Image,
    operation: &Operation,
    build: Build,
    lacking: Option<&'static str>,
    before: &outside::Record,
    raced: &mut Raced,
) -> Result<(), String> {
    let program = build.folder()?.join(operation.program);
    let deadline = Instant::now() + TIME;
    while Instant::now() < deadline {
        fs::write(image.folder.join("bundle/config.json"), specification().to_string())
            .map_err(|why| why.to_string())?;
        let mut words: Vec<OsString> = Vec::new();
        if operation.name == MOUNTS {
            words.extend(
                ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT, "sh"].map(Into::into),
            );
        }
        if let Some(call) = lacking {
            let inject = format!("inject={call}:error=ENOSYS");
            words.extend(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject].map(Into::into));
        }
        words.push(program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.args(operation.args.iter().map(|word| fill_in(word, &image.folder)));
        command.envs(variables(&image.folder)).env("CORTEN_UNDEFENDED", build.switched_off());
        let file = |name: &str| image.folder.join(name);
        let input = File::open(file("state")).map_err(|why| why.to_string())?;
        let errors = File::create(file("stderr")).map_err(|why| why.to_string())?;
        command.stdin(input).stdout(Stdio::null()).stderr(errors);
        let ended = wait(&mut command.spawn().map_err(|why| why.to_string())?, PATIENCE)?;
        raced.runs += 1;
        raced.escape = escaped(image, ended, before);
        if raced.escape.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

fn escaped(image: &Image, ended: Option<crate::trial::Ended>, before: &outside::Record) -> Option<String> {
    use crate::trial::Ended;
    let said = fs::read_to_string(image.folder.join("stderr")).unwrap_or_default();
    match ended {
        Some(Ended::Status(0)) => {}
        Some(Ended::Status(1)) if said.lines().last().is_some_and(|line| line.contains("[CORTEN-E")) => {}
        ended => return Some(format!("it ended with {ended:?}: {said}")),
    }
    let after = outside::record(&image.outside("")).unwrap_or_default();
    let changed = outside::differences(before, &after);
    if !changed.is_empty() {
        return Some(format!("outside changed: {}", changed.join(", ")));
    }
    match fs::read_to_string(image.folder.join("escaped")).unwrap_or_default() {
        mounts if mounts.is_empty() => None,
        mounts => Some(format!("mounted: {mounts}")),
    }
}
