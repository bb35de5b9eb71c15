//! How a CDI spec of this machine is made, as a value: `nvidia-ctk cdi generate` follows it and keeps it beside the spec, and
//! the shim follows it once more where the machine has changed since.

use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
    version::VERSION,
};
use cdi::{Origin, Spec};
use host::{Inventory, Roots};
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
}

impl Recipe {
    /// The recipe of a spec that this program made, in whatever version. `None`: one that cannot be followed here.
    pub fn of(origin: &Origin) -> Option<Recipe> {
        serde_json::from_value(origin.how.clone()).ok()
    }

    /// The machine, as far as the spec depends on it and can be known without NVML.
    pub fn look(&self) -> Result<Inventory> {
        machine::examine_at(&self.roots, self.options.mode.wanted(self.options.explicit_libraries))
    }

    /// The spec of this machine. NVML is asked where it is needed; what it says is in `inventory` afterwards.
    pub fn follow(&self, inventory: &mut Inventory, config: &Config) -> Result<Spec> {
        if spec::needs_nvml(inventory, &self.options) {
            machine::ask_nvml_at(&self.roots, inventory, config)?;
        }
        spec::spec(inventory, &self.options).map_err(|error| Fault::from_error(code(&error), &error))
    }

    /// What is to stand in the file of a spec that was made of this machine.
    pub fn origin(&self, spec: &Spec, inventory: &Inventory) -> Origin {
        Origin {
            maker: VERSION.to_owned(),
            machine: inventory.digest(),
            content: spec.digest(),
            // Plain structures have no way to fail.
            how: serde_json::to_value(self).unwrap_or_default(),
        }
    }
}

fn code(error: &SpecError) -> Code {
    match error {
        SpecError::NoDriver { .. } => Code::DriverMissing,
        SpecError::NoNodes { .. } | SpecError::UnknownChannel(_) => Code::DeviceUnknown,
        SpecError::InvalidChannel(_) => Code::RequestInvalid,
        SpecError::Unnamed { .. } => Code::FactUnknown,
        SpecError::Devices(PlanError::Ambiguous { .. }) => Code::DeviceAmbiguous,
        SpecError::Devices(PlanError::UnknownFact { .. }) => Code::FactUnknown,
        SpecError::Devices(PlanError::MixedNames { .. }) => Code::RequestInvalid,
        SpecError::Devices(_) => Code::DeviceUnknown,
    }
}
