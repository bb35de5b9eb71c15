//! What a spec says about containers that can hardly be meant, whatever machine it is for.

use super::Finding;
use crate::edits::{ContainerEdits, Mount};
use crate::place::Place;
use crate::spec::Spec;
use oci::ContainerPath;
use std::collections::{BTreeMap, HashMap};

pub(super) fn findings(spec: &Spec) -> Vec<Finding> {
    let common = Place::field("containerEdits");
    let mut found = bare_hooks(&spec.container_edits, &common);
    // What is said of the common edits alone need not be said again for each device.
    found.extend(shadowed(&[], &mounts(&spec.container_edits, &common)));
    for (index, device) in spec.devices.iter().enumerate() {
        let base = Place::field("devices").item(index).then("containerEdits");
        found.extend(bare_hooks(&device.container_edits, &base));
        found.extend(shadowed(&mounts(&spec.container_edits, &common), &mounts(&device.container_edits, &base)));
    }
    found.extend(several_drivers(spec));
    found
}

/// Hooks that the low-level runtime would run with the image's environment.
fn bare_hooks(edits: &ContainerEdits, base: &Place) -> Vec<Finding> {
    let bare = edits.hooks.iter().enumerate().filter(|(_, hook)| hook.env.is_empty());
    let told = bare.map(|(index, hook)| {
        let text = format!(
            "the hook {:?} has no environment, so that it runs with the image's, LD_PRELOAD included \
             (CVE-2025-23266): give it one, such as PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            hook.path
        );
        Finding::warning("hook-without-env", base.clone().then("hooks").item(index), text)
    });
    told.collect()
}

/// A mount, and where the spec has it.
type Placed<'a> = (&'a Mount, Place);

fn mounts<'a>(edits: &'a ContainerEdits, base: &Place) -> Vec<Placed<'a>> {
    let place = |index| base.clone().then("mounts").item(index);
    edits.mounts.iter().enumerate().map(|(index, mount)| (mount, place(index))).collect()
}

/// Mounts that take the place of, or lie over, one that comes before them and brings something else.
fn shadowed(before: &[Placed<'_>], own: &[Placed<'_>]) -> Vec<Finding> {
    let destination = |mount: &Mount| ContainerPath::root().join(&mount.container_path);
    let mut earlier: BTreeMap<String, &Mount> =
        before.iter().map(|(mount, _)| (destination(mount).as_str().to_owned(), *mount)).collect();
    let mut found = Vec::new();
    for (mount, place) in own {
        let path = destination(mount).as_str().to_owned();
        if let Some(hidden) = hidden_by(&path, mount, &earlier) {
            let text = format!(
                "the mount of {:?} on {:?} hides that of {:?} on {:?}",
                mount.host_path, mount.container_path, hidden.host_path, hidden.container_path
            );
            found.push(Finding::warning("shadowed-mount", place.clone(), text));
        }
        earlier.insert(path, mount);
    }
    found
}

/// An earlier mount on the same path from elsewhere, or one below it.
fn hidden_by<'a>(path: &str, mount: &Mount, earlier: &BTreeMap<String, &'a Mount>) -> Option<&'a Mount> {
    let same = earlier.get(path).filter(|other| other.host_path != mount.host_path);
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let below = || earlier.range(prefix.clone()..).next().filter(|(other, _)| other.starts_with(&prefix));
    same.copied().or_else(|| below().map(|(_, other)| *other))
}

/// Libraries of more than one version of NVIDIA's driver, which do not work with each other.
fn several_drivers(spec: &Spec) -> Vec<Finding> {
    let mut versions: HashMap<&str, &Mount> = HashMap::new();
    let mut first: Option<(&str, &Mount)> = None;
    let mut found = Vec::new();
    for (mount, place, version) in driver_files(spec) {
        let (known, example) = *first.get_or_insert((version, mount));
        if known != version && versions.insert(version, mount).is_none() {
            let text = format!(
                "{:?} is of driver version {version}, but {:?} of {known}: they do not work together",
                mount.host_path, example.host_path
            );
            found.push(Finding::warning("several-driver-versions", place, text));
        }
    }
    found
}

/// The mounts whose source names a version of NVIDIA's driver, with their places.
pub(super) fn driver_files(spec: &Spec) -> impl Iterator<Item = (&Mount, Place, &str)> {
    let devices = (0..spec.devices.len()).map(|index| Place::field("devices").item(index));
    let bases = std::iter::once(Place::default()).chain(devices).map(|place| place.then("containerEdits"));
    let all = bases.zip(spec.all_edits()).flat_map(|(base, edits)| mounts(edits, &base));
    all.filter_map(|(mount, place)| Some((mount, place, driver_version(&mount.host_path)?)))
}

/// `libcuda.so.550.54.14` is of 550.54.14. The driver's versions begin with three digits; those of CUDA's own libraries,
/// which may stand beside them, with two.
fn driver_version(path: &str) -> Option<&str> {
    let (name, version) = path.rsplit('/').next()?.split_once(".so.")?;
    let is_ours = name.starts_with("lib") && (name.contains("nv") || name.contains("cuda"));
    let parts: Vec<&str> = version.split('.').collect();
    let all_digits = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    (is_ours && all_digits && (2..=3).contains(&parts.len()) && parts[0].len() == 3).then_some(version)
}
