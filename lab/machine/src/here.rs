//! The machine as a mock library finds it: its description, and what of it this process may see, decided by which device
//! nodes it can open, as with the real driver.
//!
//! Behind the nodes of a simulated machine is no driver. Opening one that is allowed ends in ENXIO, one that a device
//! cgroup forbids in EPERM, one whose mode forbids it in EACCES; those differences are all that is needed.

use crate::{Gpu, Machine, Mig, STATE_FILE};
use std::{fs, io, os::unix::fs::FileTypeExt, os::unix::fs::MetadataExt, path::Path};

/// Why a driver library does nothing for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no driver here, or its control node is not.
    NotLoaded,
    /// The control node's mode forbids it.
    NoPermission,
    /// A device cgroup forbids it, or the description makes no sense.
    Unknown,
}

/// The machine that this process runs on.
///
/// # Errors
/// Where it has no driver.
pub fn machine() -> Result<Machine, Refusal> {
    let text = fs::read(STATE_FILE).map_err(|_| Refusal::NotLoaded)?;
    let machine: Machine = serde_json::from_slice(&text).map_err(|error| {
        eprintln!("corten-lab: {STATE_FILE}: {error}");
        Refusal::Unknown
    })?;
    machine.driver.is_some().then_some(machine).ok_or(Refusal::NotLoaded)
}

/// Minor of `/dev/nvidiactl`.
const CTL_MINOR: u32 = 255;

/// The control node must open, or no library of the driver does anything.
///
/// # Errors
/// Where it does not.
pub fn control(machine: &Machine) -> Result<(), Refusal> {
    match open("/dev/nvidiactl".as_ref(), machine.majors.nvidia, CTL_MINOR, Access::Full) {
        Ok(()) => Ok(()),
        Err(libc::EACCES) => Err(Refusal::NoPermission),
        // A device cgroup that lost its rules: "Failed to initialize NVML: Unknown Error".
        Err(libc::EPERM) => Err(Refusal::Unknown),
        Err(_) => Err(Refusal::NotLoaded),
    }
}

/// The GPUs of the machine that this process sees, each with the MIG devices that it sees.
pub fn gpus(machine: &Machine) -> Vec<Gpu> {
    machine.gpus.iter().filter(|gpu| gpu_opens(machine, gpu)).map(|gpu| with_visible_mig(machine, gpu)).collect()
}

fn gpu_opens(machine: &Machine, gpu: &Gpu) -> bool {
    open(format!("/dev/nvidia{}", gpu.minor).as_ref(), machine.majors.nvidia, gpu.minor, Access::Full).is_ok()
}

/// Slots keep their numbers, gaps and all, where every MIG device is seen, and count from 0 where some are hidden.
fn with_visible_mig(machine: &Machine, gpu: &Gpu) -> Gpu {
    let mut seen: Vec<Mig> = gpu.mig.iter().filter(|mig| mig_opens(machine, gpu, mig)).cloned().collect();
    if seen.len() < gpu.mig.len() {
        for (mig, slot) in seen.iter_mut().zip(0..) {
            mig.index = slot;
        }
    }
    Gpu { mig: seen, ..gpu.clone() }
}

fn mig_opens(machine: &Machine, gpu: &Gpu, mig: &Mig) -> bool {
    let caps =
        [gpu.gpu_instance_cap(mig.gpu_instance), gpu.compute_instance_cap(mig.gpu_instance, mig.compute_instance)];
    gpu.mig_enabled
        && caps.into_iter().all(|minor| {
            let node = format!("/dev/nvidia-caps/nvidia-cap{minor}");
            open(node.as_ref(), machine.majors.caps, minor, Access::Read).is_ok()
        })
}

/// How a driver library opens a node. Capability nodes have mode 0444, and are only read.
#[derive(PartialEq)]
enum Access {
    Read,
    Full,
}

/// Opens a node as a driver library does. A device with other numbers than the kernel gives it is no node of this GPU.
fn open(node: &Path, major: u32, minor: u32, access: Access) -> Result<(), i32> {
    let found = fs::metadata(node).map_err(errno)?;
    let numbers = (libc::major(found.rdev()), libc::minor(found.rdev()));
    if found.file_type().is_char_device() && numbers != (major, minor) {
        return Err(libc::ENODEV);
    }
    match fs::OpenOptions::new().read(true).write(access == Access::Full).open(node).map_err(errno) {
        Ok(_) | Err(libc::ENXIO) => Ok(()),
        Err(other) => Err(other),
    }
}

fn errno(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
