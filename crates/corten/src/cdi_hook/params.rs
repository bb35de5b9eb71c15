//! `disable-device-node-modification`: hides the driver's `ModifyDeviceFiles: 1` (reference: runtime-and-hook.md, 8.6).

use super::Run;
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use oci::HostPath;
use root::{
    RootError,
    params::{self, Outcome, ParamsError},
};
use std::path::Path;

/// The hook's name.
pub const NAME: &str = "disable-device-node-modification";

/// The state is not read where the driver has no such switch.
pub fn run(run: &Run) -> Result<()> {
    if !Path::new(params::PATH).exists() {
        return Ok(());
    }
    let root = run.root()?;
    let host = HostPath::root().join(params::PATH);
    let outcome = params::hide(root, &host).map_err(|error| fault(&error))?;
    run.verbosity.explain(match outcome {
        Outcome::NotNeeded => "the driver's parameters need no change",
        Outcome::NotVisible => "the container does not see the driver's parameters",
        Outcome::HiddenBefore => "the container sees changed parameters already",
        Outcome::Hidden => "the container sees ModifyDeviceFiles: 0 now",
    });
    Ok(())
}

fn fault(error: &ParamsError) -> Fault {
    let code = match error {
        ParamsError::Host { .. } => Code::HostUnreadable,
        ParamsError::Foreign(_) | ParamsError::Container(RootError::Strayed { .. }) => Code::RootEscapes,
        ParamsError::Container(_) => Code::RootNotPrepared,
    };
    Fault::from_error(code, error)
}
