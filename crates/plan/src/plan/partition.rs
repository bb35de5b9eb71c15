//! `NVIDIA_MIG_CONFIG_DEVICES` and `NVIDIA_MIG_MONITOR_DEVICES`: containers that cut GPUs into MIG devices, or watch all of
//! a GPU's MIG devices (reference: libnvidia-container.md 6, 16).
//!
//! Only privileged containers get this far with them. What they get is what libnvidia-container gives: the capability
//! node of the deed, and of each granted GPU that can be partitioned the nodes of all instances that it has or may come
//! to have. It binds the host's `/dev/nvidia-caps` for that; we give nodes by number, so that a container can neither
//! remove nodes of the host nor depend on somebody making new ones. The access files in
//! `/proc/driver/nvidia/capabilities` are in every container's procfs, so nothing is mounted there.

use super::{Plan, PlanError};
use crate::edits::{Edits, Reason};
use crate::request::{DeviceId, DeviceRequest, Request};
use host::{Gpu, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Something that may be done with all MIG devices of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Config,
    Monitor,
}

impl Deed {
    const fn variable(self) -> &'static str {
        match self {
            Deed::Config => "NVIDIA_MIG_CONFIG_DEVICES",
            Deed::Monitor => "NVIDIA_MIG_MONITOR_DEVICES",
        }
    }

    /// Its name in libnvidia-container's messages.
    const fn word(self) -> &'static str {
        match self {
            Deed::Config => "mig-config",
            Deed::Monitor => "mig-monitor",
        }
    }

    /// Its name in procfs.
    const fn capability(self) -> &'static str {
        match self {
            Deed::Config => "config",
            Deed::Monitor => "monitor",
        }
    }
}

/// What the container asks to do. The only device list that there is says `all`, and it does not go with single MIG
/// devices, which would be more than it was to get.
pub(super) fn deeds(request: &Request) -> Result<Vec<Deed>, PlanError> {
    let lists = [(Deed::Config, &request.mig_config), (Deed::Monitor, &request.mig_monitor)];
    let mut deeds = Vec::new();
    for (deed, list) in lists.into_iter().filter_map(|(deed, list)| Some((deed, list.as_ref()?))) {
        let mut items = list.split(',').filter(|item| !item.is_empty()).peekable();
        if items.peek().is_none() {
            continue;
        }
        if let Some(item) = items.find(|item| !item.eq_ignore_ascii_case("all")) {
            let (what, variable) = (deed.word(), deed.variable());
            return Err(PlanError::MigDevices { what, text: item.to_owned(), variable });
        }
        if let Some(from) = names_mig_device(request) {
            return Err(PlanError::MigDeviceNamed { what: deed.word(), from });
        }
        deeds.push(deed);
    }
    Ok(deeds)
}

fn names_mig_device(request: &Request) -> Option<String> {
    let DeviceRequest::Ids(names) = &request.devices else { return None };
    let mig = |id: &DeviceId| matches!(id, DeviceId::MigIndex(..) | DeviceId::MigUuid(_) | DeviceId::MigOld { .. });
    names.iter().find(|name| mig(&name.id)).map(|name| format!("{}={}", name.from, name.text))
}

impl Plan<'_> {
    pub(super) fn partitioning(&self, edits: &mut Edits) {
        let gpus: BTreeMap<u32, &Gpu> = self.grants.iter().map(|grant| (grant.gpu.index, grant.gpu)).collect();
        let gpus: Vec<_> = gpus.into_values().filter(|gpu| gpu.mig_capable).collect();
        for deed in &self.deeds {
            let request = format!("{}=all", deed.variable());
            let node = match deed {
                Deed::Config => &self.inventory.nodes.mig_config,
                Deed::Monitor => &self.inventory.nodes.mig_monitor,
            };
            let Some(node) = node.as_ref().filter(|_| !gpus.is_empty()) else {
                let why = match gpus.is_empty() {
                    true => "no granted GPU can be partitioned",
                    false => "the kernel has no capability node for it",
                };
                edits.remarks.push(format!("{request} grants nothing: {why}"));
                continue;
            };
            let rule = format!("capability {} of the machine", deed.capability());
            self.node(edits, node, Reason { request: request.clone(), rule });
            for gpu in &gpus {
                self.instances(edits, gpu, node, &request);
            }
        }
    }

    /// The nodes of a GPU's instances: those that exist, then those that may come to be.
    fn instances(&self, edits: &mut Edits, gpu: &Gpu, like: &Node, request: &str) {
        let reason = |minor: u32| Reason {
            request: request.to_owned(),
            rule: format!("capability {minor} belongs to an instance of GPU {}", gpu.index),
        };
        for mig in &gpu.mig {
            for node in [&mig.gpu_instance_node, &mig.compute_instance_node] {
                self.node(edits, node, reason(node.minor));
            }
        }
        let known: BTreeSet<String> = edits.spec.devices.iter().map(|device| device.what.path.clone()).collect();
        for minor in self.inventory.nodes.mig_minors.get(&gpu.minor).into_iter().flatten() {
            let name = format!("nvidia-cap{minor}");
            let (host, path) = (like.host.parent().join(&name), like.path.parent().join(&name));
            if !known.contains(path.as_str()) {
                let node = Node { host, path, minor: *minor, mode: 0o444, exists: false, ..like.clone() };
                self.new_node_at(edits, &node, &node.path, reason(*minor));
            }
        }
    }
}
