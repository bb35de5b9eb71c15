//! What each step of a configuration does to a container (sections 15, 16), as data: mounts, links, device rules. Pure but
//! for looking at the sources; [`crate::act`] carries it out.

use crate::{
    DeviceNode, DriverInfo, Error, Gpu, Machine, MigDevice,
    caps::{self, Style},
    container::Places,
    imex,
};
use host::{Capability, LibraryClass, Owner, legacy};
use oci::{ContainerPath, HostPath};
use plan::Link;
use root::{
    PROFILES,
    mount::{Ground, Held, Kind, Mount, Options, Source, Tmpfs, What},
};
use rustix::{
    fs::{FileType, major, minor},
    io::Errno,
};
use std::os::unix::fs::PermissionsExt;

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// In this order: a later one may lie on an earlier.
    pub mounts: Vec<Mount>,
    /// Names that programs ask for, made where nothing lies (15.1, step 6).
    pub links: Vec<Link>,
    /// Links of the sonames that these lead to, made where no library lies, as ldconfig does.
    pub sonames: Vec<Link>,
    /// Character devices that the container's group may use.
    pub rules: Vec<(u32, u32)>,
    /// There are to be application profiles, in a file system in memory: bit N stands for `/dev/nvidiaN`, which one of
    /// them is to name beside those that it does.
    pub profile: Option<u64>,
    /// The loader's cache is to be brought up to date.
    pub loader: bool,
}

const PROC: &str = "/proc/driver/nvidia";
/// Major of GPUs and of the driver's control nodes.
const NVIDIA: u32 = 195;
const MODESET: &str = "/dev/nvidia-modeset";

impl Work {
    /// This, and then that.
    pub fn and(mut self, next: Work) -> Work {
        self.mounts.extend(next.mounts);
        self.links.extend(next.links);
        self.sonames.extend(next.sonames);
        self.rules.extend(next.rules);
        self.profile = [self.profile, next.profile].into_iter().flatten().reduce(|all, more| all | more);
        self.loader |= next.loader;
        self
    }

    /// All mounts, with that for application profiles.
    pub(crate) fn all_mounts(&self) -> Vec<Mount> {
        let at = container_path(PROFILES);
        let what = What::Tmpfs(Tmpfs { mode: 0o555, holds: Vec::new() });
        let profiles = self.profile.map(|_| Mount { at, what, options: Options::SOCKETS, ground: Ground::Any });
        self.mounts.iter().cloned().chain(profiles).collect()
    }

    /// Says in the log what is about to be done.
    pub(crate) fn announce(&self, mounts: &[Mount], places: &Places) {
        let rootfs = places.rootfs.trim_end_matches('/');
        for Mount { at, what, .. } in mounts {
            match what {
                What::Host(source) => log::info!("mounting {} at {rootfs}{at}", source.path),
                What::Tmpfs(_) => log::info!("mounting tmpfs at {rootfs}{at}"),
            }
        }
        for Link { at, target } in self.sonames.iter().chain(&self.links) {
            log::info!("creating symlink {rootfs}{at} -> {target}");
        }
    }

    /// The loader's cache.
    pub fn loader() -> Work {
        Work { loader: true, ..Work::default() }
    }

    fn mount(&mut self, at: ContainerPath, what: What, options: Options) {
        self.mounts.push(Mount { at, what, options, ground: Ground::Any });
    }

    fn bind(&mut self, path: HostPath, kind: Kind, at: ContainerPath, options: Options) {
        self.mount(at, What::Host(Source { path, kind }), options);
    }
}

impl Machine {
    /// The driver's files and control nodes (15.1).
    ///
    /// # Errors
    /// A file that was listed and is not there.
    pub fn driver_work(&self, places: &Places, info: &DriverInfo) -> Result<Work, Error> {
        let mut work = Work::default();
        self.facts_of_the_driver(&mut work)?;
        work.profile = places.has_graphics().then_some(0);
        for path in info.binaries.iter().filter(|path| places.wants(of_binary(path))) {
            let source = self.source(path)?;
            let at = places.binaries.join(file_name(path));
            work.bind(source, Kind::File, at, Options::LIBRARIES);
        }
        self.libraries_of(places, &info.libraries, LibraryClass::Native, &mut work)?;
        if places.has(Capability::Compat32) {
            self.libraries_of(places, &info.libraries32, LibraryClass::Compat32, &mut work)?;
        }
        for path in &info.firmwares {
            work.bind(self.source(path)?, Kind::File, container_path(path), Options::LIBRARIES);
        }
        for path in &info.ipcs {
            let socket = legacy::sockets().find(|file| path.ends_with(&format!("/{}", file.name)));
            if places.wants(socket.map_or(legacy::MPS_FOLDER.capabilities, |file| file.capabilities)) {
                let (source, kind) = self.ipc(path)?;
                work.bind(source, kind, container_path(path), Options::SOCKETS);
            }
        }
        for node in &info.devices {
            // Video brings the libraries of compute, and with them what those open.
            let computes = places.has(Capability::Compute) || places.has(Capability::Video);
            let is_wanted =
                (computes || node.major == NVIDIA) && (places.has(Capability::Display) || node.path != MODESET);
            if is_wanted {
                self.node(places, node, &mut work)?;
            }
        }
        Ok(work)
    }

    /// One GPU (15.2).
    ///
    /// # Errors
    /// The kernel has no account of it.
    pub fn device_work(&self, places: &Places, gpu: &Gpu) -> Result<Work, Error> {
        let mut work = Work::default();
        self.node(places, &gpu.node, &mut work)?;
        let names = [gpu.bus_id.clone(), gpu.bus_id.get(4..).unwrap_or_default().to_owned()];
        let there = names.iter().map(|name| format!("{PROC}/gpus/{name}"));
        let path = there.into_iter().find(|path| self.proc_file(path).as_path().is_dir());
        let path = path.ok_or_else(|| Error::os(format!("stat failed: {PROC}/gpus/{}", names[1]), Errno::NOENT))?;
        work.bind(self.proc_file(&path), Kind::Folder { with_mounts: false }, container_path(&path), Options::FACTS);
        work.profile = places.has_graphics().then(|| 1_u64.checked_shl(gpu.node.minor).unwrap_or(0));
        Ok(work)
    }

    /// The use of a MIG device (16).
    ///
    /// # Errors
    /// The kernel has no such capability.
    pub fn mig_work(&self, places: &Places, mig: &MigDevice) -> Result<Work, Error> {
        let mut work = Work::default();
        for folder in [&mig.gpu_instance_path, &mig.compute_instance_path] {
            let file = caps::access(folder);
            work.bind(self.proc_file(&file), Kind::File, container_path(&file), Options::FACTS);
            if self.caps_style() == Style::Device {
                self.node(places, &self.cap_node(&file)?, &mut work)?;
            }
        }
        Ok(work)
    }

    /// A global capability, [`caps::config`] or [`caps::monitor`]: all capabilities are shown, this one is granted (16).
    ///
    /// # Errors
    /// As [`Machine::mig_work`].
    pub fn mig_global_work(&self, capability: &str) -> Result<Work, Error> {
        let mut work = Work::default();
        let folder = crate::device::CAPABILITIES;
        let kind = Kind::Folder { with_mounts: false };
        work.bind(self.proc_file(folder), kind, container_path(folder), Options::FACTS);
        if self.caps_style() == Style::Device {
            work.bind(self.source(caps::FOLDER)?, kind, container_path(caps::FOLDER), Options::NODES);
            let node = self.cap_node(capability)?;
            work.rules.push((node.major, node.minor));
        }
        Ok(work)
    }

    /// All capabilities that a GPU has or could have: only rules (16).
    pub fn mig_gpu_work(&self, gpu: &Gpu) -> Work {
        let rules = self.all_cap_nodes(gpu).into_iter().map(|node| (node.major, node.minor));
        Work { rules: rules.collect(), ..Work::default() }
    }

    /// An IMEX channel (16). Its node must be the kernel's.
    ///
    /// # Errors
    /// There is no node, or it is another's.
    pub fn imex_work(&self, places: &Places, channel: u32) -> Result<Work, Error> {
        let path = imex::path(channel);
        let (_, stat) =
            self.inside.find(&path).ok_or_else(|| Error::os(format!("stat failed: {path}"), Errno::NOENT))?;
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        let is_right = legacy::major(&self.roots, "nvidia-caps-imex-channels").is_none_or(|known| known == major)
            && minor == channel;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || !is_right {
            return Err(invalid_node(&path));
        }
        let mut work = Work::default();
        self.node(places, &DeviceNode { path, major, minor }, &mut work)?;
        Ok(work)
    }

    /// The driver's facts, in memory: what programs of the container read to make and repair nodes says that they may not.
    fn facts_of_the_driver(&self, work: &mut Work) -> Result<(), Error> {
        let mut holds = Vec::new();
        for name in ["params", "version", "registry"] {
            let path = self.proc_file(&format!("{PROC}/{name}"));
            let read =
                std::fs::read(path.as_path()).and_then(|content| Ok((content, std::fs::metadata(path.as_path())?)));
            let (content, status) = match read {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    log::warn!("missing {path}");
                    continue;
                }
                Err(error) => return Err(Error::io(format!("open failed: {path}"), &error)),
            };
            let content = if name == "params" { without_modification(&content) } else { content };
            let mode = status.permissions().mode() & 0o777;
            holds.push(Held { name: name.to_owned(), mode, content: Some(content) });
        }
        work.mount(container_path(PROC), What::Tmpfs(Tmpfs { mode: 0o555, holds }), Options::SOCKETS);
        Ok(())
    }

    fn libraries_of(
        &self,
        places: &Places,
        paths: &[String],
        class: LibraryClass,
        work: &mut Work,
    ) -> Result<(), Error> {
        let folder = places.layout.folder(class);
        let wanted = |path: &&String| legacy::of_library(file_name(path)).is_some_and(|bring| places.wants(bring));
        for path in paths.iter().filter(wanted) {
            let name = file_name(path);
            work.bind(self.source(path)?, Kind::File, folder.join(name), Options::LIBRARIES);
            if let Some((link, target)) = legacy::link_beside(name) {
                let at = folder.join(link);
                // The loader's cache is to have both names at once, not only the next time.
                if target != name {
                    work.sonames.push(Link { at: folder.join(&target), target: name.to_owned() });
                }
                work.links.push(Link { at, target });
            }
        }
        Ok(())
    }

    fn node(&self, places: &Places, node: &DeviceNode, work: &mut Work) -> Result<(), Error> {
        work.rules.push((node.major, node.minor));
        if !places.options.no_devbind {
            let kind = Kind::Device { major: node.major, minor: node.minor };
            work.bind(self.source(&node.path)?, kind, container_path(&node.path), Options::NODES);
        }
        Ok(())
    }

    fn ipc(&self, path: &str) -> Result<(HostPath, Kind), Error> {
        let (source, stat) = self.inside.find(path).ok_or_else(|| absent(path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                // The source is opened by this path, and not through a link at its end: so it is what was looked at.
                let folder = self.inside.steady_folder(path, Owner::Anybody).ok_or_else(|| unsteady(path))?;
                Ok((folder, Kind::Folder { with_mounts: false }))
            }
            FileType::Socket => Ok((source, Kind::Socket)),
            _ => Ok((source, Kind::File)),
        }
    }

    /// The real file behind a path below the driver root.
    fn source(&self, path: &str) -> Result<HostPath, Error> {
        if let Some(known) = self.known.borrow().get(path) {
            return Ok(known.clone());
        }
        self.inside.resolve(path).map_err(|errno| Error::os(format!("stat failed: {path}"), errno))
    }
}

/// Of a library or executable the caller of the C library may have chosen, whatever it is.
fn of_binary(path: &str) -> host::Capabilities {
    let name = file_name(path);
    let known = legacy::binaries().find(|file| name.starts_with(file.name));
    known.map_or(host::Capabilities::NONE, |file| file.capabilities)
}

fn absent(path: &str) -> Error {
    Error::os(format!("stat failed: {path}"), Errno::NOENT)
}

/// What a folder for sockets must not be.
fn unsteady(path: &str) -> Error {
    Error::new(format!("invalid ipc path: {path}: it is a link, or others could put another thing in its place"))
}

/// What a node must not be.
pub(crate) fn invalid_node(path: &str) -> Error {
    Error::new(format!("invalid device node: {path}"))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn container_path(path: &str) -> ContainerPath {
    ContainerPath::root().join(path)
}

/// The driver's parameters with the switch off that lets programs make device nodes.
fn without_modification(params: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(params).replace("ModifyDeviceFiles: 1", "ModifyDeviceFiles: 0").into_bytes()
}
