//! How a CDI spec of this machine is made, as a value: `nvidia-ctk cdi generate` follows it and keeps it beside the spec, and
//! the shim follows it once more where the machine has changed since.

use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
    version::VERSION,
};
use cdi::{Origin, Spec};
use host::{Inventory, Roots, Wanted};
use nvml::Expected;
use plan::{
    Config, PlanError,
    spec::{self, SpecError, SpecOptions},
};
use serde::{Deserialize, Serialize};

/// Everything that a spec follows from besides the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// What it is to describe, and how.
    pub options: SpecOptions,
    /// Where the machine is looked at.
    pub roots: Roots,
    /// Which of the specs that are made together it is, by [`plan::spec::Part::name`]; `None`: that of all devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl Recipe {
    /// The recipe of a spec that this program made, in whatever version. `None`: one that cannot be followed here.
    pub fn of(origin: &Origin) -> Option<Recipe> {
        serde_json::from_value(origin.how.clone()).ok()
    }

    /// The machine, as far as the spec depends on it and can be known without NVML.
    pub fn look(&self) -> Result<Inventory> {
        machine::examine_at(&self.roots, self.wanted())
    }

    /// The same with the GPUs and MIG devices that NVML lists, under its names.
    pub fn look_as_nvml_does(&self, config: &Config) -> Result<Inventory> {
        machine::examine_as_nvml_does(&self.roots, self.wanted(), config)
    }

    /// What of the machine the spec depends on.
    fn wanted(&self) -> Wanted {
        self.options.mode.wanted(self.options.explicit_libraries)
    }

    /// Adds what NVML knows, if the spec depends on it.
    pub fn ask_nvml(&self, inventory: &mut Inventory, config: &Config) -> Result<()> {
        match spec::needs_nvml(inventory, &self.options) {
            true => machine::ask_nvml_at(&self.roots, inventory, config),
            false => Ok(()),
        }
    }

    /// The spec of that machine, of which NVML has been asked. A part that has no device any more has no spec.
    pub fn spec(&self, inventory: &Inventory) -> Result<Option<Spec>> {
        let draft = spec::draft(inventory, &self.options).map_err(|error| fault(&error))?;
        match &self.part {
            None => Ok(Some(draft.spec())),
            Some(name) => Ok(draft.parts().into_iter().find(|part| part.name == name).and_then(|part| part.spec)),
        }
    }

    /// A short name for the machine, which is another as soon as the spec may be another.
    pub fn machine(&self, inventory: &Inventory) -> String {
        // A MIG device that was made anew has the ids of the old one and another name.
        let made: Vec<_> = inventory.gpus.iter().flat_map(|gpu| host::makings(&self.roots, gpu)).collect();
        let made = if made.is_empty() {
            String::new()
        } else {
            format!("{:016x}", oci::digest(format!("{made:?}").as_bytes()))
        };
        inventory.digest() + &made
    }

    /// What is to stand in the file of a spec that was made of this machine. If NVML had other devices than the kernel then, as
    /// while they are being made, it was made for no machine that anybody will ever see again.
    pub fn origin(&self, spec: &Spec, inventory: &Inventory) -> Origin {
        let settled = inventory.nvml.as_ref().is_none_or(|facts| Expected::on(inventory).is_just(facts));
        Origin {
            maker: VERSION.to_owned(),
            machine: if settled { self.machine(inventory) } else { String::new() },
            content: spec.digest(),
            // Plain structures have no way to fail.
            how: serde_json::to_value(self).unwrap_or_default(),
        }
    }
}

/// Why a machine has no such spec.
pub fn fault(error: &SpecError) -> Fault {
    let code = match error {
        SpecError::NoDriver { .. } | SpecError::NoLibcuda { .. } => Code::DriverMissing,
        SpecError::NoNodes { .. } | SpecError::NothingLeft { .. } | SpecError::UnknownChannel(_) => Code::DeviceUnknown,
        SpecError::InvalidChannel(_) => Code::RequestInvalid,
        SpecError::Unnamed { .. } => Code::FactUnknown,
        SpecError::Devices(PlanError::Ambiguous { .. }) => Code::DeviceAmbiguous,
        SpecError::Devices(PlanError::UnknownFact { .. }) => Code::FactUnknown,
        SpecError::Devices(PlanError::MixedNames { .. }) => Code::RequestInvalid,
        SpecError::Devices(_) => Code::DeviceUnknown,
    };
    Fault::from_error(code, error)
}
