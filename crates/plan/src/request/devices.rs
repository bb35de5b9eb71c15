//! Which devices a container asks for: annotations, then mounts, then variables; the first that says something counts
//! (reference: runtime-and-hook.md 4.3, 4.4, 4.9).
//!
//! One difference: an annotation that names only other vendors' devices does not hide the GPUs that the environment
//! asks for. In cdi mode it is joined to them, in other modes it is left to the engine.

use super::device::{bare, is_automatic};
use super::{ContainerView, DeviceId, DeviceName, DeviceRequest, environment_counts};
use crate::config::Config;
use oci::{ContainerPath, HostPath};
use std::collections::HashSet;

/// Devices, and how they were asked for.
pub(super) struct Found {
    pub devices: DeviceRequest,
    pub asked: String,
    pub automatic: bool,
}

/// The devices that a container asks for; `None` when it asks for none, or none that counts.
pub(super) fn find(view: &ContainerView, config: &Config, warnings: &mut Vec<String>) -> Option<Found> {
    let annotated = annotations(view, config);
    if annotated.iter().any(|name| is_ours(name, config)) {
        return Some(Found::annotated(annotated));
    }
    let found = from_mounts(view, config, warnings).or_else(|| from_environment(view, config, warnings));
    match found {
        None if annotated.is_empty() => None,
        None => Some(Found::annotated(annotated)),
        Some(found) if annotated.is_empty() => Some(found),
        Some(found) => Some(found.joined_to(annotated, config, warnings)),
    }
}

impl Found {
    /// CDI specs are to resolve the names, as [`crate::mode::resolve`] will find.
    pub(super) fn is_for_specs(&self, config: &Config) -> bool {
        match config.runtime.mode.as_str() {
            "cdi" => !self.automatic,
            "auto" | "jit-cdi" => self.devices.are_cdi_names(),
            _ => false,
        }
    }

    /// A list in which only `all` and `none`, the first of them, are more than names.
    fn names(names: Vec<DeviceName>) -> Found {
        let devices = match names.iter().map(|name| bare(&name.text)).find(|text| ["all", "none"].contains(text)) {
            Some("all") => DeviceRequest::All,
            Some(_) => DeviceRequest::None,
            None => DeviceRequest::Ids(Vec::new()),
        };
        let asked = asked(&names);
        let automatic = names.iter().all(|name| is_automatic(&name.text));
        match devices {
            DeviceRequest::Ids(_) => Found { devices: DeviceRequest::Ids(names), asked, automatic },
            word => Found { devices: word, asked, automatic },
        }
    }

    /// Annotations: words count only where this machine is meant. For CDI specs `all` is a device like any other, and must
    /// not swallow what else is asked for.
    fn annotated(names: Vec<DeviceName>) -> Found {
        match names.iter().all(|name| is_automatic(&name.text)) {
            true => Found::names(names),
            false => Found { asked: asked(&names), devices: DeviceRequest::Ids(names), automatic: false },
        }
    }

    /// Adds other vendors' devices, where the result is for CDI specs to resolve.
    fn joined_to(self, foreign: Vec<DeviceName>, config: &Config, warnings: &mut Vec<String>) -> Found {
        let explicit = config.runtime.mode == "cdi" && !self.automatic;
        let kind = &config.runtime.cdi_default_kind;
        let ours = match self.devices {
            DeviceRequest::Ids(names) if explicit || names.iter().all(|name| matches!(name.id, DeviceId::Cdi(_))) => {
                names
            }
            DeviceRequest::All if explicit => vec![DeviceName::new(&format!("{kind}=all"), &self.asked)],
            DeviceRequest::None if explicit => vec![DeviceName::new(&format!("{kind}=none"), &self.asked)],
            devices => {
                warnings.push(format!("Leaving the devices of other vendors to the engine: {}", asked(&foreign)));
                return Found { devices, ..self };
            }
        };
        let asked = format!("{}, {}", self.asked, asked(&foreign));
        let names = distinct(foreign.into_iter().chain(ours));
        Found { devices: DeviceRequest::Ids(names), asked, automatic: false }
    }
}

/// The words as they stood, cut to a readable length: `NVIDIA_VISIBLE_DEVICES=0,1`.
fn asked(names: &[DeviceName]) -> String {
    const SHOWN: usize = 16;
    const LONG: usize = 80;
    let from = names.first().map_or("", |name| name.from.as_str());
    let texts: Vec<_> = names.iter().take(SHOWN).map(|name| name.text.chars().take(LONG).collect::<String>()).collect();
    let more = if names.len() > SHOWN { ",…" } else { "" };
    format!("{from}={}{more}", texts.join(","))
}

/// Each name once, at its first place.
fn distinct(names: impl Iterator<Item = DeviceName>) -> Vec<DeviceName> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(name.text.clone())).collect()
}

/// NVIDIA's vendors are `nvidia.com` and what ends in `.nvidia.com` (`k8s.device-plugin.nvidia.com`), and that of the
/// configured default kind, which unqualified names get.
fn is_ours(name: &DeviceName, config: &Config) -> bool {
    let DeviceId::Cdi(cdi) = &name.id else { return true };
    let default_vendor = config.runtime.cdi_default_kind.split('/').next();
    cdi.vendor == "nvidia.com" || cdi.vendor.ends_with(".nvidia.com") || default_vendor == Some(&cdi.vendor)
}

/// Devices that annotations name, sorted by key. They count in cdi mode, and in auto mode when all are qualified.
fn annotations(view: &ContainerView, config: &Config) -> Vec<DeviceName> {
    let prefixes = &config.runtime.cdi_annotation_prefixes;
    let mut entries: Vec<&(String, String)> =
        view.annotations.iter().filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix))).collect();
    entries.sort();
    let items = entries.iter().flat_map(|(key, value)| items(value).map(move |item| DeviceName::new(item, key)));
    let names = distinct(items);
    let qualified = |name: &DeviceName| is_automatic(&name.text) || matches!(name.id, DeviceId::Cdi(_));
    match config.runtime.mode.as_str() {
        "cdi" => names,
        "auto" if names.iter().all(qualified) => names,
        _ => Vec::new(),
    }
}

/// The items of a comma list, trimmed, without blanks.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> + Clone {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn from_mounts(view: &ContainerView, config: &Config, warnings: &mut Vec<String>) -> Option<Found> {
    let names = requests_by_mount(view, config).filter_map(|rest| device_of_mount(rest, warnings));
    let names = distinct(names);
    (!names.is_empty()).then(|| Found::names(names))
}

/// What lies below the requests' folder for each mount of `/dev/null` there: `0`, `cdi/nvidia.com/gpu/0`, `imex/1`. Only
/// paths in that folder count, not those that merely begin with its name; nor does the same folder by way of `/run`.
pub(super) fn requests_by_mount<'a>(view: &ContainerView<'a>, config: &Config) -> impl Iterator<Item = String> + 'a {
    let mounts = if config.accept_volume_mounts { view.mounts } else { &[] };
    mounts.iter().filter_map(|mount| {
        let source = HostPath::new(mount.source).ok()?;
        let destination = ContainerPath::new(mount.destination).ok()?;
        let folder = ContainerPath::new("/var/run/nvidia-container-devices").ok()?;
        let rest = destination.strip_prefix(&folder).filter(|rest| !rest.is_empty())?;
        (source.as_str() == "/dev/null").then(|| rest.to_owned())
    })
}

fn device_of_mount(rest: String, warnings: &mut Vec<String>) -> Option<DeviceName> {
    let from = "mount of /dev/null";
    match rest.split_once('/') {
        Some(("imex", _)) => None,
        Some(("cdi", name)) => cdi_of_mount(name).map(|name| DeviceName::new(&name, from)).or_else(|| {
            let why = format!("invalid mount CDI device request: {rest}");
            warnings.push(format!("Ignoring invalid mount request for CDI device {rest}: {why}"));
            None
        }),
        _ => Some(DeviceName::new(&rest, from)),
    }
}

/// `nvidia.com/gpu/0` and `nvidia.com/gpu=0` are `nvidia.com/gpu=0`.
fn cdi_of_mount(name: &str) -> Option<String> {
    let name = match name.split('/').collect::<Vec<_>>()[..] {
        [vendor, class, device] => format!("{vendor}/{class}={device}"),
        [_, _] => name.to_owned(),
        _ => return None,
    };
    let known = matches!(DeviceId::parse(&name), DeviceId::Cdi(_));
    known.then_some(name)
}

fn from_environment(view: &ContainerView, config: &Config, warnings: &mut Vec<String>) -> Option<Found> {
    let variables = variables(view, config);
    let found = match variables[..] {
        [] if view.is_legacy_image() => Some(Found {
            devices: DeviceRequest::All,
            asked: "CUDA_VERSION without NVIDIA_REQUIRE_CUDA".to_owned(),
            automatic: false,
        }),
        _ => from_lists(&variables),
    }?;
    if environment_counts(view, config) {
        return Some(found);
    }
    let names: Vec<_> = variables.iter().map(|(name, _)| *name).collect();
    let names = if names.is_empty() { "NVIDIA_VISIBLE_DEVICES".to_owned() } else { names.join(" ") };
    warnings
        .push(format!("Ignoring devices requested by environment variable(s) in unprivileged container: [{names}]"));
    None
}

/// The variables that count, and their values: those of `swarm-resource`, else `NVIDIA_VISIBLE_DEVICES`.
fn variables<'a>(view: &ContainerView<'a>, config: &'a Config) -> Vec<(&'a str, &'a str)> {
    let set = |name: &'a str| view.variable(name).map(|value| (name, value));
    let swarm: Vec<_> = config.swarm_variables().filter_map(set).collect();
    if swarm.is_empty() { set("NVIDIA_VISIBLE_DEVICES").into_iter().collect() } else { swarm }
}

/// `void` anywhere, or nothing: no devices.
fn from_lists(variables: &[(&str, &str)]) -> Option<Found> {
    let items = || variables.iter().flat_map(|&(from, list)| items(list).map(move |item| (from, item)));
    if items().any(|(_, item)| item == "void") {
        return None;
    }
    let names = distinct(items().map(|(from, item)| DeviceName::new(item, from)));
    (!names.is_empty()).then(|| Found::names(names))
}
