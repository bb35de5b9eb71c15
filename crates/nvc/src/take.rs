//! What C programs hand in. They may have copied our structures, left out parts, or made their own, so everything is read
//! from them again and nothing remembered.

use crate::{
    layout::{Config, ContainerConfig, Device, DeviceNode, DriverInfo, MigDevice},
    memory::{slice, text, texts},
};
use legacy::{Error, Settings, User};

/// `(uid_t)-1`: not set.
const UNSET: u32 = u32::MAX;

/// The configuration of a context.
///
/// # Safety
/// NULL, or a live structure whose members are NULL or live.
pub unsafe fn settings(config: *const Config, defaults: Settings) -> Settings {
    // SAFETY: the caller's word.
    let Some(config) = (unsafe { config.as_ref() }) else { return defaults };
    // SAFETY: the caller's word.
    let (root, ldcache) = unsafe { (text(config.root), text(config.ldcache)) };
    // SAFETY: the caller's word.
    let channels = unsafe { slice(config.imex.chans, config.imex.nchans) };
    Settings {
        root: root.unwrap_or(defaults.root),
        ldcache: ldcache.unwrap_or(defaults.ldcache),
        user: user(config.uid, config.gid),
        imex: channels.iter().filter_map(|channel| u32::try_from(channel.id).ok()).collect(),
        ..defaults
    }
}

/// One of both may be set; the other is nobody's then.
fn user(uid: u32, gid: u32) -> Option<User> {
    let or_nobody = |id, file| match id {
        UNSET => overflow_id(file),
        id => id,
    };
    (uid != UNSET || gid != UNSET).then(|| User {
        uid: or_nobody(uid, "/proc/sys/kernel/overflowuid"),
        gid: or_nobody(gid, "/proc/sys/kernel/overflowgid"),
    })
}

fn overflow_id(file: &str) -> u32 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(65534)
}

/// The parts of a driver.
///
/// # Safety
/// A live structure as `nvc_driver_info_new` makes it, whatever it has been filled with.
pub unsafe fn driver_info(info: &DriverInfo) -> legacy::DriverInfo {
    // SAFETY: the caller's word.
    unsafe {
        legacy::DriverInfo {
            version: text(info.nvrm_version).unwrap_or_default(),
            libraries: texts(info.libs, info.nlibs),
            libraries32: texts(info.libs32, info.nlibs32),
            binaries: texts(info.bins, info.nbins),
            ipcs: texts(info.ipcs, info.nipcs),
            devices: slice(info.devs, info.ndevs).iter().filter_map(|node| device_node(node)).collect(),
            firmwares: texts(info.firmwares, info.nfirmwares),
        }
    }
}

/// A node; `None` without a path.
///
/// # Safety
/// The path is NULL or live.
unsafe fn device_node(node: &DeviceNode) -> Option<legacy::DeviceNode> {
    // SAFETY: the caller's word.
    let path = unsafe { text(node.path) }?;
    Some(legacy::DeviceNode { path, major: rustix::fs::major(node.id), minor: rustix::fs::minor(node.id) })
}

/// A GPU, without its parts.
///
/// # Safety
/// A live structure as in `nvc_device_info`.
pub unsafe fn gpu(device: &Device) -> Result<legacy::Gpu, Error> {
    // SAFETY: the caller's word.
    unsafe {
        let text = |string| text(string).unwrap_or_default();
        Ok(legacy::Gpu {
            model: text(device.model),
            uuid: text(device.uuid),
            bus_id: text(device.busid),
            arch: text(device.arch),
            brand: text(device.brand),
            node: device_node(&device.node).ok_or_else(Error::invalid_argument)?,
            mig_capable: device.mig_capable != 0,
            mig: Vec::new(),
        })
    }
}

/// A part of a GPU. Its slot is not known, nor needed any more.
///
/// # Safety
/// A live structure as in `nvc_mig_device_info`.
pub unsafe fn mig_device(device: &MigDevice) -> Result<legacy::MigDevice, Error> {
    // SAFETY: the caller's word.
    let needed = |string| unsafe { text(string) }.ok_or_else(Error::invalid_argument);
    Ok(legacy::MigDevice {
        // SAFETY: the caller's word.
        uuid: unsafe { text(device.uuid) }.unwrap_or_default(),
        slot: 0,
        gpu_instance: device.gi,
        compute_instance: device.ci,
        gpu_instance_path: needed(device.gi_caps_path)?,
        compute_instance_path: needed(device.ci_caps_path)?,
    })
}

/// The configuration of a container.
///
/// # Safety
/// The members are NULL or live.
pub unsafe fn container(config: &ContainerConfig) -> legacy::ContainerConfig {
    // SAFETY: the caller's word.
    unsafe {
        legacy::ContainerConfig {
            pid: config.pid,
            rootfs: text(config.rootfs).unwrap_or_default(),
            bins_dir: text(config.bins_dir),
            libs_dir: text(config.libs_dir),
            libs32_dir: text(config.libs32_dir),
            cudart_dir: text(config.cudart_dir),
            ldconfig: text(config.ldconfig),
        }
    }
}
