//! Putting the edits of devices into a container's `config.json` (CDI specification, "OCI Edits"; runtime-and-hook.md 7.4).
//!
//! Nothing here looks at the machine: what a device node's numbers are, where edits leave that to the host's node, comes from
//! a function that the caller gives.
//!
//! Differences from the CDI reference library: a variable replaces one of its name instead of following it (Q1), doing it
//! all twice is doing it once, and mounts go behind the existing ones in the edits' order, while existing ones keep theirs.

use crate::edits::{ContainerEdits, DeviceNode, Hook, Mount};
use oci::{Document, DocumentError, HookPoint, User};

/// A device node of the host, as `lstat(2)` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNode {
    /// `c`, `b` or `p`.
    pub kind: char,
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Permission bits, without those of the type.
    pub file_mode: u32,
}

/// Tells what lies at a path of the host; the reason, if that is no device node or cannot be seen.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<HostNode, String>;

/// Why edits cannot be applied. The document is not to be written then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A variable without a name.
    #[error("environment entry {entry:?} of the device's edits is not NAME=value")]
    BadVariable {
        /// The entry.
        entry: String,
    },
    /// A hook for a list that the OCI does not have.
    #[error("hook {path} of the device's edits is for {name:?}, which is not a list of OCI hooks")]
    UnknownHookList {
        /// The hook's program.
        path: String,
        /// The list it asks for.
        name: String,
    },
    /// A device without numbers, and nobody who knows them.
    #[error("device {path} needs the type and numbers of the host's {host_path}: {reason}")]
    UnknownNode {
        /// Path in the container.
        path: String,
        /// Path on the host.
        host_path: String,
        /// Why they are not known.
        reason: String,
    },
    /// The edits and the host disagree.
    #[error("device {path} is to be of type {wanted}, but {host_path} on the host is of type {found}")]
    TypeMismatch {
        /// Path in the container.
        path: String,
        /// Path on the host.
        host_path: String,
        /// The type in the edits.
        wanted: String,
        /// The type on the host.
        found: char,
    },
    /// The part of `config.json` to be edited is malformed.
    #[error("cannot edit config.json: {0}")]
    Document(#[from] DocumentError),
}

/// Applies edits in which every device node has its type and numbers.
/// [`Document::is_changed`] tells whether that made a difference.
///
/// # Errors
/// All of [`ApplyError`]; [`ApplyError::UnknownNode`] for a device node without them.
pub fn apply(edits: ContainerEdits, document: &mut Document) -> Result<(), ApplyError> {
    apply_with(edits, document, None)
}

/// As [`apply`]; `lookup` supplies what device nodes lack.
///
/// # Errors
/// All of [`ApplyError`].
pub fn apply_with(
    edits: ContainerEdits,
    document: &mut Document,
    lookup: Option<Lookup<'_>>,
) -> Result<(), ApplyError> {
    // Everything that the edits can have wrong is found out before the document is touched.
    let variables = edits.env.iter().map(|entry| variable(entry)).collect::<Result<Vec<_>, _>>()?;
    let hooks = edits.hooks.iter().map(hook).collect::<Result<Vec<_>, _>>()?;
    let nodes = devices(&edits.device_nodes, document, lookup)?;
    let mounts: Vec<oci::Mount> = edits.mounts.into_iter().map(mount).collect();
    let gids: Vec<u32> = edits.additional_gids.iter().copied().filter(|gid| *gid != 0).collect();

    document.set_env(&variables)?;
    document.put_devices(&nodes)?;
    document.allow_devices(&rules(&edits.device_nodes, &nodes))?;
    for device in &edits.net_devices {
        document.put_net_device(&device.host_interface_name, &device.name)?;
    }
    document.put_mounts(&mounts)?;
    for (point, hook) in &hooks {
        document.add_hooks(*point, std::slice::from_ref(hook))?;
    }
    if let Some(rdt) = &edits.intel_rdt {
        document.set_intel_rdt(rdt)?;
    }
    document.add_gids(&gids)?;
    Ok(())
}

fn variable(entry: &str) -> Result<(&str, &str), ApplyError> {
    let bad = || ApplyError::BadVariable { entry: entry.to_owned() };
    entry.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)
}

fn hook(hook: &Hook) -> Result<(HookPoint, oci::Hook), ApplyError> {
    let unknown = || ApplyError::UnknownHookList { path: hook.path.clone(), name: hook.hook_name.clone() };
    let point = HookPoint::from_name(&hook.hook_name).ok_or_else(unknown)?;
    let Hook { path, args, env, timeout, .. } = hook.clone();
    Ok((point, oci::Hook { path, args, env, timeout }))
}

fn mount(mount: Mount) -> oci::Mount {
    let Mount { host_path, container_path, options, kind } = mount;
    oci::Mount { destination: container_path, kind, source: Some(host_path), options }
}

fn devices(
    nodes: &[DeviceNode],
    document: &Document,
    lookup: Option<Lookup<'_>>,
) -> Result<Vec<oci::Device>, ApplyError> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let user = document.process_user()?;
    nodes.iter().map(|node| device(node, &user, lookup)).collect()
}

/// The node for `linux.devices`. A node without an owner belongs to the container's user, unless that is root.
fn device(node: &DeviceNode, user: &User, lookup: Option<Lookup<'_>>) -> Result<oci::Device, ApplyError> {
    let owned_by = |id: u32| Some(id).filter(|id| *id > 0);
    let mut device = oci::Device {
        path: node.path.clone(),
        kind: node.kind.clone().unwrap_or_default(),
        major: node.major.unwrap_or_default(),
        minor: node.minor.unwrap_or_default(),
        file_mode: node.file_mode,
        uid: node.uid.or(owned_by(user.uid)),
        gid: node.gid.or(owned_by(user.gid)),
    };
    let host_path = node.host_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(&node.path);
    fill_from_host(&mut device, host_path, lookup)?;
    Ok(device)
}

/// Takes from the host's node what the edits leave open: type, numbers, permission bits.
///
/// Where type and a major number other than 0 are given (a FIFO needs no number), the device stands without the host's node,
/// which may not exist yet.
fn fill_from_host(device: &mut oci::Device, host_path: &str, lookup: Option<Lookup<'_>>) -> Result<(), ApplyError> {
    let stands_alone = !device.kind.is_empty() && (device.major != 0 || device.kind == "p");
    if stands_alone && device.file_mode.is_some() {
        return Ok(());
    }
    let found = lookup.ok_or_else(|| "nobody looked".to_owned()).and_then(|lookup| lookup(host_path));
    let host = match found {
        Ok(host) => host,
        Err(_) if stands_alone => return Ok(()),
        Err(reason) => {
            let (path, host_path) = (device.path.clone(), host_path.to_owned());
            return Err(ApplyError::UnknownNode { path, host_path, reason });
        }
    };
    device.file_mode = device.file_mode.or(Some(host.file_mode));
    match stands_alone {
        true => Ok(()),
        false => fill_identity(device, host_path, &host),
    }
}

fn fill_identity(device: &mut oci::Device, host_path: &str, host: &HostNode) -> Result<(), ApplyError> {
    if device.kind.is_empty() {
        device.kind = host.kind.to_string();
    }
    if cgroup_kind(&device.kind) != host.kind.to_string() {
        return Err(ApplyError::TypeMismatch {
            path: device.path.clone(),
            host_path: host_path.to_owned(),
            wanted: device.kind.clone(),
            found: host.kind,
        });
    }
    if device.major == 0 {
        (device.major, device.minor) = (host.major, host.minor);
    }
    Ok(())
}

/// The rules that let a container use its nodes; a FIFO needs none.
fn rules(nodes: &[DeviceNode], devices: &[oci::Device]) -> Vec<oci::DeviceRule> {
    let access = |node: &DeviceNode| node.permissions.clone().filter(|access| !access.is_empty());
    let is_device = |device: &oci::Device| matches!(cgroup_kind(&device.kind), "c" | "b");
    nodes
        .iter()
        .zip(devices)
        .filter(|(_, device)| is_device(device))
        .map(|(node, device)| oci::DeviceRule {
            allow: true,
            kind: Some(cgroup_kind(&device.kind).to_owned()),
            major: Some(device.major),
            minor: Some(device.minor),
            access: Some(access(node).unwrap_or_else(|| "rwm".to_owned())),
        })
        .collect()
}

/// The type as the kernel knows it: `u`, an unbuffered character device, is a character device.
fn cgroup_kind(kind: &str) -> &str {
    match kind {
        "u" => "c",
        other => other,
    }
}

#[cfg(test)]
mod tests;
