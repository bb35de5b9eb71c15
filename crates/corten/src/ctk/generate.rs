//! `nvidia-ctk cdi generate`: a specification of this machine, or of one that a file describes (reference: cdi-and-ctk.md
//! 1.2).

mod explain;
pub mod nothing;
mod order;
pub mod parts;
pub mod places;
mod subject;
mod table;

pub use table::{FLAGS, SHARED};

use super::{flags::Values, output, worse};
use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
    recipe::{self, Look, Recipe},
};
use cdi::{Format, Spec};
use host::Platform;
use oci::HostPath;
use order::{Order, later_mode};
use plan::spec::{self, SpecMode, SpecOptions};
use std::path::Path;
use subject::Subject;

/// What came of it.
pub enum Made {
    /// A specification, which was written unless the file has it or a better one; or it was explained.
    Specification {
        /// NVML lists what the kernel lists, and no better file was left in place: unless the machine changes, the next
        /// one is the same.
        settled: bool,
    },
    /// This machine has nothing that one could describe: how `generate` fails then.
    Nothing(Fault),
}

/// The command.
pub fn run(values: &Values) -> Result<()> {
    match make(values)? {
        Made::Specification { .. } => Ok(()),
        Made::Nothing(fault) => Err(fault),
    }
}

/// Makes the specification and writes it, or says why it is what it is.
pub fn make(values: &Values) -> Result<Made> {
    let order = Order::read(values)?;
    let subject = Subject::of(values)?;
    let (look, options) = match subject.look(options(values, &order), order.is_auto()) {
        Err(fault) if subject.has_no_root() => return Ok(Made::Nothing(fault)),
        known => known?,
    };
    let draft = match spec::draft(&look.inventory, &options) {
        Ok(draft) => draft,
        Err(error) => {
            let fault = recipe::fault(&error).within(FAILED);
            return if nothing::says(&error) { Ok(Made::Nothing(fault)) } else { Err(fault) };
        }
    };
    for remark in &draft.remarks {
        log::warn!("{remark}");
    }
    let settled = machine::is_settled(&look.inventory);
    if order.explain {
        return explain::print(&draft).map(|()| Made::Specification { settled });
    }
    let spec = draft.spec();
    warn_of_shared_names(values, &order);
    let recipe = subject.recipe(options);
    let put = |spec: &Spec, part: Option<&str>, file: Option<&Path>| {
        let recipe = recipe.clone().map(|recipe| Recipe { part: part.map(str::to_owned), ..recipe });
        put(spec, recipe.as_ref(), &look, file, order.format)
    };
    let written = put(&spec, None, order.output.as_deref())?;
    let parts_written = parts::write(&draft.parts(), &spec, &order, put)?;
    Ok(Made::Specification { settled: settled && written && parts_written })
}

/// Writes one specification, unless its file has a better one. Says whether it did.
fn put(spec: &Spec, recipe: Option<&Recipe>, look: &Look, file: Option<&Path>, format: Format) -> Result<bool> {
    if let (Some(file), Some(recipe)) = (file, recipe) {
        let lost = worse::lost(file, spec, recipe, &look.inventory);
        if !lost.is_empty() {
            let (file, lost) = (file.display(), lost.join(", "));
            log::warn!("{file} is left as it is: NVML does not report {lost} just now, which this machine still has");
            return Ok(false);
        }
    }
    output::write(spec, recipe.map(|recipe| recipe.origin(spec, look)).as_ref(), file, format)?;
    log::info!("Generated CDI spec with version {}", spec.cdi_version);
    if spec.all_edits().any(|edits| !edits.additional_gids.is_empty()) {
        // It says only that the devices are unresolvable; docs/engines.md.
        log::info!(
            "Podman 4 reads no spec of this version; for it, add --feature-flag=no-additional-gids-for-device-nodes"
        );
    }
    Ok(true)
}

/// What a command line asks for, for tests.
#[cfg(test)]
pub fn options_of(line: &str) -> SpecOptions {
    let values = Values::of_line(line, FLAGS);
    options(&values, &Order::read(&values).unwrap())
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
        single_hook: order.single_hook,
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

/// The original's words for this stage.
pub const FAILED: &str = "failed to generate CDI spec";

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

fn usage(message: String, next: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::Usage, message).next(next)
}

#[cfg(test)]
mod tests;
