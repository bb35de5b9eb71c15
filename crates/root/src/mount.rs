//! Mounts one small read-only file over another, by descriptors, and leaves nothing else behind.

use crate::{ContainerRoot, resolve::Last};
use oci::ContainerPath;
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    fs::{CWD, Mode, OFlags, fchmod, fstat, openat},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
        UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_bind, mount_change,
        mount_remount, move_mount, open_tree, unmount,
    },
};
use std::{fs::File, io::Write};

const NAME: &str = "file";

/// How a mount is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technique {
    /// By mounts that are never visible under a name (Linux 6.15).
    Detached,
    /// By `mount(2)`: a tmpfs lies over the target's folder for as long as it takes to bind the file.
    Classic,
}

/// Lays a file with this content over `target`: mode 0444, read-only, without set-uid, devices or execution, and
/// private. Detached where the kernel can do that.
pub(crate) fn cover(target: BorrowedFd, place: &Place, content: &[u8], how: Technique) -> Result<(), Errno> {
    if how == Technique::Classic {
        return classic(target, place, content);
    }
    match detached(content) {
        Ok(file) => {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&file, "", target, "", flags)
        }
        // Each of these is how some kernel, or a seccomp filter, says that it cannot do that.
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::OPNOTSUPP) => classic(target, place, content),
        Err(error) => Err(error),
    }
}

/// The place to be covered, looked up by name: the only way to see what a mount has laid over it.
pub(crate) struct Place<'a> {
    pub(crate) root: &'a ContainerRoot,
    pub(crate) path: &'a ContainerPath,
}

impl Place<'_> {
    fn folder(&self) -> Result<OwnedFd, Errno> {
        self.root.find(&self.path.parent(), Last::Follow)
    }

    fn target(&self) -> Result<OwnedFd, Errno> {
        self.root.find(self.path, Last::Follow)
    }
}

/// A mount of a single file that is attached nowhere.
fn detached(content: &[u8]) -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "size", size(content).to_string().as_str())?;
    fsconfig_set_string(&context, "mode", "0555")?;
    fsconfig_create(&context)?;
    let folder = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    make_file(folder.as_fd(), content)?;
    let file = open_tree(&folder, NAME, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    seal(file.as_fd())?;
    Ok(file)
}

/// The same with `mount(2)`. Paths are descriptors' own, so that no name is looked up by the kernel.
fn classic(target: BorrowedFd, place: &Place, content: &[u8]) -> Result<(), Errno> {
    let under = place.folder()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = std::ffi::CString::new(format!("size={},mode=0555", size(content))).map_err(|_| Errno::INVAL)?;
    mount("tmpfs", path(under.as_fd()), "tmpfs", flags, options.as_c_str())?;
    let over = place.folder()?;
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
    let file = make_file(over, content)?;
    mount_bind(path(file.as_fd()), path(target))
}

/// A bind mount takes its flags only afterwards: asked for at once, the kernel ignores them (Q35).
fn seal_by_path(place: &Place) -> Result<(), Errno> {
    let covered = place.target()?;
    let path = path(covered.as_fd());
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let sealed = mount_remount(&path, flags, c"").and_then(|()| mount_change(&path, MountPropagationFlags::PRIVATE));
    if sealed.is_err() {
        let _ = unmount(&path, UnmountFlags::DETACH);
    }
    sealed
}

/// Read-only, nosuid, nodev, noexec, private.
fn seal(mount: BorrowedFd) -> Result<(), Errno> {
    let set = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let attributes = Attributes { set: set.bits().into(), propagation: libc::MS_PRIVATE, ..Attributes::default() };
    set_attributes(mount, &attributes)
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Attributes {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) user_namespace: u64,
}

/// Changes a mount, not those below it.
pub(crate) fn set_attributes(mount: BorrowedFd, attributes: &Attributes) -> Result<(), Errno> {
    // SAFETY: the path is a NUL-terminated literal, and `attributes` is a live struct of the kernel's layout (four
    // 64-bit fields since version 0) whose size is handed over; the kernel only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

fn make_file(folder: BorrowedFd, content: &[u8]) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, NAME, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    fchmod(&file, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, NAME, flags, Mode::empty())?))
}

/// A tmpfs counts in pages; it needs room for the content and no more.
fn size(content: &[u8]) -> usize {
    content.len().next_multiple_of(64 << 10).max(64 << 10)
}

fn path(descriptor: BorrowedFd) -> String {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    debug_assert!(openat(CWD, path.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).is_ok(), "needs /proc");
    path
}
