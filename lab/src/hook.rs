//! The hook that shows a container the machine's procfs: it attaches copies of what the machine has mounted over its own
//! `/proc` to the container's, before the container starts.

use crate::{Error, Result, mounts, wrapper};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, ResolveFlags},
    mount::MoveMountFlags,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use serde::Deserialize;
use std::{
    fs::File,
    io::Read,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// What the program is called when it is this hook; also how the hook is recognised in `config.json`.
pub const NAME: &str = "corten-lab-procfs";

/// What a container gets, below `/proc`.
const SHOWN: [&str; 3] = ["driver", "devices", "modules"];

/// More than any runtime's state needs.
const STATE_LIMIT: u64 = 1 << 20;

/// The hook as it stands in `config.json`.
pub fn entry(program: &Path) -> String {
    serde_json::json!({ "path": program, "args": [NAME], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }).to_string()
}

/// The part of the state on a hook's stdin that is needed (OCI runtime specification, "State").
#[derive(Deserialize)]
struct State {
    pid: i32,
    bundle: PathBuf,
}

/// Does the hook's work for the container whose state is on `input`.
///
/// # Errors
/// When the state cannot be read, or the container's namespace cannot be entered or changed. A container without a
/// procfs is left alone.
pub fn run(input: impl Read) -> Result<()> {
    let state: State = serde_json::from_reader(input.take(STATE_LIMIT))
        .map_err(|error| Error::Oci { what: "the state on stdin".into(), reason: error.to_string() })?;
    let path = wrapper::root_of(&state.bundle)?;
    let shown = copies()?;
    let namespace = PathBuf::from(format!("/proc/{}/ns/mnt", state.pid));
    let file = File::open(&namespace).map_err(Error::file("open", &namespace))?;
    // As the container's process sees it, who may have been started in a chroot; entering its namespace leaves that.
    let seen = PathBuf::from(format!("/proc/{}/root", state.pid)).join(path.strip_prefix("/").unwrap_or(&path));
    let root = rustix::fs::open(&seen, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::file("open", &seen))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(Error::mount("enter the container's namespace", namespace))?;
    shown.iter().try_for_each(|(name, tree)| attach(tree, &root, name))
}

/// Copies of the machine's mounts; a kernel without modules has no `/proc/modules`.
fn copies() -> Result<Vec<(&'static str, OwnedFd)>> {
    let existing = SHOWN.into_iter().filter(|name| Path::new("/proc").join(name).exists());
    existing.map(|name| mounts::grab(&Path::new("/proc").join(name)).map(|tree| (name, tree))).collect()
}

fn attach(tree: &OwnedFd, root: &OwnedFd, name: &str) -> Result<()> {
    let path = format!("proc/{name}");
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let Ok(place) = rustix::fs::openat2(root, &path, flags, Mode::empty(), resolve) else { return Ok(()) };
    // PROC_SUPER_MAGIC of linux/magic.h.
    if rustix::fs::fstatfs(&place).is_ok_and(|found| found.f_type != 0x9fa0) {
        return Ok(());
    }
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", &place, "", both).map_err(Error::mount("show the machine's procfs", path))
}
