//! What a spec says about the machine, held against the machine.

use super::content::driver_files;
use super::{Finding, Host, Seen};
use crate::apply::HostNode;
use crate::edits::{ContainerEdits, DeviceNode, Hook, Mount};
use crate::place::Place;
use crate::spec::Spec;
use std::collections::HashSet;

pub(super) fn findings(spec: &Spec, host: &dyn Host) -> Vec<Finding> {
    let devices = (0..spec.devices.len()).map(|index| Place::field("devices").item(index));
    let bases = std::iter::once(Place::default()).chain(devices).map(|place| place.then("containerEdits"));
    let mut found = Vec::new();
    for (base, edits) in bases.zip(spec.all_edits()) {
        found.extend(of_edits(edits, &base, host));
    }
    // A device that is all of the others repeats what they say; once is enough.
    let mut told = HashSet::new();
    found.retain(|finding| told.insert((finding.name, finding.text.clone())));
    found.extend(other_driver(spec, host));
    found
}

fn of_edits(edits: &ContainerEdits, base: &Place, host: &dyn Host) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tell = |field: &'static str, index: usize, told: Option<(&'static str, String)>| {
        if let Some((name, text)) = told {
            found.push(Finding::warning(name, base.clone().then(field).item(index), text));
        }
    };
    for (index, hook) in edits.hooks.iter().enumerate() {
        tell("hooks", index, hook_program(hook, host));
    }
    for (index, mount) in edits.mounts.iter().enumerate() {
        tell("mounts", index, mount_source(mount, host));
    }
    for (index, node) in edits.device_nodes.iter().enumerate() {
        tell("deviceNodes", index, device_node(node, host));
    }
    for (index, device) in edits.net_devices.iter().enumerate() {
        let name = &device.host_interface_name;
        let missing = !name.is_empty() && host.look(&format!("/sys/class/net/{name}")).is_none();
        tell(
            "netDevices",
            index,
            missing.then(|| ("net-device-missing", format!("there is no network interface {name:?}"))),
        );
    }
    found
}

fn hook_program(hook: &Hook, host: &dyn Host) -> Option<(&'static str, String)> {
    // Its program lies in the container.
    if hook.hook_name == "startContainer" || hook.path.is_empty() {
        return None;
    }
    let path = &hook.path;
    match host.look(path) {
        _ if !path.starts_with('/') => {
            Some(("hook-missing", format!("the hook {path:?} is not named by an absolute path")))
        }
        None => Some(("hook-missing", format!("the hook {path:?} does not exist"))),
        Some(Seen::File { executable: true }) => None,
        Some(_) => Some(("hook-not-executable", format!("the hook {path:?} is not an executable file"))),
    }
}

/// Only a mount that binds has a source on the host.
fn mount_source(mount: &Mount, host: &dyn Host) -> Option<(&'static str, String)> {
    let kind = mount.kind.as_deref().unwrap_or_default();
    let binds =
        matches!(kind, "" | "bind" | "none") || mount.options.iter().any(|word| word == "bind" || word == "rbind");
    let path = &mount.host_path;
    let missing = binds && !path.is_empty() && host.look(path).is_none();
    missing.then(|| ("mount-source-missing", format!("the source {path:?} of a mount does not exist")))
}

/// A node that is not there is no fault where the spec says everything about it: engines then need none.
fn device_node(node: &DeviceNode, host: &dyn Host) -> Option<(&'static str, String)> {
    let path = node.host_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(&node.path);
    let kind = node.kind.as_deref().filter(|kind| !kind.is_empty());
    let major = node.major.filter(|major| *major != 0);
    let is_complete = kind.is_some_and(|kind| kind == "p" || major.is_some());
    match host.look(path) {
        _ if path.is_empty() => None,
        None if is_complete => None,
        None => Some((
            "device-missing",
            format!("the device node {path:?} does not exist, and the spec does not say type and numbers"),
        )),
        Some(Seen::Node(found)) => differs(kind, major, node.minor, &found).map(|(said, is)| {
            ("device-changed", format!("the device node {path:?} is {is}, but the spec says {said}"))
        }),
        Some(_) => Some(("device-missing", format!("{path:?} is no device node"))),
    }
}

/// What the spec says and what is there, if that is not the same.
fn differs(kind: Option<&str>, major: Option<i64>, minor: Option<i64>, found: &HostNode) -> Option<(String, String)> {
    let said_kind = match kind {
        Some("u") => "c",
        Some(kind) => kind,
        None => return major.and_then(|major| numbers_differ(major, minor, found)),
    };
    if !said_kind.starts_with(found.kind) {
        return Some((format!("{said_kind:?}"), format!("of type {:?}", found.kind.to_string())));
    }
    major.filter(|_| found.kind != 'p').and_then(|major| numbers_differ(major, minor, found))
}

fn numbers_differ(major: i64, minor: Option<i64>, found: &HostNode) -> Option<(String, String)> {
    let minor = minor.unwrap_or_default();
    let same = (major, minor) == (found.major, found.minor);
    (!same).then(|| (format!("{major}:{minor}"), format!("{}:{}", found.major, found.minor)))
}

/// A spec that was written for another version of the driver than the one that runs.
fn other_driver(spec: &Spec, host: &dyn Host) -> Option<Finding> {
    let loaded = host.driver_version()?;
    let (mount, place, version) = driver_files(spec).find(|(_, _, version)| *version != loaded)?;
    let text = format!(
        "{:?} is of driver version {version}, but the loaded kernel module is of {loaded}: write the spec anew",
        mount.host_path
    );
    Some(Finding::warning("other-driver-version", place, text))
}
