//! The library's init: how a machine is looked at, and whether its driver can work at all (sections 2.1, 7, 8).

use crate::{Error, device, nvml_answer};
use host::{HostError, Inside, Inventory, NvmlFacts, Roots};
use nvml::User;
use oci::HostPath;
use root::privileges;
use std::{
    cell::{OnceCell, Ref, RefCell},
    collections::HashMap,
    path::PathBuf,
};

/// How a machine is looked at: global options, or the members of `nvc_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Driver root.
    pub root: String,
    /// Loader cache, below the driver root.
    pub ldcache: String,
    /// Who asks NVML; `None` for nobody.
    pub user: Option<User>,
    /// IMEX channels.
    pub imex: Vec<u32>,
    /// `$PATH`: where programs of the driver are looked for, below the driver root.
    pub path: Option<String>,
    /// `$CUDA_MPS_PIPE_DIRECTORY`.
    pub mps_folder: Option<String>,
    /// `$XDG_RUNTIME_DIR`: where those who are not root keep NVML's answers.
    pub runtime_dir: Option<String>,
    /// The program that asks NVML; `None` for the one beside this program.
    pub helper: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            root: "/".to_owned(),
            ldcache: host::ldcache::PATH.to_owned(),
            user: None,
            imex: Vec::new(),
            path: None,
            mps_folder: None,
            runtime_dir: None,
            helper: None,
        }
    }
}

impl Settings {
    /// The defaults, and what the environment says; in a program that has more rights than its caller nothing (2.6).
    pub fn from_environment() -> Settings {
        if privileges::exceed_callers() {
            return Settings::default();
        }
        let variable = |name: &str| std::env::var(name).ok();
        Settings {
            path: variable("PATH"),
            mps_folder: variable("CUDA_MPS_PIPE_DIRECTORY").filter(|folder| !folder.is_empty()),
            runtime_dir: variable("XDG_RUNTIME_DIR"),
            ..Settings::default()
        }
    }
}

/// A machine whose driver has been looked at far enough to say that NVML would start.
pub struct Machine {
    pub(crate) settings: Settings,
    pub(crate) roots: Roots,
    /// The driver root.
    pub(crate) inside: Inside,
    /// Version of the driver.
    pub(crate) version: String,
    /// Real places of the driver's files, as they were found, by their paths below the driver root.
    pub(crate) known: RefCell<HashMap<String, HostPath>>,
    /// Looked at when it is first needed.
    inventory: OnceCell<Inventory>,
    /// Likewise.
    pub(crate) facts: RefCell<Option<NvmlFacts>>,
}

impl Machine {
    /// Looks at the machine. Kernel modules are the caller's business ([`crate::Settings`] do not say so).
    ///
    /// # Errors
    /// `invalid argument` for an empty root or cache; a root that is none; and what the original says when NVML does not
    /// start: no library, no module, or a library for another module. So it is on WSL, which the error then names.
    pub fn init(settings: Settings) -> Result<Machine, Error> {
        log::info!("initializing library context (version={}, build=)", crate::version::TEXT);
        if settings.root.is_empty() || settings.ldcache.is_empty() {
            return Err(Error::invalid_argument());
        }
        log::info!("using root {}", settings.root);
        log::info!("using ldcache {}", settings.ldcache);
        let User { uid, gid } = settings.user.unwrap_or(User::NOBODY);
        log::info!("using unprivileged user {uid}:{gid}");
        let root = absolute(&settings.root).ok_or_else(|| Error::os("change root failed", rustix::io::Errno::NOENT))?;
        let inside = Inside::open(&root).map_err(|error| Error::io("change root failed", &error))?;
        let roots = Roots::new(root);
        let version = working_driver(&roots, &inside).map_err(|error| match host::is_wsl(&roots, &inside) {
            true => error.and_besides(NOT_YET_ON_WSL),
            false => error,
        })?;
        Ok(Machine {
            settings,
            roots,
            inside,
            version,
            known: RefCell::default(),
            inventory: OnceCell::new(),
            facts: RefCell::new(None),
        })
    }

    /// The driver's version.
    pub fn driver_version(&self) -> &str {
        &self.version
    }

    /// The IMEX channels that were asked for.
    pub fn imex_channels(&self) -> &[u32] {
        &self.settings.imex
    }

    /// The driver root's real path.
    pub fn root(&self) -> &HostPath {
        self.inside.root()
    }

    /// The real place on this machine of a path below the driver root.
    ///
    /// # Errors
    /// What the kernel says where there is nothing.
    pub fn locate(&self, path: &str) -> Result<HostPath, rustix::io::Errno> {
        self.inside.resolve(path)
    }

    /// What the kernel says of devices. As for NVML, GPUs that this process cannot open are none; nor is one that has no
    /// node, since what a container gets here is the host's node. Modules have been loaded by now, and their nodes made.
    pub(crate) fn inventory(&self) -> Result<&Inventory, Error> {
        if let Some(known) = self.inventory.get() {
            return Ok(known);
        }
        let mut found = host::discover(&self.roots, device::WANTED).map_err(|error| unreadable(&error))?;
        // One with other numbers is there, and an error where it is wanted.
        let is_missing = |gpu: &host::Gpu| !gpu.node.exists && self.inside.find(gpu.node.path.as_str()).is_none();
        for gpu in found.gpus.extract_if(.., |gpu| is_missing(gpu)) {
            found.remarks.push(format!("GPU {} is left out: there is no {}.", gpu.bus_id, gpu.node.host));
        }
        for (index, gpu) in (0..).zip(&mut found.gpus) {
            gpu.index = index;
        }
        for remark in &found.remarks {
            log::warn!("{remark}");
        }
        Ok(self.inventory.get_or_init(|| found))
    }

    /// What NVML has said so far.
    pub fn known_facts(&self) -> Option<Ref<'_, NvmlFacts>> {
        Ref::filter_map(self.facts.borrow(), Option::as_ref).ok()
    }
}

const NOT_YET_ON_WSL: &str = "WSL systems are not in this version yet; keep the original there, or watch the changelog for the version that brings them";

/// A root may be given as seen from the working directory.
fn absolute(root: &str) -> Option<HostPath> {
    HostPath::new(std::path::absolute(root).ok()?.to_str()?).ok()
}

/// The version of a driver that NVML would start with.
fn working_driver(roots: &Roots, inside: &Inside) -> Result<String, Error> {
    let library = host::locate_nvml(roots).ok_or_else(nvml_answer::absent)?;
    let loaded = host::loaded_version(roots).map_err(|error| unreadable(&error))?;
    let loaded = loaded.ok_or_else(nvml_answer::driver_not_loaded)?;
    // NVML knows the driver by this node, and without privileges cannot make it.
    if inside.find("/dev/nvidiactl").is_none() {
        return Err(nvml_answer::driver_not_loaded());
    }
    match version_of(library.file_name()) {
        Some(version) if version != loaded => Err(nvml_answer::mismatch()),
        _ => Ok(loaded),
    }
}

/// `550.54.14` of `libnvidia-ml.so.550.54.14`; nothing of `libnvidia-ml.so.1`, which says none.
fn version_of(file_name: &str) -> Option<&str> {
    let (_, version) = file_name.split_once(".so.")?;
    version.contains('.').then_some(version)
}

fn unreadable(error: &HostError) -> Error {
    match error {
        HostError::Root { source, .. } => Error::io("change root failed", source),
        HostError::Read { path, source } => Error::io(format!("open failed: {path}"), source),
    }
}
