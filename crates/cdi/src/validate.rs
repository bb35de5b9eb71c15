//! What a spec must be, to be written or believed (cdi-and-ctk.md 3.3).

use crate::edits::{ContainerEdits, DeviceNode, Hook, IntelRdt, Mount, NetDevice};
use crate::names::{NameError, check_device_name};
use crate::place::Place;
use crate::spec::{Device, Spec};
use crate::version;
use oci::HookPoint;
use std::collections::HashSet;

/// Why a spec is not valid. The beginnings of the texts are the original's, which other tools show and look for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// A version that nobody released.
    #[error("invalid version {version:?}: known are 0.1.0 to {newest}", newest = version::NEWEST)]
    UnknownVersion {
        /// What the spec says.
        version: String,
    },
    /// The spec contains more than the version that it names has.
    #[error("the spec version must be at least v{needed}, but it is {version}")]
    VersionTooOld {
        /// What the spec says.
        version: String,
        /// What its content needs.
        needed: &'static str,
    },
    /// The kind is malformed.
    #[error("invalid kind: {0}")]
    Kind(#[source] NameError),
    /// There are no devices.
    #[error("invalid spec, no devices")]
    NoDevices,
    /// Two devices have one name.
    #[error("invalid spec, multiple device {name:?}")]
    DuplicateDevice {
        /// The name.
        name: String,
    },
    /// One of the devices is not valid.
    #[error("failed add device {name:?}: invalid device, {reason}")]
    Device {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: InvalidDevice,
    },
    /// What is done for all devices is not valid.
    #[error("invalid container edits: {0}")]
    Edits(#[source] InvalidEdits),
}

/// Why a device is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDevice {
    /// Its name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It does nothing. This is what a machine without GPUs gets for `all`.
    #[error("empty device edits")]
    Empty,
    /// What it does is not valid.
    #[error(transparent)]
    Edits(#[from] InvalidEdits),
}

/// Why edits are not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEdits {
    /// Not `NAME=value`.
    #[error("invalid environment variable {entry:?}: it is not NAME=value")]
    Variable {
        /// The entry.
        entry: String,
    },
    /// A device node without a place.
    #[error("invalid device node, empty path")]
    NodePath,
    /// A type that no device has.
    #[error("device {path:?} has the invalid type {kind:?}: b, c, u and p are known")]
    NodeType {
        /// The node.
        path: String,
        /// Its type.
        kind: String,
    },
    /// Access that no device rule has.
    #[error("device {path:?} has the invalid permissions {permissions:?}: r, w and m are known")]
    Permissions {
        /// The node.
        path: String,
        /// The permissions.
        permissions: String,
    },
    /// A network device without one of its names.
    #[error("invalid network device, empty {which}")]
    NetDevice {
        /// Which name.
        which: &'static str,
    },
    /// Two network devices share a name.
    #[error("invalid network devices, {name:?} is the {which} of two")]
    DuplicateNetDevice {
        /// Which name.
        which: &'static str,
        /// The name.
        name: String,
    },
    /// A list of hooks that the OCI does not have.
    #[error("invalid hook name {name:?}")]
    HookName {
        /// The list.
        name: String,
    },
    /// A hook without a program.
    #[error("invalid hook {name:?} with empty path")]
    HookPath {
        /// The list.
        name: String,
    },
    /// A mount from or to nowhere.
    #[error("invalid mount, empty {which} path")]
    MountPath {
        /// `host` or `container`.
        which: &'static str,
    },
    /// A class of service that cannot be a folder's name.
    #[error("invalid closID {id:?}: it is neither a file name nor /")]
    ClosId {
        /// The class.
        id: String,
    },
}

impl Spec {
    /// Checks all rules.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the file.
    pub fn validate(&self) -> Result<(), InvalidSpec> {
        self.broken_rules().next().map_or(Ok(()), |(_, rule)| Err(rule))
    }

    /// All rules that are broken, each with its place, in the order of the file.
    ///
    /// There is none for annotations. The CDI library has one (Kubernetes' for keys, and a limit of their size), but
    /// applies it only to maps of untyped values, which those of a spec that it has read are not. So engines take any
    /// key, as Podman 5.4 does; the `cdi` tool alone, which looks at a spec as JSON too, does not.
    pub fn broken_rules(&self) -> impl Iterator<Item = (Place, InvalidSpec)> {
        let version = self.validate_version().err().map(|rule| (Place::field("cdiVersion"), rule));
        let kind = self.parsed_kind().err().map(|reason| (Place::field("kind"), InvalidSpec::Kind(reason)));
        let base = Place::field("containerEdits");
        let common = self.container_edits.broken_rules();
        let common = common.map(move |(place, reason)| (place.below(&base), InvalidSpec::Edits(reason)));
        let mut names = HashSet::new();
        let devices = self.devices.iter().enumerate().flat_map(move |(index, device)| {
            let base = Place::field("devices").item(index);
            let duplicate = (!names.insert(&device.name))
                .then(|| (base.clone().then("name"), InvalidSpec::DuplicateDevice { name: device.name.clone() }));
            let name = || device.name.clone();
            let own = device.broken_rules();
            own.map(move |(place, reason)| (place.below(&base), InvalidSpec::Device { name: name(), reason }))
                .chain(duplicate)
        });
        let none = self.devices.is_empty().then(|| (Place::field("devices"), InvalidSpec::NoDevices));
        version.into_iter().chain(kind).chain(common).chain(devices).chain(none)
    }

    fn validate_version(&self) -> Result<(), InvalidSpec> {
        let version = || self.cdi_version.clone();
        let age = version::age(&self.cdi_version);
        let age = age.ok_or_else(|| InvalidSpec::UnknownVersion { version: version() })?;
        let needed = self.minimum_version();
        // 0.3.0 is the least that any spec needs, so that those of 0.1.0 and 0.2.0 are refused, as the original does.
        match version::age(needed) > Some(age) {
            true => Err(InvalidSpec::VersionTooOld { version: version(), needed }),
            false => Ok(()),
        }
    }
}

impl Device {
    fn broken_rules(&self) -> impl Iterator<Item = (Place, InvalidDevice)> {
        let name = check_device_name(&self.name).err().map(|reason| (Place::field("name"), reason.into()));
        let base = Place::field("containerEdits");
        let empty = self.container_edits.is_empty().then(|| (Place::default(), InvalidDevice::Empty));
        let edits = self.container_edits.broken_rules();
        name.into_iter().chain(empty).chain(edits.map(move |(place, reason)| (place.below(&base), reason.into())))
    }
}

impl ContainerEdits {
    /// All rules for edits that are broken, each with its place.
    fn broken_rules(&self) -> impl Iterator<Item = (Place, InvalidEdits)> {
        let env = check_env(&self.env).err().map(|reason| (Place::field("env"), reason));
        let nodes = broken("deviceNodes", &self.device_nodes, check_node);
        let hooks = broken("hooks", &self.hooks, check_hook);
        let mounts = broken("mounts", &self.mounts, check_mount);
        let rdt = self.intel_rdt.iter().filter_map(|rdt| Some((Place::field("intelRdt"), check_rdt(rdt).err()?)));
        let net = check_net_devices(&self.net_devices).err().map(|reason| (Place::field("netDevices"), reason));
        env.into_iter().chain(nodes).chain(hooks).chain(mounts).chain(rdt).chain(net)
    }
}

/// The items of a list that break a rule.
fn broken<'a, T>(
    field: &'static str,
    items: &'a [T],
    check: fn(&T) -> Result<(), InvalidEdits>,
) -> impl Iterator<Item = (Place, InvalidEdits)> + use<'a, T> {
    let place = move |index| Place::field(field).item(index);
    items.iter().enumerate().filter_map(move |(index, item)| Some((place(index), check(item).err()?)))
}

fn check_env(env: &[String]) -> Result<(), InvalidEdits> {
    match env.iter().find(|entry| entry.find('=').is_none_or(|at| at == 0)) {
        Some(entry) => Err(InvalidEdits::Variable { entry: entry.clone() }),
        None => Ok(()),
    }
}

fn check_node(node: &DeviceNode) -> Result<(), InvalidEdits> {
    let path = || node.path.clone();
    let kind = node.kind.as_deref().unwrap_or_default();
    let permissions = node.permissions.as_deref().unwrap_or_default();
    if node.path.is_empty() {
        Err(InvalidEdits::NodePath)
    } else if !["", "b", "c", "u", "p"].contains(&kind) {
        Err(InvalidEdits::NodeType { path: path(), kind: kind.to_owned() })
    } else if !permissions.chars().all(|c| "rwm".contains(c)) {
        Err(InvalidEdits::Permissions { path: path(), permissions: permissions.to_owned() })
    } else {
        Ok(())
    }
}

fn check_hook(hook: &Hook) -> Result<(), InvalidEdits> {
    let name = || hook.hook_name.clone();
    if HookPoint::from_name(&hook.hook_name).is_none() {
        return Err(InvalidEdits::HookName { name: name() });
    }
    if hook.path.is_empty() {
        return Err(InvalidEdits::HookPath { name: name() });
    }
    check_env(&hook.env)
}

fn check_mount(mount: &Mount) -> Result<(), InvalidEdits> {
    match (mount.host_path.is_empty(), mount.container_path.is_empty()) {
        (true, _) => Err(InvalidEdits::MountPath { which: "host" }),
        (_, true) => Err(InvalidEdits::MountPath { which: "container" }),
        _ => Ok(()),
    }
}

/// The class becomes a folder under `/sys/fs/resctrl`, and must not lead elsewhere.
fn check_rdt(rdt: &IntelRdt) -> Result<(), InvalidEdits> {
    let id = rdt.clos_id.as_str();
    let is_file_name = id.len() < 4096 && id != "." && id != ".." && !id.contains(['/', '\n']);
    if is_file_name || id == "/" { Ok(()) } else { Err(InvalidEdits::ClosId { id: id.to_owned() }) }
}

fn check_net_devices(devices: &[NetDevice]) -> Result<(), InvalidEdits> {
    let (mut on_host, mut in_container) = (HashSet::new(), HashSet::new());
    for device in devices {
        check_net_name("hostInterfaceName", &device.host_interface_name, &mut on_host)?;
        check_net_name("name", &device.name, &mut in_container)?;
    }
    Ok(())
}

fn check_net_name<'a>(which: &'static str, name: &'a str, seen: &mut HashSet<&'a str>) -> Result<(), InvalidEdits> {
    if name.is_empty() {
        return Err(InvalidEdits::NetDevice { which });
    }
    match seen.insert(name) {
        true => Ok(()),
        false => Err(InvalidEdits::DuplicateNetDevice { which, name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
