//! What may be mounted in a container, told by identity: the driver's files on this machine, and file systems in memory that are
//! new. A path in a table of mounts says where something lay once, and an image has files of the same names.

use crate::{programs::Build, trial::Trial};
use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
    sync::OnceLock,
};

/// Device and inode.
type Identity = (u64, u64);

/// A line of a table of mounts (`proc_pid_mountinfo(5)`).
pub struct Line<'a> {
    /// All of it.
    pub text: &'a str,
    /// Number of the mount.
    pub number: &'a str,
    /// Device of its file system.
    device: &'a str,
    /// Where it is mounted.
    pub place: &'a str,
    /// Kind of its file system.
    kind: &'a str,
}

/// The lines of a table.
pub fn table(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(|text| {
        let mut fields = text.split(' ');
        let (number, _, device, _, place) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let kind = text.split_once(" - ")?.1.split(' ').next()?;
        Some(Line { text, number, device, place, kind })
    })
}

/// `Err` names a mount that is none of those. `new` are the container's new mounts.
///
/// # Errors
/// See above; or this machine's files are not known.
pub fn judge(trial: &Trial, new: &[Line]) -> Result<(), String> {
    if new.is_empty() {
        return Ok(());
    }
    let before = trial.text("mounts.before");
    let devices: HashSet<_> = table(&before).map(|line| line.device).collect();
    let mounted = trial.text("mounted");
    let mounted: HashMap<&str, Identity> = mounted.lines().filter_map(identity).collect();
    let hosts = HOSTS.get_or_init(hosts).as_ref()?;
    let is_known = |line: &&Line| {
        let is_new = line.kind == "tmpfs" && !devices.contains(line.device);
        is_new || mounted.get(line.place).is_some_and(|identity| hosts.contains(identity))
    };
    match new.iter().find(|line| !is_known(line)) {
        None => Ok(()),
        Some(line) => Err(format!("mounted what is not the driver's: {}", line.text)),
    }
}

/// A line that `stat` wrote: device, inode, and the place below a folder in procfs.
fn identity(line: &str) -> Option<(&str, Identity)> {
    let mut fields = line.splitn(3, ' ');
    let identity = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((fields.next()?.split_once("/root")?.1, identity))
}

static HOSTS: OnceLock<Result<HashSet<Identity>, String>> = OnceLock::new();

/// The driver's files, nodes and sockets, and what the kernel says about its GPUs.
fn hosts() -> Result<HashSet<Identity>, String> {
    let program = Build::Shipped.folder()?.join("nvidia-container-cli");
    let listed = Command::new(program).arg("list").output().map_err(|why| format!("nvidia-container-cli: {why}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let gpus = fs::read_dir("/proc/driver/nvidia/gpus").map_err(|why| format!("GPUs: {why}"))?;
    let gpus = gpus.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = listed.lines().map(|line| Path::new(line).to_owned()).chain(gpus);
    let found: HashSet<_> =
        paths.filter_map(|path| fs::metadata(path).ok()).map(|status| (status.dev(), status.ino())).collect();
    if found.len() > 10 { Ok(found) } else { Err(format!("this machine has a driver of {} files", found.len())) }
}
