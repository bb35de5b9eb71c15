//! Whether NVML must be asked. It is slow and can fail, so only a request that cannot be answered from the kernel's own
//! files needs it.

use super::DRM;
use super::select::mig_mode;
use crate::request::{DeviceId, DeviceRequest, Request};
use crate::requirement::{self, Property};
use host::{Gpu, Inventory};

/// Why [`plan`](super::plan) will want NVML's facts for this request; `None` when it will not, or has them.
pub fn needs_nvml(request: &Request, inventory: &Inventory) -> Option<String> {
    if inventory.nvml.is_some() || inventory.driver.is_none() {
        return None;
    }
    mig_name(request)
        .or_else(|| unused_gpu(request, inventory))
        .or_else(|| mig_modes(request, inventory))
        .or_else(|| mig_graphics(request, inventory))
        .or_else(|| requirement_on_facts(request))
}

fn mig_name(request: &Request) -> Option<String> {
    let DeviceRequest::Ids(names) = &request.devices else { return None };
    let name = names.iter().find(|name| matches!(name.id, DeviceId::MigIndex(..) | DeviceId::MigUuid(_)))?;
    Some(format!("{} asks for MIG device {}, which only NVML can find", name.from, name.text))
}

/// The kernel learns a GPU's UUID, and shows that it could be partitioned, when the GPU is first used after boot.
fn unused_gpu(request: &Request, inventory: &Inventory) -> Option<String> {
    let gpu = inventory.gpus.iter().find(|gpu| gpu.uuid.is_empty())?;
    let depends = match &request.devices {
        DeviceRequest::All => true,
        DeviceRequest::None => false,
        DeviceRequest::Ids(names) => {
            names.iter().any(|name| matches!(name.id, DeviceId::GpuUuid(_) | DeviceId::MigOld { .. }))
        }
    };
    depends.then(|| {
        format!(
            "{} depends on what only NVML knows of GPU {}, which has not been used since boot",
            request.asked, gpu.index
        )
    })
}

fn mig_modes(request: &Request, inventory: &Inventory) -> Option<String> {
    let open = |gpu: &&Gpu| mig_mode(gpu, inventory).is_none();
    let asked = request.devices == DeviceRequest::All && !request.partitions();
    let gpu = inventory.gpus.iter().find(open).filter(|_| asked)?;
    Some(format!(
        "{} asks for all devices, and only NVML knows whether GPU {} is in MIG mode",
        request.asked, gpu.index
    ))
}

fn mig_graphics(request: &Request, inventory: &Inventory) -> Option<String> {
    let drawn =
        DRM.meets(request.capabilities) && inventory.gpus.iter().any(|gpu| !gpu.mig.is_empty() && !gpu.drm.is_empty());
    let mig = match &request.devices {
        DeviceRequest::All => true,
        DeviceRequest::None => false,
        DeviceRequest::Ids(names) => names.iter().any(|name| matches!(name.id, DeviceId::MigOld { .. })),
    };
    let why = "asks for graphics on MIG devices, and only NVML knows which of them have it";
    (drawn && mig).then(|| format!("{} {why}", request.asked))
}

fn requirement_on_facts(request: &Request) -> Option<String> {
    let asks = |property| match property {
        Property::Driver => false,
        Property::Cuda => true,
        Property::Arch | Property::Brand => request.devices != DeviceRequest::None,
    };
    let open = |one: &&requirement::Expression| one.properties().any(asks);
    let parsed = |one| Some((one, requirement::parse(one).ok()?));
    let (one, _) = request.requirements.iter().filter_map(parsed).find(|(_, expression)| open(&expression))?;
    Some(format!("{} is about what only NVML reports", one.variable))
}
