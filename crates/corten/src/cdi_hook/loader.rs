//! `update-ldcache`: the container's loader finds what was mounted into some folders (reference: runtime-and-hook.md,
//! 8.5). No ldconfig is run, neither the host's nor the image's.

use super::{Run, arguments::usage, unwritable};
use crate::fault::Result;
use plan::hook_values;
use root::{Compat, Done};

/// The hook's name.
pub const NAME: &str = "update-ldcache";

/// Makes the loader's files say what lies in the folders.
pub fn run(run: &Run) -> Result<()> {
    if run.value("ldconfig-path").is_some_and(str::is_empty) {
        return Err(usage("ldconfig-path must be specified".to_owned()));
    }
    if let Some(path) = run.value("ldconfig-path") {
        run.verbosity.explain(&format!("{path} is not run: loader caches are read and written without ldconfig"));
    }
    let folders = hook_values::paths(run.values("folder"))?;
    let root = run.root_to_write()?;
    #[cfg(feature = "undefended")]
    if !root::Defence::NoLdconfig.stands() {
        return crate::undefended::run_ldconfig(run.value("ldconfig-path"));
    }
    let compat = if run.is_without_compat()? { Compat::Now(None) } else { Compat::AsItIs };
    let cover_all = |done: &mut Done| unwritable::cover_all(run.root()?, done, NAME);
    let done = root.refresh_loader_then(compat, &folders, &root.survey(), cover_all)?;
    run.verbosity.tell(&done);
    Ok(())
}
