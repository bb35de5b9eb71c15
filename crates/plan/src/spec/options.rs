//! What a specification is to describe, and how.

use super::HookSwitches;
use crate::request::{DeviceId, DeviceName, DeviceRequest};
use host::{Capabilities, Wanted};
use oci::{ContainerPath, HostPath};
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
    /// No hook at all: what hooks would link becomes mounts, in the driver's folders and in these of the container.
    #[serde(default)]
    pub hookless: Option<Vec<ContainerPath>>,
    /// One hook that does the work of all, in one process of our own program. No other program knows it.
    #[serde(default)]
    pub single_hook: bool,
    /// Let a container's process join the groups that own its nodes, where others may not use them.
    pub join_groups: bool,
    /// Mount the sockets of the driver's daemons.
    pub sockets: bool,
    /// Also the vendor-neutral libraries.
    pub explicit_libraries: bool,
    /// Also specifications of those GPUs alone that share the CPU's memory coherently, and of those that do not.
    #[serde(default)]
    pub coherent: bool,
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

    /// Its name in flags.
    pub fn name(self) -> &'static str {
        SpecMode::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

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

impl SpecOptions {
    /// The devices that are asked for. `all` and `none` stand for themselves, whatever is beside them; of both, the first does
    /// (reference: runtime-and-hook.md 3.6).
    pub(super) fn requested(&self) -> DeviceRequest {
        let word = self.devices.iter().find_map(|name| match name.as_str() {
            "all" => Some(DeviceRequest::All),
            "none" => Some(DeviceRequest::None),
            _ => None,
        });
        let named = |text: &String| DeviceName {
            id: DeviceId::parse(text),
            text: text.clone(),
            from: "--device-id".to_owned(),
        };
        match word {
            Some(word) => word,
            None if self.devices.is_empty() => DeviceRequest::All,
            None => DeviceRequest::Ids(self.devices.iter().map(named).collect()),
        }
    }
}
