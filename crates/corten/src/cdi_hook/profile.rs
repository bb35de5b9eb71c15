//! `update-application-profile`: tells NVIDIA's EGL which GPUs the container has (reference: runtime-and-hook.md, 8.7).

use super::{Run, unwritable};
use crate::fault::Result;

/// The hook's name.
pub const NAME: &str = "update-application-profile";

/// Writes the profile for the GPUs whose nodes the container has.
pub fn run(run: &Run) -> Result<()> {
    let root = run.root_to_write()?;
    let (minors, beyond) = root.gpu_nodes()?;
    for minor in beyond {
        run.verbosity.warn(&format!("dropping invalid minor number {minor}: must be in range [0, 63]"));
    }
    let mut done = root.write_profile(minors)?;
    // Without it EGL lists GPUs that it cannot open; that is no reason to keep a container that may never draw from
    // starting, since every spec has this hook.
    if let Some(path) = unwritable::cover(run.root()?, &mut done)?.first() {
        run.verbosity.warn(&format!("the container's root cannot be written, and has no {path} to mount over"));
    }
    run.verbosity.tell(&done);
    Ok(())
}
