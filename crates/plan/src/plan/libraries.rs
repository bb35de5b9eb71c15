//! The driver's files: mounts, the links beside libraries, and what the container's loader must find.
//!
//! A root that cannot be written (`Layout::read_only`) has no place for links or an application profile. There each link
//! becomes a mount of the library at the link's path, and the profile is left out. The caller sees to it that `Layout`'s
//! folder is one where mount points can be made, and that the loader's file comes as a mount. Links that a mount of the
//! container's would hide (`Layout::covered`) become mounts as well.

use super::Plan;
use crate::edits::{Because, Edits, Link, LoaderEntry, Reason};
use cdi::Mount;
use host::{Capabilities, Capability, DriverFile, FileKind, Library, LibraryClass};
use oci::{ContainerPath, HostPath};

/// Options of all mounts but sockets'.
pub(super) const READ_ONLY: &[&str] = &["ro", "nosuid", "nodev", "rbind", "rprivate"];
const SOCKET: &[&str] = &["nosuid", "nodev", "rbind", "rprivate", "noexec"];

/// Subfolders of the library folder that programs search through the loader: the others are plug-ins, opened by path.
const SEARCHED: &[&str] = &["", "vdpau"];

pub(super) fn options(list: &[&str]) -> Vec<String> {
    list.iter().map(|&option| option.to_owned()).collect()
}

/// The folder that a library's subfolder counts from. X servers look for modules beside the multiarch folder, not in it.
fn home(folder: &ContainerPath, library: &Library) -> ContainerPath {
    let beside = library.subfolder.starts_with("xorg/") && folder.file_name().contains("-linux-");
    if beside { folder.parent() } else { folder.clone() }
}

fn base_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Plan<'_> {
    pub(super) fn files(&self, edits: &mut Edits) {
        for file in self.driver.files.iter().filter(|file| self.is_wanted(file)) {
            self.file(edits, file);
        }
        self.application_profile(edits);
        self.sort_files(edits);
    }

    pub(super) fn file(&self, edits: &mut Edits, file: &DriverFile) {
        match &file.kind {
            FileKind::Library(library) => self.library(edits, file, library),
            FileKind::Socket | FileKind::MeetingPlace => {
                self.mount(edits, &file.host, &file.path, SOCKET, file);
            }
            FileKind::Binary | FileKind::Firmware | FileKind::Config => {
                self.mount(edits, &file.host, &file.path, READ_ONLY, file);
            }
        }
    }

    /// An order that does not depend on how the driver was found.
    pub(super) fn sort_files(&self, edits: &mut Edits) {
        edits.spec.mounts.sort_by(|a, b| a.what.container_path.cmp(&b.what.container_path));
        edits.root.links.sort_by(|a, b| a.what.at.cmp(&b.what.at));
        edits.root.libraries.sort_by(|a, b| (&a.what.path, a.what.class).cmp(&(&b.what.path, b.what.class)));
    }

    fn is_wanted(&self, file: &DriverFile) -> bool {
        let by_kind = match &file.kind {
            FileKind::Library(library) => {
                library.class == LibraryClass::Native || self.wanted.contains(Capability::Compat32)
            }
            FileKind::Socket | FileKind::MeetingPlace => !self.config.jit_flag("disable-ipc-discoverer"),
            FileKind::Binary | FileKind::Firmware | FileKind::Config => true,
        };
        by_kind && file.capabilities.meets(self.wanted)
    }

    fn library(&self, edits: &mut Edits, file: &DriverFile, library: &Library) {
        let folder = &home(self.layout.folder(library.class), library);
        let at = folder.join(&library.subfolder).join(file.path.file_name());
        if !self.mount(edits, &file.host, &at, READ_ONLY, file) {
            return;
        }
        if !self.config.hook_disabled("create-symlinks") {
            self.links(edits, folder, file, library);
        }
        if SEARCHED.contains(&library.subfolder.as_str()) && !self.config.hook_disabled("update-ldcache") {
            self.cached(edits, folder, at, file, library);
        }
    }

    /// What the loader's cache lists: the library by its soname, and development links (`libcuda.so`) by their own name,
    /// as ldconfig does.
    fn cached(&self, edits: &mut Edits, folder: &ContainerPath, at: ContainerPath, file: &DriverFile, of: &Library) {
        let linked = of.links.iter().find(|link| base_name(&link.name) == of.soname);
        let path = linked.map_or(at, |link| folder.join(&link.name));
        let by_soname = (of.soname.as_str(), path);
        let development =
            of.links.iter().filter(|link| link.name.ends_with(".so") && base_name(&link.name) != of.soname);
        let beside = development.filter(|link| parent(&link.name) == of.subfolder);
        let by_link = beside.map(|link| (base_name(&link.name), folder.join(&link.name)));
        for (name, path) in [by_soname].into_iter().chain(by_link) {
            let entry = LoaderEntry { soname: name.to_owned(), path, class: of.class };
            edits.root.libraries.push(Because::new(entry, self.reason(file)));
        }
    }

    pub(super) fn links(&self, edits: &mut Edits, folder: &ContainerPath, file: &DriverFile, library: &Library) {
        for link in &library.links {
            let at = folder.join(&link.name);
            if self.layout.read_only || self.layout.covered {
                self.mount(edits, &file.host, &at, READ_ONLY, file);
            } else if !edits.root.links.iter().any(|known| known.what.at == at) {
                let rule = format!("programs load {} by this name", file.path.file_name());
                let reason = Reason { rule, ..self.reason(file) };
                edits.root.links.push(Because::new(Link { at, target: link.target.clone() }, reason));
            }
        }
    }

    /// Mounts a file, unless something else is to be mounted there already. Says whether it did.
    fn mount(&self, edits: &mut Edits, host: &HostPath, at: &ContainerPath, list: &[&str], file: &DriverFile) -> bool {
        if let Some(first) = edits.spec.mounts.iter().find(|mount| mount.what.container_path == at.as_str()) {
            if first.what.host_path != host.as_str() {
                edits.remarks.push(format!("{host} is left out: {} is mounted at {at}", first.what.host_path));
            }
            return false;
        }
        let mount =
            Mount { host_path: host.to_string(), container_path: at.to_string(), options: options(list), kind: None };
        edits.spec.mounts.push(Because::new(mount, self.reason(file)));
        true
    }

    fn reason(&self, file: &DriverFile) -> Reason {
        let name = file.path.file_name();
        if file.capabilities == Capabilities::ALWAYS {
            return Reason { request: "any GPU".to_owned(), rule: format!("{name} comes with every GPU") };
        }
        self.by_capabilities(format!("{name} belongs to {}", file.capabilities.intersection(self.wanted)))
    }

    fn application_profile(&self, edits: &mut Edits) {
        let Some(mask) = self.profile_mask().filter(|_| !self.config.hook_disabled("update-application-profile"))
        else {
            return;
        };
        if self.layout.read_only {
            edits.remarks.push("no application profile for EGL: the container's root cannot be written".to_owned());
            return;
        }
        let reason = self.by_capabilities("tells EGL which GPUs the container has".to_owned());
        edits.root.application_profile = Some(Because::new(mask, reason));
    }
}
