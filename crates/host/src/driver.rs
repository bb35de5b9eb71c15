//! The user-space driver below a driver root: its version, then every file that a container may need.

mod files;
mod folders;
mod libraries;
mod xorg;

use crate::{Driver, HostError, Roots, Wanted, inside::Inside, version};
use folders::Folder;
use oci::HostPath;

pub(crate) use folders::{cached_places, standard_places};

/// Finds the driver. `kernel` is the version of the loaded module, if one is loaded. `None` when neither libcuda nor
/// libnvidia-ml is installed.
pub(crate) fn find(
    roots: &Roots,
    inside: &Inside,
    wanted: Wanted,
    kernel: Option<&str>,
    remarks: &mut Vec<String>,
) -> Result<Option<Driver>, HostError> {
    let search = Search::new(roots, inside, wanted)?;
    let folders = search.folders(remarks);
    let Some(version) = installed_version(&folders, kernel) else {
        remarks.extend(kernel.map(|kernel| not_installed(kernel, search.inside.root())));
        return Ok(None);
    };
    remarks.extend(kernel.filter(|kernel| *kernel != version).map(|kernel| mismatch(kernel, &version)));
    let mut files = search.libraries(&folders, &version, remarks);
    files.extend(search.binaries());
    files.extend(search.configs());
    files.extend(search.firmware(&version));
    files.extend(search.sockets());
    Ok(Some(Driver { version, root: search.inside.root().clone(), files }))
}

/// One search of one driver root.
struct Search<'a> {
    roots: &'a Roots,
    wanted: Wanted,
    /// The driver root.
    inside: &'a Inside,
    /// This machine, for search paths outside the driver root.
    outside: Inside,
}

impl<'a> Search<'a> {
    fn new(roots: &'a Roots, inside: &'a Inside, wanted: Wanted) -> Result<Self, HostError> {
        let root = HostPath::root();
        let outside = Inside::open(&root).map_err(|source| HostError::Root { path: root, source })?;
        Ok(Search { roots, wanted, inside, outside })
    }

    /// Where the container gets what lies at `host`: below the driver root, the root cut off.
    fn in_container(&self, host: &HostPath) -> oci::ContainerPath {
        container_path(self.inside.strip(host))
    }
}

/// An absolute path as the container has it.
fn container_path(path: &str) -> oci::ContainerPath {
    // Joined to the root, so that a path without its leading slash is absolute too.
    oci::ContainerPath::root().join(path)
}

fn installed_version(folders: &[Folder], kernel: Option<&str>) -> Option<String> {
    let of = |stem: &str| -> Vec<&str> {
        let entries = folders.iter().flat_map(|folder| &folder.entries);
        entries
            .filter(|entry| entry.stem() == stem)
            .map(|entry| entry.version())
            .filter(|v| version::is_driver(v))
            .collect()
    };
    version::choose(kernel, &of("libcuda"), &of("libnvidia-ml")).map(str::to_owned)
}

fn not_installed(kernel: &str, root: &HostPath) -> String {
    format!(
        "The kernel module {kernel} is loaded, but there is no libcuda.so.* or libnvidia-ml.so.* below {root}; \
         install the driver's libraries, or set nvidia-container-cli.root to the folder that holds them."
    )
}

fn mismatch(kernel: &str, version: &str) -> String {
    format!("The kernel module is {kernel}, but the libraries are {version}; reboot, or reload the module.")
}

#[cfg(test)]
mod tests;
