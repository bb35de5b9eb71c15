//! From a machine to a CDI specification of it: what `nvidia-ctk cdi generate` writes.
//!
//! A specification is for any container, so it holds every native driver file whatever its capability, at the path where
//! the host has it. It is for engines that know nothing of us, so what cannot be said with mounts and nodes is said with
//! hooks of the original's names and arguments, in its order (reference: cdi-and-ctk.md sections 2 and 3).

mod devices;
mod driver;
mod hooks;

pub use hooks::{HookName, HookSwitches};

use crate::plan::{PlanError, remarks, select};
use crate::request::{DeviceId, DeviceName, DeviceRequest};
use cdi::{ContainerEdits, Device, Spec};
use hooks::Hooks;
use host::{Capabilities, Driver, Inventory, Wanted};
use oci::HostPath;
use serde::{Deserialize, Serialize};

/// What a specification describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpecMode {
    /// GPUs and MIG devices, each a device.
    Nvml,
    /// All nodes of the driver as one device, for containers that manage the machine.
    Management,
    /// GPUDirect Storage.
    Gds,
    /// InfiniBand.
    Mofed,
    /// GDRCopy.
    GdrCopy,
    /// NVSwitch.
    NvSwitch,
    /// IMEX channels, each a device.
    Imex,
}

/// How devices are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameStrategy {
    /// `0`, `0:1`.
    Index,
    /// `GPU-…`, `MIG-…`.
    Uuid,
    /// `gpu0`, `mig0:1`.
    TypeIndex,
}

/// How a specification is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecOptions {
    /// What it describes.
    pub mode: SpecMode,
    /// `nvidia.com`.
    pub vendor: String,
    /// `gpu`.
    pub class: String,
    /// Each names every device once more.
    pub strategies: Vec<NameStrategy>,
    /// Which devices: `all`, `none`, or names. Only modes `nvml` and `imex` look at it.
    pub devices: Vec<String>,
    /// Also a device `all` that is all the others together.
    pub all_device: bool,
    /// The driver root, which is no part of a container's paths.
    pub driver_root: HostPath,
    /// The program that hooks name.
    pub hook_program: HostPath,
    /// Handed on to the hook `update-ldcache`.
    pub ldconfig: Option<String>,
    /// Which hooks are wanted.
    pub hooks: HookSwitches,
    /// Let a container's process join the groups that own its nodes, where others may not use them.
    pub join_groups: bool,
    /// Mount the sockets of the driver's daemons.
    pub sockets: bool,
    /// Also the vendor-neutral libraries.
    pub explicit_libraries: bool,
}

/// Why a machine has no such specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SpecError {
    #[error(transparent)]
    Devices(#[from] PlanError),
    #[error("no NVIDIA driver was found under {root}{remarks}; install it, or give its folder with --driver-root")]
    NoDriver { root: String, remarks: String },
    #[error("this machine has no {what}; leave this mode out here, or load the module that makes its nodes")]
    NoNodes { what: &'static str },
    #[error("invalid channel ID {0}; give all, a number from 0 to 1048575, or channel and such a number")]
    InvalidChannel(String),
    #[error("IMEX channel {0} not found; create its node first, or leave it out of --device-id")]
    UnknownChannel(u32),
    #[error("NVML does not report the MIG device {gpu_instance}/{compute_instance} of GPU {gpu}, so it has no name")]
    Unnamed { gpu: u32, gpu_instance: u32, compute_instance: u32 },
}

impl SpecMode {
    /// Every mode, with its name in flags.
    pub const ALL: [(&'static str, SpecMode); 7] = [
        ("nvml", SpecMode::Nvml),
        ("management", SpecMode::Management),
        ("gds", SpecMode::Gds),
        ("mofed", SpecMode::Mofed),
        ("gdrcopy", SpecMode::GdrCopy),
        ("nvswitch", SpecMode::NvSwitch),
        ("imex", SpecMode::Imex),
    ];

    /// What of the machine has to be looked at.
    pub fn wanted(self, explicit_libraries: bool) -> Wanted {
        let driver = matches!(self, SpecMode::Nvml | SpecMode::Management);
        Wanted {
            capabilities: Capabilities::NATIVE,
            driver,
            gpus: driver,
            drm: self == SpecMode::Nvml,
            extras: self != SpecMode::Nvml,
            explicit_libraries,
        }
    }
}

impl NameStrategy {
    /// Every strategy, with its name in flags.
    pub const ALL: [(&'static str, NameStrategy); 3] =
        [("index", NameStrategy::Index), ("uuid", NameStrategy::Uuid), ("type-index", NameStrategy::TypeIndex)];
}

/// Whether NVML must be asked before [`spec`] can be made: only it knows whether a GPU that can be partitioned is, and
/// what its MIG devices are called.
pub fn needs_nvml(inventory: &Inventory, options: &SpecOptions) -> bool {
    let whole =
        |name: &DeviceName| matches!(name.id, DeviceId::Index(_) | DeviceId::GpuUuid(_) | DeviceId::BusId { .. });
    let only_whole = match options.requested() {
        DeviceRequest::All => false,
        DeviceRequest::None => true,
        DeviceRequest::Ids(names) => names.iter().all(whole),
    };
    let partitions = inventory.gpus.iter().any(|gpu| gpu.mig_capable || !gpu.mig.is_empty());
    let open = inventory.driver.is_some() && inventory.nvml.is_none() && partitions && !only_whole;
    options.mode == SpecMode::Nvml && open
}

/// The specification of this machine. Its version is the lowest that can say what it holds.
///
/// # Errors
/// [`SpecError`].
pub fn spec(inventory: &Inventory, options: &SpecOptions) -> Result<Spec, SpecError> {
    let maker = Maker { inventory, options, hooks: Hooks { options } };
    let (devices, mut common) = match options.mode {
        SpecMode::Nvml => {
            let driver = maker.driver()?;
            (maker.gpus()?, maker.common(driver))
        }
        SpecMode::Management => {
            let driver = maker.driver()?;
            (maker.management()?, maker.management_common(driver))
        }
        SpecMode::Imex => (maker.imex()?, ContainerEdits::default()),
        mode => (maker.group(mode)?, ContainerEdits::default()),
    };
    common.env.push("NVIDIA_VISIBLE_DEVICES=void".to_owned());
    Ok(assemble(options, devices, common))
}

/// Puts the parts together, adds the device that is all the others, and gives the result the version that it needs.
fn assemble(options: &SpecOptions, devices: Vec<Device>, common: ContainerEdits) -> Spec {
    let kind = format!("{}/{}", options.vendor, options.class);
    let mut spec = Spec { kind, devices, container_edits: common, ..Spec::default() };
    spec.normalise();
    if options.all_device && spec.devices.iter().all(|device| device.name != "none") {
        spec.add_merged_device("all");
        spec.normalise();
    }
    spec.cdi_version = spec.minimum_version().to_owned();
    spec
}

/// A specification in the making.
struct Maker<'a> {
    inventory: &'a Inventory,
    options: &'a SpecOptions,
    hooks: Hooks<'a>,
}

impl Maker<'_> {
    fn driver(&self) -> Result<&Driver, SpecError> {
        let missing =
            || SpecError::NoDriver { root: self.options.driver_root.to_string(), remarks: remarks(self.inventory) };
        self.inventory.driver.as_ref().ok_or_else(missing)
    }

    fn granted(&self) -> Result<Vec<select::Grant<'_>>, SpecError> {
        Ok(select::granted(&self.options.requested(), "--device-id=all", self.inventory)?)
    }
}

impl SpecOptions {
    /// The devices that are asked for. `none` stands for itself, whatever is beside it, and so does `all`.
    fn requested(&self) -> DeviceRequest {
        let has = |word: &str| self.devices.iter().any(|name| name == word);
        if has("none") {
            DeviceRequest::None
        } else if has("all") || self.devices.is_empty() {
            DeviceRequest::All
        } else {
            let named = |text: &String| DeviceName {
                id: DeviceId::parse(text),
                text: text.clone(),
                from: "--device-id".to_owned(),
            };
            DeviceRequest::Ids(self.devices.iter().map(named).collect())
        }
    }
}

#[cfg(test)]
mod tests;
