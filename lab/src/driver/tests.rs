//! What a driver looks like once it is written, for each layout.

use super::*;
use std::{fs, path::Path};

/// A driver in a scratch folder; its mocks are empty stand-ins, since only names matter here.
fn installed(settings: &[&str]) -> tempfile::TempDir {
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines/two-gpus.toml");
    let machine = crate::machine_file::load(&file, &settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let companions = Companions::in_folder(folder.path());
    fs::write(folder.path().join("libnvidia_ml_mock.so"), "mock").unwrap();
    fs::write(folder.path().join("libcuda_mock.so"), "mock").unwrap();
    fs::write(folder.path().join("lab-nvidia-smi"), "smi").unwrap();
    install(&machine, &companions, &Tree::new(folder.path())).unwrap();
    folder
}

fn link(folder: &Path, path: &str) -> String {
    fs::read_link(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")).display().to_string()
}

#[test]
fn multiarch_has_the_links_of_a_real_installation() {
    let folder = installed(&[]);
    for (path, text) in [
        ("libcuda.so", "libcuda.so.1"),
        ("libcuda.so.1", "libcuda.so.550.54.14"),
        ("libnvidia-ml.so.1", "libnvidia-ml.so.550.54.14"),
        ("libGLX_indirect.so.0", "libGLX_nvidia.so.550.54.14"),
        ("gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so.1"),
        ("libvdpau_nvidia.so", "vdpau/libvdpau_nvidia.so.550.54.14"),
        ("vdpau/libvdpau_nvidia.so.1", "libvdpau_nvidia.so.550.54.14"),
        ("libnvidia-egl-gbm.so.1", "libnvidia-egl-gbm.so.1.1.1"),
    ] {
        assert_eq!(link(folder.path(), &format!("usr/lib/{MULTIARCH}/{path}")), text);
    }
    assert!(folder.path().join("usr/lib/i386-linux-gnu/libcuda.so.550.54.14").is_file());
    assert!(folder.path().join("lib/firmware/nvidia/550.54.14/gsp_ga10x.bin").is_file());
    assert!(folder.path().join("run/nvidia-persistenced/socket").exists());
}

#[test]
fn lib64_has_its_own_folders() {
    let folder = installed(&["driver.layout=lib64"]);
    assert_eq!(link(folder.path(), "usr/lib64/libcuda.so.1"), "libcuda.so.550.54.14");
    assert_eq!(link(folder.path(), "usr/lib/libcuda.so.1"), "libcuda.so.550.54.14");
    assert!(folder.path().join("usr/lib64/xorg/modules/drivers/nvidia_drv.so").is_file());
}

#[test]
fn plain_has_nothing_around_the_driver() {
    let folder = installed(&["driver.layout=plain", "driver.root=/usr/local/nvidia", "driver.size=small"]);
    assert_eq!(link(folder.path(), "lib64/libcuda.so.1"), "libcuda.so.550.54.14");
    assert!(folder.path().join("bin/nvidia-smi").is_file());
    assert!(!folder.path().join("usr").exists() && !folder.path().join("etc/ld.so.conf.d").exists());
}

#[test]
fn debian_goes_through_its_alternatives() {
    let folder = installed(&["driver.layout=debian-alternatives"]);
    let library = format!("usr/lib/{MULTIARCH}");
    let middle = format!("/etc/alternatives/nvidia--libcuda.so.1-{MULTIARCH}");
    assert_eq!(link(folder.path(), &format!("{library}/libcuda.so.1")), middle);
    assert_eq!(link(folder.path(), &middle[1..]), format!("/{library}/nvidia/current/libcuda.so.1"));
    assert!(folder.path().join(format!("{library}/nvidia/current/libcuda.so.550.54.14")).is_file());
    assert!(folder.path().join(format!("{library}/libnvidia-glcore.so.550.54.14")).is_file());
}

#[test]
fn a_small_driver_is_small() {
    let folder = installed(&["driver.size=small", "driver.compat32=false"]);
    let count = |path: &str| {
        let entries = fs::read_dir(folder.path().join(path)).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().metadata().unwrap().is_file()).count()
    };
    assert_eq!(count(&format!("usr/lib/{MULTIARCH}")), 7);
    assert!(!folder.path().join("usr/lib/i386-linux-gnu").exists());
}

#[test]
fn without_nvml_its_library_is_missing_and_the_rest_is_there() {
    let folder = installed(&["nvml.absent=true"]);
    let library = folder.path().join(format!("usr/lib/{MULTIARCH}"));
    assert!(!library.join("libnvidia-ml.so.1").is_symlink());
    assert!(library.join("libcuda.so.1").is_symlink());
}
