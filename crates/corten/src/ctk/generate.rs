//! `nvidia-ctk cdi generate`: a specification of this machine, or of one that a file describes (reference: cdi-and-ctk.md
//! 1.2).

mod explain;
mod order;
mod parts;
mod places;
mod subject;
mod table;

pub use table::FLAGS;

use super::{
    flags::{Flag, Values},
    output,
};
use crate::{
    cdi_hook,
    codes::Code,
    fault::{Fault, Result},
};
use cdi::Spec;
use host::Platform;
use oci::HostPath;
use order::{Order, later_mode};
use plan::{
    PlanError,
    spec::{self, SpecError, SpecMode, SpecOptions},
};
use std::{collections::BTreeSet, os::unix::fs::MetadataExt};
use subject::Subject;

/// Makes the specification and writes it, or says why it is what it is.
pub fn run(values: &Values) -> Result<()> {
    let order = Order::read(values)?;
    let subject = Subject::of(values)?;
    let (inventory, options) = subject.inventory(options(values, &order), order.is_auto())?;
    let draft = spec::draft(&inventory, &options).map_err(|error| refused(&error))?;
    for remark in &draft.remarks {
        log::warn!("{remark}");
    }
    if order.explain {
        return explain::print(&draft);
    }
    let spec = draft.spec();
    warn_of_shared_names(values, &order);
    warn_of_hooks_to_come(&spec);
    output::write(&spec, order.output.as_deref(), order.format)?;
    log::info!("Generated CDI spec with version {}", spec.cdi_version);
    parts::write(&draft.parts(), &spec, &order)
}

fn options(values: &Values, order: &Order) -> SpecOptions {
    let none = order.devices.iter().any(|name| name == "none");
    let all_device = !values.is_set("no-all-device");
    if none && all_device {
        log::warn!("Disabling generation of 'all' device");
    }
    SpecOptions {
        mode: order.mode.unwrap_or(SpecMode::Nvml),
        vendor: values.text("vendor"),
        class: values.text("class"),
        strategies: order.strategies.clone(),
        devices: order.devices.clone(),
        all_device: all_device && !none,
        driver_root: HostPath::root(),
        hook_program: order.hook_program.clone(),
        ldconfig: Some(values.text("ldconfig-path")).filter(|path| !path.is_empty()),
        hooks: order.hooks.clone(),
        hookless: order.hookless.clone(),
        join_groups: !order.has_feature("no-additional-gids-for-device-nodes"),
        sockets: !order.has_feature("disable-ipc-discoverer"),
        explicit_libraries: order.has_feature("enable-explicit-driver-libraries"),
        coherent: order.has_feature("enable-coherent-annotations"),
    }
}

/// Engines refuse a name that two files have, and the class does not follow the mode, as in the original.
fn warn_of_shared_names(values: &Values, order: &Order) {
    let other = order.mode.filter(|mode| *mode != SpecMode::Nvml);
    if let Some(mode) = other.filter(|_| order.output.is_some() && !values.is_given("class")) {
        let (kind, name) = (format!("{}/{}", values.text("vendor"), values.text("class")), mode.name());
        log::warn!(
            "devices of kind {kind} are usually GPUs: give --class={name} if a specification of those lies beside it"
        );
    }
}

/// A container that uses the spec fails at a hook which the program that it names refuses; better said now than then.
fn warn_of_hooks_to_come(spec: &Spec) {
    let hooks = spec.all_edits().flat_map(|edits| &edits.hooks).filter(|hook| is_this_program(&hook.path));
    let names: BTreeSet<_> =
        hooks.filter_map(|hook| hook.args.iter().map(String::as_str).find(|word| cdi_hook::is_to_come(word))).collect();
    if !names.is_empty() {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        log::warn!(
            "the hooks {names} are not in this version of nvidia-cdi-hook yet, so containers that use this spec will not \
             start: give the path of the original's with --nvidia-cdi-hook-path, leave them out with --disable-hook, or do \
             without any with --hooks=none"
        );
    }
}

/// The file is this very executable, whatever it is called.
fn is_this_program(path: &str) -> bool {
    let identity = |path: &str| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    identity(path).is_some_and(|file| Some(file) == identity("/proc/self/exe"))
}

/// The original's words for this stage.
const FAILED: &str = "failed to generate CDI spec";

fn check_platform(platform: Platform) -> Result<()> {
    match platform {
        Platform::Tegra => Err(later_mode("csv")),
        Platform::Wsl => Err(later_mode("wsl")),
        Platform::Discrete | Platform::None => {
            log::info!("Auto-detected mode as 'nvml'");
            Ok(())
        }
    }
}

fn refused(error: &SpecError) -> Fault {
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
    Fault::from_error(code, error).within(FAILED)
}

fn usage(message: String, next: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::Usage, message).next(next)
}

#[cfg(test)]
mod tests;
