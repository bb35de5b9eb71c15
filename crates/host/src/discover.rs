//! Looks at a machine and says what is there.

use crate::{
    Capabilities, Driver, HostError, Inventory, KnownDriver, NvmlFacts, Platform, Roots, Wanted, driver,
    inside::Inside,
    kernel::Kernel,
    nodes::{self, Nodes, SharedWanted},
    platform,
};

/// Describes the machine at `roots`, as far as `wanted` asks for it. Parts that the machine lacks are empty; why, where
/// that may surprise, is in [`Inventory::remarks`]. Nothing is changed, loaded or run. [`Inventory::nvml`] is left
/// `None`: see `nvml::facts`.
///
/// # Errors
/// [`HostError`] when the driver root does not exist, or a file of the kernel's exists and cannot be read.
pub fn discover(roots: &Roots, wanted: Wanted) -> Result<Inventory, HostError> {
    examine(roots, wanted, None, |inside, kernel, remarks| driver::find(roots, inside, wanted, kernel, remarks))
}

/// Describes the machine as [`discover`] does, but takes the GPUs and MIG devices that there are, their order and their
/// names from NVML's answer instead of the kernel's lists. That is how the original looks at a machine; ours must come to
/// the same, which the hardware check compares.
///
/// # Errors
/// As [`discover`].
pub fn discover_as_nvml_does(roots: &Roots, wanted: Wanted, nvml: &NvmlFacts) -> Result<Inventory, HostError> {
    let search = |inside: &Inside, kernel: Option<&str>, remarks: &mut Vec<String>| {
        driver::find(roots, inside, wanted, kernel, remarks)
    };
    Ok(Inventory { nvml: Some(nvml.clone()), ..examine(roots, wanted, Some(nvml), search)? })
}

/// Looks once more at what the kernel says of the GPUs of a machine: it knows more of them once they have been used. GPUs that
/// came or went since are left to a later look.
///
/// # Errors
/// As [`discover`].
pub fn look_again(roots: &Roots, inventory: &mut Inventory) -> Result<(), HostError> {
    let wanted = Wanted { capabilities: Capabilities::NONE, driver: false, drm: false, ..Wanted::ALL };
    let now = discover(roots, wanted)?;
    for gpu in &mut inventory.gpus {
        if let Some(seen) = now.gpus.iter().find(|seen| seen.bus_id == gpu.bus_id) {
            (gpu.uuid, gpu.mig_capable, gpu.mig) = (seen.uuid.clone(), seen.mig_capable, seen.mig.clone());
        }
    }
    inventory.nodes.mig_minors = now.nodes.mig_minors;
    Ok(())
}

/// A machine, and what was learnt on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The machine.
    pub inventory: Inventory,
    /// The driver had to be searched for, and this is worth keeping for the next time.
    pub learnt: Option<KnownDriver>,
}

/// Describes the machine as [`discover`] does, but searches for the driver only where nothing that is known from
/// `earlier` still holds. Kernel, nodes, GPUs and sockets are always looked at.
///
/// # Errors
/// As [`discover`].
pub fn discover_again(
    roots: &Roots,
    wanted: Wanted,
    earlier: impl IntoIterator<Item = KnownDriver>,
) -> Result<Discovery, HostError> {
    let mut learnt = None;
    let inventory = examine(roots, wanted, None, |inside, kernel, remarks| {
        let (driver, new) = driver::find_again(roots, inside, wanted, kernel, earlier, remarks)?;
        learnt = new;
        Ok(driver)
    })?;
    Ok(Discovery { inventory, learnt })
}

fn examine(
    roots: &Roots,
    wanted: Wanted,
    nvml: Option<&NvmlFacts>,
    driver: impl FnOnce(&Inside, Option<&str>, &mut Vec<String>) -> Result<Option<Driver>, HostError>,
) -> Result<Inventory, HostError> {
    let inside =
        Inside::open(&roots.driver).map_err(|source| HostError::Root { path: roots.driver.clone(), source })?;
    let mut remarks = Vec::new();
    let kernel = Kernel::read(roots, &mut remarks)?;
    let kernel = match nvml {
        Some(nvml) => kernel.with_gpus_of(nvml),
        None => kernel,
    };
    let platform = platform::detect(&kernel, &inside);
    let mut nodes = Nodes::new(&kernel, &mut remarks);
    let gpus = if wanted.gpus { nodes::gpus(&mut nodes, wanted.drm) } else { Vec::new() };
    let shared = nodes::shared(&mut nodes, SharedWanted { control: wanted.gpus, extras: wanted.extras });
    let driver = match platform {
        // Their libraries come by other rules: CSV files, and the store of the Windows driver.
        Platform::Tegra | Platform::Wsl => None,
        _ if !wanted.driver => None,
        _ => driver(&inside, kernel.version.as_deref(), &mut remarks)?,
    };
    let modify_device_files = kernel.params.modify;
    Ok(Inventory { platform, driver, gpus, nodes: shared, modify_device_files, nvml: None, remarks })
}
