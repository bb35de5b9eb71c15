//! The C structs of `nvml.h` that the exported functions fill in. Their sizes are asserted, since a `version` field is
//! made of them and since a wrong one would write over the caller's stack.

use crate::abi::Handle;
use std::ffi::c_char;

/// `nvmlPciInfo_t` of `nvmlDeviceGetPciInfo_v3`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PciInfo {
    pub bus_id_legacy: [c_char; 16],
    pub domain: u32,
    pub bus: u32,
    pub device: u32,
    pub pci_device_id: u32,
    pub pci_subsystem_id: u32,
    pub bus_id: [c_char; 32],
}

/// What `nvmlDeviceGetPciInfo_v2` fills in: no long bus id yet, but four reserved words.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PciInfoV2 {
    pub bus_id: [c_char; 16],
    pub domain: u32,
    pub bus: u32,
    pub device: u32,
    pub pci_device_id: u32,
    pub pci_subsystem_id: u32,
    pub reserved: [u32; 4],
}

/// What the first `nvmlDeviceGetPciInfo` fills in: the subsystem id came later.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PciInfoV1 {
    pub bus_id: [c_char; 16],
    pub domain: u32,
    pub bus: u32,
    pub device: u32,
    pub pci_device_id: u32,
}

/// `nvmlMemory_t`, bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    pub used: u64,
}

/// `nvmlMemory_v2_t`, bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MemoryV2 {
    pub version: u32,
    pub total: u64,
    pub reserved: u64,
    pub free: u64,
    pub used: u64,
}

/// `nvmlDeviceAttributes_t` of a MIG device.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Attributes {
    pub multiprocessors: u32,
    pub copy_engines: u32,
    pub decoders: u32,
    pub encoders: u32,
    pub jpegs: u32,
    pub ofas: u32,
    pub gpu_instance_slices: u32,
    pub compute_instance_slices: u32,
    pub memory_mib: u64,
}

/// `nvmlGpuInstancePlacement_t` and `nvmlComputeInstancePlacement_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Placement {
    pub start: u32,
    pub size: u32,
}

/// `nvmlGpuInstanceInfo_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GpuInstanceInfo {
    pub device: Handle,
    pub id: u32,
    pub profile_id: u32,
    pub placement: Placement,
}

/// `nvmlComputeInstanceInfo_t` of `nvmlComputeInstanceGetInfo_v2`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ComputeInstanceInfo {
    pub device: Handle,
    pub gpu_instance: Handle,
    pub id: u32,
    pub profile_id: u32,
    pub placement: Placement,
}

/// What the first `nvmlComputeInstanceGetInfo` fills in: no placement yet.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ComputeInstanceInfoV1 {
    pub device: Handle,
    pub gpu_instance: Handle,
    pub id: u32,
    pub profile_id: u32,
}

/// `nvmlGpuInstanceProfileInfo_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct GpuInstanceProfileInfo {
    pub id: u32,
    pub p2p: u32,
    pub slices: u32,
    pub instances: u32,
    pub multiprocessors: u32,
    pub copy_engines: u32,
    pub decoders: u32,
    pub encoders: u32,
    pub jpegs: u32,
    pub ofas: u32,
    pub memory_mib: u64,
}

/// `nvmlGpuInstanceProfileInfo_v2_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GpuInstanceProfileInfoV2 {
    pub version: u32,
    pub id: u32,
    pub p2p: u32,
    pub slices: u32,
    pub instances: u32,
    pub multiprocessors: u32,
    pub copy_engines: u32,
    pub decoders: u32,
    pub encoders: u32,
    pub jpegs: u32,
    pub ofas: u32,
    pub memory_mib: u64,
    pub name: [c_char; 96],
}

/// `nvmlComputeInstanceProfileInfo_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ComputeInstanceProfileInfo {
    pub id: u32,
    pub slices: u32,
    pub instances: u32,
    pub multiprocessors: u32,
    pub copy_engines: u32,
    pub decoders: u32,
    pub encoders: u32,
    pub jpegs: u32,
    pub ofas: u32,
}

/// `nvmlDeviceAddressingMode_v1_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct AddressingMode {
    pub version: u32,
    pub value: u32,
}

/// The value that a caller puts into `version`: the struct's size and, in the top byte, its number.
pub const fn version<T>(number: u32) -> u32 {
    size_of::<T>() as u32 | number << 24
}

// As the compiler of nvml.h has them on 64-bit machines.
const _: () = {
    assert!(size_of::<PciInfo>() == 68);
    assert!(size_of::<PciInfoV2>() == 52);
    assert!(size_of::<PciInfoV1>() == 32);
    assert!(size_of::<Memory>() == 24);
    assert!(size_of::<MemoryV2>() == 40);
    assert!(size_of::<Attributes>() == 40);
    assert!(size_of::<GpuInstanceInfo>() == 24);
    assert!(size_of::<ComputeInstanceInfo>() == 32);
    assert!(size_of::<GpuInstanceProfileInfo>() == 48);
    assert!(size_of::<GpuInstanceProfileInfoV2>() == 152);
    assert!(size_of::<ComputeInstanceProfileInfo>() == 36);
    assert!(size_of::<AddressingMode>() == 8);
};
