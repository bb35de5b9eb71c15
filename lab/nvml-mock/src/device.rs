//! Exported functions about whole GPUs, and those that take a GPU's or a MIG device's handle.

use crate::{
    abi::{Code, Handle, Out, Text, Thing, array},
    layout::{AddressingMode, Memory, MemoryV2, PciInfo, PciInfoV1, PciInfoV2, version},
    profile::Profile,
    session::{Session, ask},
    system::pair,
};
use machine::Gpu;
use std::ffi::{c_char, c_int};

/// Vendor (low half) and device of an A100; nobody here tells models by it.
const PCI_DEVICE_ID: u32 = 0x20b0_10de;
const MIB: u64 = 1 << 20;

/// Number of GPUs that this process sees.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount_v2(count: Out<u32>) -> Code {
    ask(|session| count.put(session.gpus.len() as u32))
}

/// The first form of [`nvmlDeviceGetCount_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount(count: Out<u32>) -> Code {
    nvmlDeviceGetCount_v2(count)
}

/// GPU by position in bus id order.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, device: Out<Handle>) -> Code {
    ask(|session| {
        let gpu = index as usize;
        session.gpus.get(gpu).ok_or(Code::INVALID_ARGUMENT)?;
        device.put(Thing::Gpu { gpu }.handle())
    })
}

/// The first form of [`nvmlDeviceGetHandleByIndex_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex(index: u32, device: Out<Handle>) -> Code {
    nvmlDeviceGetHandleByIndex_v2(index, device)
}

/// GPU or MIG device by UUID.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByUUID(uuid: Text, device: Out<Handle>) -> Code {
    ask(|session| device.put(by_uuid(session, uuid.get()?)?.handle()))
}

fn by_uuid(session: &Session, uuid: &str) -> Result<Thing, Code> {
    for (gpu, found) in session.gpus.iter().enumerate() {
        if found.uuid == uuid {
            return Ok(Thing::Gpu { gpu });
        }
        if let Some(mig) = found.mig.iter().position(|mig| mig.uuid == uuid) {
            return Ok(Thing::Mig { gpu, mig });
        }
    }
    Err(Code::NOT_FOUND)
}

/// GPU by bus id: any case, domain of any length or none.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: Text, device: Out<Handle>) -> Code {
    ask(|session| {
        let wanted = Address::parse(bus_id.get()?)?;
        let gpu = session.gpus.iter().position(|gpu| Address::parse(&gpu.bus_id) == Ok(wanted));
        device.put(Thing::Gpu { gpu: gpu.ok_or(Code::NOT_FOUND)? }.handle())
    })
}

/// The first form of [`nvmlDeviceGetHandleByPciBusId_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByPciBusId(bus_id: Text, device: Out<Handle>) -> Code {
    nvmlDeviceGetHandleByPciBusId_v2(bus_id, device)
}

/// A PCI address without its function, which is always 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    domain: u32,
    bus: u32,
    device: u32,
}

impl Address {
    fn parse(text: &str) -> Result<Address, Code> {
        let hex = |part: &str| u32::from_str_radix(part, 16).map_err(|_| Code::INVALID_ARGUMENT);
        let (rest, slot) = text.rsplit_once(':').ok_or(Code::INVALID_ARGUMENT)?;
        let (domain, bus) = rest.split_once(':').unwrap_or(("0", rest));
        let device = slot.split('.').next().unwrap_or_default();
        Ok(Address { domain: hex(domain)?, bus: hex(bus)?, device: hex(device)? })
    }

    fn short(self) -> String {
        format!("{:04X}:{:02X}:{:02X}.0", self.domain, self.bus, self.device)
    }

    fn long(self) -> String {
        format!("{:08X}:{:02X}:{:02X}.0", self.domain, self.bus, self.device)
    }
}

/// Where a GPU sits on the PCI bus.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, info: Out<PciInfo>) -> Code {
    ask(|session| {
        let at = Address::parse(&session.gpu(device)?.bus_id)?;
        info.put(PciInfo {
            bus_id_legacy: array(&at.short()),
            domain: at.domain,
            bus: at.bus,
            device: at.device,
            pci_device_id: PCI_DEVICE_ID,
            pci_subsystem_id: PCI_DEVICE_ID,
            bus_id: array(&at.long()),
        })
    })
}

/// The second form of [`nvmlDeviceGetPciInfo_v3`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPciInfo_v2(device: Handle, info: Out<PciInfoV2>) -> Code {
    ask(|session| {
        let at = Address::parse(&session.gpu(device)?.bus_id)?;
        info.put(PciInfoV2 {
            bus_id: array(&at.short()),
            domain: at.domain,
            bus: at.bus,
            device: at.device,
            pci_device_id: PCI_DEVICE_ID,
            pci_subsystem_id: PCI_DEVICE_ID,
            reserved: [0; 4],
        })
    })
}

/// The first form of [`nvmlDeviceGetPciInfo_v3`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPciInfo(device: Handle, info: Out<PciInfoV1>) -> Code {
    ask(|session| {
        let at = Address::parse(&session.gpu(device)?.bus_id)?;
        info.put(PciInfoV1 {
            bus_id: array(&at.short()),
            domain: at.domain,
            bus: at.bus,
            device: at.device,
            pci_device_id: PCI_DEVICE_ID,
        })
    })
}

/// Model; a MIG device's has its profile at the end.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetName(device: Handle, name: Out<c_char>, length: u32) -> Code {
    ask(|session| match session.gpu_or_parent(device)? {
        (gpu, None) => name.put_text(length, &gpu.model),
        (gpu, Some(mig)) => name.put_text(length, &format!("{} MIG {}", gpu.model, mig.profile)),
    })
}

/// UUID of a GPU or MIG device.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUUID(device: Handle, uuid: Out<c_char>, length: u32) -> Code {
    ask(|session| match session.gpu_or_parent(device)? {
        (gpu, None) => uuid.put_text(length, &gpu.uuid),
        (_, Some(mig)) => uuid.put_text(length, &mig.uuid),
    })
}

/// Index of a GPU, or slot of a MIG device.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetIndex(device: Handle, index: Out<u32>) -> Code {
    ask(|session| match (session.gpu_or_parent(device)?, device.thing()?) {
        ((_, Some(mig)), _) => index.put(mig.index),
        (_, Thing::Gpu { gpu }) => index.put(gpu as u32),
        _ => Err(Code::INVALID_ARGUMENT),
    })
}

/// N of `/dev/nvidiaN`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMinorNumber(device: Handle, minor: Out<u32>) -> Code {
    ask(|session| minor.put(session.gpu(device)?.minor))
}

/// Memory in bytes; a MIG device has its profile's.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMemoryInfo(device: Handle, memory: Out<Memory>) -> Code {
    ask(|session| {
        let total = memory_of(session, device)?;
        memory.put(Memory { total, free: total, used: 0 })
    })
}

/// The second form of [`nvmlDeviceGetMemoryInfo`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: Out<MemoryV2>) -> Code {
    ask(|session| {
        let expected = version::<MemoryV2>(2);
        if memory.get()?.version != expected {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        let total = memory_of(session, device)?;
        memory.put(MemoryV2 { version: expected, total, reserved: 0, free: total, used: 0 })
    })
}

fn memory_of(session: &Session, device: Handle) -> Result<u64, Code> {
    let (gpu, mig) = session.gpu_or_parent(device)?;
    let mib = mig.map_or(Ok(gpu.memory_mib), |mig| Profile::of(mig).map(|profile| profile.memory_mib()))?;
    Ok(mib * MIB)
}

/// `nvmlBrandType_t`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetBrand(device: Handle, brand: Out<u32>) -> Code {
    ask(|session| {
        let word = &session.gpu(device)?.brand;
        brand.put(BRANDS.iter().position(|name| name == word).unwrap_or(0) as u32)
    })
}

/// `nvmlBrandType_t` by number (reference: libnvidia-container.md section 11).
const BRANDS: [&str; 17] = [
    "Unknown",
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

/// Compute capability.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCudaComputeCapability(device: Handle, major: Out<c_int>, minor: Out<c_int>) -> Code {
    ask(|session| {
        let (high, low) = pair(&session.gpu_or_parent(device)?.0.compute_capability)?;
        major.put(high as c_int)?;
        minor.put(low as c_int)
    })
}

/// `nvmlDeviceArchitecture_t`, which follows from the compute capability.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetArchitecture(device: Handle, architecture: Out<u32>) -> Code {
    ask(|session| architecture.put(architecture_of(session.gpu_or_parent(device)?.0)?))
}

fn architecture_of(gpu: &Gpu) -> Result<u32, Code> {
    Ok(match pair(&gpu.compute_capability)? {
        (3, _) => 2,
        (5, _) => 3,
        (6, _) => 4,
        (7, 0..=4) => 5,
        (7, _) => 6,
        (8, 9) => 8,
        (8, _) => 7,
        (9, _) => 9,
        (10..=12, _) => 10,
        _ => u32::MAX,
    })
}

/// Whether host memory is addressed with the CPU's page tables.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetAddressingMode(device: Handle, mode: Out<AddressingMode>) -> Code {
    ask(|session| {
        let expected = version::<AddressingMode>(1);
        if mode.get()?.version != expected {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        mode.put(AddressingMode { version: expected, value: session.gpu(device)?.addressing as u32 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_compare_whatever_their_spelling() {
        let want = Address { domain: 0, bus: 0x0a, device: 0 };
        for text in ["0000:0a:00.0", "00000000:0A:00.0", "0:a:0", "0a:00.0"] {
            assert_eq!(Address::parse(text), Ok(want), "{text}");
        }
        assert_eq!((want.short(), want.long()), ("0000:0A:00.0".into(), "00000000:0A:00.0".into()));
        for bad in ["", "x", "0000:zz:00.0", "GPU-1"] {
            assert_eq!(Address::parse(bad), Err(Code::INVALID_ARGUMENT), "{bad}");
        }
    }
}
