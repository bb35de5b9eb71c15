//! `libnvidia-container.so.1`: the C library that `nvidia-container-cli`, LXC, enroot and others use (reference:
//! libnvidia-container.md 23). The work is done by `legacy`; here it gets C's shape.
//!
//! Every function that can fail goes through [`context::Context::run`], which keeps the failure for `nvc_error`. No panic gets out
//! of any. What C hands in is read anew at each call ([`take`]), what it gets is from `malloc` ([`give`]).
//!
//! # Safety
//! All functions trust their caller as C functions do: pointers are NULL or live, strings end with NUL, structures came
//! from this library or are laid out like its own.
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(clippy::missing_safety_doc, reason = "the crate's documentation says it for all of them")]

mod container;
mod context;
mod give;
mod helper;
mod layout;
mod memory;
mod take;

use container::Container;
use context::{Context, status};
use layout::{
    Config, ContainerConfig, Device, DeviceInfo, DeviceNode, DriverInfo, ImexChannel, ImexInfo, MigDevice, Version,
};
use legacy::{
    Detail, Error, Machine, Work, caps, log_file,
    options::{DriverOptions, InitOptions},
    version,
};
use std::{
    ffi::{c_char, c_int},
    ptr::{null, null_mut},
};

/// Defines functions with C's name and calling convention, and the version of their symbols. Unit tests are programs, for
/// which there are no such versions.
macro_rules! exports {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                context::guarded(move || $body)
            }

            #[cfg(not(test))]
            std::arch::global_asm!(concat!(".symver ", stringify!($name), ", ", stringify!($name), "@@NVC_1.0"));
        )*
    };
}

exports! {

/// The library's version.
fn nvc_version() -> *const Version {
    VERSION.as_ptr()
}

/// A context that is not initialised.
fn nvc_context_new() -> *mut Context {
    Box::into_raw(Box::new(Context::new()))
}

/// Frees a context; it is not shut down before.
fn nvc_context_free(ctx: *mut Context) {
    if !ctx.is_null() {
        // SAFETY: from `nvc_context_new`, and not used any more.
        drop(unsafe { Box::from_raw(ctx) });
    }
}

/// A configuration in which nothing is set.
fn nvc_config_new() -> *mut Config {
    let imex = ImexInfo { chans: null_mut(), nchans: 0 };
    memory::one(Config { root: null_mut(), ldcache: null_mut(), uid: u32::MAX, gid: u32::MAX, imex })
}

/// Frees a configuration, and not what it points to.
fn nvc_config_free(cfg: *mut Config) {
    // SAFETY: NULL, or from `nvc_config_new`.
    unsafe { memory::release(cfg) };
}

/// Looks at the machine.
fn nvc_init(ctx: *mut Context, cfg: *const Config, opts: *const c_char) -> c_int {
    // SAFETY: see the crate.
    let Some(context) = (unsafe { ctx.as_ref() }) else { return -1 };
    status(context.run(|state| {
        if state.machine.is_some() {
            return Ok(());
        }
        // SAFETY: see the crate.
        let options = InitOptions::parse(unsafe { memory::text(opts) }.as_deref())?;
        log_file::start(None);
        // SAFETY: see the crate.
        let settings = unsafe { take::settings(cfg, helper::settings()) };
        state.machine = Some(helper::machine(settings, options)?);
        Ok(())
    }))
}

/// Forgets the machine.
fn nvc_shutdown(ctx: *mut Context) -> c_int {
    // SAFETY: see the crate.
    let Some(context) = (unsafe { ctx.as_ref() }) else { return -1 };
    status(context.run(|state| {
        if state.machine.take().is_some() {
            log::info!("shutting down library context");
        }
        Ok(())
    }))
}

/// A configuration for a container.
fn nvc_container_config_new(pid: c_int, rootfs: *const c_char) -> *mut ContainerConfig {
    memory::one(ContainerConfig {
        pid,
        rootfs: rootfs.cast_mut(),
        bins_dir: null_mut(),
        libs_dir: null_mut(),
        libs32_dir: null_mut(),
        cudart_dir: null_mut(),
        ldconfig: null_mut(),
    })
}

/// Frees a configuration, and not what it points to.
fn nvc_container_config_free(cfg: *mut ContainerConfig) {
    // SAFETY: NULL, or from `nvc_container_config_new`.
    unsafe { memory::release(cfg) };
}

/// Looks at a container.
fn nvc_container_new(ctx: *mut Context, cfg: *const ContainerConfig, opts: *const c_char) -> *mut Container {
    on_machine(ctx, |_| {
        // SAFETY: see the crate.
        let given = unsafe { cfg.as_ref() }.ok_or_else(Error::invalid_argument)?;
        // SAFETY: see the crate.
        let (config, options) = unsafe { (take::container(given), memory::text(opts)) };
        Ok(Box::into_raw(Box::new(Container::new(*given, &config, options.as_deref())?)))
    })
    .unwrap_or(null_mut())
}

/// Frees a container's description; the container stays as it is.
fn nvc_container_free(cnt: *mut Container) {
    if !cnt.is_null() {
        // SAFETY: from `nvc_container_new`, and not used any more.
        drop(unsafe { Box::from_raw(cnt) });
    }
}

/// Looks at the driver.
fn nvc_driver_info_new(ctx: *mut Context, opts: *const c_char) -> *mut DriverInfo {
    on_machine(ctx, |machine| {
        // SAFETY: see the crate.
        let options = DriverOptions::parse(unsafe { memory::text(opts) }.as_deref())?;
        Ok(give::driver_info(&machine.driver(&options)?, &machine.cuda_version()?))
    })
    .unwrap_or(null_mut())
}

/// Frees what is known of the driver.
fn nvc_driver_info_free(info: *mut DriverInfo) {
    // SAFETY: NULL, or from `nvc_driver_info_new`.
    unsafe { give::release_driver_info(info) };
}

/// Looks at the GPUs.
fn nvc_device_info_new(ctx: *mut Context, _opts: *const c_char) -> *mut DeviceInfo {
    on_machine(ctx, |machine| Ok(give::device_info(&machine.devices(Detail::All)?))).unwrap_or(null_mut())
}

/// Frees what is known of the GPUs.
fn nvc_device_info_free(info: *mut DeviceInfo) {
    // SAFETY: NULL, or from `nvc_device_info_new`.
    unsafe { give::release_device_info(info) };
}

/// How a process shows that it holds one of MIG's capabilities.
fn nvc_nvcaps_style() -> c_int {
    const PROC: c_int = 1;
    const DEVICE: c_int = 2;
    match host::legacy::major(&host::Roots::new(oci::HostPath::root()), "nvidia-caps") {
        Some(_) => DEVICE,
        None => PROC,
    }
}

/// The node of a capability.
fn nvc_nvcaps_device_from_proc_path(ctx: *mut Context, path: *const c_char, node: *mut DeviceNode) -> c_int {
    status(on_machine(ctx, |machine| {
        // SAFETY: see the crate.
        let (path, node) = unsafe { (memory::text(path), node.as_mut()) };
        let (Some(path), Some(node)) = (path, node) else { return Err(Error::invalid_argument()) };
        *node = give::device_node(&machine.cap_node(&path)?);
        Ok(())
    }))
}

/// Gives a container the driver.
fn nvc_driver_mount(ctx: *mut Context, cnt: *const Container, info: *const DriverInfo) -> c_int {
    act(ctx, cnt, info, |machine, container, info| {
        // SAFETY: see the crate.
        let info = unsafe { take::driver_info(info) };
        container.put(machine, |places| machine.driver_work(places, &info))
    })
}

/// Gives a container a GPU.
fn nvc_device_mount(ctx: *mut Context, cnt: *const Container, dev: *const Device) -> c_int {
    act(ctx, cnt, dev, |machine, container, device| {
        // SAFETY: see the crate.
        let gpu = unsafe { take::gpu(device) }?;
        container.put(machine, |places| machine.device_work(places, &gpu))
    })
}

/// Gives a container the use of a part of a GPU.
fn nvc_mig_device_access_caps_mount(ctx: *mut Context, cnt: *const Container, dev: *const MigDevice) -> c_int {
    act(ctx, cnt, dev, |machine, container, device| {
        // SAFETY: see the crate.
        let part = unsafe { take::mig_device(device) }?;
        container.put(machine, |places| machine.mig_work(places, &part))
    })
}

/// Gives a container the right to partition GPUs.
fn nvc_mig_config_global_caps_mount(ctx: *mut Context, cnt: *const Container) -> c_int {
    act(ctx, cnt, &(), |machine, container, ()| container.put(machine, |_| machine.mig_global_work(&caps::config())))
}

/// Gives a container the right to watch all parts of GPUs.
fn nvc_mig_monitor_global_caps_mount(ctx: *mut Context, cnt: *const Container) -> c_int {
    act(ctx, cnt, &(), |machine, container, ()| container.put(machine, |_| machine.mig_global_work(&caps::monitor())))
}

/// Lets a container open all parts that a GPU has or could have.
fn nvc_device_mig_caps_mount(ctx: *mut Context, cnt: *const Container, dev: *const Device) -> c_int {
    act(ctx, cnt, dev, |machine, container, device| {
        // SAFETY: see the crate.
        let gpu = unsafe { take::gpu(device) }?;
        container.put(machine, |_| Ok(machine.mig_gpu_work(&gpu)))
    })
}

/// Gives a container a channel for memory that is shared between machines.
fn nvc_imex_channel_mount(ctx: *mut Context, cnt: *const Container, chan: *const ImexChannel) -> c_int {
    act(ctx, cnt, chan, |machine, container, channel| {
        let channel = u32::try_from(channel.id).map_err(|_| Error::invalid_argument())?;
        container.put(machine, |places| machine.imex_work(places, channel))
    })
}

/// Makes links and the loader's cache in a container.
fn nvc_ldcache_update(ctx: *mut Context, cnt: *const Container) -> c_int {
    act(ctx, cnt, &(), |machine, container, ()| container.put(machine, |_| Ok(Work::loader())))
}

/// Why the last call that failed did.
fn nvc_error(ctx: *mut Context) -> *const c_char {
    // SAFETY: see the crate.
    unsafe { ctx.as_ref() }.map_or(null(), Context::error)
}

}

/// `nvc_version`'s answer.
struct Static(Version);

// SAFETY: the pointer in it is to a constant.
unsafe impl Sync for Static {}

static VERSION: Static = {
    let (major, minor, patch) = version::NUMBERS;
    Static(Version { major, minor, patch, string: VERSION_TEXT.as_ptr().cast() })
};

static VERSION_TEXT: [u8; version::TEXT.len() + 1] = {
    let mut text = [0; version::TEXT.len() + 1];
    let mut at = 0;
    while at < version::TEXT.len() {
        text[at] = version::TEXT.as_bytes()[at];
        at += 1;
    }
    text
};

impl Static {
    const fn as_ptr(&self) -> *const Version {
        &raw const self.0
    }
}

/// For functions that only look.
fn on_machine<T>(ctx: *mut Context, work: impl FnOnce(&Machine) -> Result<T, Error>) -> Option<T> {
    // SAFETY: see the crate.
    unsafe { ctx.as_ref() }?.on_machine(work)
}

/// For functions that change a container.
fn act<T>(
    ctx: *mut Context,
    cnt: *const Container,
    what: *const T,
    work: impl FnOnce(&Machine, &Container, &T) -> Result<(), Error>,
) -> c_int {
    status(on_machine(ctx, |machine| {
        // SAFETY: see the crate.
        match unsafe { (cnt.as_ref(), what.as_ref()) } {
            (Some(container), Some(what)) => work(machine, container, what),
            _ => Err(Error::invalid_argument()),
        }
    }))
}
