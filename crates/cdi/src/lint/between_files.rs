//! What files say about each other.

use super::{Finding, Severity};
use crate::names::QualifiedName;
use crate::place::Place;
use crate::spec::Spec;
use std::collections::BTreeMap;
use std::path::Path;

/// How many of the other files are named.
const SHOWN: usize = 3;

/// Devices that several files of one folder describe: engines then give it to nobody. For each of them one finding for each
/// of its files, by their index; `specs` are the files of one folder.
pub fn same_names(specs: &[(&Path, &Spec)]) -> Vec<(usize, Finding)> {
    let mut owners: BTreeMap<QualifiedName, Vec<usize>> = BTreeMap::new();
    for (index, (_, spec)) in specs.iter().enumerate() {
        for name in spec.qualified_names() {
            let files = owners.entry(name).or_default();
            if files.last() != Some(&index) {
                files.push(index);
            }
        }
    }
    let shared = owners.into_iter().filter(|(_, files)| files.len() > 1);
    shared
        .flat_map(|(name, files)| files.clone().into_iter().map(move |file| (file, told(&name, file, &files, specs))))
        .collect()
}

fn told(name: &QualifiedName, file: usize, files: &[usize], specs: &[(&Path, &Spec)]) -> Finding {
    let mut others = files.iter().filter(|other| **other != file).map(|other| specs[*other].0.display().to_string());
    let shown: Vec<_> = others.by_ref().take(SHOWN).collect();
    let more = match others.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let text = format!("{name} is also in {}{more}, so that it cannot be used", shown.join(" and in "));
    let device = specs[file].1.devices.iter().position(|device| device.name == name.device());
    let place = device.map(|index| Place::field("devices").item(index));
    Finding { severity: Severity::Warning, name: "conflicting-device", text, place, line: None }
}
