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
    coherent: bool,
}

/// A device, under each of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftDevice {
    /// One for each strategy.
    pub names: Vec<String>,
    /// What it changes about a container.
    pub edits: SpecEdits,
    /// Whether it shares the CPU's memory coherently, where that is asked.
    pub(super) coherent: Option<bool>,
}

/// A specification that holds a part of the devices once more, under another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part's name: what follows the class, and what the name of its file has before the extension.
    pub name: &'static str,
    /// It; `None` where no device belongs to the part.
    pub spec: Option<Spec>,
}

impl DraftDevice {
    /// A device with one name.
    pub(super) fn named(name: impl Into<String>, edits: SpecEdits) -> DraftDevice {
        DraftDevice { names: vec![name.into()], edits, coherent: None }
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
            coherent: options.coherent,
        }
    }

    /// The specification.
    pub fn spec(&self) -> Spec {
        assemble(self.kind.clone(), self.devices.iter(), &self.common, self.all_device)
    }

    /// Specifications of the GPUs that share the CPU's memory coherently and of those that do not, beside the one of all
    /// (reference: cdi-and-ctk.md 3.6). Empty where they are not asked for.
    pub fn parts(&self) -> Vec<Part> {
        let part = |(name, coherent)| {
            let devices: Vec<_> = self.devices.iter().filter(|device| device.coherent == Some(coherent)).collect();
            let kind = format!("{}.{name}", self.kind);
            let spec =
                (!devices.is_empty()).then(|| assemble(kind, devices.into_iter(), &self.common, self.all_device));
            Part { name, spec }
        };
        if self.coherent { PARTS.map(part).to_vec() } else { Vec::new() }
    }
}

/// Names of the parts, and whether the GPUs in them share the CPU's memory.
pub const PARTS: [(&str, bool); 2] = [("coherent", true), ("noncoherent", false)];

/// Puts the parts together, adds the device that is all the others, and gives the result the version that it needs.
fn assemble<'d>(
    kind: String,
    devices: impl Iterator<Item = &'d DraftDevice>,
    common: &SpecEdits,
    all_device: bool,
) -> Spec {
    let named = |one: &'d DraftDevice| {
        let edits = one.edits.clone().into_container_edits();
        one.names.iter().map(move |name| device(name, edits.clone()))
    };
    let devices = devices.flat_map(named).collect();
    let mut spec = Spec { kind, devices, container_edits: common.clone().into_container_edits(), ..Spec::default() };
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
