//! The GPUs and MIG devices of a machine, as `nvc_device_info_new` gives them (section 11).

use crate::{Error, Machine, caps::Style, nvml_answer};
use host::{GpuFacts, MigFacts, Wanted};

/// A character device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNode {
    /// Below the driver root.
    pub path: String,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
}

/// The devices of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// In NVML's order of indices, which is that of bus ids.
    pub gpus: Vec<Gpu>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// `NVIDIA A100-SXM4-40GB`.
    pub model: String,
    /// `GPU-…`.
    pub uuid: String,
    /// `00000000:07:00.0`.
    pub bus_id: String,
    /// Compute capability, `8.0`; empty where nobody asked NVML, or it did not say.
    pub arch: String,
    /// Product line, `Tesla`; empty as above.
    pub brand: String,
    /// `/dev/nvidiaN`.
    pub node: DeviceNode,
    /// It can be partitioned.
    pub mig_capable: bool,
    /// In NVML's order of slots.
    pub mig: Vec<MigDevice>,
}

/// A MIG device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigDevice {
    /// `MIG-…`.
    pub uuid: String,
    /// NVML's slot, the `M` of `N:M`.
    pub slot: u32,
    /// GPU instance.
    pub gpu_instance: u32,
    /// Compute instance.
    pub compute_instance: u32,
    /// Folder of the GPU instance's capability.
    pub gpu_instance_path: String,
    /// Folder of the compute instance's capability.
    pub compute_instance_path: String,
}

/// How much is to be known about devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What the kernel says; NVML is asked only where there are MIG devices, or a GPU has no UUID yet.
    Names,
    /// Also compute capability and product line, which only NVML knows.
    All,
}

/// Where the kernel keeps the capabilities of MIG.
pub const CAPABILITIES: &str = "/proc/driver/nvidia/capabilities";

impl Gpu {
    /// The folder of its capabilities.
    pub fn mig_caps_path(&self) -> String {
        format!("{CAPABILITIES}/gpu{}", self.node.minor)
    }
}

impl Machine {
    /// The GPUs that there are, and their MIG devices.
    ///
    /// # Errors
    /// What NVML said, where it had to be asked.
    pub fn devices(&self, detail: Detail) -> Result<DeviceInfo, Error> {
        log::info!("requesting device information with ''");
        let inventory = self.inventory()?;
        let unnamed = |gpu: &host::Gpu| gpu.uuid.is_empty() || !gpu.mig.is_empty() || self.has_instances(gpu);
        let facts = match detail == Detail::All || inventory.gpus.iter().any(unnamed) {
            true => Some(self.ask_nvml(inventory)?),
            false => None,
        };
        let known = |gpu: &host::Gpu| facts.as_ref()?.gpus.iter().find(|known| known.bus_id == gpu.bus_id);
        let info = DeviceInfo { gpus: inventory.gpus.iter().map(|gpu| self.describe(gpu, known(gpu))).collect() };
        for gpu in &info.gpus {
            log::info!("listing device {} ({} at {})", gpu.node.path, gpu.uuid, gpu.bus_id);
        }
        Ok(info)
    }

    /// Version of CUDA that the driver supports, `12.4`.
    ///
    /// # Errors
    /// What NVML said.
    pub fn cuda_version(&self) -> Result<String, Error> {
        let facts = self.ask_nvml(self.inventory()?)?;
        let (major, minor) = facts.cuda_version.ok_or_else(nvml_answer::unsaid)?;
        Ok(format!("{major}.{minor}"))
    }

    fn describe(&self, gpu: &host::Gpu, known: Option<&GpuFacts>) -> Gpu {
        let name = known.map(|known| known.name.clone()).filter(|name| !name.is_empty());
        let uuid = known.map(|known| known.uuid.clone()).filter(|uuid| !uuid.is_empty());
        let folder = format!("{CAPABILITIES}/gpu{}/mig", gpu.minor);
        let mig = |mig: &MigFacts| {
            let gpu_instance_path = format!("{folder}/gi{}", mig.gpu_instance);
            let compute_instance_path = format!("{gpu_instance_path}/ci{}", mig.compute_instance);
            // One that is just being removed NVML may still list.
            self.proc_file(&compute_instance_path).as_path().is_dir().then(|| MigDevice {
                uuid: mig.uuid.clone(),
                slot: mig.index,
                gpu_instance: mig.gpu_instance,
                compute_instance: mig.compute_instance,
                gpu_instance_path,
                compute_instance_path,
            })
        };
        Gpu {
            model: name.unwrap_or_else(|| gpu.model.clone()),
            uuid: uuid.unwrap_or_else(|| gpu.uuid.clone()),
            bus_id: long_bus_id(&gpu.bus_id),
            arch: known
                .and_then(|known| known.compute_capability)
                .map_or_else(String::new, |(major, minor)| format!("{major}.{minor}")),
            brand: known.map_or_else(String::new, |known| known.brand.clone()),
            node: DeviceNode { path: format!("/dev/nvidia{}", gpu.minor), major: gpu.node.major, minor: gpu.minor },
            mig_capable: gpu.mig_capable,
            mig: known.map_or(&[][..], |known| &known.mig).iter().filter_map(mig).collect(),
        }
    }

    /// Where files of procfs are what opens capabilities, `host` does not list the devices that they are for.
    fn has_instances(&self, gpu: &host::Gpu) -> bool {
        if !gpu.mig_capable || self.caps_style() == Style::Device {
            return false;
        }
        let names = std::fs::read_dir(self.proc_file(&format!("{CAPABILITIES}/gpu{}/mig", gpu.minor)).as_path());
        names.is_ok_and(|names| names.flatten().any(|name| name.file_name().to_string_lossy().starts_with("gi")))
    }
}

/// What is looked at for devices.
pub(crate) const WANTED: Wanted = Wanted {
    capabilities: host::Capabilities::NONE,
    driver: false,
    gpus: true,
    drm: false,
    extras: false,
    explicit_libraries: false,
};

/// The bus id with a domain of eight digits and function 0, as NVML's numbers are printed.
fn long_bus_id(short: &str) -> String {
    let (domain, rest) = short.split_once(':').unwrap_or(("0", short));
    let (place, _function) = rest.rsplit_once('.').unwrap_or((rest, ""));
    format!("{domain:0>8}:{place}.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bus_ids_have_eight_digits() {
        for (short, want) in [
            ("0000:07:00.0", "00000000:07:00.0"),
            ("10000:e1:1f.0", "00010000:e1:1f.0"),
            ("0001:01:00.1", "00000001:01:00.0"),
        ] {
            assert_eq!(long_bus_id(short), want);
        }
    }
}
