//! The catalogue as libnvidia-container has it: which of a driver's files it knows, in its order (reference:
//! libnvidia-container.md 9). What to do with them is `crates/legacy`'s business.

use crate::{
    Capabilities, Roots, catalogue,
    kernel::optional,
    procfs::{self, Fields, Majors},
};
use oci::HostPath;

/// A file that libnvidia-container knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyFile {
    /// Of a library the file name before `.so`; of anything else the whole name.
    pub name: &'static str,
    /// What brings it.
    pub capabilities: Capabilities,
}

/// OpenGL libraries of drivers that bring their own instead of dispatching through GLVND.
pub const WITHOUT_GLVND: [&str; 4] = ["libGL", "libEGL", "libGLESv1_CM", "libGLESv2"];

/// Libraries of drivers with GLVND.
pub const WITH_GLVND: [&str; 6] = [
    "libGLX_nvidia",
    "libEGL_nvidia",
    "libGLESv2_nvidia",
    "libGLESv1_CM_nvidia",
    "libnvidia-glvkspirv",
    "libnvidia-cbl",
];

/// The libraries, in the order of lists; those of GLVND or those that take their place.
pub fn libraries(glvnd: bool) -> impl Iterator<Item = LegacyFile> {
    let stays = move |stem: &str| glvnd || !WITH_GLVND.contains(&stem);
    let known = catalogue::LIBRARIES.iter().filter(move |row| row.legacy && stays(row.stem));
    let older = WITHOUT_GLVND.into_iter().filter(move |_| !glvnd).filter_map(catalogue::library).map(|(_, row)| row);
    known.chain(older).map(|row| LegacyFile { name: row.stem, capabilities: row.capabilities })
}

/// The executables, in the order of lists.
pub fn binaries() -> impl Iterator<Item = LegacyFile> {
    let known = catalogue::BINARIES.iter().filter(|row| row.legacy);
    known.map(|row| LegacyFile { name: row.name, capabilities: row.capabilities })
}

/// Sockets of daemons, relative to `/run`, in the order of lists.
pub fn sockets() -> impl Iterator<Item = LegacyFile> {
    catalogue::SOCKETS.iter().map(|row| LegacyFile { name: row.name, capabilities: row.capabilities })
}

/// What brings a library with that file name; `None` for one that is not known.
pub fn of_library(file_name: &str) -> Option<Capabilities> {
    let (stem, _) = catalogue::split_stem(file_name)?;
    catalogue::library(stem).map(|(_, row)| row.capabilities)
}

/// A link beside a library that programs need and no soname gives: name and target (15.1, step 6).
pub fn link_beside(file_name: &str) -> Option<(&'static str, String)> {
    let (stem, _) = catalogue::split_stem(file_name)?;
    let (_, row) = catalogue::library(stem)?;
    let link = row.link.filter(|link| row.legacy && !link.name.contains('/'))?;
    let target = match link.target {
        catalogue::Target::File => file_name.to_owned(),
        catalogue::Target::Text(text) => text.to_owned(),
    };
    Some((link.name, target))
}

/// The folder where programs meet the MPS daemon, unless a variable names another.
pub const MPS_FOLDER: LegacyFile =
    LegacyFile { name: catalogue::MPS_FOLDER.name, capabilities: catalogue::MPS_FOLDER.capabilities };

/// Major of the character devices of that name: `nvidia-caps` for the nodes that open MIG's capabilities (where the kernel
/// has none, the files of procfs themselves are what opens them; section 11), `nvidia-caps-imex-channels`, `nvidia-uvm`.
pub fn major(roots: &Roots, name: &str) -> Option<u32> {
    let devices = optional(&roots.proc.join("devices")).ok()??;
    Majors::parse(&devices).get(name)
}

/// The minor that a file of a capability names.
pub fn capability_minor(file: &HostPath) -> Option<u32> {
    let text = optional(file).ok()??;
    Fields::new(&text).number("DeviceFileMinor")
}

/// Minors of the capability nodes of all instances that a GPU (by its minor) has or could have.
pub fn mig_minors(roots: &Roots, gpu: u32) -> Vec<u32> {
    let text = optional(&roots.proc.join("driver/nvidia-caps/mig-minors")).ok().flatten().unwrap_or_default();
    procfs::mig_minors_of(&text, gpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_references() {
        let names: Vec<_> = libraries(true).map(|file| file.name).collect();
        let want = [
            "libnvidia-ml",
            "libnvidia-cfg",
            "libnvidia-nscq",
            "libcuda",
            "libcudadebugger",
            "libnvidia-opencl",
            "libnvidia-gpucomp",
            "libnvidia-ptxjitcompiler",
            "libnvidia-fatbinaryloader",
            "libnvidia-allocator",
            "libnvidia-compiler",
            "libnvidia-pkcs11",
            "libnvidia-pkcs11-openssl3",
            "libnvidia-nvvm",
            "libnvidia-tileiras",
            "libnvidia-ngx",
            "libvdpau_nvidia",
            "libnvidia-encode",
            "libnvidia-opticalflow",
            "libnvcuvid",
            "libnvidia-eglcore",
            "libnvidia-glcore",
            "libnvidia-tls",
            "libnvidia-glsi",
            "libnvidia-fbc",
            "libnvidia-ifr",
            "libnvidia-rtcore",
            "libnvoptix",
            "libGLX_nvidia",
            "libEGL_nvidia",
            "libGLESv2_nvidia",
            "libGLESv1_CM_nvidia",
            "libnvidia-glvkspirv",
            "libnvidia-cbl",
        ];
        assert_eq!(names, want);
        let older: Vec<_> = libraries(false).map(|file| file.name).skip(28).collect();
        assert_eq!(older, WITHOUT_GLVND);
        let programs: Vec<_> = binaries().map(|file| file.name).collect();
        assert_eq!(
            programs,
            [
                "nvidia-smi",
                "nvidia-debugdump",
                "nvidia-persistenced",
                "nv-fabricmanager",
                "nvidia-cuda-mps-control",
                "nvidia-cuda-mps-server"
            ]
        );
    }

    #[test]
    fn links_are_the_three_of_the_reference() {
        let link = link_beside;
        assert_eq!(link("libcuda.so.1.1"), Some(("libcuda.so", "libcuda.so.1".to_owned())));
        assert_eq!(link("libGLX_nvidia.so.550.1"), Some(("libGLX_indirect.so.0", "libGLX_nvidia.so.550.1".to_owned())));
        assert_eq!(
            link("libnvidia-opticalflow.so.5"),
            Some(("libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1".to_owned()))
        );
        for other in ["libnvidia-allocator.so.5", "libnvidia-ml.so.1", "x"] {
            assert_eq!(link(other), None, "{other}");
        }
    }
}
