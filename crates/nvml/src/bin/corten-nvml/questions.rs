//! What is asked, in which order, and what is left out when NVML does not say it.
//!
//! Only the first questions must be answered. A GPU that answers nothing (lost, closed to this user) or a MIG device in
//! the middle of being destroyed is left out with a note on stderr; it does not spoil the rest.

use crate::library::{Device, FUNCTION_NOT_FOUND, Library, NOT_FOUND, NOT_SUPPORTED};
use host::{Addressing, GpuFacts, MigFacts, NvmlFacts};
use nvml::wire::Complaint;
use std::io::Write;

/// More than any machine has; bounds what a broken library can make of a count.
const MOST_GPUS: u32 = 256;
const MOST_SLOTS: u32 = 64;

/// Indices of the GPU instance profiles with graphics (`NVML_GPU_INSTANCE_PROFILE_…_GFX`).
const GRAPHICS_PROFILES: [u32; 4] = [0x0a, 0x0b, 0x0c, 0x11];

/// Everything about this machine.
pub fn machine(nvml: &Library) -> Result<NvmlFacts, Complaint> {
    Ok(NvmlFacts {
        driver_version: nvml.driver_version()?,
        cuda_version: noted("CUDA version", nvml.cuda_version()),
        gpus: (0..nvml.count()?.min(MOST_GPUS))
            .filter_map(|index| noted(&format!("GPU {index}"), gpu(nvml, index)))
            .collect(),
    })
}

fn gpu(nvml: &Library, index: u32) -> Result<GpuFacts, Complaint> {
    let device = nvml.device(index)?;
    let uuid = nvml.uuid(device)?;
    let (domain, bus, slot) = nvml.pci(device)?;
    let mig_mode = nvml.mig_enabled(device);
    let mig_enabled = matches!(mig_mode, Ok(true));
    Ok(GpuFacts {
        bus_id: format!("{domain:04x}:{bus:02x}:{slot:02x}.0"),
        minor: nvml.minor(device)?,
        name: noted(&uuid, nvml.name(device)).unwrap_or_default(),
        brand: brand(noted(&uuid, nvml.brand(device)).unwrap_or_default()).to_owned(),
        compute_capability: noted(&uuid, nvml.compute_capability(device)),
        // What else it may complain of passes, and says nothing of the GPU.
        mig_capable: !mig_mode
            .is_err_and(|complaint| matches!(complaint.code, Some(NOT_SUPPORTED | FUNCTION_NOT_FOUND))),
        mig_enabled,
        // Drivers before 580 lack the function, so that they do not say it is not worth a note.
        addressing: nvml.addressing_mode(device).ok().and_then(addressing),
        mig: if mig_enabled { mig_devices(nvml, device, &uuid) } else { Vec::new() },
        uuid,
    })
}

fn mig_devices(nvml: &Library, device: Device, uuid: &str) -> Vec<MigFacts> {
    let slots = noted(uuid, nvml.mig_slots(device)).unwrap_or_default().min(MOST_SLOTS);
    (0..slots).filter_map(|slot| mig_device(nvml, device, slot, uuid)).collect()
}

fn mig_device(nvml: &Library, device: Device, slot: u32, uuid: &str) -> Option<MigFacts> {
    match nvml.mig_device(device, slot) {
        Err(complaint) if complaint.code == Some(NOT_FOUND) => None,
        found => noted(&format!("{uuid} MIG slot {slot}"), found.and_then(|mig| mig_facts(nvml, device, mig, slot))),
    }
}

fn mig_facts(nvml: &Library, device: Device, mig: Device, index: u32) -> Result<MigFacts, Complaint> {
    let uuid = nvml.uuid(mig)?;
    let gpu_instance = nvml.gpu_instance_id(mig)?;
    let name = profile_name(&noted(&uuid, nvml.name(mig)).unwrap_or_default());
    Ok(MigFacts {
        index,
        gpu_instance,
        compute_instance: nvml.compute_instance_id(mig)?,
        graphics: name.contains("+gfx") || has_graphics_profile(nvml, device, gpu_instance),
        name,
        uuid,
    })
}

/// `nvmlDeviceAddressingModeType_t`.
fn addressing(number: u32) -> Option<Addressing> {
    match number {
        0 => Some(Addressing::None),
        1 => Some(Addressing::Hmm),
        2 => Some(Addressing::Ats),
        _ => None,
    }
}

/// `MIG 1g.5gb` from `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn profile_name(name: &str) -> String {
    name.rfind("MIG ").map_or(String::new(), |start| name[start..].to_owned())
}

/// Older drivers leave `+gfx` out of the name; the profile's number says it too, to those who may ask for it.
fn has_graphics_profile(nvml: &Library, device: Device, gpu_instance: u32) -> bool {
    nvml.gpu_instance_profile(device, gpu_instance)
        .is_ok_and(|id| GRAPHICS_PROFILES.iter().any(|index| nvml.profile_id(device, *index).is_ok_and(|of| of == id)))
}

/// The answer, or a note about why there is none.
fn noted<T>(about: &str, answer: Result<T, Complaint>) -> Option<T> {
    let note = |complaint: Complaint| {
        let line = format!("{about}: {}: {}\n", complaint.step, complaint.error);
        let _ = std::io::stderr().write_all(line.as_bytes());
    };
    answer.map_err(note).ok()
}

/// `nvmlBrandType_t` in the words of `nvidia-container-cli` (reference: libnvidia-container.md section 11).
fn brand(number: u32) -> &'static str {
    const BRANDS: [&str; 16] = [
        "Quadro",
        "Tesla",
        "NVS",
        "GRID",
        "GeForce",
        "TITAN",
        "VApps",
        "VPC",
        "VCS",
        "VWS",
        "CloudGaming",
        "QuadroRTX",
        "NvidiaRTX",
        "Nvidia",
        "GeForceRTX",
        "TitanRTX",
    ];
    let position = number.checked_sub(1).and_then(|position| usize::try_from(position).ok());
    position.and_then(|position| BRANDS.get(position)).unwrap_or(&"Unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_by_number() {
        for (number, want) in
            [(0, "Unknown"), (1, "Quadro"), (2, "Tesla"), (5, "GeForce"), (16, "TitanRTX"), (17, "Unknown")]
        {
            assert_eq!(brand(number), want);
        }
    }

    #[test]
    fn the_profile_is_what_follows_mig() {
        assert_eq!(profile_name("NVIDIA A100-SXM4-40GB MIG 1g.5gb"), "MIG 1g.5gb");
        assert_eq!(profile_name("NVIDIA A100-SXM4-40GB"), "");
    }
}
