//! What a simulated GPU machine consists of: the content of the files in `lab/machines`, and of the JSON file that the
//! mock NVML reads where a real one would ask the kernel.
#![forbid(unsafe_code)]

pub mod here;

use serde::{Deserialize, Serialize};

/// Where the lab leaves the machine's description for the mock NVML: beside `/proc/driver/nvidia`, so that it is seen
/// exactly where the simulated kernel is seen, in containers too.
pub const STATE_FILE: &str = "/proc/driver/corten-lab.json";

/// Beside it, the hook that shows a container the simulated `/proc/driver`, as it stands in a `config.json`: for those
/// who start containers with a low-level runtime of their own, which the lab has not wrapped.
pub const HOOK_FILE: &str = "/proc/driver/corten-lab-hook.json";

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// One sentence for people.
    pub description: String,
    /// `discrete`, `tegra`, `wsl` or `none`.
    #[serde(default)]
    pub platform: Platform,
    /// The driver; a machine with platform `none` has none.
    pub driver: Option<Driver>,
    /// How NVML behaves.
    #[serde(default)]
    pub nvml: Nvml,
    /// How libcuda behaves.
    #[serde(default)]
    pub cuda: Cuda,
    /// Character device majors as `/proc/devices` lists them.
    #[serde(default)]
    pub majors: Majors,
    /// GPUs in bus id order.
    #[serde(default, rename = "gpu")]
    pub gpus: Vec<Gpu>,
    /// Number of NVSwitches (`/dev/nvidia-nvswitchN` and `nvidia-nvswitchctl`).
    #[serde(default)]
    pub nvswitches: u32,
    /// IMEX channels that have a node.
    #[serde(default)]
    pub imex_channels: Vec<u32>,
    /// GPUDirect Storage: number of `/dev/nvidia-fsN` nodes; with any, `/etc/cufile.json` exists.
    #[serde(default)]
    pub gds: u32,
    /// `/dev/gdrdrv` exists.
    #[serde(default)]
    pub gdrcopy: bool,
    /// Number of `/dev/infiniband/uverbsN` nodes; with any, `rdma_cm` exists.
    #[serde(default)]
    pub mofed: u32,
}

/// What kind of machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Nothing of NVIDIA's.
    None,
    /// The ordinary kernel driver.
    #[default]
    Discrete,
    /// Jetson.
    Tegra,
    /// Windows Subsystem for Linux.
    Wsl,
}

/// The driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Driver {
    /// `550.54.14`.
    pub version: String,
    /// `12.4`.
    pub cuda: String,
    /// Where its files are: `/` merges them over the machine's own, else a folder of their own.
    #[serde(default = "slash")]
    pub root: String,
    /// How its files are laid out.
    #[serde(default)]
    pub layout: Layout,
    /// `small`: about ten files, enough for compute and utility. `full`: every name there is, about 63 mounts.
    #[serde(default)]
    pub size: Size,
    /// Also 32-bit libraries.
    #[serde(default)]
    pub compat32: bool,
    /// `ModifyDeviceFiles` of `/proc/driver/nvidia/params`.
    #[serde(default = "yes")]
    pub modify_device_files: bool,
    /// Device nodes exist on the host (otherwise only the kernel's numbers do).
    #[serde(default = "yes")]
    pub device_nodes: bool,
    /// DRM nodes and their by-path links exist.
    #[serde(default = "yes")]
    pub drm: bool,
    /// Sockets of nvidia-persistenced and nvidia-fabricmanager exist.
    #[serde(default = "yes")]
    pub sockets: bool,
}

/// How the driver's files are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// As NVIDIA's installer and Debian multiarch do: `/usr/lib/x86_64-linux-gnu`.
    #[default]
    Multiarch,
    /// `/usr/lib64`.
    Lib64,
    /// Nothing but the driver, in `lib64` and `bin` of a root of its own: how Google's systems have it below
    /// `/usr/local/nvidia`.
    Plain,
    /// Debian's packages: files in `…/nvidia/current`, links through `/etc/alternatives`.
    DebianAlternatives,
}

/// How much of the driver there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// libcuda, libnvidia-ml and a few others.
    Small,
    /// Everything.
    #[default]
    Full,
}

/// How the mock NVML behaves. Each can be switched while the machine runs, by writing the state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Nvml {
    /// `nvmlInit_v2` returns this code (9 driver not loaded, 15 GPU lost, 18 version mismatch, 999 unknown).
    pub init_error: Option<u32>,
    /// Every call waits this long first.
    pub delay_ms: u64,
    /// `nvmlInit_v2` never returns.
    pub hang: bool,
    /// `nvmlInit_v2` ends the process by SIGSEGV.
    pub crash: bool,
    /// The library is not installed at all.
    pub absent: bool,
}

/// How the mock libcuda behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Cuda {
    /// `cuInit` returns this code (802 system not yet initialized, 803 driver and library versions differ, 999 unknown).
    pub init_error: Option<u32>,
    /// What is copied to the GPU does not come back as it was.
    pub garbles: bool,
    /// The library is not installed at all.
    pub absent: bool,
}

/// Majors of character devices. The dynamic ones differ from machine to machine, so tests change them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Majors {
    /// GPUs, nvidiactl, nvidia-modeset. Old kernels call it `nvidia-frontend`.
    pub nvidia: u32,
    /// The entry in `/proc/devices` is called `nvidia-frontend`.
    pub frontend: bool,
    /// nvidia-uvm.
    pub uvm: u32,
    /// nvidia-caps.
    pub caps: u32,
    /// nvidia-caps-imex-channels.
    pub imex: u32,
    /// nvidia-nvswitch.
    pub nvswitch: u32,
    /// nvidia-fs.
    pub fs: u32,
    /// gdrdrv.
    pub gdrdrv: u32,
}

impl Default for Majors {
    fn default() -> Self {
        Majors { nvidia: 195, frontend: false, uvm: 511, caps: 236, imex: 237, nvswitch: 238, fs: 239, gdrdrv: 240 }
    }
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Gpu {
    /// `NVIDIA A100-SXM4-40GB`.
    pub model: String,
    /// `GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c`.
    pub uuid: String,
    /// `0000:07:00.0`.
    pub bus_id: String,
    /// N of `/dev/nvidiaN`; need not follow the order of bus ids.
    pub minor: u32,
    /// NVML brand number's word: `Tesla`, `GeForce`, `NvidiaRTX`, …
    #[serde(default = "tesla")]
    pub brand: String,
    /// Compute capability, `8.0`.
    #[serde(default = "sm80")]
    pub compute_capability: String,
    /// MiB.
    #[serde(default = "memory")]
    pub memory_mib: u64,
    /// The GPU can be partitioned (A100, H100 …).
    #[serde(default)]
    pub mig_capable: bool,
    /// MIG mode is on.
    #[serde(default)]
    pub mig_enabled: bool,
    /// MIG devices.
    #[serde(default)]
    pub mig: Vec<Mig>,
    /// How NVML says that host memory is addressed.
    #[serde(default)]
    pub addressing: Addressing,
}

/// `NVML_DEVICE_ADDRESSING_MODE_…`, by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// Not at all.
    #[default]
    None,
    /// With copies of the CPU's page tables.
    Hmm,
    /// With the CPU's page tables themselves, as on Grace Hopper.
    Ats,
}

/// One MIG device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mig {
    /// NVML's slot.
    pub index: u32,
    /// `MIG-…`.
    pub uuid: String,
    /// GPU instance id.
    pub gpu_instance: u32,
    /// Compute instance id.
    pub compute_instance: u32,
    /// `1g.5gb`.
    pub profile: String,
    /// The profile has graphics.
    #[serde(default)]
    pub graphics: bool,
}

impl Gpu {
    /// Minor of the capability node of a GPU instance on this GPU, as real drivers number them: config is 1, monitor
    /// is 2, then 135 numbers a GPU, 9 a GPU instance (the instance itself, then its compute instances 0 to 7).
    pub fn gpu_instance_cap(&self, gpu_instance: u32) -> u32 {
        3 + self.minor * 135 + gpu_instance * 9
    }

    /// Minor of the capability node of a compute instance.
    pub fn compute_instance_cap(&self, gpu_instance: u32, compute_instance: u32) -> u32 {
        self.gpu_instance_cap(gpu_instance) + 1 + compute_instance
    }
}

fn slash() -> String {
    "/".into()
}
fn yes() -> bool {
    true
}
fn tesla() -> String {
    "Tesla".into()
}
fn sm80() -> String {
    "8.0".into()
}
fn memory() -> u64 {
    40960
}
