//! `nvidia-ctk cdi list`: the devices that engines find in the specification folders (reference: cdi-and-ctk.md 1.3).

use super::flags::{Flag, Values};
use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
};
use cdi::Registry;
use serde::Serialize;
use std::io::{self, Write};

pub const FLAGS: &[Flag] = &[
    Flag::list("spec-dir", "NVIDIA_CTK_CDI_SPEC_DIRS", "folders to look in; a later one counts more")
        .by_default("/etc/cdi,/var/run/cdi"),
    Flag::switch("json", "", "print JSON: devices, the files that describe them, and what could not be used"),
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
        false => registry.names().map(|name| format!("{name}\n")).collect(),
    };
    warn(&registry);
    log::info!("Found {} CDI devices", registry.names().count());
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has gone away has what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Fault::from_error(Code::OutputNotWritten, &error).within("cannot write to standard output"))
        }
        _ => Ok(()),
    }
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
    specs: Vec<Described>,
    problems: Vec<String>,
}

/// A file that was read.
#[derive(Serialize)]
struct Described {
    path: String,
    kind: String,
    version: String,
    devices: Vec<String>,
}

impl Listing {
    fn of(registry: &Registry) -> Listing {
        let described = |(path, spec): (&std::path::Path, &cdi::Spec)| Described {
            path: path.display().to_string(),
            kind: spec.kind.clone(),
            version: spec.cdi_version.clone(),
            devices: spec.devices.iter().map(|device| device.name.clone()).collect(),
        };
        Listing {
            devices: registry.names().map(ToString::to_string).collect(),
            specs: registry.specs().map(described).collect(),
            problems: problems(registry),
        }
    }
}
