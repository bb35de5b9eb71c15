//! Which kind of NVIDIA machine this is, without opening a driver library (reference: runtime-and-hook.md 3.2 step B;
//! there the libraries are opened, here it suffices that they exist).

use crate::{
    Platform, Roots,
    fingerprint::locate_nvml_in,
    inside::Inside,
    kernel::{Kernel, optional},
};
use rustix::fs::FileType;

/// The kind of machine.
pub(crate) fn detect(kernel: &Kernel, inside: &Inside) -> Platform {
    if is_wsl(kernel.roots, inside) {
        return Platform::Wsl;
    }
    let integrated = |model: &str| model.contains("(nvgpu)") || model.contains("NVIDIA Thor");
    if kernel.gpus.iter().any(|gpu| integrated(&gpu.model)) {
        return Platform::Tegra;
    }
    // Newer Jetsons have NVML too. Only discrete GPUs have information files, so it is these that tell.
    if has_tegra_files(kernel.roots, inside) && kernel.gpus.is_empty() {
        return Platform::Tegra;
    }
    if kernel.is_loaded() || locate_nvml_in(kernel.roots, inside).is_some() {
        return Platform::Discrete;
    }
    Platform::None
}

/// This is Linux under Windows, where the GPUs and their driver are Windows'.
pub fn is_wsl(roots: &Roots, inside: &Inside) -> bool {
    let node = || inside_dev(roots).is_some_and(|dev| dev.find_kind("/dev/dxg", FileType::CharacterDevice).is_some());
    inside.find_kind("/usr/lib/wsl/lib/libdxcore.so", FileType::RegularFile).is_some() || node()
}

fn inside_dev(roots: &Roots) -> Option<Inside> {
    Inside::open(&roots.dev).ok()
}

fn has_tegra_files(roots: &Roots, inside: &Inside) -> bool {
    let family = || optional(&roots.sys.join("devices/soc0/family")).ok().flatten().unwrap_or_default();
    inside.find_kind("/etc/nv_tegra_release", FileType::RegularFile).is_some()
        || family().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("tegra"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Tree;

    fn platform(tree: &Tree) -> Platform {
        let roots = tree.roots();
        let kernel = Kernel::read(&roots, &mut Vec::new()).unwrap();
        detect(&kernel, &Inside::open(&roots.driver).unwrap())
    }

    const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

    #[test]
    fn each_kind_has_its_signs() {
        assert_eq!(platform(&Tree::new()), Platform::None);
        assert_eq!(platform(Tree::new().kernel("550.54.14", &[])), Platform::Discrete);
        assert_eq!(platform(Tree::new().library(LIBRARIES, "libnvidia-ml", "550.54.14")), Platform::Discrete);
        assert_eq!(platform(Tree::new().file("etc/nv_tegra_release", "# R35")), Platform::Tegra);
        assert_eq!(platform(Tree::new().file("sys/devices/soc0/family", "Tegra\n")), Platform::Tegra);
        assert_eq!(platform(Tree::new().file("usr/lib/wsl/lib/libdxcore.so", "")), Platform::Wsl);
    }

    #[test]
    fn a_discrete_gpu_in_a_tegra_machine_counts() {
        let tree = Tree::new();
        tree.file("etc/nv_tegra_release", "").kernel("550.54.14", &[("0000:01:00.0", 0)]);
        assert_eq!(platform(&tree), Platform::Discrete);
    }

    #[test]
    fn an_integrated_gpu_may_have_an_information_file() {
        let tree = Tree::new();
        tree.file("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: NVIDIA Thor\nDevice Minor: 0\n");
        assert_eq!(platform(&tree), Platform::Tegra);
    }
}
