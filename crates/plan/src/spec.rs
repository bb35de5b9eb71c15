//! From a machine to a CDI specification of it: what `nvidia-ctk cdi generate` writes.
//!
//! A specification is for any container, so it holds every native driver file whatever its capability, at the path where
//! the host has it. It is for engines that know nothing of us, so what cannot be said with mounts and nodes is said with
//! hooks of the original's names and arguments, in its order (reference: cdi-and-ctk.md sections 2 and 3); or, where no
//! hooks are wanted, with more mounts and nodes ([`hookless`]).

mod devices;
mod draft;
mod driver;
mod groups;
mod hookless;
mod hooks;
mod lost;
mod options;

pub use draft::{Draft, DraftDevice, PARTS, Part};
pub(crate) use driver::is_graphics;
pub use hooks::{HookName, HookSwitches, JOBS};
pub use options::{NameStrategy, SpecMode, SpecOptions};

use crate::edits::Reason;
use crate::plan::{PlanError, remarks, select};
use crate::request::{DeviceId, DeviceName, DeviceRequest};
use cdi::Spec;
use hooks::Hooks;
use host::{Driver, Inventory};
use std::collections::BTreeSet;

/// Why a machine has no such specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SpecError {
    #[error(transparent)]
    Devices(#[from] PlanError),
    #[error("no NVIDIA driver was found under {root}{remarks}; install it, or give its folder with --driver-root")]
    NoDriver { root: String, remarks: String },
    #[error(
        "driver {version} was found under {root}, but without libcuda.so.{version}{remarks}; install the whole driver, or \
         use --mode=management for containers that only need NVML"
    )]
    NoLibcuda { version: String, root: String, remarks: String },
    #[error("this machine has no {what}; leave this mode out here, or load the module that makes its nodes")]
    NoNodes { what: &'static str },
    #[error("no device is left: {left_out}; look at `nvidia-smi -L` and `dmesg`, then try again")]
    NothingLeft { left_out: String },
    #[error("invalid channel ID {0}; give all, a number from 0 to 1048575, or channel and such a number")]
    InvalidChannel(String),
    #[error("IMEX channel {0} not found; create its node first, or leave it out of --device-id")]
    UnknownChannel(u32),
    #[error("NVML does not report the MIG device {gpu_instance}/{compute_instance} of GPU {gpu}, so it has no name")]
    Unnamed { gpu: u32, gpu_instance: u32, compute_instance: u32 },
}

impl SpecError {
    /// That there is nothing to grant is explained by what was left out.
    fn after(self, left_out: String) -> SpecError {
        match self {
            SpecError::Devices(PlanError::NoGpus { .. } | PlanError::NothingToGrant { .. }) if !left_out.is_empty() => {
                SpecError::NothingLeft { left_out }
            }
            other => other,
        }
    }
}

/// Whether NVML must be asked before [`spec`] can be made: only it knows whether a GPU that can be partitioned is,
/// what its MIG devices are called, how a GPU addresses memory, and anything of a GPU that has not been used since boot.
pub fn needs_nvml(inventory: &Inventory, options: &SpecOptions) -> bool {
    let whole =
        |name: &DeviceName| matches!(name.id, DeviceId::Index(_) | DeviceId::GpuUuid(_) | DeviceId::BusId { .. });
    let only_whole = match options.requested() {
        DeviceRequest::All => false,
        DeviceRequest::None => true,
        DeviceRequest::Ids(names) => names.iter().all(whole),
    };
    let partitions = inventory.gpus.iter().any(|gpu| gpu.mig_capable || !gpu.mig.is_empty());
    let unused = inventory.has_unused_gpus() && options.requested() != DeviceRequest::None;
    let wanted = unused || partitions && !only_whole || options.coherent && !inventory.gpus.is_empty();
    let open = inventory.driver.is_some() && inventory.nvml.is_none() && wanted;
    options.mode == SpecMode::Nvml && open
}

/// The specification of this machine. Its version is the lowest that can say what it holds.
///
/// # Errors
/// [`SpecError`].
pub fn spec(inventory: &Inventory, options: &SpecOptions) -> Result<Spec, SpecError> {
    draft(inventory, options).map(|draft| draft.spec())
}

/// The same with the reason for each of its parts.
///
/// # Errors
/// [`SpecError`].
pub fn draft(inventory: &Inventory, options: &SpecOptions) -> Result<Draft, SpecError> {
    let mut draft = Draft::of(options);
    let known = lost::without(inventory, options, &mut draft.remarks);
    let slots = lost::without_slots(inventory, options, &mut draft.remarks);
    let maker = Maker { inventory: &known, options, hooks: Hooks { options }, without_slots: slots };
    match options.mode {
        SpecMode::Nvml => {
            let driver = maker.whole_driver()?;
            let left_out = draft.remarks.join("; ");
            draft.devices = maker.gpus(&mut draft.remarks).map_err(|error| error.after(left_out))?;
            draft.common = maker.common(driver);
        }
        SpecMode::Management => {
            let driver = maker.driver()?;
            draft.devices = maker.management()?;
            draft.common = maker.management_common(driver);
        }
        SpecMode::Imex => draft.devices = maker.imex()?,
        mode => draft.devices = maker.group(mode)?,
    }
    maker.hooks.join(&mut draft.common);
    maker.void(&mut draft.common);
    draft.remarks.extend(maker.hooks.missed(inventory));
    Ok(draft)
}

/// A specification in the making.
struct Maker<'a> {
    inventory: &'a Inventory,
    options: &'a SpecOptions,
    hooks: Hooks<'a>,
    /// Indices of GPUs whose MIG devices have no names by their slots.
    without_slots: BTreeSet<u32>,
}

impl Maker<'_> {
    fn driver(&self) -> Result<&Driver, SpecError> {
        let missing =
            || SpecError::NoDriver { root: self.options.driver_root.to_string(), remarks: remarks(self.inventory) };
        self.inventory.driver.as_ref().ok_or_else(missing)
    }

    /// A driver with which a container can use a GPU.
    fn whole_driver(&self) -> Result<&Driver, SpecError> {
        let driver = self.driver()?;
        let name = format!("libcuda.so.{}", driver.version);
        let found = driver.files.iter().any(|file| driver::is_native(file) && file.path.file_name() == name);
        let missing = || SpecError::NoLibcuda {
            version: driver.version.clone(),
            root: driver.root.to_string(),
            remarks: remarks(self.inventory),
        };
        found.then_some(driver).ok_or_else(missing)
    }

    fn granted(&self) -> Result<Vec<select::Grant<'_>>, SpecError> {
        Ok(select::granted(&self.options.requested(), "--device-id=all", self.inventory)?)
    }

    /// What every device of the mode gets is there because of the mode.
    fn by_mode(&self, rule: impl Into<String>) -> Reason {
        Reason { request: format!("--mode={}", self.options.mode.name()), rule: rule.into() }
    }
}

#[cfg(test)]
mod tests;
