//! What all devices of a specification have in common: the driver's files, and the hooks that make them usable.

use super::{
    Maker,
    hooks::{HookName, each},
};
use crate::edits::{Because, SpecEdits};
use cdi::Mount;
use host::{Capabilities, Driver, DriverFile, FileKind, Library, LibraryClass};
use oci::ContainerPath;
use std::cmp::Ordering;

const READ_ONLY: &[&str] = &["ro", "nosuid", "nodev", "rbind", "rprivate"];
const SOCKET: &[&str] = &["nosuid", "nodev", "rbind", "rprivate", "noexec"];

/// Libraries whose special links the original makes in a hook of their own, in this order.
const GRAPHICS_LINKS: [&str; 3] = ["libnvidia-allocator", "libnvidia-vulkan-producer", "libglxserver_nvidia"];

/// Which part of the original's discovery a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A library of the driver's version (or bound to it), found by the loader.
    Driver,
    /// Graphics beyond those: platform libraries, X.Org modules, configuration.
    Graphics,
    /// Programs, firmware, sockets.
    Other,
}

/// `explicit`: vendor-neutral libraries count as the driver's own, as do two of the platform libraries.
fn part(file: &DriverFile, explicit: bool) -> Part {
    match &file.kind {
        FileKind::Library(library) => {
            let name = file.path.file_name();
            let own = explicit && (name.starts_with("libnvidia-egl-xcb.") || name.starts_with("libnvidia-egl-xlib."));
            let platform = name.starts_with("libnvidia-egl-") && !own;
            let searched = matches!(library.subfolder.as_str(), "" | "vdpau");
            if searched && !platform { Part::Driver } else { Part::Graphics }
        }
        FileKind::Config => Part::Graphics,
        FileKind::Binary if file.path.file_name() == "nvidia-xconfig" => Part::Graphics,
        FileKind::Binary | FileKind::Firmware | FileKind::Socket | FileKind::MeetingPlace => Part::Other,
    }
}

/// It belongs to graphics beyond the libraries that the loader finds, as the original sorts them.
pub(crate) fn is_graphics(file: &DriverFile) -> bool {
    part(file, false) == Part::Graphics
}

impl Maker<'_> {
    /// For GPUs: everything.
    pub(super) fn common(&self, driver: &Driver) -> SpecEdits {
        let mut edits = SpecEdits::default();
        self.control_nodes(&mut edits);
        self.env(&mut edits, driver);
        let links = graphics_links(driver);
        self.hook(&mut edits, HookName::CreateSymlinks, links, "names of graphics libraries that no soname gives");
        self.driver_hooks(&mut edits, driver);
        let params = "hides from programs that they could make nodes of other GPUs";
        self.hook(&mut edits, HookName::DisableDeviceNodeModification, Vec::new(), params);
        let profile = "tells EGL which GPUs the container has";
        self.hook(&mut edits, HookName::UpdateApplicationProfile, Vec::new(), profile);
        self.mounts(&mut edits, driver, |_| true);
        edits
    }

    /// For containers that manage the machine: no graphics, and they may make device nodes.
    pub(super) fn management_common(&self, driver: &Driver) -> SpecEdits {
        let mut edits = SpecEdits::default();
        self.env(&mut edits, driver);
        self.driver_hooks(&mut edits, driver);
        self.mounts(&mut edits, driver, |file| part(file, self.options.explicit_libraries) != Part::Graphics);
        edits
    }

    /// Tells whoever looks at the request after us that it is fulfilled.
    pub(super) fn void(&self, edits: &mut SpecEdits) {
        let reason = self.by_mode("the request is fulfilled; nobody need do it again");
        edits.env.push(Because::new("NVIDIA_VISIBLE_DEVICES=void".to_owned(), reason));
    }

    /// Says where libcuda is to whoever sets up forward compatibility.
    fn env(&self, edits: &mut SpecEdits, driver: &Driver) {
        let suffix = format!(".so.{}", driver.version);
        let own = self.libraries(driver).into_iter().filter(|(file, library)| {
            let name = file.path.file_name();
            library.subfolder.is_empty() && name.starts_with("lib") && name.ends_with(&suffix)
        });
        let folders = unique(own.map(|(file, _)| file.path.parent().to_string()));
        if !folders.is_empty() {
            let reason = self.by_mode("says where libcuda lies in the container");
            edits.env.push(Because::new(format!("NVIDIA_CTK_LIBCUDA_DIR={}", folders.join(":")), reason));
        }
    }

    fn driver_hooks(&self, edits: &mut SpecEdits, driver: &Driver) {
        let links = self.libraries(driver).into_iter().flat_map(|(file, library)| {
            let beside = library.links.iter().filter(|link| !link.name.starts_with("gbm/"));
            beside.map(move |link| written(&link.target, &at(file, library, &link.name)))
        });
        let links = each("--link", unique(links));
        self.hook(edits, HookName::CreateSymlinks, links, "names by which programs load the driver's libraries");
        let version = vec![format!("--host-driver-version={}", driver.version)];
        self.hook(edits, HookName::EnableCudaCompat, version, "lets an image bring a newer libcuda");
        let folders = unique(self.libraries(driver).into_iter().map(|(file, _)| file.path.parent().to_string()));
        let ldconfig = each("--ldconfig-path", self.options.ldconfig.clone());
        let reason = self.by_mode("lets the container's loader find the libraries");
        self.hooks.add(edits, HookName::UpdateLdcache, ldconfig, each("--folder", folders), reason);
    }

    fn hook(&self, edits: &mut SpecEdits, hook: HookName, args: Vec<String>, rule: &str) {
        self.hooks.add(edits, hook, Vec::new(), args, self.by_mode(rule));
    }

    fn libraries<'d>(&self, driver: &'d Driver) -> Vec<(&'d DriverFile, &'d Library)> {
        libraries(driver, self.options.explicit_libraries)
    }

    fn mounts(&self, edits: &mut SpecEdits, driver: &Driver, wanted: impl Fn(&DriverFile) -> bool) {
        let sockets = |file: &&DriverFile| self.options.sockets || file.kind != FileKind::Socket;
        // An engine mounts what such a name leads to much later, after a reboot too, when anybody may have put a link there. The
        // original leaves it out as well (reference: cdi-and-ctk.md 10, item 7).
        let lasts = |file: &&DriverFile| file.kind != FileKind::MeetingPlace;
        let files = driver.files.iter().filter(|file| is_native(file) && wanted(file)).filter(sockets).filter(lasts);
        let mounts = files.clone().map(|file| Because::new(mount(driver, file), self.by_mode(why(driver, file))));
        edits.mounts.extend(mounts);
        self.more_names(edits, files, &options(READ_ONLY));
    }
}

/// Why a file is part of every specification that holds a driver.
fn why(driver: &Driver, file: &DriverFile) -> String {
    let of = format!("driver {}", driver.version);
    match file.capabilities {
        Capabilities::ALWAYS => format!("comes with every GPU, {of}"),
        these => format!("{of}, for {}", these.intersection(Capabilities::NATIVE)),
    }
}

pub(super) fn is_native(file: &DriverFile) -> bool {
    !matches!(&file.kind, FileKind::Library(Library { class: LibraryClass::Compat32, .. }))
}

/// A specification is kept, so files other than libraries, whose versions are in their names, go by the name under which
/// this machine has them: it outlives an update that moves what a link leads to. Below another driver root links are
/// resolved, because they mean paths inside it.
fn mount(driver: &Driver, file: &DriverFile) -> Mount {
    let by_name = matches!(file.kind, FileKind::Binary | FileKind::Firmware | FileKind::Socket);
    let host_path = match by_name && driver.root.as_str() == "/" {
        true => file.path.to_string(),
        false => file.host.to_string(),
    };
    let options = options(if file.kind == FileKind::Socket { SOCKET } else { READ_ONLY });
    Mount { host_path, container_path: file.path.to_string(), options, kind: None }
}

fn options(list: &[&str]) -> Vec<String> {
    list.iter().map(|&option| option.to_owned()).collect()
}

/// The driver's own libraries in the original's order: by folder, then by name, `vdpau` after the folder that holds it,
/// and what has a version of its own at the end.
fn libraries(driver: &Driver, explicit: bool) -> Vec<(&DriverFile, &Library)> {
    let own = driver.files.iter().filter(|file| is_native(file) && part(file, explicit) == Part::Driver);
    let mut list: Vec<_> = own
        .filter_map(|file| match &file.kind {
            FileKind::Library(library) => Some((file, library)),
            _ => None,
        })
        .collect();
    list.sort_by(|a, b| order(driver, a.0, b.0));
    list
}

fn order(driver: &Driver, a: &DriverFile, b: &DriverFile) -> Ordering {
    let key = |file: &DriverFile| {
        let own_version = !file.path.file_name().ends_with(&driver.version);
        (own_version, file.path.parent(), file.path.file_name().to_owned())
    };
    key(a).cmp(&key(b))
}

fn graphics_links(driver: &Driver) -> Vec<String> {
    let of = |stem: &'static str| {
        let named = move |file: &&DriverFile| {
            file.path.file_name().strip_prefix(stem).is_some_and(|rest| rest.starts_with(".so"))
        };
        driver.files.iter().filter(|file| is_native(file)).filter(named).flat_map(special_link)
    };
    each("--link", unique(GRAPHICS_LINKS.into_iter().flat_map(of)))
}

/// The link that no soname gives. A `libnvidia-vulkan-producer.so` that the host has too is also among those of its
/// library; the original lists it twice.
fn special_link(file: &DriverFile) -> Option<String> {
    let FileKind::Library(library) = &file.kind else { return None };
    let link = library.links.iter().find(|link| link.name.ends_with(".so") && !link.target.ends_with(".so"))?;
    let special = link.name.starts_with("gbm/") || link.target == file.path.file_name();
    special.then(|| written(&link.target, &at(file, library, &link.name)))
}

/// Where a link lies: beside its library, in the container.
pub(super) fn at(file: &DriverFile, library: &Library, name: &str) -> ContainerPath {
    let below = name.strip_prefix(library.subfolder.as_str()).unwrap_or(name);
    file.path.parent().join(below)
}

/// As the hook's argument has it.
pub(super) fn written(target: &str, at: &ContainerPath) -> String {
    format!("{target}::{at}")
}

/// Each once, in the order of first appearance.
fn unique(list: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for item in list {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}
