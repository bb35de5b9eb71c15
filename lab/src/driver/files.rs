//! What a driver installs besides libraries: programs, firmware, X.org modules and configuration
//! (reference: cdi-and-ctk.md 2.6, libnvidia-container.md 9.3 and 9.6).
//!
//! In paths and texts `VERSION` is the driver's, `XORG` the X server's folder and `LIBRARIES` the library folder.

/// The form that GLVND and EGL external platforms share.
macro_rules! icd {
    ($library:literal) => {
        concat!(
            "{\n    \"file_format_version\" : \"1.0.0\",\n    \"ICD\" : {\n        \"library_path\" : \"",
            $library,
            "\"\n    }\n}\n"
        )
    };
}

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Absolute path below the driver root.
    pub path: &'static str,
    /// What is in it.
    pub content: Content,
    /// Also part of the small driver.
    pub small: bool,
}

/// What is in a file.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// This text.
    Text(&'static str),
    /// So many zero bytes, for data that only the GPU would read.
    Bytes(usize),
    /// A program.
    Program,
    /// A shared object without a soname.
    Library,
}

/// All of them.
pub const TABLE: &[File] = &[
    small("/usr/bin/nvidia-smi", Content::Program),
    small("/usr/bin/nvidia-debugdump", Content::Program),
    small("/usr/bin/nvidia-persistenced", Content::Program),
    small("/usr/bin/nvidia-modprobe", Content::Program),
    small("/usr/bin/nvidia-cuda-mps-control", Content::Program),
    small("/usr/bin/nvidia-cuda-mps-server", Content::Program),
    full("/usr/bin/nv-fabricmanager", Content::Program),
    full("/usr/bin/nvidia-imex", Content::Program),
    full("/usr/bin/nvidia-imex-ctl", Content::Program),
    full("/usr/bin/nvidia-xconfig", Content::Program),
    full("/usr/bin/nvidia-settings", Content::Program),
    full("/lib/firmware/nvidia/VERSION/gsp_ga10x.bin", Content::Bytes(4096)),
    full("/lib/firmware/nvidia/VERSION/gsp_tu10x.bin", Content::Bytes(4096)),
    full("XORG/modules/drivers/nvidia_drv.so", Content::Library),
    full("XORG/modules/extensions/libglxserver_nvidia.so.VERSION", Content::Library),
    small("/etc/OpenCL/vendors/nvidia.icd", Content::Text("libnvidia-opencl.so.1\n")),
    full("/etc/vulkan/icd.d/nvidia_icd.json", Content::Text(VULKAN_ICD)),
    full("/etc/vulkan/implicit_layer.d/nvidia_layers.json", Content::Text(VULKAN_LAYERS)),
    full("/usr/share/glvnd/egl_vendor.d/10_nvidia.json", Content::Text(icd!("libEGL_nvidia.so.0"))),
    full("/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json", Content::Text(icd!("libnvidia-egl-gbm.so.1"))),
    full("/usr/share/egl/egl_external_platform.d/10_nvidia_wayland.json", Content::Text(WAYLAND)),
    full("/usr/share/egl/egl_external_platform.d/09_nvidia_wayland2.json", Content::Text(WAYLAND2)),
    full("/usr/share/egl/egl_external_platform.d/20_nvidia_xcb.json", Content::Text(icd!("libnvidia-egl-xcb.so.1"))),
    full("/usr/share/egl/egl_external_platform.d/20_nvidia_xlib.json", Content::Text(icd!("libnvidia-egl-xlib.so.1"))),
    full("/usr/share/nvidia/nvoptix.bin", Content::Bytes(4096)),
    full(
        "/usr/share/nvidia/nvidia-application-profiles-VERSION-rc",
        Content::Text("{\"rules\": [], \"profiles\": []}\n"),
    ),
    full("/usr/share/X11/xorg.conf.d/10-nvidia.conf", Content::Text(XORG_OUTPUT_CLASS)),
    full("/usr/share/X11/xorg.conf.d/nvidia-drm-outputclass.conf", Content::Text(XORG_OUTPUT_CLASS)),
];

/// `/etc/cufile.json` of GPUDirect Storage.
pub const CUFILE: &str =
    "{\n    \"logging\": {\"level\": \"ERROR\"},\n    \"properties\": {\"use_compat_mode\": true}\n}\n";

const WAYLAND: &str = icd!("libnvidia-egl-wayland.so.1");
const WAYLAND2: &str = icd!("libnvidia-egl-wayland2.so.1");

const VULKAN_ICD: &str = r#"{
    "file_format_version" : "1.0.1",
    "ICD": {
        "library_path": "libGLX_nvidia.so.0",
        "api_version" : "1.3.277"
    }
}
"#;

const VULKAN_LAYERS: &str = r#"{
    "file_format_version" : "1.0.0",
    "layer": {
        "name": "VK_LAYER_NV_optimus",
        "type": "INSTANCE",
        "library_path": "libGLX_nvidia.so.0",
        "api_version" : "1.3.277",
        "implementation_version" : "1",
        "description" : "NVIDIA Optimus layer",
        "enable_environment": {"__NV_PRIME_RENDER_OFFLOAD": "1"},
        "disable_environment": {"DISABLE_LAYER_NV_OPTIMUS_1": ""}
    }
}
"#;

const XORG_OUTPUT_CLASS: &str = r#"Section "OutputClass"
    Identifier "nvidia"
    MatchDriver "nvidia-drm"
    Driver "nvidia"
    ModulePath "XORG/modules"
EndSection
"#;

const fn small(path: &'static str, content: Content) -> File {
    File { path, content, small: true }
}

const fn full(path: &'static str, content: Content) -> File {
    File { path, content, small: false }
}
