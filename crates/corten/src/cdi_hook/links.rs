//! `create-symlinks`: links that a spec asks for (reference: runtime-and-hook.md, 8.2).

use super::{Run, unwritable};
use crate::fault::{Fault, Result};
use plan::{Because, Reason, RootWork, hook_values};
use root::RootError;

/// The hook's name.
pub const NAME: &str = "create-symlinks";

/// Makes the links that are missing or say something else. A file in their place is replaced, a folder is an error.
pub fn run(run: &Run) -> Result<()> {
    let links = hook_values::links(run.values("link"))?;
    let root = run.root_to_write()?;
    let reason = || Reason { request: format!("the hook {NAME}"), rule: "the CDI spec says so".to_owned() };
    let links = links.into_iter().map(|link| Because::new(link, reason())).collect();
    // Folders of a root that cannot be written may lie on mounts that can: /dev does.
    let layout = plan::Layout { read_only: false, ..root.survey() };
    let done = root.apply(&RootWork { links, ..RootWork::default() }, &layout).map_err(fault)?;
    run.verbosity.tell(&done);
    Ok(())
}

fn fault(error: RootError) -> Fault {
    let read_only = error.is_read_only();
    let fault = Fault::from(error).within("failed to create symlink");
    if read_only { fault.next(unwritable::next(NAME)) } else { fault }
}
