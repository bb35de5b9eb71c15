//! The one hook of today: `disable-device-node-modification`, and what it learns from the low-level runtime.

use crate::{
    codes::Code,
    container::Container,
    fault::{Fault, Result},
};
use oci::{HostPath, State, StateError};
use root::{
    ContainerRoot,
    params::{self, Outcome, ParamsError},
    privileges::{self, Capability},
};
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// Hides the driver's `ModifyDeviceFiles: 1` from the container. The state comes from `container_spec`, else from stdin;
/// it is not read where the driver has no such switch.
pub fn hide_modify_device_files(container_spec: Option<&str>, debug: bool) -> Result<()> {
    // Read now: relative paths end with the next step, and so do open files.
    let given =
        container_spec.map(fs::read).transpose().map_err(|error| hook_input("cannot read the state", &error))?;
    privileges::enter_hook(&[Capability::SysAdmin, Capability::DacOverride])
        .map_err(|error| Fault::from_error(Code::HookInput, &error).next("Report this as a fault of ours"))?;
    if !Path::new(params::PATH).exists() {
        return Ok(());
    }
    let state = match given {
        Some(bytes) => State::parse(&bytes),
        None => State::read(io::stdin().lock()),
    };
    let root = open_root(&state.map_err(|error| state_fault(&error))?)?;
    let host = HostPath::root().join(params::PATH);
    let outcome = params::hide(&root, &host).map_err(|error| params_fault(&error))?;
    if debug {
        say(outcome);
    }
    Ok(())
}

/// The root that the runtime names (crun does), else the bundle's. A relative one is config.json's own, and counts from
/// the bundle as that does.
fn open_root(state: &State) -> Result<ContainerRoot> {
    let folder = state.bundle.as_deref().filter(|bundle| !bundle.is_empty());
    let container = folder.map(|bundle| Container::open(Path::new(bundle), Path::new("config.json")));
    let named = state.root.as_deref().filter(|root| root.starts_with('/'));
    let (path, owner) = match (named, container) {
        (Some(root), container) => {
            let path = HostPath::new(root).map_err(|error| Fault::from_error(Code::HookInput, &error))?;
            let owner = container.and_then(|container| container.ok()?.owner().ok());
            (path, owner.unwrap_or(root::Owner { uid: 0, gid: 0 }))
        }
        (None, Some(container)) => {
            let container = container?;
            (container.root_path()?, container.owner()?)
        }
        (None, None) => return Err(Fault::new(Code::HookInput, "the container's state names no bundle")),
    };
    Ok(ContainerRoot::open(&path, owner)?)
}

fn say(outcome: Outcome) {
    let text = match outcome {
        Outcome::NotNeeded => "the driver's parameters need no change",
        Outcome::NotVisible => "the container does not see the driver's parameters",
        Outcome::HiddenBefore => "the container sees changed parameters already",
        Outcome::Hidden => "the container sees ModifyDeviceFiles: 0 now",
    };
    // Nothing is left to do about a stderr that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

fn hook_input(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::from_error(Code::HookInput, error).within(what)
}

/// The original's words for a state that is none.
fn state_fault(error: &StateError) -> Fault {
    hook_input("failed to load container state: failed to decode container state", error)
}

fn params_fault(error: &ParamsError) -> Fault {
    let code = match error {
        ParamsError::Host { .. } => Code::HostUnreadable,
        ParamsError::Foreign(_) => Code::RootEscapes,
        ParamsError::Container(_) | ParamsError::Mount { .. } => Code::RootNotPrepared,
    };
    Fault::from_error(code, error)
}
