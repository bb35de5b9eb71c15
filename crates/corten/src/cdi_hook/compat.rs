//! `enable-cuda-compat`: the image's own, newer libcuda comes before the host's, where it works with the host's driver
//! (reference: runtime-and-hook.md, 8.4). What is decided here takes effect in the next hook, `update-ldcache`.

use super::{Run, unwritable};
use crate::fault::Result;
use oci::ContainerPath;
use plan::compat::{CompatLibrary, FOLDER, HostVersions, judge};
use root::ContainerRoot;

/// The hook's name.
pub const NAME: &str = "enable-cuda-compat";

/// Decides anew at each start: what an earlier one put first is taken back if it is not wanted any more.
pub fn run(run: &Run) -> Result<()> {
    let given = |name| run.value(name).filter(|value| !value.is_empty());
    let host = HostVersions { driver: given("host-driver-version"), cuda: given("host-cuda-version") };
    if host == HostVersions::default() {
        run.verbosity.explain("neither the host's driver version nor its CUDA version was given");
        return Ok(());
    }
    let folder = ContainerPath::root().join(run.value("cuda-compat-container-root").unwrap_or(FOLDER));
    let root = run.root_to_write()?;
    let preferred = preferred(run, &root, &folder, &host)?;
    let mut done = root.prefer_compat(preferred.as_ref(), &root.survey())?;
    unwritable::cover_all(run.root()?, &mut done, NAME)?;
    run.verbosity.tell(&done);
    Ok(())
}

/// The folder, without links, whose libraries are to come first.
fn preferred(
    run: &Run,
    root: &ContainerRoot,
    folder: &ContainerPath,
    host: &HostVersions,
) -> Result<Option<ContainerPath>> {
    let mut remarks = Vec::new();
    let found = root.find_compat(folder, &mut remarks)?;
    let preferred = found.and_then(|found| {
        let verdict = judge(&CompatLibrary { version: &found.version, note: found.note.as_deref() }, host);
        let what = if verdict.prefer { "is preferred" } else { "is not used" };
        run.verbosity.explain(&format!("libcuda.so.{} in {} {what}: {}", found.version, found.folder, verdict.why));
        remarks.extend(verdict.remarks);
        verdict.prefer.then_some(found.folder)
    });
    remarks.iter().for_each(|remark| run.verbosity.warn(remark));
    Ok(preferred)
}
