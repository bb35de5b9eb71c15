//! A specification before it is put into CDI's form: with the reason for each of its parts.

use super::SpecOptions;
use crate::edits::SpecEdits;
use cdi::{ContainerEdits, Device, Spec};

/// What a specification will say, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its devices.
    pub devices: Vec<DraftDevice>,
    /// What every device brings.
    pub common: SpecEdits,
    /// What was left out although it was asked for, and what the specification cannot do: one sentence each.
    pub remarks: Vec<String>,
    kind: String,
    all_device: bool,
}

/// A device, under each of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftDevice {
    /// One for each strategy.
    pub names: Vec<String>,
    /// What it changes about a container.
    pub edits: SpecEdits,
}

impl DraftDevice {
    /// A device with one name.
    pub(super) fn named(name: impl Into<String>, edits: SpecEdits) -> DraftDevice {
        DraftDevice { names: vec![name.into()], edits }
    }
}

impl Draft {
    /// Nothing yet.
    pub(super) fn of(options: &SpecOptions) -> Draft {
        Draft {
            devices: Vec::new(),
            common: SpecEdits::default(),
            remarks: Vec::new(),
            kind: format!("{}/{}", options.vendor, options.class),
            all_device: options.all_device,
        }
    }

    /// The specification.
    pub fn spec(&self) -> Spec {
        assemble(self.kind.clone(), self.devices.iter(), &self.common, self.all_device)
    }
}

/// Puts the parts together, adds the device that is all the others, and gives the result the version that it needs.
fn assemble<'d>(
    kind: String,
    devices: impl Iterator<Item = &'d DraftDevice>,
    common: &SpecEdits,
    all_device: bool,
) -> Spec {
    let named = |one: &'d DraftDevice| {
        let edits = one.edits.to_container_edits();
        one.names.iter().map(move |name| device(name, edits.clone()))
    };
    let devices = devices.flat_map(named).collect();
    let mut spec = Spec { kind, devices, container_edits: common.to_container_edits(), ..Spec::default() };
    spec.normalise();
    if all_device && spec.devices.iter().all(|device| device.name != "none") {
        spec.add_merged_device("all");
        spec.normalise();
    }
    spec.cdi_version = spec.minimum_version().to_owned();
    spec
}

fn device(name: &str, container_edits: ContainerEdits) -> Device {
    Device { name: name.to_owned(), container_edits, ..Device::default() }
}
