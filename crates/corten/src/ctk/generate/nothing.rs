//! That a machine has nothing to describe. To `generate` it is a failure; whoever keeps a file up to date takes away
//! what promises the contrary, and so must not take for it what only looks so: a wrong name, or an NVML that is behind
//! the kernel.

use crate::recipe::Recipe;
use host::Roots;
use plan::{
    Config, PlanError,
    spec::{self, SpecError},
};
use std::{fs, io::ErrorKind};

/// The machine has no driver, or none of the devices that the mode is about, whichever of them were asked for.
pub fn says(error: &SpecError) -> bool {
    match error {
        SpecError::NoDriver { .. } | SpecError::NoLibcuda { .. } | SpecError::NoNodes { .. } => true,
        // The second: every GPU is to be partitioned, and the kernel lists no MIG device.
        SpecError::Devices(PlanError::NoGpus { .. } | PlanError::NothingToGrant { .. }) => true,
        SpecError::Devices(_)
        | SpecError::NothingLeft { .. }
        | SpecError::InvalidChannel(_)
        | SpecError::UnknownChannel(_)
        | SpecError::Unnamed { .. } => false,
    }
}

/// The folder that is to hold the driver does not exist: a driver container makes it when it starts, and takes it away.
pub fn has_no_root(roots: &Roots) -> bool {
    fs::metadata(roots.driver.as_path()).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// This machine has nothing for a specification that is made in this way. What cannot be told is no reason to say so.
pub fn is_left_for(recipe: &Recipe, config: &Config) -> bool {
    if has_no_root(&recipe.roots) {
        return true;
    }
    let Ok(mut look) = recipe.look() else { return false };
    recipe.ask_nvml(&mut look, config, true).is_ok()
        && spec::draft(&look.inventory, &recipe.options).is_err_and(|error| says(&error))
}
