//! Every library that the reference names (libnvidia-container.md 9.1, cdi-and-ctk.md 2.6 and 2.10), with what a real
//! 550 driver says of itself in its files.

/// One library of the driver.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Name up to, not including, `.so`.
    pub name: &'static str,
    /// What follows `.so.` in the file's name.
    pub suffix: Suffix,
    /// What follows `.so.` in the soname; without one the soname is the file's name.
    pub major: Option<&'static str>,
    /// A link ending in `.so` exists.
    pub development: bool,
    /// Folder below the library folder, with a slash in front; empty for the folder itself.
    pub folder: &'static str,
    /// Also part of the small driver.
    pub small: bool,
    /// Exists in 32 bits.
    pub compat32: bool,
    /// Carries the ABI note for Linux 2.3.99 by which libnvidia-container tells the right build apart.
    pub thread_local_note: bool,
    /// Functions that programs ask for, and what they answer.
    pub functions: &'static [(&'static str, u16)],
    /// More links: path below the library folder, and text.
    pub links: &'static [(&'static str, &'static str)],
}

/// What follows `.so.` in a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix {
    /// The driver's version.
    Driver,
    /// A version of its own.
    Own(&'static str),
}

/// A library that a mock stands in for.
pub const NVML: &str = "libnvidia-ml";

/// Another one.
pub const CUDA: &str = "libcuda";

/// All of them.
pub const TABLE: &[Library] = &[
    versioned(NVML).major("1").development().small().compat32(),
    versioned("libnvidia-cfg").major("1").development().small(),
    versioned("libnvidia-nscq").major("2"),
    versioned(CUDA).major("1").development().small().compat32(),
    versioned("libcudadebugger").major("1"),
    versioned("libnvidia-opencl").major("1").small().compat32(),
    versioned("libnvidia-gpucomp").small().compat32(),
    versioned("libnvidia-ptxjitcompiler").major("1").development().small().compat32(),
    versioned("libnvidia-fatbinaryloader").compat32(),
    versioned("libnvidia-allocator").major("1").development().compat32().links(ALLOCATOR_LINKS),
    versioned("libnvidia-compiler").compat32(),
    versioned("libnvidia-pkcs11"),
    versioned("libnvidia-pkcs11-openssl3"),
    versioned("libnvidia-nvvm").major("4").development().small().compat32(),
    own("libnvidia-nvvm70", "4").major("4"),
    versioned("libnvidia-tileiras"),
    versioned("libnvidia-ngx").major("1"),
    versioned("libvdpau_nvidia").major("1").folder("/vdpau").compat32().links(VDPAU_LINKS),
    versioned("libnvidia-encode").major("1").development().compat32(),
    versioned("libnvidia-opticalflow").major("1").development().compat32(),
    versioned("libnvcuvid").major("1").development().compat32(),
    versioned("libnvidia-eglcore").compat32(),
    versioned("libnvidia-glcore").compat32(),
    versioned("libnvidia-tls").compat32().thread_local_note(),
    versioned("libnvidia-glsi").compat32(),
    versioned("libnvidia-fbc").major("1").development().compat32(),
    versioned("libnvidia-ifr").major("1").development().compat32(),
    versioned("libnvidia-rtcore"),
    versioned("libnvoptix").major("1"),
    versioned("libGLX_nvidia").major("0").compat32().links(&[("libGLX_indirect.so.0", "libGLX_nvidia.so.VERSION")]),
    versioned("libEGL_nvidia").major("0").compat32(),
    versioned("libGLESv2_nvidia").major("2").compat32(),
    versioned("libGLESv1_CM_nvidia").major("1").compat32(),
    versioned("libnvidia-glvkspirv").compat32(),
    versioned("libnvidia-cbl"),
    versioned("libnvidia-present"),
    versioned("libnvidia-vulkan-producer").development(),
    versioned("libnvidia-wayland-client"),
    versioned("libnvidia-gtk2"),
    versioned("libnvidia-gtk3"),
    versioned("libnvidia-sandboxutils").major("1").functions(SANDBOX_FUNCTIONS),
    own("libnvidia-api", "1").major("1").development(),
    own("libnvidia-egl-gbm", "1.1.1").major("1").compat32(),
    own("libnvidia-egl-wayland", "1.1.13").major("1").compat32(),
    own("libnvidia-egl-wayland2", "1.0.0").major("1"),
    own("libnvidia-egl-xcb", "1.0.0").major("1").development(),
    own("libnvidia-egl-xlib", "1.0.0").major("1").development(),
    own("libGL", "1.7.0").major("1").development(),
    own("libEGL", "1.1.0").major("1").development(),
    own("libGLESv1_CM", "1.2.0").major("1").development(),
    own("libGLESv2", "2.1.0").major("2").development(),
    own("libGLX", "0.0.0").major("0").development(),
    own("libGLdispatch", "0.0.0").major("0").development(),
    own("libOpenGL", "0.0.0").major("0").development(),
    own("libOpenCL", "1.0.0").major("1").development(),
];

const ALLOCATOR_LINKS: &[(&str, &str)] = &[("gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so.1")];
const VDPAU_LINKS: &[(&str, &str)] = &[("libvdpau_nvidia.so", "vdpau/libvdpau_nvidia.so.VERSION")];

/// Every question is answered with an error (any number but 0), so that callers ask NVML instead.
const SANDBOX_FUNCTIONS: &[(&str, u16)] = &[
    ("nvSandboxUtilsInit", 999),
    ("nvSandboxUtilsShutdown", 999),
    ("nvSandboxUtilsGetDriverVersion", 999),
    ("nvSandboxUtilsGetGpuResource", 999),
    ("nvSandboxUtilsGetFileContent", 999),
];

const fn versioned(name: &'static str) -> Library {
    Library {
        name,
        suffix: Suffix::Driver,
        major: None,
        development: false,
        folder: "",
        small: false,
        compat32: false,
        thread_local_note: false,
        functions: &[],
        links: &[],
    }
}

const fn own(name: &'static str, version: &'static str) -> Library {
    Library { suffix: Suffix::Own(version), ..versioned(name) }
}

impl Library {
    const fn major(self, major: &'static str) -> Library {
        Library { major: Some(major), ..self }
    }

    const fn development(self) -> Library {
        Library { development: true, ..self }
    }

    const fn folder(self, folder: &'static str) -> Library {
        Library { folder, ..self }
    }

    const fn small(self) -> Library {
        Library { small: true, ..self }
    }

    const fn compat32(self) -> Library {
        Library { compat32: true, ..self }
    }

    const fn thread_local_note(self) -> Library {
        Library { thread_local_note: true, ..self }
    }

    const fn functions(self, functions: &'static [(&'static str, u16)]) -> Library {
        Library { functions, ..self }
    }

    const fn links(self, links: &'static [(&'static str, &'static str)]) -> Library {
        Library { links, ..self }
    }
}
