//! `nvidia-ctk cdi list`: the devices that engines find in the specification folders (reference: cdi-and-ctk.md 1.3).

use super::flags::{Flag, Values};
use crate::{
    codes::Code,
    fault::{Fault, Result, one_line},
    machine, stdout,
};
use cdi::{Described, Registry};
use serde::Serialize;
use std::path::Path;

pub const FLAGS: &[Flag] = &[
    Flag::list("spec-dir", "NVIDIA_CTK_CDI_SPEC_DIRS", "folders to look in; a later one counts more")
        .by_default("/etc/cdi,/var/run/cdi"),
    Flag::switch("files", "", "print beside each device the file that describes it, and those that it hides"),
    Flag::switch(
        "json",
        "",
        "print JSON: devices, the files that describe them, and what could not be used, with the reason",
    ),
];

pub fn run(values: &Values) -> Result<()> {
    let folders: Vec<_> = values.list("spec-dir").into_iter().filter(|folder| !folder.is_empty()).collect();
    if folders.is_empty() {
        return Err(Fault::new(Code::Usage, "at least one CDI specification directory must be specified")
            .next("Give --spec-dir, or leave it out for /etc/cdi and /var/run/cdi"));
    }
    let registry = Registry::load(&folders);
    let text = match values.is_set("json") {
        true => machine::to_json(&Listing::of(&registry)),
        false if values.is_set("files") => with_files(&registry),
        false => registry.names().map(|name| format!("{name}\n")).collect(),
    };
    warn(&registry);
    log::info!("Found {} CDI devices", registry.names().count());
    stdout::print(text)
}

/// One device a line, as in the plain list, and behind it its file.
fn with_files(registry: &Registry) -> String {
    let names: Vec<String> = registry.devices().map(|device| device.name.to_string()).collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let line = |(device, name): (Described<'_>, &String)| {
        let hides: Vec<_> = device.hides.iter().map(|file| one_line(&file.display().to_string())).collect();
        let hides = if hides.is_empty() { String::new() } else { format!(" (hides {})", hides.join(", ")) };
        format!("{name:width$}  {}{hides}\n", one_line(&device.file.display().to_string()))
    };
    registry.devices().zip(&names).map(line).collect()
}

/// A file that cannot be used hides only its own devices, so that the list is still worth having.
fn warn(registry: &Registry) {
    let problems = problems(registry);
    if !problems.is_empty() {
        log::warn!("The following registry errors were reported:");
    }
    for problem in problems {
        log::warn!("{problem}");
    }
}

fn problems(registry: &Registry) -> Vec<String> {
    let failed = registry.failures().iter().map(|failure| format!("{}: {}", failure.path.display(), failure.reason));
    let conflicts = registry.conflicts().map(|conflict| {
        let files: Vec<_> = conflict.files.iter().map(|file| file.display().to_string()).collect();
        format!("{} is left out: {} all describe it", conflict.name, files.join(" and "))
    });
    failed.chain(conflicts).collect()
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listing {
    devices: Vec<String>,
    /// The same devices with their files.
    files: Vec<WithFile>,
    specs: Vec<SpecFile>,
    conflicts: Vec<InConflict>,
    failures: Vec<Failed>,
    /// Conflicts and failures, each as a sentence.
    problems: Vec<String>,
}

/// A device that can be used.
#[derive(Serialize)]
struct WithFile {
    device: String,
    file: String,
    hides: Vec<String>,
}

/// A device that nobody can use, since several files of one folder describe it.
#[derive(Serialize)]
struct InConflict {
    device: String,
    files: Vec<String>,
}

/// A file or folder that was left out.
#[derive(Serialize)]
struct Failed {
    path: String,
    reason: String,
}

/// A file that was read.
#[derive(Serialize)]
struct SpecFile {
    path: String,
    kind: String,
    version: String,
    devices: Vec<String>,
}

impl Listing {
    fn of(registry: &Registry) -> Listing {
        let spec_file = |(path, spec): (&Path, &cdi::Spec)| SpecFile {
            path: path.display().to_string(),
            kind: spec.kind.clone(),
            version: spec.cdi_version.clone(),
            devices: spec.devices.iter().map(|device| device.name.clone()).collect(),
        };
        let shown = |path: &Path| path.display().to_string();
        let all_shown = |paths: &[&Path]| paths.iter().map(|path| shown(path)).collect();
        let files = registry.devices().map(|device| WithFile {
            device: device.name.to_string(),
            file: shown(device.file),
            hides: all_shown(&device.hides),
        });
        let conflicts = registry
            .conflicts()
            .map(|conflict| InConflict { device: conflict.name.to_string(), files: all_shown(&conflict.files) });
        let failures = registry
            .failures()
            .iter()
            .map(|failure| Failed { path: shown(&failure.path), reason: failure.reason.to_string() });
        Listing {
            devices: registry.names().map(ToString::to_string).collect(),
            files: files.collect(),
            specs: registry.specs().map(spec_file).collect(),
            conflicts: conflicts.collect(),
            failures: failures.collect(),
            problems: problems(registry),
        }
    }
}
