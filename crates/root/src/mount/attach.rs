//! Attaching what was prepared: all of it or nothing.

use super::{
    Mount, Prepared, What,
    kernel::{is_missing, path, table},
    peers::Peers,
    point::Point,
    prepare::{Identity, State},
    tmpfs,
};
use crate::{
    ContainerRoot, Defence, RootError,
    container::mount_of,
    place::Placer,
    resolve::{Last, Resolver},
};
use oci::ContainerPath;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{StatVfsMountFlags, fstat, fstatvfs},
    io::Errno,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_bind, mount_bind_recursive,
        mount_change, mount_remount, move_mount, unmount,
    },
};

/// Permission bits of folders that are made to be mounted over, and of files.
const POINT_MODES: [u32; 2] = [0o755, 0o644];

/// Mounts of ours in a container's root. Unless they are kept, they go again with this: just these, by descriptor, and
/// what was made to mount them over.
pub struct Attached<'a> {
    /// `None` when nothing is left to take back.
    placer: Option<Placer<'a>>,
    peers: Peers<'a>,
    mounts: Vec<OwnedFd>,
    made: Vec<ContainerPath>,
    already: Vec<ContainerPath>,
}

impl ContainerRoot {
    /// Attaches mounts, in order; a later one may lie on an earlier. To be called in the container's mount namespace. What
    /// lies there already is not mounted again.
    ///
    /// # Errors
    /// [`RootError`]; nothing of it is left then.
    pub fn attach_all(&self, mounts: impl IntoIterator<Item = Prepared>) -> Result<Attached<'_>, RootError> {
        let mut attached = Attached {
            placer: Some(Placer::new(self)),
            peers: Peers::new(self),
            mounts: Vec::new(),
            made: Vec::new(),
            already: Vec::new(),
        };
        for mount in mounts {
            attached.attach(mount)?;
        }
        Ok(attached)
    }
}

impl Attached<'_> {
    /// Where something was mounted.
    pub fn made(&self) -> &[ContainerPath] {
        &self.made
    }

    /// Where the same was mounted before.
    pub fn already(&self) -> &[ContainerPath] {
        &self.already
    }

    /// Everything stays.
    pub fn keep(mut self) {
        self.mounts.clear();
        if let Some(placer) = self.placer.take() {
            placer.commit();
        }
    }

    /// Nothing stays. A mount that cannot be taken away does not keep the others from it.
    pub fn undo(self) {}

    fn attach(&mut self, prepared: Prepared) -> Result<(), RootError> {
        let Some(placer) = &mut self.placer else { return Ok(()) };
        let at = prepared.mount.at.clone();
        let folder = prepared.mount.what.is_folder();
        let point = placer.mount_point(&at, folder, POINT_MODES[usize::from(!folder)])?;
        if point.has(&prepared) {
            self.already.push(at);
            return Ok(());
        }
        point.check_ground(&prepared.mount)?;
        self.peers.check(&at, point.mount())?;
        let moved = match &prepared.state {
            State::Detached(mount) => move_to(mount.as_fd(), &point),
            State::Planned => Err(Errno::NOSYS),
        };
        let mount = match (moved, prepared.state) {
            (Ok(()), State::Detached(mount)) => mount,
            (Err(error), _) if !is_missing(error) => return Err(RootError::failed("mount over", &at)(error)),
            _ => classic(&prepared.mount, prepared.identity, &point)?,
        };
        self.mounts.push(mount);
        placer.forget_below(&at);
        self.made.push(at);
        Ok(())
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if !Defence::Undo.stands() {
            return;
        }
        for mount in self.mounts.drain(..).rev() {
            let _ = unmount(path(mount.as_fd()), UnmountFlags::DETACH);
        }
        if let Some(placer) = self.placer.take() {
            placer.undo();
        }
    }
}

fn move_to(mount: BorrowedFd, point: &Point) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", &point.target, "", flags)
}

/// With `mount(2)`. The source is opened in this mount namespace, where its name may lead elsewhere: it must be the same
/// file still.
fn classic(mount: &Mount, prepared: Option<Identity>, point: &Point) -> Result<OwnedFd, RootError> {
    let failed = || RootError::failed("mount over", &mount.at);
    match &mount.what {
        What::Host(source) => {
            let (found, identity) = source.open()?;
            if prepared != Some(identity) {
                return Err(source.failed()(Errno::STALE));
            }
            let [from, to] = [&found, &point.target].map(|file| path(file.as_fd()));
            match mount.what.is_tree() {
                true => mount_bind_recursive(from, to),
                false => mount_bind(from, to),
            }
            .map_err(failed())?;
            let top = point.covered().map_err(failed())?;
            finish(mount, top, |top| match Identity::of(&fstat(top)?) == identity {
                true => Ok(()),
                false => Err(Errno::BUSY),
            })
        }
        What::Tmpfs(holds) => {
            let flags = mount.options.flags().difference(MountFlags::RDONLY);
            tmpfs::mount_on(point.target.as_fd(), holds.size(), holds.mode, flags).map_err(failed())?;
            let top = point.covered().map_err(failed())?;
            finish(mount, top, |top| holds.fill(top))
        }
    }
    .map_err(failed())
}

/// Completes a mount that is visible already, or takes it away again.
fn finish(mount: &Mount, top: OwnedFd, fill: impl FnOnce(BorrowedFd) -> Result<(), Errno>) -> Result<OwnedFd, Errno> {
    let completed = fill(top.as_fd()).and_then(|()| seal(mount, top.as_fd()));
    match completed {
        Ok(()) => Ok(top),
        Err(error) => {
            let _ = unmount(path(top.as_fd()), UnmountFlags::DETACH);
            Err(error)
        }
    }
}

/// Each mount by itself: `mount(2)` changes no tree.
fn seal(mount: &Mount, top: BorrowedFd) -> Result<(), Errno> {
    mount_change(path(top), MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let flags = mount.options.flags();
    restrict(top, flags)?;
    if !mount.what.is_tree() {
        return Ok(());
    }
    let number = mount_of(top).ok_or(Errno::NOSYS)?;
    let table = table().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    for (id, inside) in host::procfs::below(&table, number) {
        let found = match Resolver::choose(top).open(top, &inside, Last::Keep) {
            // Another mount covers it.
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            found => found?,
        };
        match mount_of(found.as_fd()) == Some(id) {
            true => restrict(found.as_fd(), flags)?,
            // As above, or one lies over another in the same place.
            false => continue,
        }
    }
    Ok(())
}

/// A bind mount takes its flags only afterwards: asked for at once, the kernel ignores them (Q35). Those that it has
/// stay.
fn restrict(mount: BorrowedFd, flags: MountFlags) -> Result<(), Errno> {
    let had = fstatvfs(mount)?.f_flag;
    let kept = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| had.contains(*flag)).map(|(_, flag)| flag);
    mount_remount(path(mount), kept.fold(MountFlags::BIND | flags, MountFlags::union), c"")
}
