//! The user-space driver below a driver root: its version, then every file that a container may need.

mod files;
mod folders;
mod libraries;
mod xorg;

use crate::{
    Capability, Driver, HostError, Roots, Wanted,
    inside::Inside,
    known::{KnownDriver, Question},
    version,
};
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
    let driver = search.lasting(kernel, remarks);
    Ok(search.with_sockets(driver))
}

/// Finds the driver as [`find`] does, but looks for what lasts only where nothing in `earlier` still holds. The second
/// part of the answer is what that taught, if it can be believed again.
pub(crate) fn find_again(
    roots: &Roots,
    inside: &Inside,
    wanted: Wanted,
    kernel: Option<&str>,
    earlier: impl IntoIterator<Item = KnownDriver>,
    remarks: &mut Vec<String>,
) -> Result<(Option<Driver>, Option<KnownDriver>), HostError> {
    let question = Question::new(roots, inside.root(), wanted, kernel, files::firmware_folders(roots));
    let Some(question) = question.filter(|_| roots.are_plain()) else {
        return Ok((find(roots, inside, wanted, kernel, remarks)?, None));
    };
    let here = Search::new(roots, inside, wanted)?;
    if let Some(known) = earlier.into_iter().find(|known| known.holds(&question)) {
        remarks.extend(known.remarks);
        return Ok((here.with_sockets(known.driver), None));
    }
    let noting = inside.with_notes();
    let mut said = Vec::new();
    let driver = Search::new(roots, &noting, wanted)?.lasting(kernel, &mut said);
    remarks.extend(said.iter().cloned());
    let learnt = noting.evidence().map(|evidence| KnownDriver::new(question, evidence, driver.clone(), said));
    Ok((here.with_sockets(driver), learnt))
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

    /// The driver without what comes and goes.
    fn lasting(&self, kernel: Option<&str>, remarks: &mut Vec<String>) -> Option<Driver> {
        let folders = self.folders(remarks);
        let Some(version) = installed_version(&folders, kernel) else {
            remarks.extend(kernel.map(|kernel| not_installed(kernel, self.inside.root(), &folders)));
            return None;
        };
        let libcuda = format!("libcuda.so.{version}");
        if self.wanted.capabilities.contains(Capability::Compute) && !holds(&folders, &libcuda) {
            remarks.push(format!("There is no {libcuda} in the folders that were searched: {}.", listed(&folders)));
        }
        remarks.extend(kernel.filter(|kernel| *kernel != version).map(|kernel| mismatch(kernel, &version)));
        let mut files = self.libraries(&folders, &version, remarks);
        files.extend(self.binaries());
        files.extend(self.configs());
        files.extend(self.firmware(&version));
        Some(Driver { version, root: self.inside.root().clone(), files })
    }

    fn with_sockets(&self, driver: Option<Driver>) -> Option<Driver> {
        let mut driver = driver?;
        driver.files.extend(self.sockets());
        Some(driver)
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

fn not_installed(kernel: &str, root: &HostPath, folders: &[Folder]) -> String {
    format!(
        "The kernel module {kernel} is loaded, but there is no libcuda.so.* or libnvidia-ml.so.* below {root} in {}; \
         install the driver's libraries, or set nvidia-container-cli.root to the folder that holds them.",
        listed(folders)
    )
}

fn holds(folders: &[Folder], name: &str) -> bool {
    folders.iter().any(|folder| folder.entries.iter().any(|entry| entry.name == name))
}

fn listed(folders: &[Folder]) -> String {
    folders.iter().map(|folder| folder.real.as_str()).collect::<Vec<_>>().join(", ")
}

fn mismatch(kernel: &str, version: &str) -> String {
    format!("The kernel module is {kernel}, but the libraries are {version}; reboot, or reload the module.")
}

#[cfg(test)]
mod tests;
