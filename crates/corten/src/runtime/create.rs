//! `create` and `run`: what the container asks for, put into its `config.json` and its root.
//!
//! Nothing is half-done: everything is decided before anything is changed, the root is changed before `config.json`,
//! and if that cannot be replaced the root is put back.

use super::{arguments::Create, programs};
use crate::{
    codes::Code,
    container::Container,
    decision::{self, Machine},
    fault::{Fault, Result},
};
use oci::{Hook, HookPoint};
use plan::{
    Config,
    mode::{Mode, ModeError},
};

/// File names of the prestart hook of legacy mode, which Docker's `--gpus` adds too.
const PRESTART_HOOKS: [&str; 2] = ["nvidia-container-runtime-hook", "nvidia-container-toolkit"];

const MODIFIER: &str = "failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier";
const BUNDLE: &str = "failed to create NVIDIA Container Runtime: error constructing OCI specification";
const MODIFY: &str = "could not apply required modification to OCI specification";

/// Changes the container that is about to be made, if it asks for something.
pub fn modify(create: &Create, config: &Config) -> Result<()> {
    let bundle = create.bundle().map_err(|error| Fault::from_error(Code::BundleArgument, &error).within(BUNDLE))?;
    let mut container = Container::open(bundle, create.file()).map_err(|fault| fault.within(MODIFIER))?;
    log::info!("Using OCI specification file path: {}", container.file().display());
    let request = container.request(config).map_err(|fault| fault.within(MODIFIER))?;
    let Some(request) = request else {
        let mode = mode_without_request(&config.runtime.mode)
            .map_err(|error| Fault::from_error(Code::ModeUnknown, &error).within(MODIFIER))?;
        prestart_hook(&mut container, mode, config)?;
        return container.save().map_err(|fault| fault.within(MODIFY));
    };
    let decision = decision::decide(&container, &request, config, Machine::Start).map_err(within_stage)?;
    log::info!("{}", decision.mode_line(config));
    log::debug!("Mode {}: {}", decision.mode, decision.reason);
    prestart_hook(&mut container, Some(decision.mode), config)?;
    decision.carry_out(&mut container).map_err(|fault| fault.within(MODIFY))
}

/// The original looks names up in CDI specs when it modifies, and everything else before.
fn within_stage(fault: Fault) -> Fault {
    let stage = if fault.code() == Code::CdiUnresolved { MODIFY } else { MODIFIER };
    fault.within(stage)
}

/// For a container that asks for nothing only legacy mode matters, which adds its hook to every container.
fn mode_without_request(configured: &str) -> std::result::Result<Option<Mode>, ModeError> {
    match configured {
        "legacy" => Ok(Some(Mode::Legacy)),
        "auto" | "jit-cdi" | "cdi" | "csv" => Ok(None),
        "" => Err(ModeError::Empty),
        other => Err(ModeError::Invalid(other.to_owned())),
    }
}

/// Legacy mode works through the prestart hook and adds it where Docker has not; every other mode works without, and
/// removes Docker's, which would refuse to run (reference: runtime-and-hook.md 3.3, 7.5).
fn prestart_hook(container: &mut Container, mode: Option<Mode>, config: &Config) -> Result<()> {
    let done = match mode {
        Some(Mode::Legacy) => insert_hook(container, config),
        _ => container.document.remove_hooks(HookPoint::Prestart, &PRESTART_HOOKS).map(drop),
    };
    done.map_err(|error| Fault::from_error(Code::SpecInvalid, &error).within("error modifying OCI spec").within(MODIFY))
}

fn insert_hook(container: &mut Container, config: &Config) -> std::result::Result<(), oci::DocumentError> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let hooks = container.document.hooks(HookPoint::Prestart)?;
    if let Some(hook) = hooks.iter().find(|hook| PRESTART_HOOKS.contains(&name(&hook.path).as_str())) {
        log::info!("Existing nvidia prestart hook ({}) found in OCI spec", hook.path);
        return Ok(());
    }
    let path = programs::prestart_hook(&config.hook.path, &std::env::var_os("PATH").unwrap_or_default());
    log::info!("Using prestart hook path: {path}");
    let args = vec![name(&path), "prestart".to_owned()];
    container.document.add_hooks(HookPoint::Prestart, &[Hook { path, args, ..Hook::default() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_containers_that_ask_for_nothing() {
        assert_eq!(mode_without_request("legacy"), Ok(Some(Mode::Legacy)));
        for mode in ["auto", "jit-cdi", "cdi", "csv"] {
            assert_eq!(mode_without_request(mode), Ok(None));
        }
        assert_eq!(mode_without_request("foo"), Err(ModeError::Invalid("foo".into())));
        assert_eq!(mode_without_request(""), Err(ModeError::Empty));
    }
}
