//! Where a machine is looked at: the real one by default, a tree in a folder for tests, for another machine's image,
//! or for a driver container.

use crate::{Capabilities, elf::Machine};
use oci::HostPath;
use serde::{Deserialize, Serialize};

/// The places that discovery reads. Nothing outside them is looked at, and none of them is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots {
    /// Driver root: libraries, binaries, firmware, configuration and sockets are below it, and links in it are
    /// resolved inside it. `/`, or the mount of a driver container.
    pub driver: HostPath,
    /// Device nodes are in `dev` below it.
    pub dev: HostPath,
    /// A procfs.
    pub proc: HostPath,
    /// A sysfs.
    pub sys: HostPath,
    /// Loader cache to read instead of the driver root's `/etc/ld.so.cache`.
    pub ldcache: Option<HostPath>,
    /// Look for libraries here only, instead of the standard folders and the loader cache (paths of the host, not of
    /// the driver root).
    pub library_search: Vec<HostPath>,
    /// Look for configuration files here only, instead of `/etc` and [`Roots::data_dirs`] (paths of the host).
    pub config_search: Vec<HostPath>,
    /// Folders of executables below the driver root, searched in order.
    pub executable_dirs: Vec<String>,
    /// `$XDG_DATA_DIRS`, below the driver root, searched after `/etc`.
    pub data_dirs: Vec<String>,
    /// The machine's own word size and instruction set; its 32-bit companion follows from it.
    pub machine: Machine,
}

impl Default for Roots {
    fn default() -> Self {
        Roots::new(HostPath::root())
    }
}

impl Roots {
    /// This machine with its driver below `driver`, device nodes included.
    pub fn new(driver: HostPath) -> Self {
        let root = HostPath::root();
        let owned = |list: &[&str]| list.iter().map(|&dir| dir.to_owned()).collect();
        Roots {
            dev: driver.clone(),
            driver,
            proc: root.join("proc"),
            sys: root.join("sys"),
            ldcache: None,
            library_search: Vec::new(),
            config_search: Vec::new(),
            executable_dirs: owned(&["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
            data_dirs: owned(&["/usr/local/share", "/usr/share"]),
            machine: Machine::HOST,
        }
    }

    /// A driver below `driver`, and no kernel: what would be asked of it lies below a file that is no folder.
    pub(crate) fn without_kernel(driver: HostPath) -> Self {
        let nowhere = HostPath::root().join("dev/null");
        Roots { dev: nowhere.clone(), proc: nowhere.clone(), sys: nowhere, ..Roots::new(driver) }
    }

    /// Nothing is looked for outside the driver root, so that what a search rests on is all below it.
    pub(crate) fn are_plain(&self) -> bool {
        self.ldcache.is_none() && self.library_search.is_empty() && self.config_search.is_empty()
    }

    /// A whole machine below one folder: driver, `dev`, `proc` and `sys`.
    pub fn below(folder: &HostPath) -> Self {
        Roots { proc: folder.join("proc"), sys: folder.join("sys"), ..Roots::new(folder.clone()) }
    }
}

/// Which parts of a machine a caller needs. Parts that it does not need are not searched, and are empty in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Driver files that one of these brings (and those that always come). Without [`Capability::Compat32`] no 32-bit
    /// library is among them.
    ///
    /// [`Capability::Compat32`]: crate::Capability::Compat32
    pub capabilities: Capabilities,
    /// The driver's version and files.
    pub driver: bool,
    /// GPUs, their MIG devices, and the control nodes.
    pub gpus: bool,
    /// DRM nodes and links of the GPUs.
    pub drm: bool,
    /// NVSwitch, GPUDirect Storage, InfiniBand, GDRCopy and IMEX nodes, and the numbers of MIG's capability nodes.
    pub extras: bool,
    /// Vendor-neutral libraries (`libGL.so`, `libOpenCL.so` …) that belong to the distribution rather than the driver:
    /// the feature flag `enable-explicit-driver-libraries`.
    pub explicit_libraries: bool,
}

impl Wanted {
    /// The whole machine, without the vendor-neutral libraries.
    pub const ALL: Wanted = Wanted {
        capabilities: Capabilities::ALL,
        driver: true,
        gpus: true,
        drm: true,
        extras: true,
        explicit_libraries: false,
    };
}
