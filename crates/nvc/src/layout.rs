//! The structures of `nvc.h`, and where each member lies (reference: libnvidia-container.md 23, on LP64). The compiler
//! checks the table; `tests/c/layout.c` checks the header against the same numbers.

use std::ffi::{c_char, c_int, c_uint};

/// Declares structures, and asserts their sizes and offsets.
macro_rules! layout {
    ($($(#[$of_struct:meta])* $name:ident $size:literal { $($(#[$of_field:meta])* $field:ident $offset:literal: $type:ty,)* })*) => {
        $(
            $(#[$of_struct])*
            #[derive(Clone, Copy, Debug)]
            #[repr(C)]
            pub struct $name {
                $($(#[$of_field])* pub $field: $type,)*
            }
            const _: () = {
                assert!(size_of::<$name>() == $size, stringify!($name));
                $(assert!(std::mem::offset_of!($name, $field) == $offset, stringify!($name, $field));)*
            };
        )*
    };
}

layout! {
/// `struct nvc_version`.
Version 24 {
    /// First number.
    major 0: c_uint,
    /// Second number.
    minor 4: c_uint,
    /// Third number.
    patch 8: c_uint,
    /// As text.
    string 16: *const c_char,
}
/// `struct nvc_imex_channel`.
ImexChannel 4 {
    /// Its number.
    id 0: c_int,
}
/// `struct nvc_imex_info`.
ImexInfo 16 {
    /// Channels.
    chans 0: *mut ImexChannel,
    /// How many.
    nchans 8: usize,
}
/// `struct nvc_config`.
Config 40 {
    /// Driver root.
    root 0: *mut c_char,
    /// Loader cache.
    ldcache 8: *mut c_char,
    /// User who asks NVML.
    uid 16: u32,
    /// Group.
    gid 20: u32,
    /// Channels.
    imex 24: ImexInfo,
}
/// `struct nvc_device_node`.
DeviceNode 16 {
    /// Where it lies.
    path 0: *mut c_char,
    /// Number.
    id 8: u64,
}
/// `struct nvc_driver_info`.
DriverInfo 112 {
    /// Version of the driver.
    nvrm_version 0: *mut c_char,
    /// Version of CUDA.
    cuda_version 8: *mut c_char,
    /// Programs.
    bins 16: *mut *mut c_char,
    /// How many.
    nbins 24: usize,
    /// Libraries.
    libs 32: *mut *mut c_char,
    /// How many.
    nlibs 40: usize,
    /// 32-bit libraries.
    libs32 48: *mut *mut c_char,
    /// How many.
    nlibs32 56: usize,
    /// Sockets.
    ipcs 64: *mut *mut c_char,
    /// How many.
    nipcs 72: usize,
    /// Nodes that no single GPU owns.
    devs 80: *mut DeviceNode,
    /// How many.
    ndevs 88: usize,
    /// Firmware.
    firmwares 96: *mut *mut c_char,
    /// How many.
    nfirmwares 104: usize,
}
/// `struct nvc_mig_device`.
MigDevice 40 {
    /// Its GPU.
    parent 0: *mut Device,
    /// UUID.
    uuid 8: *mut c_char,
    /// GPU instance.
    gi 16: c_uint,
    /// Compute instance.
    ci 20: c_uint,
    /// Capabilities of the GPU instance.
    gi_caps_path 24: *mut c_char,
    /// Capabilities of the compute instance.
    ci_caps_path 32: *mut c_char,
}
/// `struct nvc_mig_device_info`.
MigDeviceInfo 16 {
    /// Parts.
    devices 0: *mut MigDevice,
    /// How many.
    ndevices 8: usize,
}
/// `struct nvc_device`.
Device 88 {
    /// Product.
    model 0: *mut c_char,
    /// UUID.
    uuid 8: *mut c_char,
    /// Bus id.
    busid 16: *mut c_char,
    /// Compute capability.
    arch 24: *mut c_char,
    /// Product line.
    brand 32: *mut c_char,
    /// Node.
    node 40: DeviceNode,
    /// It can be partitioned. A byte, since C may have left anything in it.
    mig_capable 56: u8,
    /// Capabilities.
    mig_caps_path 64: *mut c_char,
    /// Parts.
    mig_devices 72: MigDeviceInfo,
}
/// `struct nvc_device_info`.
DeviceInfo 16 {
    /// GPUs.
    gpus 0: *mut Device,
    /// How many.
    ngpus 8: usize,
}
/// `struct nvc_container_config`.
ContainerConfig 56 {
    /// A process of the container.
    pid 0: c_int,
    /// Its root.
    rootfs 8: *mut c_char,
    /// Folder of programs.
    bins_dir 16: *mut c_char,
    /// Folder of libraries.
    libs_dir 24: *mut c_char,
    /// Folder of 32-bit libraries.
    libs32_dir 32: *mut c_char,
    /// Folder of CUDA.
    cudart_dir 40: *mut c_char,
    /// The loader cache's program.
    ldconfig 48: *mut c_char,
}
/// Where the original's context keeps its last failure.
ErrorHead 16 {
    /// Number.
    code 0: c_int,
    /// Text.
    text 8: *mut c_char,
}
/// What the original's context begins with. It is opaque in the header, but the original's command line program writes
/// `no_pivot`; so that byte is kept free for it.
ContextHead 72 {
    /// See above.
    initialized 0: u8,
    /// See above.
    error 8: ErrorHead,
    /// See above.
    config 24: Config,
    /// See above.
    mount_namespace 64: c_int,
    /// Written by the original's program, and of no meaning here: no root is pivoted.
    no_pivot 68: u8,
}
/// What the original's container begins with. Its command line program reads and writes the flags and the list of
/// compatibility libraries since 1.17.7; there are none in ours.
ContainerHead 120 {
    /// Options.
    flags 0: c_int,
    /// As given.
    config 8: ContainerConfig,
    /// Owner of what is made.
    uid 64: u32,
    /// Group.
    gid 68: u32,
    /// See above.
    mount_namespace 72: *mut c_char,
    /// See above.
    cgroup_version 80: c_int,
    /// See above.
    cgroup 88: *mut c_char,
    /// Compatibility libraries.
    libs 96: *mut *mut c_char,
    /// How many.
    nlibs 104: usize,
    /// Their folder.
    compat_folder 112: *mut c_char,
}
}
