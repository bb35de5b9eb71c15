//! What makes this machine the same machine as before: facts that NVML gave are believed as long as this has not
//! changed. And where NVML's library lies.

use crate::{
    DriverFile, FileKind, Gpu, HostError, Inventory, LibraryClass, Roots, driver, elf,
    inside::Inside,
    kernel::{loaded_version, optional},
    nodes::mig_device_folder,
};
use oci::HostPath;
use rustix::fs::{AtFlags, CWD, FileType, statat};
use serde::{Deserialize, Serialize};

/// The name that programs load NVML by.
pub const NVML_SONAME: &str = "libnvidia-ml.so.1";

/// The identity of a machine's GPUs and driver. Two that are equal have the same answers from NVML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Version of the loaded kernel module.
    pub kernel_version: Option<String>,
    /// GPUs in the order of their bus ids.
    pub gpus: Vec<GpuFingerprint>,
    /// NVML's library.
    pub nvml: Option<FileIdentity>,
}

/// The identity of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuFingerprint {
    /// `0000:07:00.0`.
    pub bus_id: String,
    /// `GPU-…`.
    pub uuid: String,
    /// `N` of `/dev/nvidiaN`.
    pub minor: u32,
    /// Its MIG devices: GPU instance and compute instance of each.
    pub mig: Vec<(u32, u32)>,
    /// When the kernel made each of them.
    pub made: Vec<Option<Making>>,
}

/// Tells a MIG device from one that was removed and made anew with the same ids, whose UUID, slot and profile may be
/// others. The kernel shows a MIG device as a folder in procfs. Removing it makes the folder's entry invalid, and the new
/// one gets a time of its own when it is first looked up; often another number, too, but numbers are given again. Where
/// the kernel has merely forgotten the entry for want of memory the time changes as well, and NVML is asked once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Making {
    /// Inode of the folder.
    pub ino: u64,
    /// Its time, in nanoseconds since 1970.
    pub changed_ns: i128,
}

/// The identity of a file: changes whenever it is replaced or rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its real path.
    pub path: HostPath,
    /// Device of its file system.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Last modification, in nanoseconds since 1970.
    pub modified_ns: i128,
}

impl Fingerprint {
    /// The identity of the machine that `inventory` was taken of, now. Costs a few calls of the kernel; no library is
    /// read, unless the inventory was taken without those of the capability `utility`.
    ///
    /// # Errors
    /// [`HostError`] where a file that exists cannot be read.
    pub fn take(roots: &Roots, inventory: &Inventory) -> Result<Fingerprint, HostError> {
        let boot_id = optional(&roots.proc.join("sys/kernel/random/boot_id"))?.unwrap_or_default();
        let gpus = inventory.gpus.iter().map(|gpu| GpuFingerprint {
            bus_id: gpu.bus_id.clone(),
            uuid: gpu.uuid.clone(),
            minor: gpu.minor,
            mig: gpu.mig.iter().map(|device| (device.gpu_instance, device.compute_instance)).collect(),
            made: makings(roots, gpu),
        });
        Ok(Fingerprint {
            boot_id: boot_id.trim().to_owned(),
            kernel_version: loaded_version(roots)?,
            gpus: gpus.collect(),
            nvml: listed_nvml(inventory).or_else(|| locate_nvml(roots)).and_then(FileIdentity::of),
        })
    }
}

/// When the kernel made each of the GPU's MIG devices.
pub fn makings(roots: &Roots, gpu: &Gpu) -> Vec<Option<Making>> {
    gpu.mig.iter().map(|device| Making::of(&mig_device_folder(roots, gpu.minor, device))).collect()
}

/// NVML among the files of an inventory.
fn listed_nvml(inventory: &Inventory) -> Option<HostPath> {
    let is_nvml = |file: &&DriverFile| match &file.kind {
        FileKind::Library(library) => library.class == LibraryClass::Native && library.soname == NVML_SONAME,
        _ => false,
    };
    inventory.driver.as_ref()?.files.iter().find(is_nvml).map(|file| file.host.clone())
}

impl Making {
    fn of(folder: &HostPath) -> Option<Making> {
        let stat = statat(CWD, folder.as_path(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let changed_ns = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
        Some(Making { ino: stat.st_ino, changed_ns })
    }
}

impl FileIdentity {
    fn of(path: HostPath) -> Option<FileIdentity> {
        let stat = statat(CWD, path.as_path(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let modified_ns = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        // Negative only where a file system reports nonsense; then any number will do.
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Some(FileIdentity { path, dev: stat.st_dev, ino: stat.st_ino, size, modified_ns })
    }
}

/// The real file of `libnvidia-ml.so.1` in the driver root, for this machine's word size. `None` if there is none.
pub fn locate_nvml(roots: &Roots) -> Option<HostPath> {
    locate_nvml_in(roots, &Inside::open(&roots.driver).ok()?)
}

pub(crate) fn locate_nvml_in(roots: &Roots, inside: &Inside) -> Option<HostPath> {
    let native = |path: &HostPath| elf::read(path.as_path()).is_ok_and(|elf| elf.machine == roots.machine);
    let in_folder = |inside: &Inside, folder: &str| {
        inside.find_kind(&format!("{folder}/{NVML_SONAME}"), FileType::RegularFile).filter(native)
    };
    if roots.library_search.is_empty() {
        return driver::standard_places(roots.machine).iter().find_map(|folder| in_folder(inside, folder)).or_else(
            || {
                driver::cached_places(roots, inside, &mut Vec::new())
                    .iter()
                    .find_map(|folder| in_folder(inside, folder))
            },
        );
    }
    let outside = Inside::open(&HostPath::root()).ok()?;
    roots.library_search.iter().find_map(|folder| match folder.strip_prefix(inside.root()) {
        Some(below) => in_folder(inside, below),
        None => in_folder(&outside, folder.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Library, Tree};
    use crate::{Wanted, discover};

    const FOLDER: &str = "usr/lib/x86_64-linux-gnu";

    /// Removes a folder and makes the same again.
    fn remake(tree: &Tree, folder: &str) {
        let (old, new) = (tree.root().join(folder), tree.root().join("copy"));
        let copy = std::process::Command::new("cp").args(["-a", old.as_str(), new.as_str()]).status();
        assert!(copy.is_ok_and(|status| status.success()));
        std::fs::remove_dir_all(old.as_path()).unwrap();
        std::fs::rename(new.as_path(), old.as_path()).unwrap();
    }

    fn take(tree: &Tree) -> Fingerprint {
        let roots = tree.roots();
        Fingerprint::take(&roots, &discover(&roots, Wanted::ALL).unwrap()).unwrap()
    }

    #[test]
    fn nvml_is_the_native_file_behind_the_link() {
        let tree = Tree::new();
        assert_eq!(locate_nvml(&tree.roots()), None);
        tree.file("usr/lib64/libnvidia-ml.so.1", Library::named(NVML_SONAME).narrow().bytes());
        assert_eq!(locate_nvml(&tree.roots()), None);
        tree.library(FOLDER, "libnvidia-ml", "550.54.14");
        assert_eq!(locate_nvml(&tree.roots()), Some(tree.root().join(FOLDER).join("libnvidia-ml.so.550.54.14")));
    }

    #[test]
    fn changes_with_everything_that_nvml_depends_on() {
        let tree = Tree::new();
        tree.kernel("550.54.14", &[("0000:07:00.0", 0)]).file("proc/sys/kernel/random/boot_id", "one\n");
        tree.library(FOLDER, "libnvidia-ml", "550.54.14");
        let mut last = take(&tree);
        assert_eq!(last, take(&tree));
        let library = format!("{FOLDER}/libnvidia-ml.so.550.54.14");
        let changes: [fn(&Tree, &str); 7] = [
            |tree, _| _ = tree.file("proc/sys/kernel/random/boot_id", "two\n"),
            |tree, _| _ = tree.kernel("550.90", &[]),
            |tree, _| _ = tree.kernel("550.90", &[("0000:08:00.0", 1)]),
            |tree, _| {
                let instance = "proc/driver/nvidia/capabilities/gpu0/mig/gi1";
                tree.file(&format!("{instance}/access"), "DeviceFileMinor: 12\n");
                tree.file(&format!("{instance}/ci0/access"), "DeviceFileMinor: 13\n");
            },
            // The same device, made anew: whole, and the compute instance alone.
            |tree, _| remake(tree, "proc/driver/nvidia/capabilities/gpu0/mig/gi1"),
            |tree, _| remake(tree, "proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0"),
            |tree, library| _ = tree.file(library, Library::named(NVML_SONAME).needing("x").bytes()),
        ];
        for (number, change) in changes.iter().enumerate() {
            change(&tree, &library);
            let next = take(&tree);
            assert_ne!(last, next, "change {number} was not noticed");
            last = next;
        }
        let text = serde_json::to_string(&last).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), last);
    }
}
