//! What can happen to a machine, taken apart into steps between which anything else may happen.

use crate::{dice::Dice, running::Running};
use lab::{
    dev::{self, Groups},
    driver, proc,
    tree::Tree,
};
use machine::{Gpu, Machine, Mig, STATE_FILE};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

/// One step. Paths are the machine's.
#[derive(Clone)]
pub enum Step {
    /// A file or link goes; with its last file, the folder of a GPU or MIG instance in `/proc`, too.
    Remove(String),
    /// A folder is there.
    Folder(String),
    /// A file is there, at once.
    Put(String, Vec<u8>),
    /// A file is written in place; these are all bytes that it has by then.
    Write(String, Vec<u8>),
    /// A link is there, at once.
    Link(String, String),
    /// All nodes of such a machine are there; those that it does not have stay.
    Nodes(Box<Machine>),
    /// A command is run.
    Run(&'static str),
}

/// Versions that drivers are updated to and from.
const VERSIONS: [&str; 3] = ["550.54.14", "550.90.07", "555.42.02"];

/// A change of the machine, chosen by the dice.
pub fn any(running: &Running, dice: &mut Dice) -> (Machine, Vec<Step>) {
    match dice.below(8) {
        0 => driver_update(running, dice),
        1 => other_majors(running, dice),
        2 => gpu_comes_or_goes(running, dice),
        3 | 4 => switched(running, dice),
        _ => repartition(running, dice),
    }
}

impl Step {
    /// Takes it.
    pub fn take(&self, running: &mut Running) {
        match self {
            Step::Remove(path) => remove(running, path),
            Step::Folder(path) => fs::create_dir_all(running.at(path)).unwrap(),
            Step::Put(path, content) => {
                let beside = running.at(&format!("{path}.dpkg-new"));
                fs::create_dir_all(beside.parent().unwrap()).unwrap();
                fs::write(&beside, content).unwrap();
                fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
                fs::rename(beside, running.at(path)).unwrap();
            }
            Step::Write(path, content) => fs::write(running.at(path), content).unwrap(),
            Step::Link(path, text) => {
                let at = running.at(path);
                fs::create_dir_all(at.parent().unwrap()).unwrap();
                let _ = fs::remove_file(&at);
                symlink(text, at).unwrap();
            }
            Step::Nodes(machine) => {
                let groups = Groups::from_text(&running.read("/etc/group"));
                dev::install(machine, groups, &Tree::new(running.at("/dev"))).unwrap();
            }
            Step::Run(command) => assert_eq!(running.run(command), 0, "{command}"),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Remove(path) => write!(f, "remove {path}"),
            Step::Folder(path) => write!(f, "make {path}"),
            Step::Put(path, content) => write!(f, "put {path} ({} bytes)", content.len()),
            Step::Write(path, content) => write!(f, "write {path} ({} bytes)", content.len()),
            Step::Link(path, text) => write!(f, "link {path} -> {text}"),
            Step::Nodes(_) => write!(f, "make nodes"),
            Step::Run(command) => write!(f, "run {command}"),
        }
    }
}

fn remove(running: &Running, path: &str) {
    match fs::remove_file(running.at(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{path}: {error}"),
        _ => {}
    }
    let is_things = |name: &str| name.starts_with("gi") || name.starts_with("ci") || name.contains(':');
    let things = Path::new(path).ancestors().skip(1).map(|folder| folder.to_str().unwrap());
    for folder in things.take_while(|folder| folder.rsplit('/').next().is_some_and(is_things)) {
        if fs::remove_dir(running.at(folder)).is_err() {
            break;
        }
    }
}

/// Packages take old files away and put new ones in their places, one at a time; NVIDIA's own installer writes them where they
/// are to be. The kernel module is exchanged at some moment, which may be long before or after.
fn driver_update(running: &Running, dice: &mut Dice) -> (Machine, Vec<Step>) {
    let mut machine = running.machine.clone();
    let driver = machine.driver.as_mut().unwrap();
    let others: Vec<_> = VERSIONS.iter().filter(|version| **version != driver.version).collect();
    driver.version = (**dice.pick(&others)).to_owned();
    let (old, new) = (files(running, &running.machine), files(running, &machine));
    let in_place = dice.once_in(2);
    let mut steps: Vec<_> =
        old.keys().filter(|path| !new.contains_key(*path)).map(|path| Step::Remove(path.clone())).collect();
    for (path, content) in new {
        match content {
            Content::Link(text) => steps.push(Step::Link(path, text)),
            Content::File(bytes) if old.get(&path) == Some(&Content::File(bytes.clone())) => {}
            Content::File(bytes) if in_place => {
                steps.push(Step::Put(path.clone(), Vec::new()));
                steps.push(Step::Write(path.clone(), bytes[..bytes.len() / 2].to_vec()));
                steps.push(Step::Write(path, bytes));
            }
            Content::File(bytes) => steps.push(Step::Put(path, bytes)),
        }
    }
    steps.push(Step::Run("ldconfig"));
    let at = dice.below(steps.len() + 1);
    let faces = faces(&machine, |path| path.ends_with("/version") || path.ends_with("/information") || is_state(path));
    steps.splice(at..at, faces);
    (machine, steps)
}

#[derive(Clone, PartialEq)]
enum Content {
    File(Vec<u8>),
    Link(String),
}

/// The driver's files by their paths on the machine, sockets aside.
fn files(running: &Running, machine: &Machine) -> BTreeMap<String, Content> {
    let folder = tempfile::tempdir().unwrap();
    driver::install(machine, &running.companions, &Tree::new(folder.path())).unwrap();
    fs::remove_dir_all(folder.path().join("run")).unwrap();
    walk(folder.path())
}

/// Files and links below a folder, by their paths from there.
fn walk(top: &Path) -> BTreeMap<String, Content> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![top.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("/{}", path.strip_prefix(top).unwrap().display());
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                found.insert(name, Content::Link(fs::read_link(path).unwrap().to_str().unwrap().to_owned()));
            } else {
                found.insert(name, Content::File(fs::read(path).unwrap()));
            }
        }
    }
    found
}

/// What the kernel and NVML say of the machine, a file at a time, as far as `wanted` by path.
fn faces(machine: &Machine, wanted: impl Fn(&str) -> bool) -> Vec<Step> {
    let folder = tempfile::tempdir().unwrap();
    proc::install(machine, &Tree::new(folder.path())).unwrap();
    let files = walk(folder.path()).into_iter().map(|(path, content)| (format!("/proc/driver{path}"), content));
    let files = files.filter(|(path, _)| wanted(path));
    files
        .filter_map(|(path, content)| match content {
            Content::File(bytes) => Some(Step::Put(path, bytes)),
            Content::Link(_) => None,
        })
        .collect()
}

/// Modules are loaded again and get other numbers; the nodes of the old ones stay until somebody makes them anew.
fn other_majors(running: &Running, dice: &mut Dice) -> (Machine, Vec<Step>) {
    let mut machine = running.machine.clone();
    machine.majors.uvm = 500 + u32::try_from(dice.below(12)).unwrap();
    machine.majors.caps = 300 + u32::try_from(dice.below(12)).unwrap();
    let devices = proc::devices(&machine, &running.read("/proc/devices"));
    // The file is bound over the kernel's, so another cannot take its place; readers get what it says in one piece.
    let mut steps = vec![Step::Write("/proc/devices".into(), devices.into_bytes())];
    let at = dice.below(2);
    steps.splice(at..at, faces(&machine, is_state));
    steps.push(Step::Nodes(Box::new(machine.clone())));
    (machine, steps)
}

fn gpu_comes_or_goes(running: &Running, dice: &mut Dice) -> (Machine, Vec<Step>) {
    let mut machine = running.machine.clone();
    match machine.gpus.len() {
        1 => machine.gpus.push(Gpu {
            bus_id: "0000:0a:00.0".into(),
            minor: 5,
            mig: Vec::new(),
            mig_enabled: false,
            uuid: uuid("GPU", dice),
            ..machine.gpus[0].clone()
        }),
        _ => drop(machine.gpus.pop()),
    }
    let steps = exchange(&running.machine, &machine, dice);
    (machine, steps)
}

/// MIG devices are destroyed and others made, on one GPU; or none, and its mode may be switched without any.
fn repartition(running: &Running, dice: &mut Dice) -> (Machine, Vec<Step>) {
    let mut machine = running.machine.clone();
    let which = dice.below(machine.gpus.len());
    let gpu = &mut machine.gpus[which];
    gpu.mig_enabled = !dice.once_in(4);
    gpu.mig = match gpu.mig_enabled && !dice.once_in(4) {
        true => (1..=u32::try_from(1 + dice.below(4)).unwrap()).map(|slot| part(slot, dice)).collect(),
        false => Vec::new(),
    };
    let steps = exchange(&running.machine, &machine, dice);
    (machine, steps)
}

/// How many steps pass before anything else happens to a machine whose mode was switched.
const AFTER_A_SWITCH: usize = 16;

/// The MIG mode of a GPU without MIG devices is switched, and the kernel's files stay as they are for a while.
fn switched(running: &Running, dice: &mut Dice) -> (Machine, Vec<Step>) {
    let mut machine = running.machine.clone();
    let Some(gpu) = machine.gpus.iter_mut().find(|gpu| gpu.mig.is_empty()) else { return repartition(running, dice) };
    gpu.mig_enabled = !gpu.mig_enabled;
    let folder = Step::Folder(format!("/proc/driver/nvidia/capabilities/gpu{}/mig", gpu.minor));
    let mut steps = faces(&machine, is_state);
    steps.extend(std::iter::repeat_n(folder, AFTER_A_SWITCH));
    (machine, steps)
}

/// A MIG device: of few possible ids, so that ids come back and belong to another device then.
fn part(slot: u32, dice: &mut Dice) -> Mig {
    Mig {
        index: slot - 1,
        uuid: uuid("MIG", dice),
        gpu_instance: slot * 2 + u32::try_from(dice.below(2)).unwrap(),
        compute_instance: 0,
        profile: "1g.5gb".into(),
        graphics: false,
    }
}

fn uuid(prefix: &str, dice: &mut Dice) -> String {
    let number = |dice: &mut Dice| dice.below(1 << 30) as u64;
    let (high, low) = (number(dice), number(dice));
    format!("{prefix}-{high:08x}-{:04x}-5{:03x}-8{:03x}-{low:012x}", low & 0xffff, high & 0xfff, low & 0xfff)
}

/// The kernel's files of the old state go, those of the new one come, one at a time. NVML learns of it at some moment, but before
/// the kernel shows the last of the new devices: it is through NVML that they are made.
fn exchange(old: &Machine, new: &Machine, dice: &mut Dice) -> Vec<Step> {
    let kernel = |path: &str| !is_state(path) && !path.ends_with("/mig-minors") && !path.ends_with("/params");
    let before = faces(old, kernel);
    let mut after = faces(new, kernel);
    let path = |step: &Step| match step {
        Step::Put(path, _) => path.clone(),
        _ => String::new(),
    };
    // A MIG device's files are made anew even if they have the names of one that is gone.
    let stays = |step: &Step| !step_is_capability(step) && after.iter().any(|other| path(other) == path(step));
    let mut steps: Vec<_> =
        before.iter().rev().filter(|step| !stays(step)).map(|step| Step::Remove(path(step))).collect();
    after.retain(|step| !before.iter().any(|other| path(other) == path(step) && !step_is_capability(step)));
    steps.extend(after);
    let partitionable = new.gpus.iter().filter(|gpu| gpu.mig_capable);
    steps.extend(
        partitionable.map(|gpu| Step::Folder(format!("/proc/driver/nvidia/capabilities/gpu{}/mig", gpu.minor))),
    );
    let last = steps.iter().rposition(step_is_capability).filter(|at| matches!(steps[*at], Step::Put(..)));
    let at = dice.below(last.unwrap_or(steps.len()) + 1);
    steps.splice(at..at, faces(new, is_state));
    // Programs that ask NVML make them, or udev, sooner or later.
    let at = at + 1 + dice.below(steps.len() - at);
    steps.insert(at, Step::Nodes(Box::new(new.clone())));
    steps
}

/// What NVML reads.
fn is_state(path: &str) -> bool {
    path == STATE_FILE
}

fn step_is_capability(step: &Step) -> bool {
    matches!(step, Step::Put(path, _) if path.contains("/mig/gi"))
}
