//! A machine that somebody describes, to decide for it elsewhere: what [`Inventory`] is serialised as, of which most may
//! be left out. The format is that of `docs/machines.md`.
//!
//! Nothing of the machine that this runs on becomes part of the result, so it is the same everywhere. Only a driver root
//! that is named is looked into.

mod parts;

use crate::{
    Driver, FileKind, HostError, Inventory, Library, LibraryClass, NvmlFacts, Platform, Roots, Wanted, driver,
    elf::Machine, inside::Inside,
};
use oci::HostPath;
use parts::{DriverPart, GpuPart, NodesPart};
use serde::Deserialize;
use std::collections::HashMap;

/// A machine as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Described {
    platform: Option<Platform>,
    driver: Option<DriverPart>,
    gpus: Vec<GpuPart>,
    nodes: Option<NodesPart>,
    modify_device_files: bool,
    nvml: Option<NvmlFacts>,
    remarks: Vec<String>,
}

/// Why a description is no machine.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DescriptionError {
    #[error("{place}: {problem}")]
    Wrong { place: String, problem: String },
    #[error("driver: its files are not described; name the folder that holds it with --driver-root or in driver.root")]
    NoFiles,
    #[error("no driver was found under {root}{remarks}; unpack one there, or name another folder")]
    NoDriver { root: HostPath, remarks: String },
    #[error("driver.version: {root} holds driver {found}, not {wanted}; correct one of them")]
    OtherVersion { root: HostPath, found: String, wanted: String },
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Described {
    /// The machine. `root`, or else `driver.root` where no files are listed, is searched for a driver, of which `wanted`
    /// says what is wanted.
    ///
    /// # Errors
    /// [`DescriptionError`] says where the description is wrong.
    pub fn complete(self, root: Option<&HostPath>, wanted: Wanted) -> Result<Inventory, DescriptionError> {
        let mut remarks = self.remarks;
        let driver = match (root, self.driver) {
            (Some(root), part) => Some(search(root, part.and_then(|part| part.version), wanted, &mut remarks)?),
            (None, Some(part)) => Some(listed_or_found(part, wanted, &mut remarks)?),
            (None, None) => None,
        };
        let gpus = (0..).zip(self.gpus).map(|(position, gpu)| gpu.complete(position)).collect::<Result<Vec<_>, _>>()?;
        unique("index", gpus.iter().map(|gpu| gpu.index.to_string()))?;
        unique("minor", gpus.iter().map(|gpu| gpu.minor.to_string()))?;
        unique("uuid", gpus.iter().map(|gpu| gpu.uuid.to_lowercase()))?;
        Ok(Inventory {
            platform: self.platform.unwrap_or(Platform::Discrete),
            driver,
            gpus,
            nodes: self.nodes.map_or_else(NodesPart::usual, NodesPart::complete)?,
            modify_device_files: self.modify_device_files,
            nvml: self.nvml,
            remarks,
        })
    }
}

fn wrong(place: impl Into<String>, problem: impl Into<String>) -> DescriptionError {
    DescriptionError::Wrong { place: place.into(), problem: problem.into() }
}

/// No two GPUs have the same; what is empty is nobody's.
fn unique(member: &str, values: impl Iterator<Item = String>) -> Result<(), DescriptionError> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (position, value) in values.enumerate().filter(|(_, value)| !value.is_empty()) {
        if let Some(earlier) = seen.get(&value) {
            let problem = format!("{value} is that of gpus[{earlier}] already");
            return Err(wrong(format!("gpus[{position}].{member}"), problem));
        }
        seen.insert(value, position);
    }
    Ok(())
}

fn listed_or_found(part: DriverPart, wanted: Wanted, remarks: &mut Vec<String>) -> Result<Driver, DescriptionError> {
    match (part.files, part.root) {
        (Some(files), root) => {
            let version = part.version.ok_or_else(|| wrong("driver.version", "it is missing"))?;
            Ok(Driver { version, root: root.unwrap_or_else(HostPath::root), files })
        }
        (None, Some(root)) => search(&root, part.version, wanted, remarks),
        (None, None) => Err(DescriptionError::NoFiles),
    }
}

/// Word sizes and instruction sets that drivers are made for, in a fixed order: the one that this program was built for
/// does not count.
const MACHINES: [Machine; 3] = [Machine::X86_64, Machine::Aarch64, Machine::Ppc64];

/// The driver below a root. No kernel is asked: neither for its version nor for where it looks for firmware.
fn search(
    root: &HostPath,
    version: Option<String>,
    wanted: Wanted,
    remarks: &mut Vec<String>,
) -> Result<Driver, DescriptionError> {
    let inside = Inside::open(root).map_err(|source| HostError::Root { path: root.clone(), source })?;
    let mut said = Vec::new();
    for machine in MACHINES {
        said.clear();
        let roots = Roots { machine, ..Roots::without_kernel(root.clone()) };
        let found = driver::find(&roots, &inside, wanted, version.as_deref(), &mut said)?;
        let Some(driver) = found.filter(has_libraries) else { continue };
        remarks.append(&mut said);
        return match version {
            Some(wanted) if wanted != driver.version => {
                Err(DescriptionError::OtherVersion { root: root.clone(), found: driver.version, wanted })
            }
            _ => Ok(driver),
        };
    }
    let remarks = said.iter().map(|remark| remark.trim_end_matches('.')).collect::<Vec<_>>().join("; ");
    let remarks = if remarks.is_empty() { remarks } else { format!(" ({remarks})") };
    Err(DescriptionError::NoDriver { root: root.clone(), remarks })
}

fn has_libraries(driver: &Driver) -> bool {
    let native = |kind: &FileKind| matches!(kind, FileKind::Library(Library { class: LibraryClass::Native, .. }));
    driver.files.iter().any(|file| native(&file.kind))
}

#[cfg(test)]
mod tests;
