//! Disks that are full and trees that cannot be changed: all is done, or nothing, and nothing half-done stays.

use crate::{
    image::{Image, Outward},
    operation::{Failure, Operation, Stage},
    outside::{Record, differences, record},
    programs::Build,
    stage,
    trial::{Ended, configuration, fill_in, library, specification, state, variables, wait},
};
use rustix::{
    fs::{CWD, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, openat},
    mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount},
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// See [`SCRIPT`].
const LEFT: i32 = 97;
/// A failure that leaves mounts says so by another status.
const SCRIPT: &str = r#"
"$@" <"$D/state"; status=$?
# By number: mounts of others may go meanwhile, and their file systems become read-only, which every namespace shows.
new='NR == FNR { known[$1]; next } !($1 in known)'
[ "$status" = 0 ] || ! awk "$new" "$D/mounts.before" "$V/mountinfo" | grep . >&2 || exit 97
exit $status"#;

/// An image on a file system of its own.
struct Scarce {
    image: Image,
    mounted: PathBuf,
}

impl Scarce {
    /// With so many pages and inodes in all; 0 for as many as are wanted.
    fn new(folder: &Path, inodes: u64, build: Build) -> Result<Scarce, String> {
        let mounted = folder.join("bundle/rootfs");
        fs::create_dir_all(&mounted).map_err(|why| why.to_string())?;
        let options = CString::new(format!("size=4m,mode=755,nr_inodes={inodes}")).map_err(|why| why.to_string())?;
        mount("tmpfs", &mounted, "tmpfs", MountFlags::empty(), options.as_c_str())
            .map_err(|why| format!("tmpfs: {why}"))?;
        let scarce = Scarce { image: Image::make(folder, Outward::Absolute, &library()?), mounted };
        let write =
            |name: &str, text: String| fs::write(folder.join(name), text).map_err(|why| format!("{name}: {why}"));
        write("state", state(&folder.join("bundle")))?;
        write("bundle/config.json", specification().to_string())?;
        write("config.toml", configuration("", build)?)?;
        Ok(scarce)
    }

    fn run(&self, operation: &Operation, build: Build) -> Result<(Option<Ended>, String), String> {
        let folder = &self.image.folder;
        let program = build.folder()?.join(operation.program);
        // What it mounts is to be gone before this tree is looked at.
        let mut command = match operation.says {
            Failure::Coded => Command::new(program),
            Failure::OfCli => {
                let mut command = Command::new(stage::ALONE[0]);
                command.args(&stage::ALONE[1..]).args(["-c", &[stage::BEGIN, SCRIPT].concat(), "sh"]).arg(program);
                command.envs(stage::variables(operation, true));
                command
            }
        };
        command.args(operation.args.iter().map(|word| fill_in(word, folder))).envs(variables(folder));
        command.env("CORTEN_UNDEFENDED", build.switched_off()).stdout(Stdio::null());
        let input = fs::File::open(folder.join("state")).map_err(|why| why.to_string())?;
        command.stdin(if operation.stage == Stage::Hook { input.into() } else { Stdio::null() });
        let errors = fs::File::create(folder.join("stderr")).map_err(|why| why.to_string())?;
        let ended = wait(&mut command.stderr(errors).spawn().map_err(|why| why.to_string())?, PATIENCE)?;
        Ok((ended, fs::read_to_string(folder.join("stderr")).unwrap_or_default()))
    }

    /// The tree without the times of folders, which undoing changes too.
    fn tree(&self) -> Result<Record, String> {
        let mut tree: Record = record(&self.mounted).map_err(|why| why.to_string())?;
        for entry in tree.values_mut().filter(|entry| entry.1 & 0o170_000 == 0o040_000) {
            (entry.4, entry.5) = (0, 0);
        }
        Ok(tree)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.image.folder.join("bundle/config.json")).unwrap_or_default()
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        let _ = unmount(&self.mounted, UnmountFlags::DETACH);
    }
}

/// It failed with a code and changed nothing, or it succeeded.
fn all_or_nothing(scarce: &Scarce, operation: &Operation, build: Build) -> Result<bool, String> {
    let (before, config) = (scarce.tree()?, scarce.config());
    let (ended, said) = scarce.run(operation, build)?;
    if ended == Some(Ended::Status(0)) {
        return Ok(true);
    }
    if ended == Some(Ended::Status(LEFT)) {
        return Err(format!("half-done: a mount stayed: {said}"));
    }
    if ended != Some(Ended::Status(1)) || !operation.failed_in_one_line(&said) {
        return Err(format!("it ended with {ended:?}: {said}"));
    }
    let left = differences(&before, &scarce.tree()?);
    match left.is_empty() && config == scarce.config() {
        true => Ok(false),
        false => Err(format!("half-done: {} (it said: {said})", left.join(", "))),
    }
}

/// A disk that is full, and then has room for one thing more, and for two, until the operation succeeds.
///
/// # Errors
/// What was half-done, or that no disk was too full.
pub fn full_disk(folder: &Path, operation: &Operation, build: Build) -> Result<(), String> {
    let mut outcomes = BTreeMap::new();
    for room in 0..64 {
        let scarce = Scarce::new(&folder.join(format!("inodes{room}")), 4_000, build)?;
        fill_names(&scarce.mounted, room)?;
        let done = all_or_nothing(&scarce, operation, build)?;
        *outcomes.entry(done).or_insert(0) += 1;
        if done {
            break;
        }
    }
    for room in 0..16 {
        let scarce = Scarce::new(&folder.join(format!("pages{room}")), 0, build)?;
        fill_pages(&scarce.mounted, room)?;
        if all_or_nothing(&scarce, operation, build)? {
            break;
        }
    }
    match (outcomes.get(&false), outcomes.get(&true)) {
        (Some(_), Some(_)) => Ok(()),
        _ => Err(format!("both outcomes were to be seen: {outcomes:?}")),
    }
}

/// Leaves names for so many things.
fn fill_names(folder: &Path, room: usize) -> Result<(), String> {
    let filler = folder.join("filler");
    fs::create_dir(&filler).map_err(|why| why.to_string())?;
    let mut made = 0;
    while fs::File::create(filler.join(made.to_string())).is_ok() {
        made += 1;
    }
    (0..room.min(made))
        .try_for_each(|number| fs::remove_file(filler.join(number.to_string())))
        .map_err(|why| why.to_string())
}

/// Leaves so many pages.
fn fill_pages(folder: &Path, room: u64) -> Result<(), String> {
    let mut filler = fs::File::create(folder.join("filler")).map_err(|why| why.to_string())?;
    let mut size = 0;
    while let Ok(written @ 1..) = filler.write(&[1; 4096]) {
        size += written as u64;
    }
    filler.set_len(size.saturating_sub(room * 4096)).map_err(|why| why.to_string())
}

/// A root that is mounted read-only, and one whose folders cannot be changed.
///
/// # Errors
/// What was half-done.
pub fn cannot_be_changed(folder: &Path, operation: &Operation) -> Result<(), String> {
    let scarce = Scarce::new(&folder.join("read-only"), 0, Build::Shipped)?;
    // A process that another thread is just starting holds what we had open for writing, until it executes its program.
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = mount_remount(&scarce.mounted, MountFlags::RDONLY, c"") {
        if why != rustix::io::Errno::BUSY || Instant::now() > deadline {
            return Err(format!("read-only: {why}"));
        }
        sleep(Duration::from_millis(2));
    }
    let before = scarce.tree()?;
    // Both outcomes are right: the shim has another way, some hooks have nothing to do.
    let done = all_or_nothing(&scarce, operation, Build::Shipped)?;
    let changed = differences(&before, &scarce.tree()?);
    if !changed.is_empty() {
        return Err(format!("changed on a read-only file system ({done}): {}", changed.join(", ")));
    }

    let scarce = Scarce::new(&folder.join("immutable"), 0, Build::Shipped)?;
    let folders = ["", "etc", "etc/ld.so.conf.d", crate::image::LIBRARIES, "usr/lib64", "dev/dri"];
    match folders.iter().try_for_each(|name| set_immutable(&scarce.mounted.join(name), true)) {
        Ok(()) => {}
        // tmpfs has had these attributes since Linux 6.6.
        Err(rustix::io::Errno::NOTTY | rustix::io::Errno::OPNOTSUPP) => {
            left_out::say("immutable files and folders", "this kernel's tmpfs has none");
            return Ok(());
        }
        Err(why) => return Err(format!("immutable: {why}")),
    }
    let done = all_or_nothing(&scarce, operation, Build::Shipped).map(drop);
    folders
        .iter()
        .try_for_each(|name| set_immutable(&scarce.mounted.join(name), false))
        .map_err(|why| why.to_string())?;
    done
}

fn set_immutable(path: &Path, on: bool) -> rustix::io::Result<()> {
    let folder = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut flags = ioctl_getflags(&folder)?;
    flags.set(IFlags::IMMUTABLE, on);
    ioctl_setflags(&folder, flags)
}
