//! Puts a machine's parts where programs look for them, in a mount namespace of this process, and runs a command there.
//!
//! Everything written goes to tmpfs, and every mount is private: when the last process in the namespace has ended, the
//! kernel takes all of it away. So there is nothing to clean up, however the command ends, and [`run`] replaces this
//! process by the command, which gets signals and reports its status as if there were no lab.

mod devices;
mod system;
mod wrappers;

use crate::{
    Error, Result,
    companions::{Companions, own_program},
    driver, hook, mounts, proc, sys,
    tree::Tree,
};
use machine::{Driver, HOOK_FILE, Layout, Machine};
use rustix::{fs::Mode, io::Errno, mount::MountPropagationFlags, thread::UnshareFlags};
use std::{
    convert::Infallible,
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::{Component, Path, PathBuf},
    process::Command,
};

/// Where writable layers are kept while the machine is made; nothing stays there.
const STAGE: &str = "/run/corten-lab";

/// Folders of container engines, which would otherwise leave images and containers on the host, and which need a file
/// system that overlays can be stacked on.
const ENGINE_FOLDERS: [&str; 4] = ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/cni"];

/// Files of a machine belong to root and are for everybody.
pub const MASK: Mode = Mode::from_raw_mode(0o022);

/// Makes the machine around this process and becomes `command`, whose first word is looked up in `PATH`. `system` is
/// another distribution's root, to be the machine's instead of this host's.
///
/// # Errors
/// Whatever kept the machine from being made or the command from being started; on success it does not return.
pub fn run(
    machine: &Machine,
    companions: &Companions,
    system: Option<&Path>,
    command: &[OsString],
) -> Result<Infallible> {
    // What the machine consists of is for everybody to read, however careful its maker is with files of his own.
    let careful = rustix::process::umask(MASK);
    enter(machine, companions, system)?;
    rustix::process::umask(careful);
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::File { action: "run", path: PathBuf::new(), source: std::io::ErrorKind::NotFound.into() });
    };
    let error = Command::new(program).args(arguments).env("PATH", search_path()).exec();
    Err(Error::file("run", program)(error))
}

/// Makes the machine around this process, which must have one thread only.
///
/// # Errors
/// Whatever kept it from being made. The process is then in a half-made namespace and should end.
pub fn enter(machine: &Machine, companions: &Companions, system: Option<&Path>) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    // `/proc` names it as it was called when it was started, whatever becomes of the root.
    let (mut program, mut companions) = (own_program()?, companions.clone());
    separate()?;
    if let Some(system) = system {
        system::enter(system)?;
        program = system::seen_inside(&program);
        companions = Companions::in_folder(system::seen_inside(companions.folder()));
    }
    let folder = env::current_dir().ok();
    let wrappers = wrappers::Wrappers::prepare(program.clone())?;
    lay_over_host(machine)?;
    install_driver(machine, &companions)?;
    procfs(machine, &program)?;
    sysfs(machine)?;
    devices::install(machine, Path::new(STAGE))?;
    show_kernel_in_driver_root(machine)?;
    wrappers.install()?;
    uncovered()?;
    one_cgroup_hierarchy()?;
    mounts::detach(Path::new(STAGE))?;
    fs::remove_dir(STAGE).map_err(Error::file("remove", STAGE))?;
    // The folder we are in may now lie under an overlay; enter it again, through the new mounts.
    folder.map_or(Ok(()), |folder| env::set_current_dir(&folder).map_err(Error::file("enter", folder)))
}

/// `PATH` with the folder of our wrappers in it.
fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    if env::split_paths(&path).any(|folder| folder == Path::new(wrappers::FOLDER)) {
        return path;
    }
    let mut longer = OsString::from(wrappers::FOLDER);
    longer.push(":");
    longer.push(path);
    longer
}

/// A mount namespace of our own, from which nothing is told to others.
fn separate() -> Result<()> {
    // SAFETY: the process has one thread, and no file descriptor table is unshared.
    let made = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
    made.map_err(|error| match error {
        Errno::PERM => Error::NotRoot,
        error => Error::mount("make a mount namespace", "/")(error),
    })?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(Error::mount("make mounts private", "/"))
}

/// Makes every folder that is about to be written private: `/run` empty, the others as they were.
fn lay_over_host(machine: &Machine) -> Result<()> {
    mounts::tmpfs("/run", 0o755)?;
    fs::create_dir(STAGE).map_err(Error::file("make the folder", STAGE))?;
    mounts::tmpfs(STAGE, 0o700)?;
    for folder in written_folders(machine) {
        mounts::overlay(&folder, Path::new(STAGE))?;
    }
    for folder in ENGINE_FOLDERS {
        fs::create_dir_all(folder).map_err(Error::file("make the folder", folder))?;
        mounts::tmpfs(folder, 0o711)?;
    }
    Ok(())
}

/// Top-level folders that get files: links among them are left out, since what they point at is in the list.
fn written_folders(machine: &Machine) -> Vec<PathBuf> {
    let root = machine.driver.as_ref().map_or("/", |driver| driver.root.as_str());
    let root = Path::new(root).components().find_map(|part| match part {
        Component::Normal(name) => Some(Path::new("/").join(name)),
        _ => None,
    });
    let mut folders: Vec<PathBuf> = ["/usr", "/etc", "/var", "/lib", "/lib64", "/sbin"].map(PathBuf::from).into();
    folders.extend(root.filter(|root| root != Path::new("/run") && !folders.contains(root)));
    folders.retain(|folder| fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()));
    folders
}

fn install_driver(machine: &Machine, companions: &Companions) -> Result<()> {
    let Some(driver) = &machine.driver else { return Ok(()) };
    let root = Path::new(&driver.root);
    must_be_private(root)?;
    let tree = Tree::new(root);
    if driver.layout == Layout::Plain {
        return driver::install(machine, companions, &tree);
    }
    if root != Path::new("/") {
        driver::root::prepare(driver, companions, &tree)?;
    }
    driver::install(machine, companions, &tree)?;
    driver::root::write_cache(root)
}

/// A driver container has its own view of devices and the kernel; programs that enter its root look there.
fn show_kernel_in_driver_root(machine: &Machine) -> Result<()> {
    let container = |driver: &&Driver| driver.root != "/" && driver.layout != Layout::Plain;
    let Some(driver) = machine.driver.as_ref().filter(container) else { return Ok(()) };
    ["dev", "proc", "sys"].iter().try_for_each(|name| {
        let copy = mounts::grab(&Path::new("/").join(name))?;
        mounts::put(&copy, Path::new(&driver.root).join(name))
    })
}

/// Refuses to write where no private layer is, so that a mistake here never reaches the host.
fn must_be_private(root: &Path) -> Result<()> {
    let below = if root == Path::new("/") { root.join("usr") } else { root.to_path_buf() };
    let existing = below.ancestors().find(|path| path.exists()).unwrap_or(root);
    let kind = rustix::fs::statfs(existing).map_err(Error::file("look at", existing))?.f_type;
    // OVERLAYFS_SUPER_MAGIC and TMPFS_MAGIC of linux/magic.h.
    if [0x794c_7630, 0x0102_1994].contains(&kind) {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!(
            "a driver root at {} (its first folder does not exist; use one below /run, /opt or /home)",
            root.display()
        ),
    })
}

fn procfs(machine: &Machine, program: &Path) -> Result<()> {
    mounts::tmpfs("/proc/driver", 0o555)?;
    proc::install(machine, &Tree::new("/proc/driver"))?;
    if machine.driver.is_some() {
        Tree::new("/").file(HOOK_FILE, hook::entry(program), 0o444)?;
    }
    replace("/proc/devices", |host| proc::devices(machine, host))?;
    // A kernel without loadable modules has no such file.
    if Path::new("/proc/modules").exists() {
        replace("/proc/modules", |host| proc::modules(machine, host))?;
    }
    Ok(())
}

/// In a user namespace the kernel lets a container mount procfs and sysfs only if its namespace has one each that nothing
/// covers (`mount_too_revealing` in fs/namespace.c); the machine covers parts of both, so it keeps another of each.
fn uncovered() -> Result<()> {
    ["proc", "sysfs"].iter().try_for_each(|kind| {
        let folder = format!("/usr/libexec/corten-lab/{kind}");
        fs::create_dir_all(&folder).map_err(Error::file("make the folder", &folder))?;
        mounts::fresh(kind, &folder)
    })
}

/// Binds a changed copy of a file over it.
fn replace(path: &str, change: impl FnOnce(&str) -> String) -> Result<()> {
    let host = fs::read_to_string(path).map_err(Error::file("read", path))?;
    let name = path.trim_start_matches('/').replace('/', "-");
    Tree::new(STAGE).file(&name, change(&host), 0o444)?;
    mounts::bind(&Path::new(STAGE).join(name), Path::new(path))
}

/// The machine's PCI functions beside the links of the host's own, of which NVIDIA's are left out.
fn sysfs(machine: &Machine) -> Result<()> {
    const PCI: &str = "/sys/bus/pci/devices";
    if !Path::new(PCI).exists() {
        return Ok(());
    }
    let links = host_functions(Path::new(PCI))?;
    mounts::tmpfs(PCI, 0o755)?;
    let tree = Tree::new(PCI);
    links.iter().try_for_each(|(name, text)| tree.link(name, text))?;
    sys::install(machine, &tree)
}

fn host_functions(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        let nvidia = fs::read_to_string(path.join("vendor")).is_ok_and(|vendor| vendor.trim() == "0x10de");
        if let (false, Ok(text), Some(name)) = (nvidia, fs::read_link(&path), path.file_name()) {
            links.push((name.to_string_lossy().into_owned(), text));
        }
    }
    Ok(links)
}

/// On a machine with both cgroup hierarchies, hides the second from engines that get confused by it (crun). They still
/// make folders in its place, which belong neither on the host nor in a folder that is only for reading.
fn one_cgroup_hierarchy() -> Result<()> {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let list = fs::read_to_string("/proc/self/mountinfo").map_err(Error::file("read", "/proc/self/mountinfo"))?;
    if !mounts::mount_points(&list).iter().any(|point| point == unified) {
        return Ok(());
    }
    mounts::detach(unified)?;
    mounts::tmpfs(unified, 0o755)
}
