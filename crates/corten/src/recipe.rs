//! How a CDI spec of this machine is made, as a value: `nvidia-ctk cdi generate` follows it and keeps it beside the spec, and
//! the shim follows it once more where the machine has changed since.

use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
    version::VERSION,
};
use cdi::{Origin, Spec};
use host::{GpuFacts, Inventory, Making, Roots, Wanted};
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

/// A machine as it was looked at, and what it is called.
pub struct Look {
    /// The machine, as far as the spec depends on it.
    pub inventory: Inventory,
    /// A short name for the machine, which is another as soon as the spec may be another. Empty for one that nobody will see
    /// again.
    machine: String,
    /// When the kernel made its MIG devices.
    made: Vec<Option<Making>>,
}

/// What is known of a machine beside a spec that was made of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is the same.
    Same,
    /// It is the same as far as the kernel says; NVML may say otherwise.
    Perhaps,
    /// It is another.
    Other,
}

impl Look {
    /// A machine that is not here.
    pub fn elsewhere(inventory: Inventory) -> Look {
        Look { inventory, machine: String::new(), made: Vec::new() }
    }

    /// Whether a spec with that origin was made of this machine.
    pub fn likeness(&self, origin: &Origin) -> Likeness {
        let rest = origin.machine.strip_prefix(self.machine.as_str()).filter(|_| !self.machine.is_empty());
        match rest {
            _ if origin.maker != VERSION => Likeness::Other,
            Some("") => Likeness::Same,
            Some(rest) if rest.starts_with(MODES) => Likeness::Perhaps,
            _ => Likeness::Other,
        }
    }
}

/// What a machine's name has before the MIG modes of its GPUs.
const MODES: char = '+';

impl Recipe {
    /// The recipe of a spec that this program made, in whatever version. `None`: one that cannot be followed here.
    pub fn of(origin: &Origin) -> Option<Recipe> {
        serde_json::from_value(origin.how.clone()).ok()
    }

    /// The machine, as far as the spec depends on it and can be known without NVML.
    pub fn look(&self) -> Result<Look> {
        let inventory = machine::examine_at(&self.roots, self.wanted())?;
        let made = self.made(&inventory);
        // A MIG device that was made anew has the ids of the old one and another name.
        let making = match made.is_empty() {
            true => String::new(),
            false => format!("{:016x}", oci::digest(format!("{made:?}").as_bytes())),
        };
        Ok(Look { machine: inventory.digest() + &making, inventory, made })
    }

    /// The same with the GPUs and MIG devices that NVML lists, under its names.
    pub fn look_as_nvml_does(&self, config: &Config) -> Result<Look> {
        machine::examine_as_nvml_does(&self.roots, self.wanted(), config).map(Look::elsewhere)
    }

    fn made(&self, inventory: &Inventory) -> Vec<Option<Making>> {
        inventory.gpus.iter().flat_map(|gpu| host::makings(&self.roots, gpu)).collect()
    }

    /// What of the machine the spec depends on.
    fn wanted(&self) -> Wanted {
        self.options.mode.wanted(self.options.explicit_libraries)
    }

    /// Adds what NVML knows, if the spec depends on it. `anew`: what may have changed without a trace is asked for again.
    pub fn ask_nvml(&self, look: &mut Look, config: &Config, anew: bool) -> Result<()> {
        if !spec::needs_nvml(&look.inventory, &self.options) {
            return Ok(());
        }
        if look.inventory.has_unused_gpus() {
            // That is their first use. What the kernel says now is what it will say from now on.
            machine::ask_nvml_at(&self.roots, &mut look.inventory, config, anew)?;
            let used = self.look()?;
            if used.inventory.has_unused_gpus() {
                self.name(look);
                return Ok(());
            }
            *look = used;
            if !spec::needs_nvml(&look.inventory, &self.options) {
                return Ok(());
            }
        }
        machine::ask_nvml_at(&self.roots, &mut look.inventory, config, anew)?;
        self.name(look);
        Ok(())
    }

    /// Completes the machine's name by what NVML says. If NVML had other devices than the kernel, as while they are being made, or
    /// one was made anew since the kernel was looked at, that was a machine that nobody will ever see again.
    fn name(&self, look: &mut Look) {
        let Look { inventory, machine, made } = look;
        let Some(facts) = &inventory.nvml else { return };
        if !Expected::on(inventory).is_just(facts) || self.made(inventory) != *made {
            machine.clear();
            return;
        }
        let modes: String = facts.gpus.iter().filter(|gpu| gpu.may_switch()).map(mode).collect();
        if !modes.is_empty() {
            machine.push(MODES);
            machine.push_str(&modes);
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

    /// What is to stand in the file of a spec that was made of this machine.
    pub fn origin(&self, spec: &Spec, look: &Look) -> Origin {
        Origin {
            maker: VERSION.to_owned(),
            machine: look.machine.clone(),
            content: spec.digest(),
            // Plain structures have no way to fail.
            how: serde_json::to_value(self).unwrap_or_default(),
        }
    }
}

fn mode(gpu: &GpuFacts) -> char {
    if gpu.mig_enabled { '1' } else { '0' }
}

/// Why a machine has no such spec.
pub fn fault(error: &SpecError) -> Fault {
    let code = match error {
        SpecError::NoDriver { .. } | SpecError::NoLibcuda { .. } => Code::DriverMissing,
        SpecError::NoNodes { .. } | SpecError::UnknownChannel(_) => Code::DeviceUnknown,
        SpecError::InvalidChannel(_) => Code::RequestInvalid,
        SpecError::NothingLeft { .. } | SpecError::Unnamed { .. } => Code::FactUnknown,
        SpecError::Devices(PlanError::Ambiguous { .. }) => Code::DeviceAmbiguous,
        SpecError::Devices(PlanError::UnknownFact { .. }) => Code::FactUnknown,
        SpecError::Devices(PlanError::MixedNames { .. }) => Code::RequestInvalid,
        SpecError::Devices(_) => Code::DeviceUnknown,
    };
    Fault::from_error(code, error)
}
