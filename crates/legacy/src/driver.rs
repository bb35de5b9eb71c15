//! The driver's files as `nvc_driver_info_new` lists them (section 9): what the driver root's loader cache names, the
//! programs in `$PATH`, device nodes, sockets and firmware. All paths are below the driver root.

use crate::{DeviceNode, Error, Machine, options::DriverOptions};
use host::{
    Capability, LibraryClass, Owner, elf, ldcache,
    legacy::{self, LegacyFile},
};
use oci::HostPath;
use rustix::fs::{FileType, major, minor};
use std::{fs::File, io::Read};

/// The driver and its files, each list in the order of section 9.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverInfo {
    /// `550.54.14`.
    pub version: String,
    /// Libraries of the machine's own word size.
    pub libraries: Vec<String>,
    /// 32-bit libraries.
    pub libraries32: Vec<String>,
    /// Executables.
    pub binaries: Vec<String>,
    /// Sockets, and the folder of MPS.
    pub ipcs: Vec<String>,
    /// Nodes that no single GPU owns.
    pub devices: Vec<DeviceNode>,
    /// Firmware of the GPUs' system processors.
    pub firmwares: Vec<String>,
}

const FIRMWARE: &str = "/lib/firmware/nvidia";
/// Version of the ABI in the note of that `libnvidia-tls` that suits today's kernels: Linux, 2.3.99.
const TLS_ABI: [u32; 4] = [0, 2, 3, 99];

impl Machine {
    /// What there is of the driver.
    ///
    /// # Errors
    /// A loader cache that cannot be read or is none, a library that is no ELF file, no `$PATH`.
    pub fn driver(&self, options: &DriverOptions) -> Result<DriverInfo, Error> {
        log::info!("requesting driver information with ''");
        let [libraries, libraries32] = self.libraries(options)?;
        Ok(DriverInfo {
            version: self.version.clone(),
            libraries,
            libraries32,
            binaries: self.binaries(options)?,
            devices: self.control_nodes(options),
            ipcs: self.ipcs(options),
            firmwares: if options.no_gsp_firmware { Vec::new() } else { self.firmwares() },
        })
    }

    fn libraries(&self, options: &DriverOptions) -> Result<[Vec<String>; 2], Error> {
        let cache = self.cache()?;
        let wanted = legacy::libraries(!options.no_glvnd).filter(|file| options.wants(file.capabilities));
        let wanted: Vec<_> = wanted.map(|file| file.name).collect();
        let mut chosen = [vec![None; wanted.len()], vec![None; wanted.len()]];
        let narrow = options.only.is_none_or(|wanted| wanted.contains(Capability::Compat32));
        let classes = [LibraryClass::Native, LibraryClass::Compat32].map(ldcache::flags);
        let classes = &classes[..if narrow { 2 } else { 1 }];
        for entry in &cache.entries {
            let Some((stem, _)) = entry.name.split_once(".so") else { continue };
            let Some(position) = wanted.iter().position(|name| *name == stem) else { continue };
            let bits = |flags: u32| flags & ldcache::ARCHITECTURE;
            let fits = |class: &Option<u32>| {
                class.is_some_and(|class| entry.flags & 1 != 0 && bits(class) == bits(entry.flags))
            };
            let Some(class) = classes.iter().position(fits) else { continue };
            let place: &mut Option<String> = &mut chosen[class][position];
            let Ok(file) = self.inside.resolve(&entry.path) else {
                log::warn!("skipping {}: it is not there", entry.path);
                continue;
            };
            let path = self.inside.strip(&file);
            if place.as_deref() == Some(path) {
                continue;
            }
            if !self.accepts(stem, &file)? {
                log::info!("skipping {path}");
                continue;
            }
            match place {
                None => log::info!("selecting {path}"),
                Some(former) => log::info!("selecting {path} over {former}"),
            }
            self.known.borrow_mut().insert(path.to_owned(), file.clone());
            *place = Some(path.to_owned());
        }
        for (class, what) in ["library", "compat32 library"].into_iter().enumerate().take(classes.len()) {
            let missing = wanted.iter().zip(&chosen[class]).filter(|(_, path)| path.is_none());
            missing.for_each(|(name, _)| log::warn!("missing {what} {name}.so"));
        }
        Ok(chosen.map(|class| class.into_iter().flatten().collect()))
    }

    fn cache(&self) -> Result<ldcache::Cache, Error> {
        let given = format!("{}{}", self.settings.root.trim_end_matches('/'), self.settings.ldcache);
        let failed = |errno| Error::os(format!("open failed: {given}"), errno);
        let path = self.inside.resolve(&self.settings.ldcache).map_err(failed)?;
        let open = || -> std::io::Result<Vec<u8>> {
            let mut content = Vec::with_capacity(64 << 10);
            File::open(path.as_path())?.take(ldcache::MAX_FILE as u64 + 1).read_to_end(&mut content)?;
            Ok(content)
        };
        let content = open().map_err(|error| Error::io(format!("open failed: {given}"), &error))?;
        ldcache::parse(&content).map_err(|error| {
            log::error!("{given}: {error}");
            Error::new(format!("unsupported file format: {given}"))
        })
    }

    /// The file is this driver's (section 9.2).
    fn accepts(&self, stem: &str, file: &HostPath) -> Result<bool, Error> {
        if !file.file_name().ends_with(&self.version) {
            return Ok(false);
        }
        let failed = |said: &str| Error::foreign(format!("elf file read error: {file}"), said);
        if stem != "libnvidia-tls" && !legacy::WITHOUT_GLVND.contains(&stem) {
            let mut magic = [0; 4];
            let read = File::open(file.as_path()).and_then(|mut file| file.read_exact(&mut magic));
            read.map_err(|error| failed(&error.to_string()))?;
            return if magic == *b"\x7fELF" { Ok(true) } else { Err(failed("invalid file descriptor")) };
        }
        let elf = elf::read(file.as_path()).map_err(|error| failed(&error.to_string()))?;
        let of_driver =
            |name: &String| ["libnvidia-glcore.so", "libnvidia-eglcore.so"].iter().any(|core| name.starts_with(core));
        Ok(match stem {
            "libnvidia-tls" => elf.abi == Some(TLS_ABI),
            _ => elf.needed.iter().any(of_driver),
        })
    }

    /// The first of each name in the folders of `$PATH`.
    fn binaries(&self, options: &DriverOptions) -> Result<Vec<String>, Error> {
        let path = self.settings.path.as_deref();
        let path = path.ok_or_else(|| Error::new("environment variable PATH not found"))?;
        // A folder has many names, and a name that is in none of them is common: each is looked at once.
        let mut folders = Vec::new();
        for folder in path.split(':').map(|folder| if folder.is_empty() { "." } else { folder }) {
            let real = self.inside.resolve(folder).ok().map(|real| self.inside.strip(&real).to_owned());
            folders.extend(real.filter(|real| !folders.contains(real)));
        }
        let mut found = Vec::new();
        let is_wanted = |file: &LegacyFile| options.wants(file.capabilities) && !(options.no_mps && is_mps(file.name));
        for name in legacy::binaries().filter(is_wanted).map(|file| file.name) {
            let hit = folders.iter().find_map(|folder| self.inside.resolve(&format!("{folder}/{name}")).ok());
            match hit {
                Some(file) => {
                    let path = self.inside.strip(&file).to_owned();
                    log::info!("selecting {path}");
                    self.known.borrow_mut().insert(path.clone(), file);
                    found.push(path);
                }
                None => log::warn!("missing binary {name}"),
            }
        }
        Ok(found)
    }

    /// The control node whether it is there or not, the others if they are.
    fn control_nodes(&self, options: &DriverOptions) -> Vec<DeviceNode> {
        let node = |path: &str, major, minor| DeviceNode { path: path.to_owned(), major, minor };
        let mut nodes = vec![node("/dev/nvidiactl", 195, 255)];
        let on_disk = |path: &str, known: Option<(u32, u32)>| {
            let found = self.inside.find(path).map(|(_, stat)| (major(stat.st_rdev), minor(stat.st_rdev)));
            if found.is_none() {
                log::warn!("missing device {path}");
            }
            found.map(|(major, minor)| known.unwrap_or((major, minor))).map(|(major, minor)| node(path, major, minor))
        };
        if !options.no_uvm {
            nodes.extend(on_disk("/dev/nvidia-uvm", None));
            nodes.extend(on_disk("/dev/nvidia-uvm-tools", None));
        }
        if !options.no_modeset {
            nodes.extend(on_disk("/dev/nvidia-modeset", Some((195, 254))));
        }
        nodes.iter().for_each(|node| log::info!("listing device {}", node.path));
        nodes
    }

    fn ipcs(&self, options: &DriverOptions) -> Vec<String> {
        let left_out = |name: &str| {
            (options.no_persistenced && name.starts_with("nvidia-persistenced"))
                || (options.no_fabricmanager && name.starts_with("nvidia-fabricmanager"))
        };
        let sockets =
            legacy::sockets().filter(|file| !left_out(file.name)).map(|file| format!("/var/run/{}", file.name));
        let known = sockets.map(|path| (self.inside.find(&path).map(|(file, _)| file), path));
        let mps = (!options.no_mps).then(|| self.mps_folder());
        known
            .chain(mps)
            .filter_map(|(found, path)| match found {
                Some(file) => {
                    log::info!("listing ipc path {path}");
                    Some(self.inside.strip(&file).to_owned())
                }
                None => {
                    log::warn!("missing ipc path {path}");
                    None
                }
            })
            .collect()
    }

    /// The folder of MPS by its name, and its real place if it is one that can be mounted. That in `/tmp` may be anybody's link
    /// (the original mounts what it leads to); whose it is only matters if nobody has named it.
    fn mps_folder(&self) -> (Option<HostPath>, String) {
        let (owner, path) = match &self.settings.mps_folder {
            Some(named) => (Owner::Anybody, named.clone()),
            None => (Owner::Trusted, legacy::MPS_FOLDER.name.to_owned()),
        };
        let found = self.inside.steady_folder(&path, owner);
        if found.is_none() && self.inside.find(&path).is_some() {
            log::warn!("{path} is no folder, or others than root and the caller could put another thing in its place");
        }
        (found, path)
    }

    fn firmwares(&self) -> Vec<String> {
        let folder = format!("{FIRMWARE}/{}", self.version);
        let mut names: Vec<String> = match self.inside.resolve(&folder).map(|real| std::fs::read_dir(real.as_path())) {
            Ok(Ok(entries)) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
            _ => Vec::new(),
        };
        names.retain(|name| name.starts_with("gsp") && name.ends_with(".bin"));
        names.sort_unstable();
        let is_file = |path: &String| {
            let found = self.inside.find(path);
            found.is_some_and(|(_, stat)| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
        };
        let paths: Vec<_> = names.iter().map(|name| format!("{folder}/{name}")).filter(is_file).collect();
        match paths.is_empty() {
            true => log::warn!("missing firmware path {folder}/gsp*.bin"),
            false => paths.iter().for_each(|path| log::info!("listing firmware path {path}")),
        }
        paths
    }
}

fn is_mps(name: &str) -> bool {
    name.starts_with("nvidia-cuda-mps")
}
