//! A machine as a value: everything a decision about GPUs needs to know, and nothing that is done with it.
//!
//! Serialisable, so that an inventory can be cached, shown, or loaded to decide for another machine.

use crate::{Capabilities, GpuFacts, NvmlFacts};
use oci::{ContainerPath, HostPath};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything found on one machine. Parts that do not exist are empty, not errors: only a request can need them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What kind of NVIDIA machine this is.
    pub platform: Platform,
    /// The user-space driver; `None` when neither libcuda nor libnvidia-ml was found.
    pub driver: Option<Driver>,
    /// GPUs in the order of their bus ids, which is NVML's order of indices.
    pub gpus: Vec<Gpu>,
    /// Nodes that no single GPU owns.
    pub nodes: SharedNodes,
    /// `/proc/driver/nvidia/params` says `ModifyDeviceFiles: 1`: a container must be given a copy that says 0, or its
    /// `nvidia-smi` makes nodes for GPUs that it was not granted.
    pub modify_device_files: bool,
    /// What only NVML knows; `None` until somebody needed it and asked (see `nvml::facts`).
    pub nvml: Option<NvmlFacts>,
    /// Why a part is missing or odd, for `explain`, logs and error texts: one sentence each.
    pub remarks: Vec<String>,
}

impl Inventory {
    /// What NVML knows about one of its GPUs.
    pub fn facts(&self, gpu: &Gpu) -> Option<&GpuFacts> {
        let gpus = &self.nvml.as_ref()?.gpus;
        let by_place = gpus.iter().find(|facts| !facts.bus_id.is_empty() && facts.bus_id == gpu.bus_id);
        // Somebody who describes a machine may leave out where they are.
        let by_name = || gpus.iter().find(|facts| !gpu.uuid.is_empty() && facts.uuid.eq_ignore_ascii_case(&gpu.uuid));
        by_place.or_else(by_name)
    }

    /// Takes in what NVML says, also the names of GPUs that the kernel did not know yet.
    pub fn learn(&mut self, facts: NvmlFacts) {
        self.nvml = Some(facts);
        let unnamed = self.gpus.iter().enumerate().filter(|(_, gpu)| gpu.uuid.is_empty());
        let names = unnamed.filter_map(|(at, gpu)| Some((at, self.facts(gpu)?.uuid.clone())));
        for (at, uuid) in names.collect::<Vec<_>>() {
            self.gpus[at].uuid = uuid;
        }
    }

    /// The kernel does not know the name of a GPU, and may not show its `mig` folder: the driver initialises a GPU when it is
    /// first used after boot. To ask NVML is such a use.
    pub fn has_unused_gpus(&self) -> bool {
        self.gpus.iter().any(|gpu| gpu.uuid.is_empty())
    }

    /// A short name for all that was found without NVML. What a machine offers to containers follows from that, and from
    /// what NVML says of it; so while this is the same, so is what was made from it and kept.
    pub fn digest(&self) -> String {
        let mut found = Inventory { nvml: None, remarks: Vec::new(), ..self.clone() };
        if let Some(driver) = &mut found.driver {
            driver.files.retain(|file| file.kind != FileKind::MeetingPlace);
        }
        // Our own types have string keys and no failing serialisers, the only things that serde_json refuses.
        format!("{:016x}", oci::digest(&serde_json::to_vec(&found).unwrap_or_default()))
    }
}

/// What kind of machine this is (reference: runtime-and-hook.md 3.2, step B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// No sign of an NVIDIA GPU.
    #[default]
    None,
    /// Discrete GPUs with the ordinary kernel driver.
    Discrete,
    /// An integrated GPU (Jetson), described by CSV files.
    Tegra,
    /// Windows Subsystem for Linux, through `/dev/dxg`.
    Wsl,
}

/// The user-space driver and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// As in the file names: `550.54.14`.
    pub version: String,
    /// Where its files were looked for.
    pub root: HostPath,
    /// Its files, in a fixed order: by the catalogue's order, then by path.
    pub files: Vec<DriverFile>,
}

/// One file (or socket, or folder) of the driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFile {
    /// The real file on the host: no link on the way.
    pub host: HostPath,
    /// Where the host has it, driver root cut off. For everything but libraries this is also where the container gets
    /// it; libraries go where the container's loader looks ([`Library`] says how).
    pub path: ContainerPath,
    /// What it is.
    pub kind: FileKind,
    /// The driver capabilities that bring it; it is mounted when any of them is asked for.
    pub capabilities: Capabilities,
}

/// What a driver file is, and what that needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A shared library.
    Library(Library),
    /// An executable, mounted at its own path.
    Binary,
    /// GSP firmware.
    Firmware,
    /// Configuration: ICD and layer files, X.Org snippets, application profiles.
    Config,
    /// A unix socket: mounted writable.
    Socket,
    /// A folder in which programs here and in the container meet: mounted writable, and only by whoever looked at it just
    /// now. It lies where anybody may make a name once it is gone, so nothing that is kept may speak of it.
    MeetingPlace,
}

/// A shared library, with what a loader needs to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// `DT_SONAME`; the file name when it has none.
    pub soname: String,
    /// Native or 32-bit.
    pub class: LibraryClass,
    /// Folder below the library folder that holds it: empty, or `vdpau`, `gbm`, `nvidia/xorg`, `xorg/modules/drivers` …
    pub subfolder: String,
    /// Links to make beside it: name (relative to the library folder, so it may hold a subfolder) and target text.
    /// The link of the soname is among them where the soname is not the file's own name.
    pub links: Vec<LibraryLink>,
}

/// A link beside a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryLink {
    /// `libcuda.so.1`, `gbm/nvidia-drm_gbm.so`.
    pub name: String,
    /// What the link says: `libcuda.so.550.54.14`, `../libnvidia-allocator.so.1`.
    pub target: String,
}

/// Which loader a library is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LibraryClass {
    /// The machine's own word size.
    Native,
    /// i386 on x86-64, armhf on arm64.
    Compat32,
}

/// One whole GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Position in bus id order.
    pub index: u32,
    /// Device minor: `N` of `/dev/nvidiaN`. Not the index.
    pub minor: u32,
    /// `GPU-` and an RFC 4122 UUID, as the kernel writes it (lower case); empty until the GPU is first used after boot.
    pub uuid: String,
    /// `0000:07:00.0`, lower case, four-digit domain.
    pub bus_id: String,
    /// `Model:` of the information file.
    pub model: String,
    /// `/dev/nvidiaN`.
    pub node: Node,
    /// Its DRM nodes, `/dev/dri/cardN` and `/dev/dri/renderDN`.
    pub drm: Vec<Node>,
    /// Links under `/dev/dri/by-path` that point to those nodes.
    pub drm_links: Vec<DrmLink>,
    /// The kernel has a `mig` folder for it: it can be partitioned.
    pub mig_capable: bool,
    /// MIG devices that exist now, by GPU instance, then compute instance.
    pub mig: Vec<MigDevice>,
}

/// A link under `/dev/dri/by-path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrmLink {
    /// Where the container gets it.
    pub path: ContainerPath,
    /// What it says, `../card1`.
    pub target: String,
}

/// A MIG device as the kernel sees it. Its UUID and slot are in [`NvmlFacts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigDevice {
    /// GPU instance id.
    pub gpu_instance: u32,
    /// Compute instance id within it.
    pub compute_instance: u32,
    /// Capability node of the GPU instance.
    pub gpu_instance_node: Node,
    /// Capability node of the compute instance.
    pub compute_instance_node: Node,
}

/// A character device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Where it lies (or would lie) on the host, dev root included.
    pub host: HostPath,
    /// Where the container gets it.
    pub path: ContainerPath,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Permission bits, e.g. 0o666; of the host's node, else what the driver's parameters say.
    pub mode: u32,
    /// Owner on the host.
    pub uid: u32,
    /// Group on the host.
    pub gid: u32,
    /// The node exists on the host with these numbers. One that does not is no obstacle: the runtime makes the
    /// container's node from the numbers.
    pub exists: bool,
}

/// Nodes that no single GPU owns. Each list is empty or `None` where the kernel knows no such device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedNodes {
    /// `/dev/nvidiactl`.
    pub ctl: Option<Node>,
    /// `/dev/nvidia-modeset`.
    pub modeset: Option<Node>,
    /// `/dev/nvidia-uvm`.
    pub uvm: Option<Node>,
    /// `/dev/nvidia-uvm-tools`.
    pub uvm_tools: Option<Node>,
    /// `/dev/nvidia-nvswitchctl` and `/dev/nvidia-nvswitch*`.
    pub nvswitch: Vec<Node>,
    /// `/dev/nvidia-fs*` (GPUDirect Storage).
    pub gds: Vec<Node>,
    /// `/dev/infiniband/uverbs*` and `rdma_cm`.
    pub mofed: Vec<Node>,
    /// `/dev/gdrdrv`.
    pub gdrcopy: Vec<Node>,
    /// `/dev/nvidia-caps-imex-channels/channel*`, by channel number.
    pub imex: Vec<ImexChannel>,
    /// Major of `nvidia-caps-imex-channels`: a channel that has no node yet can still be named.
    pub imex_major: Option<u32>,
    /// Capability nodes `config` and `monitor` of MIG.
    pub mig_config: Option<Node>,
    /// See `mig_config`.
    pub mig_monitor: Option<Node>,
    /// Of each GPU that can be partitioned, by its minor: the minors of all capability nodes that its MIG instances have, or would have if they
    /// were made. Their major is that of `mig_config`.
    #[serde(default)]
    pub mig_minors: BTreeMap<u32, Vec<u32>>,
    /// Extra mounts of GPUDirect Storage: `/run/udev`, `/etc/cufile.json`.
    pub gds_paths: Vec<HostPath>,
}

/// One IMEX channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImexChannel {
    /// 0 … 1048575.
    pub number: u32,
    /// Its node.
    pub node: Node,
}
