//! One small read-only file over another. Nothing else is left behind.

use super::{
    Options, Peers, Technique,
    kernel::{is_missing, path, seal},
    tmpfs::{self, make_file},
};
use crate::{ContainerRoot, RootError, container::Found};
use oci::ContainerPath;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::fstat,
    io::Errno,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount_bind, mount_change,
        mount_remount, move_mount, open_tree, unmount,
    },
};

const NAME: &str = "file";
const FILE_MODE: u32 = 0o444;
const FOLDER_MODE: u32 = 0o555;

/// Lays a file with this content over `target`: mode 0444, read-only, without set-uid, devices or execution, and
/// private. Detached where the kernel can do that; otherwise a tmpfs lies over the target's folder for as long as it takes
/// to bind the file. `mount` is the number of the mount that the target lies on.
pub(crate) fn cover(
    target: BorrowedFd,
    mount: Option<u64>,
    place: &Place,
    content: &[u8],
    how: Technique,
) -> Result<(), RootError> {
    let peers = Peers::new(place.root);
    peers.check(place.path, mount)?;
    let made = match how {
        Technique::Detached => detached(content),
        Technique::Classic => Err(Errno::NOSYS),
    };
    match made {
        Ok(file) => {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&file, "", target, "", flags)
        }
        Err(error) if is_missing(error) => {
            // What is mounted meanwhile is found again by names alone.
            let folder = place.root.without_links(&place.path.parent()).map_err(place.failed())?;
            let place = Place { root: place.root, path: &folder.join(place.path.file_name()) };
            let under = place.folder().map_err(place.failed())?;
            peers.check(place.path, under.mount())?;
            classic(target, &place, under, content)
        }
        Err(error) => Err(error),
    }
    .map_err(place.failed())
}

/// The place to be covered, looked up by name: the only way to see what a mount has laid over it.
pub(crate) struct Place<'a> {
    pub(crate) root: &'a ContainerRoot,
    pub(crate) path: &'a ContainerPath,
}

impl Place<'_> {
    fn folder(&self) -> Result<Found, Errno> {
        self.root.enter(&self.path.parent())
    }

    fn target(&self) -> Result<Found, Errno> {
        self.root.enter(self.path)
    }

    fn failed(&self) -> impl FnOnce(Errno) -> RootError {
        self.root.failed("mount over", self.path)
    }
}

/// A mount of a single file that is attached nowhere. Cloning a part of a mount that is itself attached nowhere is what
/// takes Linux 6.15.
fn detached(content: &[u8]) -> Result<OwnedFd, Errno> {
    let folder = tmpfs::detached(tmpfs::size([content].into_iter()), FOLDER_MODE)?;
    make_file(folder.as_fd(), NAME, content, FILE_MODE)?;
    let file = open_tree(&folder, NAME, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    seal(file.as_fd(), Options::FACTS, false)?;
    Ok(file)
}

/// The same with `mount(2)`. Paths are descriptors' own, so that no name is looked up by the kernel.
fn classic(target: BorrowedFd, place: &Place, under: Found, content: &[u8]) -> Result<(), Errno> {
    let size = tmpfs::size([content].into_iter());
    tmpfs::mount_on(under.fd(), size, FOLDER_MODE, Options::SOCKETS.flags())?;
    let [under, over] = [under, place.folder()?].map(Found::into_fd);
    let bound = bind_from(over.as_fd(), under.as_fd(), target, content);
    let removed = match fstat(&over)?.st_dev == fstat(&under)?.st_dev {
        true => Err(Errno::BUSY), // the name leads elsewhere now; do not unmount what is not ours
        false => unmount(path(over.as_fd()), UnmountFlags::DETACH),
    };
    bound.and(removed)?;
    seal_by_path(place)
}

fn bind_from(over: BorrowedFd, under: BorrowedFd, target: BorrowedFd, content: &[u8]) -> Result<(), Errno> {
    if fstat(over)?.st_dev == fstat(under)?.st_dev {
        return Err(Errno::BUSY);
    }
    let file = make_file(over, NAME, content, FILE_MODE)?;
    mount_bind(path(file.as_fd()), path(target))
}

/// A bind mount takes its flags only afterwards: asked for at once, the kernel ignores them (Q35).
fn seal_by_path(place: &Place) -> Result<(), Errno> {
    let covered = place.target()?;
    let path = path(covered.fd());
    let flags = MountFlags::BIND | Options::FACTS.flags();
    let sealed = mount_remount(&path, flags, c"").and_then(|()| mount_change(&path, MountPropagationFlags::PRIVATE));
    if sealed.is_err() {
        let _ = unmount(&path, UnmountFlags::DETACH);
    }
    sealed
}
