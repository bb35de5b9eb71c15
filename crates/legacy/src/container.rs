//! The container object (section 13): which container is meant, what it is to get, and where its files go.

use crate::{
    Error,
    options::{CompatMode, ContainerOptions, Supervision},
};
use host::{Capabilities, Capability};
use oci::{ContainerPath, HostPath};
use plan::Layout;
use root::{
    ContainerRoot, Owner,
    namespace::{MountNamespace, NamespaceError, Process},
};
use rustix::process::Pid;

/// Which container, and where its files go: `nvc_container_config`. Without a folder the container's distribution says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// A process of the container, or, where nobody supervises, of the caller.
    pub pid: i32,
    /// Its root, as that process sees it before it has entered it.
    pub rootfs: String,
    /// Folder of executables.
    pub bins_dir: Option<String>,
    /// Folder of libraries.
    pub libs_dir: Option<String>,
    /// Folder of 32-bit libraries.
    pub libs32_dir: Option<String>,
    /// Folder of the CUDA runtime.
    pub cudart_dir: Option<String>,
    /// Taken and not obeyed: no ldconfig is run.
    pub ldconfig: Option<String>,
}

/// A container that can be configured.
#[derive(Debug)]
pub struct Container {
    pub(crate) places: Places,
    pub(crate) pid: i32,
    /// The root, as this process can open it.
    pub(crate) root: HostPath,
    pub(crate) namespace: MountNamespace,
    pub(crate) owner: Owner,
}

/// What decisions about a container rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// What it is to get.
    pub options: ContainerOptions,
    /// Folder of executables.
    pub binaries: ContainerPath,
    /// Folders of libraries, and the loader.
    pub layout: Layout,
    /// Folder of the image's own libcuda; `None` where it is not looked for.
    pub compat: Option<ContainerPath>,
    /// The root as it was given; for texts only.
    pub rootfs: String,
}

impl Places {
    /// The container is to get what any of these brings.
    pub(crate) fn wants(&self, capabilities: Capabilities) -> bool {
        capabilities.meets(self.options.capabilities)
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.options.capabilities.contains(capability)
    }

    /// Graphics, also where only displays were asked for.
    pub(crate) fn has_graphics(&self) -> bool {
        self.has(Capability::Graphics) || self.has(Capability::Display)
    }
}

const CUDA: &str = "/usr/local/cuda";

impl Container {
    /// Finds the container and looks at its root.
    ///
    /// # Errors
    /// `invalid argument` for a configuration that makes no sense; a process or root that is not there.
    pub fn new(config: &ContainerConfig, options: ContainerOptions) -> Result<Container, Error> {
        let folders = [&config.bins_dir, &config.libs_dir, &config.libs32_dir, &config.cudart_dir, &config.ldconfig];
        let is_bad = |folder: &&Option<String>| folder.as_ref().is_some_and(String::is_empty);
        let pid = Pid::from_raw(config.pid).filter(|_| config.pid > 0).ok_or_else(Error::invalid_argument)?;
        let rootfs = HostPath::new(&config.rootfs).map_err(|_| Error::invalid_argument())?;
        if folders.iter().any(is_bad) {
            return Err(Error::invalid_argument());
        }
        log::info!("setting pid to {}", config.pid);
        log::info!("setting rootfs to {rootfs}");
        // `standalone` means that we are in the container's namespaces. Whoever called us is, too, but his number may be
        // another process's in the `/proc` that we see.
        let process = match options.supervision {
            Supervision::Supervised => Process::open(pid),
            Supervision::Standalone => Process::this(),
        };
        let process = process.map_err(|error| process_failed(&error, config.pid))?;
        let owner = process.owner().map_err(|error| process_failed(&error, config.pid))?;
        let namespace = process.mount_namespace().map_err(|error| process_failed(&error, config.pid))?;
        log::info!("setting owner to {}:{}", owner.uid, owner.gid);
        let root = match options.supervision {
            // The process may have been started in a root of its own, which paths of the container begin at.
            Supervision::Supervised => {
                HostPath::root().join(&format!("proc/{}/root", config.pid)).join(rootfs.as_str())
            }
            Supervision::Standalone => rootfs.clone(),
        };
        let opened = ContainerRoot::open(&root, owner).map_err(|error| crate::act::failed(&error, root.as_str()))?;
        let container = Container {
            places: places(config, options, opened.survey())?,
            pid: process.number(),
            root,
            namespace,
            owner,
        };
        container.log();
        Ok(container)
    }

    /// What decisions about it rest on.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Its root, as it was given.
    pub fn rootfs(&self) -> &str {
        &self.places.rootfs
    }

    fn log(&self) {
        let Places { binaries, layout, compat, .. } = &self.places;
        log::info!("setting bins directory to {binaries}");
        log::info!("setting libs directory to {}", layout.native);
        log::info!("setting libs32 directory to {}", layout.compat32);
        if let Some(compat) = compat {
            log::info!("setting cudart directory to {}", compat.parent());
        }
        log::info!("setting ldconfig to nothing: the loader's cache is written without it");
        log::info!("setting mount namespace to /proc/{}/ns/mnt", self.pid);
    }
}

fn places(config: &ContainerConfig, options: ContainerOptions, mut layout: Layout) -> Result<Places, Error> {
    let folder = |text: &Option<String>| {
        text.as_ref().map(|text| ContainerPath::new(text).map_err(|_| Error::invalid_argument())).transpose()
    };
    if let Some(libraries) = folder(&config.libs_dir)? {
        layout.native = libraries;
    }
    if let Some(libraries) = folder(&config.libs32_dir)? {
        layout.compat32 = libraries;
    }
    let root = ContainerPath::root();
    let cuda = folder(&config.cudart_dir)?.unwrap_or_else(|| root.join(CUDA));
    let looked_for = options.compat != CompatMode::Disabled && options.capabilities.contains(Capability::Compute);
    Ok(Places {
        options,
        binaries: folder(&config.bins_dir)?.unwrap_or_else(|| root.join("usr/bin")),
        layout,
        compat: looked_for.then(|| cuda.join("compat")),
        rootfs: config.rootfs.clone(),
    })
}

fn process_failed(error: &NamespaceError, pid: i32) -> Error {
    match error {
        NamespaceError::Process { source, .. } => Error::os(format!("open failed: /proc/{pid}/root/"), *source),
        NamespaceError::Refused { source, .. } => Error::os("set namespace failed", *source),
        other => Error::new(other.to_string()),
    }
}
