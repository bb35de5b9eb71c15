//! Finds out where a container's distribution keeps its libraries, by looking, never by running anything.
//!
//! | sign | libraries go to | 32-bit |
//! |---|---|---|
//! | `/etc/debian_version`, or a C library in a multiarch folder (Debian, Ubuntu, distroless) | `/usr/lib/x86_64-linux-gnu` | `/usr/lib/i386-linux-gnu` |
//! | musl's loader and no glibc (Alpine) | `/usr/lib` | `/usr/lib` |
//! | a C library, and `/usr/lib64` is a link (Arch) | `/usr/lib` | `/usr/lib32` |
//! | a C library elsewhere (RHEL, Fedora, SUSE) | `/usr/lib64` | `/usr/lib` |
//! | nothing of these (NixOS, Guix, an image of one static program) | `/usr/lib64`, as the original has it | `/usr/lib` |
//!
//! On 64-bit Arm the multiarch folders are `aarch64-linux-gnu` and `arm-linux-gnueabihf`.

use crate::{ContainerRoot, resolve::Last};
use host::elf::Machine;
use oci::ContainerPath;
use plan::{Layout, Loader};
use rustix::fs::{FileType, StatVfsMountFlags, fstat, fstatvfs};

impl ContainerRoot {
    /// The layout that libraries for this container must follow, as far as the root tells it.
    pub fn survey(&self) -> Layout {
        let (loader, native, compat32) = self.distribution();
        let [native, compat32] = [native, compat32].map(|folder| ContainerPath::root().join(&folder));
        let read_only = self.is_read_only(&native) || self.is_read_only(&ContainerPath::root().join("etc"));
        Layout { loader, native, compat32, read_only, covered: false }
    }

    fn distribution(&self) -> (Loader, String, String) {
        let triplet = Machine::HOST.triplet();
        if self.is_debian(triplet) {
            let compat32 = Machine::HOST.compat32().map_or(triplet, Machine::triplet);
            return (Loader::Glibc, format!("usr/lib/{triplet}"), format!("usr/lib/{compat32}"));
        }
        let folders = |native: &str, compat32: &str| (native.to_owned(), compat32.to_owned());
        let glibc =
            ["usr/lib64", "lib64", "usr/lib", "lib"].iter().any(|folder| self.has(&format!("{folder}/libc.so.6")));
        let musl = self.has(&format!("lib/ld-musl-{}.so.1", std::env::consts::ARCH));
        let (loader, (native, compat32)) = if musl && (!glibc || self.has("etc/alpine-release")) {
            (Loader::Musl, folders("usr/lib", "usr/lib"))
        } else if glibc && self.is_link("usr/lib64") {
            (Loader::Glibc, folders("usr/lib", "usr/lib32"))
        } else if glibc {
            (Loader::Glibc, folders("usr/lib64", "usr/lib"))
        } else if self.has(&format!("usr/lib/{triplet}")) || self.has(&format!("lib/{triplet}")) {
            (Loader::Unknown, folders(&format!("usr/lib/{triplet}"), "usr/lib"))
        } else {
            (Loader::Unknown, folders("usr/lib64", "usr/lib"))
        };
        (loader, native, compat32)
    }

    /// A multiarch folder alone is no sign: other distributions' images have one where an earlier GPU tool made it.
    fn is_debian(&self, triplet: &str) -> bool {
        self.has("etc/debian_version")
            || ["usr/lib", "lib"].iter().any(|folder| self.has(&format!("{folder}/{triplet}/libc.so.6")))
    }

    fn has(&self, path: &str) -> bool {
        self.exists(&ContainerPath::root().join(path))
    }

    fn is_link(&self, path: &str) -> bool {
        let found = self.find(&ContainerPath::root().join(path), Last::Keep);
        found.and_then(fstat).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Symlink)
    }

    /// The file system that `path`, or the nearest folder above it, lies on cannot be written.
    pub fn is_read_only(&self, path: &ContainerPath) -> bool {
        match self.find(path, Last::Follow) {
            Ok(found) => fstatvfs(found).is_ok_and(|status| status.f_flag.contains(StatVfsMountFlags::RDONLY)),
            Err(_) if *path == ContainerPath::root() => false,
            Err(_) => self.is_read_only(&path.parent()),
        }
    }
}
