//! What is known of a machine, as C structures; and those given back.

use crate::{
    layout::{Device, DeviceInfo, DeviceNode, DriverInfo, MigDevice, MigDeviceInfo},
    memory::{array, one, release, release_all, release_strings, string, strings},
};

fn node(node: &legacy::DeviceNode) -> DeviceNode {
    DeviceNode { path: string(&node.path), id: rustix::fs::makedev(node.major, node.minor) }
}

/// For `nvc_nvcaps_device_from_proc_path`: the path is for the caller to free.
pub fn device_node(known: &legacy::DeviceNode) -> DeviceNode {
    node(known)
}

/// For `nvc_driver_info_new`.
pub fn driver_info(driver: &legacy::DriverInfo, cuda_version: &str) -> *mut DriverInfo {
    let (bins, nbins) = strings(&driver.binaries);
    let (libs, nlibs) = strings(&driver.libraries);
    let (libs32, nlibs32) = strings(&driver.libraries32);
    let (ipcs, nipcs) = strings(&driver.ipcs);
    let (devs, ndevs) = array(&driver.devices.iter().map(node).collect::<Vec<_>>());
    let (firmwares, nfirmwares) = strings(&driver.firmwares);
    one(DriverInfo {
        nvrm_version: string(&driver.version),
        cuda_version: string(cuda_version),
        bins,
        nbins,
        libs,
        nlibs,
        libs32,
        nlibs32,
        ipcs,
        nipcs,
        devs,
        ndevs,
        firmwares,
        nfirmwares,
    })
}

/// For `nvc_driver_info_free`.
///
/// # Safety
/// NULL, or from [`driver_info`] and not used any more.
pub unsafe fn release_driver_info(info: *mut DriverInfo) {
    // SAFETY: NULL, or a live structure by the caller's word.
    let Some(held) = (unsafe { info.as_ref() }) else { return };
    // SAFETY: all of it is from `malloc`, with these lengths.
    unsafe {
        release(held.nvrm_version);
        release(held.cuda_version);
        release_strings(held.bins, held.nbins);
        release_strings(held.libs, held.nlibs);
        release_strings(held.libs32, held.nlibs32);
        release_strings(held.ipcs, held.nipcs);
        release_all(held.devs, held.ndevs, |node| release(node.path));
        release_strings(held.firmwares, held.nfirmwares);
        release(info);
    }
}

/// For `nvc_device_info_new`.
pub fn device_info(info: &legacy::DeviceInfo) -> *mut DeviceInfo {
    let (gpus, ngpus) = array(&info.gpus.iter().map(device).collect::<Vec<_>>());
    for index in 0..ngpus {
        // SAFETY: `index` is within the array that was just made, and nobody else has it yet.
        let gpu = unsafe { gpus.add(index) };
        // SAFETY: as above; the parts are an array of that length.
        let parts = unsafe {
            let parts = (*gpu).mig_devices;
            std::slice::from_raw_parts_mut(parts.devices, parts.ndevices)
        };
        parts.iter_mut().for_each(|part| part.parent = gpu);
    }
    one(DeviceInfo { gpus, ngpus })
}

fn device(gpu: &legacy::Gpu) -> Device {
    let parts = gpu.mig.iter().map(|part| MigDevice {
        parent: std::ptr::null_mut(), // set when its place is known
        uuid: string(&part.uuid),
        gi: part.gpu_instance,
        ci: part.compute_instance,
        gi_caps_path: string(&part.gpu_instance_path),
        ci_caps_path: string(&part.compute_instance_path),
    });
    let (devices, ndevices) = array(&parts.collect::<Vec<_>>());
    Device {
        model: string(&gpu.model),
        uuid: string(&gpu.uuid),
        busid: string(&gpu.bus_id),
        arch: string(&gpu.arch),
        brand: string(&gpu.brand),
        node: node(&gpu.node),
        mig_capable: gpu.mig_capable.into(),
        mig_caps_path: string(&gpu.mig_caps_path()),
        mig_devices: MigDeviceInfo { devices, ndevices },
    }
}

/// For `nvc_device_info_free`.
///
/// # Safety
/// NULL, or from [`device_info`] and not used any more.
pub unsafe fn release_device_info(info: *mut DeviceInfo) {
    // SAFETY: NULL, or a live structure by the caller's word.
    let Some(held) = (unsafe { info.as_ref() }) else { return };
    // SAFETY: all of it is from `malloc`, with these lengths.
    unsafe {
        release_all(held.gpus, held.ngpus, |gpu: Device| {
            for text in [gpu.model, gpu.uuid, gpu.busid, gpu.arch, gpu.brand, gpu.node.path, gpu.mig_caps_path] {
                release(text);
            }
            release_all(gpu.mig_devices.devices, gpu.mig_devices.ndevices, |part: MigDevice| {
                for text in [part.uuid, part.gi_caps_path, part.ci_caps_path] {
                    release(text);
                }
            });
        });
        release(info);
    }
}
