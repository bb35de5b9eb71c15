//! Exported functions about MIG: devices, GPU instances, compute instances and their profiles.

use crate::{
    abi::{Code, Handle, Out, Thing, array},
    layout::{
        Attributes, ComputeInstanceInfo, ComputeInstanceInfoV1, ComputeInstanceProfileInfo, GpuInstanceInfo,
        GpuInstanceProfileInfo, GpuInstanceProfileInfoV2, Placement, version,
    },
    profile::{self, Profile},
    session::{Session, ask},
};
use machine::{Gpu, Mig};

/// MIG devices that a GPU has room for.
const SLOTS: u32 = 7;

/// Current and pending mode; not supported where the GPU cannot be partitioned.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigMode(device: Handle, current: Out<u32>, pending: Out<u32>) -> Code {
    ask(|session| {
        let gpu = session.gpu(device)?;
        if !gpu.mig_capable {
            return Err(Code::NOT_SUPPORTED);
        }
        current.put(u32::from(gpu.mig_enabled))?;
        pending.put(u32::from(gpu.mig_enabled))
    })
}

/// Number of slots to look through, not of devices.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, count: Out<u32>) -> Code {
    ask(|session| {
        let gpu = session.gpu(device)?;
        count.put(if gpu.mig_enabled { slots(gpu) } else { 0 })
    })
}

fn slots(gpu: &Gpu) -> u32 {
    gpu.mig.iter().map(|mig| mig.index + 1).fold(SLOTS, u32::max)
}

/// MIG device by slot.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(device: Handle, slot: u32, mig: Out<Handle>) -> Code {
    ask(|session| {
        let found = session.gpu(device)?;
        let Thing::Gpu { gpu } = device.thing()? else { return Err(Code::INVALID_ARGUMENT) };
        if slot >= slots(found) {
            return Err(Code::INVALID_ARGUMENT);
        }
        let position = found.mig.iter().position(|mig| mig.index == slot).ok_or(Code::NOT_FOUND)?;
        mig.put(Thing::Mig { gpu, mig: position }.handle())
    })
}

/// 1 for the handle of a MIG device.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceIsMigDeviceHandle(device: Handle, answer: Out<u32>) -> Code {
    ask(|session| answer.put(u32::from(session.gpu_or_parent(device)?.1.is_some())))
}

/// The GPU that a MIG device is a part of.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig: Handle, device: Out<Handle>) -> Code {
    ask(|session| {
        mig_device(session, mig)?;
        match mig.thing()? {
            Thing::Mig { gpu, .. } => device.put(Thing::Gpu { gpu }.handle()),
            _ => Err(Code::INVALID_ARGUMENT),
        }
    })
}

/// Id of the GPU instance that a MIG device lies in.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetGpuInstanceId(device: Handle, id: Out<u32>) -> Code {
    ask(|session| id.put(mig_device(session, device)?.gpu_instance))
}

/// Id of the compute instance that a MIG device is.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetComputeInstanceId(device: Handle, id: Out<u32>) -> Code {
    ask(|session| id.put(mig_device(session, device)?.compute_instance))
}

/// Sizes of a MIG device.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetAttributes_v2(device: Handle, attributes: Out<Attributes>) -> Code {
    ask(|session| {
        let profile = Profile::of(mig_device(session, device)?)?;
        let (gpu_instance_slices, compute_instance_slices) = profile.slices();
        attributes.put(Attributes {
            multiprocessors: profile.multiprocessors(),
            copy_engines: gpu_instance_slices,
            decoders: gpu_instance_slices / 2,
            encoders: 0,
            jpegs: 0,
            ofas: 0,
            gpu_instance_slices,
            compute_instance_slices,
            memory_mib: profile.memory_mib(),
        })
    })
}

/// The first form of [`nvmlDeviceGetAttributes_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetAttributes(device: Handle, attributes: Out<Attributes>) -> Code {
    nvmlDeviceGetAttributes_v2(device, attributes)
}

/// A GPU instance by id.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetGpuInstanceById(device: Handle, id: u32, instance: Out<Handle>) -> Code {
    ask(|session| {
        let found = session.gpu(device)?;
        let Thing::Gpu { gpu } = device.thing()? else { return Err(Code::INVALID_ARGUMENT) };
        let mig = found.mig.iter().position(|mig| mig.gpu_instance == id).ok_or(Code::NOT_FOUND)?;
        instance.put(Thing::GpuInstance { gpu, mig }.handle())
    })
}

/// A compute instance of a GPU instance by id.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlGpuInstanceGetComputeInstanceById(within: Handle, id: u32, instance: Out<Handle>) -> Code {
    ask(|session| {
        let (gpu, mig) = gpu_instance(within)?;
        let (found, part) = session.part(gpu, mig)?;
        let wanted = (part.gpu_instance, id);
        let mig = found.mig.iter().position(|mig| (mig.gpu_instance, mig.compute_instance) == wanted);
        instance.put(Thing::ComputeInstance { gpu, mig: mig.ok_or(Code::NOT_FOUND)? }.handle())
    })
}

/// Id and profile of a GPU instance.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlGpuInstanceGetInfo(instance: Handle, info: Out<GpuInstanceInfo>) -> Code {
    ask(|session| {
        let (gpu, mig) = gpu_instance(instance)?;
        let (_, part) = session.part(gpu, mig)?;
        let profile = Profile::of(part)?;
        info.put(GpuInstanceInfo {
            device: Thing::Gpu { gpu }.handle(),
            id: part.gpu_instance,
            profile_id: profile.gpu_instance_id()?,
            placement: Placement { start: 0, size: profile.slices().0 },
        })
    })
}

/// Id and profile of a compute instance.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlComputeInstanceGetInfo_v2(instance: Handle, info: Out<ComputeInstanceInfo>) -> Code {
    ask(|session| info.put(compute_instance_info(session, instance)?))
}

/// The first form of [`nvmlComputeInstanceGetInfo_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlComputeInstanceGetInfo(instance: Handle, info: Out<ComputeInstanceInfoV1>) -> Code {
    ask(|session| {
        let ComputeInstanceInfo { device, gpu_instance, id, profile_id, .. } =
            compute_instance_info(session, instance)?;
        info.put(ComputeInstanceInfoV1 { device, gpu_instance, id, profile_id })
    })
}

fn compute_instance_info(session: &Session, instance: Handle) -> Result<ComputeInstanceInfo, Code> {
    let Thing::ComputeInstance { gpu, mig } = instance.thing()? else { return Err(Code::INVALID_ARGUMENT) };
    let (_, part) = session.part(gpu, mig)?;
    let profile = Profile::of(part)?;
    Ok(ComputeInstanceInfo {
        device: Thing::Gpu { gpu }.handle(),
        gpu_instance: Thing::GpuInstance { gpu, mig }.handle(),
        id: part.compute_instance,
        profile_id: profile.compute_instance_index()?,
        placement: Placement { start: 0, size: profile.slices().1 },
    })
}

/// A GPU instance profile by index.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetGpuInstanceProfileInfo(
    device: Handle,
    index: u32,
    info: Out<GpuInstanceProfileInfo>,
) -> Code {
    ask(|session| info.put(profile::gpu_instance_profile(session.gpu(device)?, index)?))
}

/// The versioned form of [`nvmlDeviceGetGpuInstanceProfileInfo`], second layout.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetGpuInstanceProfileInfoV(
    device: Handle,
    index: u32,
    info: Out<GpuInstanceProfileInfoV2>,
) -> Code {
    ask(|session| {
        let expected = version::<GpuInstanceProfileInfoV2>(2);
        if info.get()?.version != expected {
            return Err(Code::ARGUMENT_VERSION_MISMATCH);
        }
        let gpu = session.gpu(device)?;
        let found = profile::gpu_instance_profile(gpu, index)?;
        info.put(GpuInstanceProfileInfoV2 {
            version: expected,
            id: found.id,
            p2p: found.p2p,
            slices: found.slices,
            instances: found.instances,
            multiprocessors: found.multiprocessors,
            copy_engines: found.copy_engines,
            decoders: found.decoders,
            encoders: found.encoders,
            jpegs: found.jpegs,
            ofas: found.ofas,
            memory_mib: found.memory_mib,
            name: array(&profile_name(gpu, found.id)),
        })
    })
}

fn profile_name(gpu: &Gpu, id: u32) -> String {
    let of = |mig: &&Mig| Profile::of(mig).and_then(Profile::gpu_instance_id) == Ok(id);
    gpu.mig.iter().find(of).map(|mig| format!("MIG {}", mig.profile)).unwrap_or_default()
}

/// A compute instance profile of a GPU instance. The only engine profile is 0, shared engines.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlGpuInstanceGetComputeInstanceProfileInfo(
    instance: Handle,
    index: u32,
    engines: u32,
    info: Out<ComputeInstanceProfileInfo>,
) -> Code {
    ask(|session| {
        let (gpu, mig) = gpu_instance(instance)?;
        if engines != 0 {
            return Err(Code::INVALID_ARGUMENT);
        }
        let within = Profile::of(session.part(gpu, mig)?.1)?;
        info.put(profile::compute_instance_profile(within, index)?)
    })
}

fn mig_device(session: &Session, device: Handle) -> Result<&Mig, Code> {
    session.gpu_or_parent(device)?.1.ok_or(Code::INVALID_ARGUMENT)
}

fn gpu_instance(instance: Handle) -> Result<(usize, usize), Code> {
    match instance.thing()? {
        Thing::GpuInstance { gpu, mig } => Ok((gpu, mig)),
        _ => Err(Code::INVALID_ARGUMENT),
    }
}
