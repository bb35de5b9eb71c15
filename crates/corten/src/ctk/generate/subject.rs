//! What is to be described: this machine, or one that a file describes and of which nothing is here.

use super::{FAILED, Order, Values, check_platform, nothing, places, usage};
use crate::{
    fault::Result,
    machine,
    recipe::{Look, Recipe},
};
use host::{Described, Inventory, Roots, Wanted};
use oci::HostPath;
use plan::{Config, spec::SpecOptions};
use std::path::{Path, PathBuf};

/// The word for a machine of which nothing is known but its driver.
const NONE: &str = "none";

/// Where the facts come from.
pub enum Subject {
    /// This machine.
    Here { roots: Roots, config: Box<Config>, as_nvml_does: bool },
    /// A file, and the driver root that was named beside it. This machine is not looked at.
    There { file: PathBuf, root: Option<HostPath> },
}

impl Subject {
    /// What the command line says.
    pub fn of(values: &Values) -> Result<Subject> {
        if is_elsewhere(values) {
            for flag in ["dev-root", "library-search-path", "config-search-path", "gpus-from"] {
                if values.is_given(flag) {
                    log::warn!("--{flag} is about this machine, so it has no effect beside --machine");
                }
            }
            let file = values.text("machine").into();
            return Ok(Subject::There { file, root: places::driver_root(values)? });
        }
        let config = places::config(values)?;
        let as_nvml_does = match values.text("gpus-from").as_str() {
            "kernel" => false,
            "nvml" => true,
            other => return Err(usage(format!("--gpus-from: {other:?} lists no GPUs"), "Give kernel or nvml")),
        };
        Ok(Subject::Here { roots: places::roots(values, &config)?, config: Box::new(config), as_nvml_does })
    }

    /// The machine, as far as the options want it, and the options with the root that was looked into.
    pub fn look(&self, options: SpecOptions, auto: bool) -> Result<(Look, SpecOptions)> {
        match self {
            Subject::Here { roots, config, as_nvml_does } => {
                let options = SpecOptions { driver_root: roots.driver.clone(), ..options };
                let recipe = Recipe { options, roots: roots.clone(), part: None };
                let mut look = match as_nvml_does {
                    true => recipe.look_as_nvml_does(config).map_err(|fault| fault.within(FAILED))?,
                    false => recipe.look()?,
                };
                if auto {
                    check_platform(look.inventory.platform)?;
                }
                // Whoever makes a spec often does so because something has changed.
                recipe.ask_nvml(&mut look, config, true).map_err(|fault| fault.within(FAILED))?;
                Ok((look, recipe.options))
            }
            Subject::There { file, root } => {
                let wanted = options.mode.wanted(options.explicit_libraries);
                let inventory = elsewhere(file, root.as_ref(), wanted).map_err(|fault| fault.within(FAILED))?;
                if auto {
                    check_platform(inventory.platform)?;
                }
                let driver_root = inventory.driver.as_ref().map(|driver| driver.root.clone());
                let driver_root = root.clone().or(driver_root).unwrap_or(options.driver_root);
                Ok((Look::elsewhere(inventory), SpecOptions { driver_root, ..options }))
            }
        }
    }
}

impl Subject {
    /// It is this machine, without the folder that is to hold its driver.
    pub fn has_no_root(&self) -> bool {
        matches!(self, Subject::Here { roots, .. } if nothing::has_no_root(roots))
    }

    /// How the specification can be made again. One of another machine is not checked on this one, and one that NVML was
    /// asked for is there to be compared, not kept.
    pub fn recipe(&self, options: SpecOptions) -> Option<Recipe> {
        match self {
            Subject::Here { roots, as_nvml_does: false, .. } => {
                Some(Recipe { options, roots: roots.clone(), part: None })
            }
            Subject::Here { .. } | Subject::There { .. } => None,
        }
    }
}

fn elsewhere(file: &Path, root: Option<&HostPath>, wanted: Wanted) -> Result<Inventory> {
    let described = match file.to_str() {
        Some(NONE) => Described::default(),
        _ => machine::described(file)?,
    };
    machine::complete(described, file, root, wanted)
}

/// Nothing of this machine may become part of the specification.
pub fn is_elsewhere(values: &Values) -> bool {
    !values.text("machine").is_empty()
}

/// Which devices: of a machine of which nothing is known, none.
pub fn devices(values: &Values) -> Vec<String> {
    if values.text("machine") == NONE && !values.is_given("device-id") {
        return vec!["none".to_owned()];
    }
    values.list("device-id")
}

impl Order {
    /// The mode is to follow from the machine.
    pub fn is_auto(&self) -> bool {
        self.mode.is_none()
    }
}
