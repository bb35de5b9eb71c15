//! Specifications beside the one of all devices, for `--feature-flag=enable-coherent-annotations`: `nvidia.yaml` has
//! `nvidia.coherent.yaml` and `nvidia.noncoherent.yaml` beside it (reference: cdi-and-ctk.md 3.6).
//!
//! One that an earlier run wrote and that has no device any more would offer devices that do not exist. It is removed if
//! it is surely ours: its kind is the part's.

use super::Order;
use crate::{
    codes::Code,
    fault::{Fault, Result},
    stdout,
};
use cdi::{Format, Spec};
use plan::spec::{PARTS, Part};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Writes the parts to where `whole` was written. `put` writes one, given its name and file, and says whether it did;
/// so does this one, of all.
pub fn write(
    parts: &[Part],
    whole: &Spec,
    order: &Order,
    put: impl Fn(&Spec, Option<&str>, Option<&Path>) -> Result<bool>,
) -> Result<bool> {
    let mut written = true;
    if let (Some(file), true) = (&order.output, parts.is_empty()) {
        warn_of_leftovers(file, whole);
    }
    for part in parts {
        let file = order.output.as_deref().map(|file| beside(file, part.name));
        match (&part.spec, file) {
            (Some(spec), file) => {
                if file.is_none() {
                    separate(order.format)?;
                }
                written &= put(spec, Some(part.name), file.as_deref())?;
            }
            (None, Some(file)) if is_leftover(&file, whole, part.name) => remove(&file)?,
            (None, _) => {}
        }
    }
    Ok(written)
}

/// `nvidia.coherent.yaml` for `nvidia.yaml`.
pub fn beside(file: &Path, part: &str) -> PathBuf {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    file.with_file_name(format!("{}.{part}.{}", text(file.file_stem()), text(file.extension())))
}

/// Documents of YAML begin with a line of their own; those of JSON would run into each other.
fn separate(format: Format) -> Result<()> {
    stdout::print(if format == Format::Json { "\n" } else { "" })
}

/// The kind of a part of what is of the kind `whole`.
pub fn kind(whole: &str, part: &str) -> String {
    format!("{whole}.{part}")
}

fn is_leftover(file: &Path, whole: &Spec, part: &str) -> bool {
    Spec::read_file(file).is_ok_and(|spec| spec.kind == kind(&whole.kind, part))
}

fn remove(file: &Path) -> Result<()> {
    log::info!("Removed {}: it describes no device of this machine any more", file.display());
    fs::remove_file(file).map_err(|error| {
        Fault::from_error(Code::OutputNotWritten, &error)
            .within(&format!("cannot remove {}, which is out of date", file.display()))
    })
}

fn warn_of_leftovers(file: &Path, whole: &Spec) {
    for (part, _) in PARTS {
        let file = beside(file, part);
        if is_leftover(&file, whole, part) {
            log::warn!(
                "{} is of an earlier run and is not made anew: remove it, or give --feature-flag=enable-coherent-annotations",
                file.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_stands_before_the_extension() {
        for (file, want) in
            [("/etc/cdi/nvidia.yaml", "/etc/cdi/nvidia.coherent.yaml"), ("a.b.json", "a.b.coherent.json")]
        {
            assert_eq!(beside(Path::new(file), "coherent"), Path::new(want));
        }
    }
}
