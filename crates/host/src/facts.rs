//! What only NVML can tell about a machine, as it is asked, cached, handed on, and described by people, who may leave out
//! what a decision does not need.

use serde::{Deserialize, Serialize};

/// NVML's answer for one machine. `corten-nvml` prints it as JSON; `nvml::facts` caches it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NvmlFacts {
    /// `nvmlSystemGetDriverVersion`.
    pub driver_version: String,
    /// `nvmlSystemGetCudaDriverVersion`: major, minor.
    #[serde(default)]
    pub cuda_version: Option<(u32, u32)>,
    /// In NVML's order of indices.
    pub gpus: Vec<GpuFacts>,
}

/// NVML's answer for one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFacts {
    /// `GPU-…`.
    pub uuid: String,
    /// `0000:07:00.0`, lower case, four-digit domain unless it needs more.
    #[serde(default)]
    pub bus_id: String,
    /// `/dev/nvidiaN`.
    #[serde(default)]
    pub minor: u32,
    /// `NVIDIA A100-SXM4-40GB`.
    #[serde(default)]
    pub name: String,
    /// `Tesla`, `GeForce`, … (reference: libnvidia-container.md section 11).
    #[serde(default)]
    pub brand: String,
    /// Compute capability: major, minor.
    #[serde(default)]
    pub compute_capability: Option<(u32, u32)>,
    /// It has a MIG mode. That can be switched at any moment, and where there is no MIG device neither before nor after, the
    /// kernel's files are the same then.
    #[serde(default)]
    pub mig_capable: bool,
    /// MIG mode is on now. Such a GPU is not handed out whole by `all`.
    #[serde(default)]
    pub mig_enabled: bool,
    /// How it addresses the host's memory; `None` where the driver cannot say.
    #[serde(default)]
    pub addressing: Option<Addressing>,
    /// Its MIG devices.
    #[serde(default)]
    pub mig: Vec<MigFacts>,
}

impl GpuFacts {
    /// Its MIG mode could be switched, and nothing but NVML would tell: it has no MIG device that would come or go.
    pub fn may_switch(&self) -> bool {
        self.mig_capable && self.mig.is_empty()
    }
}

/// `NVML_DEVICE_ADDRESSING_MODE_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// Not at all.
    None,
    /// Heterogeneous memory management: with copies of the CPU's page tables.
    Hmm,
    /// Address translation services: with the CPU's page tables themselves, so that both see one coherent memory.
    Ats,
}

/// NVML's answer for one MIG device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigFacts {
    /// NVML's slot: the `M` of `N:M`. Slots can have gaps.
    pub index: u32,
    /// `MIG-…`, in the form this driver uses.
    pub uuid: String,
    /// GPU instance id.
    pub gpu_instance: u32,
    /// Compute instance id.
    pub compute_instance: u32,
    /// `MIG 1g.5gb`.
    #[serde(default)]
    pub name: String,
    /// The GPU instance's profile has graphics: it also gets DRM nodes.
    #[serde(default)]
    pub graphics: bool,
}
