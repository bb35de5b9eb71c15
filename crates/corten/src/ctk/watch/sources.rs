//! What tells that something may have changed: folders (inotify), and devices and modules of the kernel (uevents). Either
//! may be missing, in a container or where the system has no watches left; then the regular looks have to do.

use super::rhythm::{Burst, Rhythm};
use root::signals::EndSignals;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, OwnedFd},
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, netlink::SocketAddrNetlink, recv, socket_with,
    },
};
use std::{
    collections::BTreeMap,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    time::Instant,
};

/// The kernel's own messages; those of group 2 are udev's.
const KERNEL_GROUP: u32 = 1;
/// Longer than any message: the kernel's buffer for one has 2048 bytes, and a header.
const LONGEST_MESSAGE: usize = 4096;

/// See the module.
pub struct Sources {
    folders: Option<OwnedFd>,
    watched: BTreeMap<i32, PathBuf>,
    kernel: Option<OwnedFd>,
}

impl Sources {
    /// Opens what there is.
    pub fn open() -> Sources {
        let folders = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let folders = folders.inspect_err(|error| log::debug!("folders cannot be watched: {error}")).ok();
        let kernel = uevents().inspect_err(|error| log::debug!("the kernel's events cannot be heard: {error}")).ok();
        Sources { folders, watched: BTreeMap::new(), kernel }
    }

    /// Watches these folders from now on; those that are not there are watched once they are, if they are asked for again.
    pub fn watch(&mut self, folders: &[PathBuf]) {
        let Some(descriptor) = &self.folders else { return };
        let old: Vec<_> =
            self.watched.iter().filter(|(_, folder)| !folders.contains(folder)).map(|(id, _)| *id).collect();
        for id in old {
            self.watched.remove(&id);
            // An error means that the folder is gone, and the watch with it.
            let _ = inotify::remove_watch(descriptor, id);
        }
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for folder in folders {
            if self.watched.values().any(|known| known == folder) {
                continue;
            }
            match inotify::add_watch(descriptor, folder, flags) {
                Ok(id) => _ = self.watched.insert(id, folder.clone()),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => log::debug!("{} cannot be watched: {error}", folder.display()),
            }
        }
    }

    /// Waits until a look is due. Says whether the process is to end instead.
    pub fn wait(&mut self, rhythm: &Rhythm, regular: Instant, ending: &EndSignals) -> std::io::Result<bool> {
        let mut burst = None;
        loop {
            let now = Instant::now();
            let due = rhythm.due(burst, regular);
            if due <= now {
                return Ok(false);
            }
            let mut asked = vec![PollFd::new(ending, PollFlags::IN)];
            asked.extend([&self.folders, &self.kernel].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)));
            match poll(&mut asked, Timespec::try_from(due - now).ok().as_ref()) {
                Ok(_) if !asked[0].revents().is_empty() => return Ok(true),
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            // Both, always: what is left unread would end the next wait at once.
            if self.read_folders() | self.read_kernel() {
                burst = Some(Burst::with(burst, Instant::now()));
            }
        }
    }

    /// Reads all that has happened in folders. Says whether any of it matters.
    fn read_folders(&mut self) -> bool {
        let Some(descriptor) = &self.folders else { return false };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(descriptor.as_fd(), &mut buffer);
        let mut matters = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    if event.events().contains(ReadFlags::IGNORED) {
                        // The folder is gone; if it comes again, its watch is new.
                        self.watched.remove(&event.wd());
                        continue;
                    }
                    let name = event.file_name().and_then(|name| name.to_str().ok()).unwrap_or_default();
                    // Events that did not fit have no watch, and could be of anything.
                    matters |= self.watched.get(&event.wd()).is_none_or(|folder| is_of_interest(folder, name));
                }
                Err(Errno::INTR) => {}
                Err(_) => return matters,
            }
        }
    }

    /// Reads all that the kernel has said. Says whether any of it is about the driver's modules or devices.
    fn read_kernel(&mut self) -> bool {
        let Some(descriptor) = &self.kernel else { return false };
        let mut buffer = [0; LONGEST_MESSAGE];
        let mut matters = false;
        loop {
            match recv(descriptor, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, length)) => matters |= is_about_gpus(&buffer[..length.min(LONGEST_MESSAGE)]),
                // Messages were lost, and could have been about anything.
                Err(Errno::NOBUFS) => matters = true,
                Err(Errno::INTR) => {}
                Err(_) => return matters,
            }
        }
    }
}

/// Hears the kernel speak of devices and modules. Whoever could forge such a message is root, and could make us look.
fn uevents() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Some folders hold much that is not the driver's.
fn is_of_interest(folder: &Path, name: &str) -> bool {
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("dev") => name.starts_with("nvidia") || ["", "dri", "infiniband", "gdrdrv"].contains(&name),
        Some("etc") => ["", "ld.so.cache"].contains(&name),
        _ => true,
    }
}

/// A message is `ACTION@PATH`, then `NAME=VALUE`, each ended by a zero byte. Modules are `/module/nvidia_uvm`; a GPU is a
/// PCI function of the vendor 10de, or a DRM device.
fn is_about_gpus(message: &[u8]) -> bool {
    let fields = message.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    fields.into_iter().any(|field| {
        field.contains("nvidia")
            || field.starts_with("PCI_ID=10DE:")
            || field == "SUBSYSTEM=drm"
            || field == "DRIVER=nvidia"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_the_driver_are_told_from_others() {
        for (message, want) in [
            ("add@/module/nvidia_uvm\0ACTION=add\0SUBSYSTEM=module\0", true),
            ("unbind@/devices/pci0000:00/0000:00:07.0\0SUBSYSTEM=pci\0PCI_ID=10DE:20B0\0", true),
            ("add@/devices/pci0000:00/0000:00:07.0/drm/card1\0SUBSYSTEM=drm\0", true),
            ("add@/devices/virtual/net/veth0\0SUBSYSTEM=net\0INTERFACE=veth0\0", false),
            ("bind@/devices/pci0000:00/0000:00:03.0\0DRIVER=virtio-pci\0PCI_ID=1AF4:1000\0", false),
            ("", false),
        ] {
            assert_eq!(is_about_gpus(message.as_bytes()), want, "{message}");
        }
    }

    #[test]
    fn busy_folders_are_filtered() {
        for (folder, name, want) in [
            ("/dev", "nvidia0", true),
            ("/dev", "nvidia-caps", true),
            ("/dev", "pts", false),
            ("/dev", "", true),
            ("/etc", "ld.so.cache", true),
            ("/etc", "ld.so.cache~", false),
            ("/dev/nvidia-caps", "anything", true),
            ("/usr/lib64", "libcuda.so.1", true),
        ] {
            assert_eq!(is_of_interest(Path::new(folder), name), want, "{folder}/{name}");
        }
    }

    #[test]
    fn folders_are_watched_when_they_come() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("nvidia-caps");
        let mut sources = Sources::open();
        let asked = [folder.clone()];
        sources.watch(&asked);
        assert!(sources.watched.is_empty());
        std::fs::create_dir(&folder).unwrap();
        sources.watch(&asked);
        std::fs::write(folder.join("nvidia-cap1"), "").unwrap();
        assert!(sources.read_folders());
        assert!(!sources.read_folders(), "everything has been read");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(sources.read_folders() && sources.watched.is_empty());
        std::fs::create_dir(&folder).unwrap();
        sources.watch(&asked);
        std::fs::write(folder.join("nvidia-cap2"), "").unwrap();
        assert!(sources.read_folders());
        sources.watch(&[]);
        std::fs::write(folder.join("nvidia-cap3"), "").unwrap();
        // What comes last is that the watch is gone.
        assert!(!sources.read_folders());
    }
}
