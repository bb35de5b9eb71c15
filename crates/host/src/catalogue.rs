//! Everything a driver consists of: which file belongs to which driver capability, and where a container gets it. One
//! table per kind of file; whoever needs such a name takes it from here.
//!
//! The names are those that the driver packages install (reference: cdi-and-ctk.md 2.6 and 2.10, libnvidia-container.md
//! 9.1, 9.3, 9.5, 9.6). Capabilities follow libnvidia-container, whose `video` brings the libraries of `compute`, and whose `display`
//! those of `graphics`. Where that left a library out that another capability's libraries load at run time, both bring
//! it. The order of rows is the order in an inventory.

use crate::{Capabilities, Capability};

const UTILITY: Capabilities = Capabilities::of(&[Capability::Utility]);
const COMPUTE_PROGRAMS: Capabilities = Capabilities::of(&[Capability::Compute]);
const COMPUTE: Capabilities = Capabilities::of(&[Capability::Compute, Capability::Video]);
const VIDEO: Capabilities = Capabilities::of(&[Capability::Video]);
const GRAPHICS: Capabilities = Capabilities::of(&[Capability::Graphics, Capability::Display]);
const NGX: Capabilities = Capabilities::of(&[Capability::Ngx]);
/// What several of them load.
const SHARED: Capabilities = COMPUTE.union(GRAPHICS);

/// How the file name of a library goes on after `.so.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// With the driver's version, exactly.
    Driver,
    /// With a version of its own; the newest is taken.
    Own,
    /// With a version of its own; it belongs to the distribution, and is only taken on demand.
    Explicit,
}

/// A library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LibraryRow {
    /// The file name before `.so`.
    pub(crate) stem: &'static str,
    pub(crate) version: Version,
    pub(crate) capabilities: Capabilities,
    /// A link that programs need and no soname gives.
    pub(crate) link: Option<SpecialLink>,
    /// libnvidia-container knows it (reference: libnvidia-container.md 9.1), so the legacy programs list it.
    pub(crate) legacy: bool,
}

/// A link beside a library, relative to the library's own folder in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpecialLink {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
}

/// What a link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The name of the library's file.
    File,
    /// This text.
    Text(&'static str),
}

const fn driver(stem: &'static str, capabilities: Capabilities) -> LibraryRow {
    LibraryRow { stem, version: Version::Driver, capabilities, link: None, legacy: true }
}

const fn own(stem: &'static str, capabilities: Capabilities) -> LibraryRow {
    LibraryRow { stem, version: Version::Own, capabilities, link: None, legacy: false }
}

const fn explicit(stem: &'static str, capabilities: Capabilities) -> LibraryRow {
    LibraryRow { stem, version: Version::Explicit, capabilities, link: None, legacy: false }
}

/// A library that came after libnvidia-container, or that it never knew.
const fn later(row: LibraryRow) -> LibraryRow {
    LibraryRow { legacy: false, ..row }
}

const fn linked(row: LibraryRow, name: &'static str, target: Target) -> LibraryRow {
    LibraryRow { link: Some(SpecialLink { name, target }), ..row }
}

/// Libraries by name. One with the driver's version that is not listed here still comes: see [`unlisted`].
pub(crate) const LIBRARIES: &[LibraryRow] = &[
    driver("libnvidia-ml", UTILITY),
    driver("libnvidia-cfg", UTILITY),
    driver("libnvidia-nscq", UTILITY),
    later(driver("libnvidia-sandboxutils", UTILITY)),
    linked(driver("libcuda", COMPUTE), "libcuda.so", Target::Text("libcuda.so.1")),
    driver("libcudadebugger", COMPUTE),
    driver("libnvidia-opencl", COMPUTE),
    driver("libnvidia-gpucomp", SHARED),
    driver("libnvidia-ptxjitcompiler", COMPUTE),
    driver("libnvidia-fatbinaryloader", COMPUTE),
    linked(driver("libnvidia-allocator", SHARED), "gbm/nvidia-drm_gbm.so", Target::Text("../libnvidia-allocator.so.1")),
    driver("libnvidia-compiler", COMPUTE),
    driver("libnvidia-pkcs11", COMPUTE),
    driver("libnvidia-pkcs11-openssl3", COMPUTE),
    driver("libnvidia-nvvm", COMPUTE),
    own("libnvidia-nvvm70", COMPUTE),
    driver("libnvidia-tileiras", COMPUTE),
    driver("libnvidia-ngx", NGX),
    driver("libvdpau_nvidia", VIDEO),
    driver("libnvidia-encode", VIDEO),
    linked(
        driver("libnvidia-opticalflow", VIDEO),
        "libnvidia-opticalflow.so",
        Target::Text("libnvidia-opticalflow.so.1"),
    ),
    driver("libnvcuvid", VIDEO),
    driver("libnvidia-eglcore", GRAPHICS),
    driver("libnvidia-glcore", GRAPHICS),
    driver("libnvidia-tls", GRAPHICS),
    driver("libnvidia-glsi", GRAPHICS),
    driver("libnvidia-fbc", GRAPHICS),
    driver("libnvidia-ifr", GRAPHICS),
    driver("libnvidia-rtcore", GRAPHICS),
    driver("libnvoptix", GRAPHICS),
    linked(driver("libGLX_nvidia", GRAPHICS), "libGLX_indirect.so.0", Target::File),
    driver("libEGL_nvidia", GRAPHICS),
    driver("libGLESv2_nvidia", GRAPHICS),
    driver("libGLESv1_CM_nvidia", GRAPHICS),
    driver("libnvidia-glvkspirv", GRAPHICS),
    driver("libnvidia-cbl", GRAPHICS),
    later(linked(driver("libnvidia-vulkan-producer", GRAPHICS), "libnvidia-vulkan-producer.so", Target::File)),
    later(driver("libnvidia-present", GRAPHICS)),
    later(driver("libnvidia-wayland-client", GRAPHICS)),
    later(driver("libnvidia-gtk2", GRAPHICS)),
    later(driver("libnvidia-gtk3", GRAPHICS)),
    own("libnvidia-egl-gbm", GRAPHICS),
    own("libnvidia-egl-wayland", GRAPHICS),
    own("libnvidia-egl-wayland2", GRAPHICS),
    own("libnvidia-egl-xcb", GRAPHICS),
    own("libnvidia-egl-xlib", GRAPHICS),
    later(driver(XORG_DRIVER, GRAPHICS)),
    later(linked(driver(XORG_GLX, GRAPHICS), "libglxserver_nvidia.so", Target::File)),
    explicit("libEGL", GRAPHICS),
    explicit("libGL", GRAPHICS),
    explicit("libGLESv1_CM", GRAPHICS),
    explicit("libGLESv2", GRAPHICS),
    explicit("libGLX", GRAPHICS),
    explicit("libGLdispatch", GRAPHICS),
    explicit("libOpenCL", COMPUTE_PROGRAMS),
    explicit("libOpenGL", GRAPHICS),
    explicit("libnvidia-api", GRAPHICS),
];

/// What brings a library of the driver's version that no row names: every capability, so that a new library of a new
/// driver is never what is missing.
pub(crate) const fn unlisted() -> Capabilities {
    Capabilities::ALL
}

/// The row of the library with that stem, and its position.
pub(crate) fn library(stem: &str) -> Option<(usize, &'static LibraryRow)> {
    LIBRARIES.iter().enumerate().find(|(_, row)| row.stem == stem)
}

/// Libraries of that stem have versions of their own.
pub(crate) fn has_own_version(stem: &str) -> bool {
    LIBRARIES.iter().any(|row| row.version != Version::Driver && row.stem == stem)
}

/// A file name before and after its first `.so`; `None` without one.
pub(crate) fn split_stem(name: &str) -> Option<(&str, &str)> {
    // Run for every file in a library folder: plain bytes are several times faster here than a search for text.
    let at = name.as_bytes().windows(3).position(|three| three == b".so")?;
    Some((&name[..at], &name[at + 3..]))
}

/// A loader cache's entry of that name shows that its folder may hold parts of a driver.
pub(crate) fn is_sign_of_driver(name: &str) -> bool {
    let named = |stem| library(stem).is_some_and(|(_, row)| row.version != Version::Explicit);
    name.starts_with("libnvidia-") || split_stem(name).is_some_and(|(stem, _)| named(stem))
}

/// X.Org's display driver, the one library without a version in its name.
pub(crate) const XORG_DRIVER: &str = "nvidia_drv";

/// X.Org's GLX module.
pub(crate) const XORG_GLX: &str = "libglxserver_nvidia";

/// Folders below a library folder where X.Org looks for its modules.
pub(crate) const XORG_FOLDERS: &[&str] = &[
    "nvidia/xorg",
    "xorg/modules/drivers",
    "xorg/modules/extensions",
    "xorg/modules/updates/drivers",
    "xorg/modules/updates/extensions",
];

/// Folders that stand in for a library folder where X.Org is installed apart: `modules/drivers` and its kin are below.
pub(crate) const XORG_BASES: &[&str] = &["/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64"];

/// A file with a fixed name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) name: &'static str,
    pub(crate) capabilities: Capabilities,
    /// As in [`LibraryRow`].
    pub(crate) legacy: bool,
}

const fn file(name: &'static str, capabilities: Capabilities) -> FileRow {
    FileRow { name, capabilities, legacy: true }
}

/// An executable that libnvidia-container leaves out.
const fn later_file(name: &'static str, capabilities: Capabilities) -> FileRow {
    FileRow { legacy: false, ..file(name, capabilities) }
}

/// Executables.
pub(crate) const BINARIES: &[FileRow] = &[
    file("nvidia-smi", UTILITY),
    file("nvidia-debugdump", UTILITY),
    file("nvidia-persistenced", UTILITY),
    file("nv-fabricmanager", UTILITY),
    later_file("nvidia-imex", COMPUTE_PROGRAMS),
    later_file("nvidia-imex-ctl", COMPUTE_PROGRAMS),
    file("nvidia-cuda-mps-control", COMPUTE_PROGRAMS),
    file("nvidia-cuda-mps-server", COMPUTE_PROGRAMS),
    later_file("nvidia-xconfig", GRAPHICS),
];

/// Sockets, relative to `/run`.
pub(crate) const SOCKETS: &[FileRow] =
    &[file("nvidia-persistenced/socket", UTILITY), file("nvidia-fabricmanager/socket", UTILITY)];

/// The folder where programs meet the MPS daemon.
pub(crate) const MPS_FOLDER: FileRow = file("/tmp/nvidia-mps", COMPUTE_PROGRAMS);

/// A configuration file: looked for in several folders, and placed in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConfigRow {
    /// Relative to `/etc` or a data folder. `{arch}` stands for the machine's name.
    pub(crate) name: &'static str,
    /// The folder it has in a container, wherever the host keeps it.
    pub(crate) base: &'static str,
    pub(crate) capabilities: Capabilities,
    /// May also lie directly in the driver root, as on GKE.
    pub(crate) in_root: bool,
}

const fn config(base: &'static str, name: &'static str, capabilities: Capabilities) -> ConfigRow {
    ConfigRow { name, base, capabilities, in_root: false }
}

const fn vulkan(name: &'static str) -> ConfigRow {
    ConfigRow { in_root: true, ..config("/etc", name, GRAPHICS) }
}

/// Configuration.
pub(crate) const CONFIGS: &[ConfigRow] = &[
    config("/usr/share", "glvnd/egl_vendor.d/10_nvidia.json", GRAPHICS),
    config("/usr/share", "egl/egl_external_platform.d/15_nvidia_gbm.json", GRAPHICS),
    config("/usr/share", "egl/egl_external_platform.d/10_nvidia_wayland.json", GRAPHICS),
    config("/usr/share", "egl/egl_external_platform.d/09_nvidia_wayland2.json", GRAPHICS),
    config("/usr/share", "egl/egl_external_platform.d/20_nvidia_xcb.json", GRAPHICS),
    config("/usr/share", "egl/egl_external_platform.d/20_nvidia_xlib.json", GRAPHICS),
    config("/usr/share", "nvidia/nvoptix.bin", GRAPHICS),
    config("/usr/share", "X11/xorg.conf.d/10-nvidia.conf", GRAPHICS),
    config("/usr/share", "X11/xorg.conf.d/nvidia-drm-outputclass.conf", GRAPHICS),
    config("/etc", "OpenCL/vendors/nvidia.icd", SHARED),
    vulkan("vulkan/icd.d/nvidia_icd.json"),
    vulkan("vulkan/icd.d/nvidia_layers.json"),
    vulkan("vulkan/implicit_layer.d/nvidia_layers.json"),
    vulkan("vulkan/icd.d/nvidia_icd.{arch}.json"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_library_has_two_rows() {
        let stems: HashSet<_> = LIBRARIES.iter().map(|row| row.stem).collect();
        assert_eq!(stems.len(), LIBRARIES.len());
    }

    #[test]
    fn every_row_is_brought_by_something_and_none_by_compat32() {
        for row in LIBRARIES {
            assert!(!row.capabilities.is_empty() && !row.capabilities.contains(Capability::Compat32), "{}", row.stem);
        }
    }

    #[test]
    fn the_drivers_names_are_told_from_others() {
        for name in ["libcuda.so.1", "libnvidia-glcore.so.550.54.14", "libGLX_nvidia.so.0", "libnvidia-new.so.1"] {
            assert!(is_sign_of_driver(name), "{name}");
        }
        for name in ["libGL.so.1", "libOpenCL.so.1", "libc.so.6", "", "libcudart.so.12"] {
            assert!(!is_sign_of_driver(name), "{name}");
        }
    }
}
