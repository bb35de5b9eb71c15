//! What a specification depends on, as far as it can be seen at little cost: without NVML, in about a millisecond. As
//! long as a sight is the same, and NVML had caught up with it, the specification is the same.

use crate::{
    codes::Code,
    ctk::{
        flags::Values,
        generate::{nothing, parts},
    },
    fault::{Fault, Result},
    machine,
};
use host::{Capabilities, Driver, Fingerprint, Inventory, Roots, Wanted};
use plan::spec::PARTS;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// See the module.
#[derive(PartialEq)]
pub struct Sight {
    /// `None`: the folder that is to hold the driver is not there.
    machine: Option<(Inventory, Fingerprint)>,
    /// The file that is kept up to date, then those of the parts: somebody may take them away, or put others in their
    /// place.
    files: Vec<Option<Identity>>,
}

/// Tells a file from one that took its place.
type Identity = (u64, u64, i64, i64);

impl Sight {
    /// Looks.
    pub fn take(values: &Values, roots: &Roots, file: &Path) -> Result<Sight> {
        let explicit = values.list("feature-flag").iter().any(|flag| flag == "enable-explicit-driver-libraries");
        let wanted = Wanted { capabilities: Capabilities::NATIVE, explicit_libraries: explicit, ..Wanted::ALL };
        let machine = match machine::examine_at(roots, wanted) {
            Err(_) if nothing::has_no_root(roots) => None,
            inventory => {
                let inventory = inventory?;
                let unreadable = |error| Fault::from_error(Code::HostUnreadable, &error);
                let fingerprint = Fingerprint::take(roots, &inventory).map_err(unreadable)?;
                Some((inventory, fingerprint))
            }
        };
        Ok(Sight { machine, files: files(file) })
    }

    /// The same machine with the files as they are now.
    pub fn with_files(self, file: &Path) -> Sight {
        Sight { files: files(file), ..self }
    }

    /// The file that is kept up to date.
    pub fn file(&self) -> Option<&Identity> {
        self.files.first()?.as_ref()
    }

    pub fn driver(&self) -> Option<&Driver> {
        self.machine.as_ref()?.0.driver.as_ref()
    }

    /// GPUs can be cut into MIG devices, or are: that takes a while, and makes one device after another.
    pub fn may_be_cut(&self) -> bool {
        self.machine.iter().flat_map(|(inventory, _)| &inventory.gpus).any(|gpu| gpu.mig_capable || !gpu.mig.is_empty())
    }
}

fn files(file: &Path) -> Vec<Option<Identity>> {
    let parts = PARTS.map(|(part, _)| identity(&parts::beside(file, part)));
    [identity(file)].into_iter().chain(parts).collect()
}

fn identity(file: &Path) -> Option<Identity> {
    let found = fs::metadata(file).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}
