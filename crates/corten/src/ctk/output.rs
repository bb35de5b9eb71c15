//! Where a specification goes, and in which format.
//!
//! The name of the file decides the format, because engines go by it: they read `*.json` and `*.yaml` only. A file is
//! replaced in one step, and left alone when it says the same already, so that whoever watches it is not woken.

use crate::{
    codes::Code,
    fault::{Fault, Result},
    stdout,
};
use cdi::{Format, Origin, Spec};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The file to write, and its format. A name that says no format gets the chosen one's extension. `None`: no file.
pub fn file(name: &str, chosen: Format, explicit: bool) -> Option<(PathBuf, Format)> {
    if name.is_empty() {
        return None;
    }
    let path = PathBuf::from(name);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let format = match extension.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Format::Yaml,
        "json" => Format::Json,
        _ => chosen,
    };
    if explicit && format != chosen {
        let (said, asked) = (word(format), word(chosen));
        log::warn!("{name} says {said}, --format says {asked}: writing {said}, because engines go by the name");
    }
    if extension == "yml" {
        log::warn!("{name}: engines read *.yaml and *.json only; name it .yaml if it is for them");
    } else if Format::of_path(&path).is_none() {
        return Some((format!("{name}.{}", word(format)).into(), format));
    }
    Some((path, format))
}

/// Name and extension of a format.
pub const fn word(format: Format) -> &'static str {
    match format {
        Format::Yaml => "yaml",
        Format::Json => "json",
    }
}

/// Writes the specification, with its origin where it has one, to the file, or to standard output.
pub fn write(spec: &Spec, origin: Option<&Origin>, file: Option<&Path>, format: Format) -> Result<()> {
    match file {
        Some(file) => replace(spec, origin, file, format),
        None => print(spec, origin, format),
    }
}

fn text(spec: &Spec, origin: Option<&Origin>, format: Format) -> String {
    origin.map_or_else(|| spec.to_text(format), |origin| spec.to_text_from(origin, format))
}

fn replace(spec: &Spec, origin: Option<&Origin>, file: &Path, format: Format) -> Result<()> {
    if says_already(file, &text(spec, origin, format)) {
        log::debug!("{} says the same already", file.display());
        return Ok(());
    }
    let failed = |error| Fault::from_error(code(&error), &error).within("failed to write CDI spec");
    spec.write_file(file, origin).map_err(failed)
}

/// What is there may be a FIFO, a device or huge: only a regular file of just this size is read.
fn says_already(file: &Path, text: &str) -> bool {
    let fits = |found: fs::Metadata| found.is_file() && found.len() == text.len() as u64;
    fs::metadata(file).is_ok_and(fits) && fs::read(file).is_ok_and(|old| old == text.as_bytes())
}

fn code(error: &cdi::WriteError) -> Code {
    match error {
        cdi::WriteError::Invalid { .. } => Code::CdiSpecInvalid,
        _ => Code::OutputNotWritten,
    }
}

/// Prints the specification, if it is valid.
fn print(spec: &Spec, origin: Option<&Origin>, format: Format) -> Result<()> {
    let stage = "failed to write CDI spec to standard output";
    spec.validate().map_err(|error| Fault::from_error(Code::CdiSpecInvalid, &error).within(stage))?;
    stdout::write(text(spec, origin, format))
        .map_err(|error| Fault::from_error(Code::OutputNotWritten, &error).within(stage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (name, chosen, path, format) in [
            ("a.yaml", Format::Json, "a.yaml", Format::Yaml),
            ("a.yml", Format::Yaml, "a.yml", Format::Yaml),
            ("a.JSON", Format::Yaml, "a.JSON.json", Format::Json),
            ("/x/a", Format::Json, "/x/a.json", Format::Json),
            ("a.txt", Format::Yaml, "a.txt.yaml", Format::Yaml),
        ] {
            assert_eq!(file(name, chosen, true), Some((path.into(), format)), "{name}");
        }
        assert_eq!(file("", Format::Yaml, false), None);
    }

    #[test]
    fn an_unchanged_file_is_left_alone() {
        use cdi::{ContainerEdits, Device};
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/spec.json");
        let edits = ContainerEdits { env: vec!["A=1".into()], ..Default::default() };
        let device = Device { name: "0".into(), container_edits: edits, ..Default::default() };
        let mut spec = Spec {
            cdi_version: "0.5.0".into(),
            kind: "nvidia.com/gpu".into(),
            devices: vec![device],
            ..Default::default()
        };
        write(&spec, None, Some(&path), Format::Json).unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let before = inode();
        write(&spec, None, Some(&path), Format::Json).unwrap();
        assert_eq!(inode(), before);
        spec.cdi_version = "0.6.0".into();
        write(&spec, None, Some(&path), Format::Json).unwrap();
        assert_ne!(inode(), before);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        spec.devices.clear();
        let fault = write(&spec, None, Some(&path), Format::Json).unwrap_err();
        assert_eq!(fault.code(), Code::CdiSpecInvalid, "{fault}");
        assert!(fs::read_to_string(&path).unwrap().contains("0.6.0"));
    }
}
