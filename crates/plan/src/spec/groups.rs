//! Devices that are no GPUs: all nodes of the driver together, groups of nodes, IMEX channels.

use super::{Maker, SpecError, SpecMode, draft::DraftDevice};
use crate::edits::{Because, Reason, SpecEdits};
use crate::request::DeviceRequest;
use cdi::{DeviceNode, Mount};
use host::ImexChannel;
use oci::{ContainerPath, HostPath};
use std::collections::BTreeMap;

impl Maker<'_> {
    /// All nodes of the driver that this machine has.
    pub(super) fn management(&self) -> Result<Vec<DraftDevice>, SpecError> {
        let mut edits = SpecEdits::default();
        self.control_nodes(&mut edits);
        let shared = &self.inventory.nodes;
        let mig = [&shared.mig_config, &shared.mig_monitor].into_iter().flatten();
        self.nodes(&mut edits, mig, &self.by_mode("lets its owner partition GPUs, or watch the partitions"));
        let channels = shared.imex.iter().map(|channel| &channel.node);
        self.nodes(&mut edits, channels, &self.by_mode("an IMEX channel that exists"));
        for gpu in &self.inventory.gpus {
            self.nodes(&mut edits, [&gpu.node], &self.by_mode(format!("node of GPU {}", gpu.index)));
            let parts = gpu.mig.iter().flat_map(|mig| [&mig.gpu_instance_node, &mig.compute_instance_node]);
            self.nodes(&mut edits, parts, &self.by_mode(format!("opens a MIG device of GPU {}", gpu.index)));
        }
        whole("NVIDIA device nodes", edits)
    }

    /// A group of nodes as one device.
    pub(super) fn group(&self, mode: SpecMode) -> Result<Vec<DraftDevice>, SpecError> {
        let nodes = &self.inventory.nodes;
        let (list, what) = match mode {
            SpecMode::Gds => (&nodes.gds, "GPUDirect Storage nodes, /dev/nvidia-fs*"),
            SpecMode::Mofed => (&nodes.mofed, "InfiniBand nodes, /dev/infiniband/uverbs*"),
            SpecMode::NvSwitch => (&nodes.nvswitch, "NVSwitch nodes, /dev/nvidia-nvswitch*"),
            _ => (&nodes.gdrcopy, "GDRCopy node, /dev/gdrdrv"),
        };
        let mut edits = SpecEdits::default();
        self.nodes(&mut edits, list, &self.by_mode("belongs to the group"));
        if mode == SpecMode::Gds && !list.is_empty() {
            let reason = self.by_mode("GPUDirect Storage reads it");
            let mounts = nodes.gds_paths.iter().map(|host| Because::new(self.gds_mount(host), reason.clone()));
            edits.mounts.extend(mounts);
        }
        whole(what, edits)
    }

    fn gds_mount(&self, host: &HostPath) -> Mount {
        let below = host.strip_prefix(&self.options.driver_root).unwrap_or(&host.as_str()[1..]);
        Mount {
            host_path: host.to_string(),
            container_path: ContainerPath::root().join(below).to_string(),
            options: ["ro", "nosuid", "nodev", "rbind", "rprivate"].map(str::to_owned).to_vec(),
            kind: None,
        }
    }

    /// IMEX channels. Their numbers are looked up when a container starts, because a channel may be made anew.
    pub(super) fn imex(&self) -> Result<Vec<DraftDevice>, SpecError> {
        let existing = &self.inventory.nodes.imex;
        let all = |channel| (channel, "--device-id=all".to_owned());
        let channels: BTreeMap<u32, (&ImexChannel, String)> = match self.options.requested() {
            DeviceRequest::None => return Err(SpecError::InvalidChannel("none".to_owned())),
            DeviceRequest::All => existing.iter().map(|channel| (channel.number, all(channel))).collect(),
            DeviceRequest::Ids(names) => {
                let named = names.iter().map(|name| {
                    let (number, channel) = named_channel(&name.text, existing)?;
                    Ok((number, (channel, format!("{}={}", name.from, name.text))))
                });
                named.collect::<Result<_, SpecError>>()?
            }
        };
        if channels.is_empty() {
            return Err(SpecError::NoNodes { what: "IMEX channels, /dev/nvidia-caps-imex-channels/channel*" });
        }
        let device = |(number, (channel, request)): (u32, (&ImexChannel, String))| {
            let reason = Reason { request, rule: "its numbers are looked up at each start".to_owned() };
            let devices = vec![Because::new(channel_node(channel), reason)];
            DraftDevice::named(number.to_string(), SpecEdits { devices, ..SpecEdits::default() })
        };
        Ok(channels.into_iter().map(device).collect())
    }
}

/// The one device of a mode that has only one. Nodes that do not exist are no part of it.
fn whole(what: &'static str, edits: SpecEdits) -> Result<Vec<DraftDevice>, SpecError> {
    if edits.devices.is_empty() {
        return Err(SpecError::NoNodes { what });
    }
    Ok(vec![DraftDevice::named("all", edits)])
}

/// `7` or `channel7`.
fn named_channel<'a>(text: &str, existing: &'a [ImexChannel]) -> Result<(u32, &'a ImexChannel), SpecError> {
    let digits = text.strip_prefix("channel").unwrap_or(text);
    let number = digits.parse().ok().filter(|number| *number < 1 << 20 && digits.bytes().all(|b| b.is_ascii_digit()));
    let number: u32 = number.ok_or_else(|| SpecError::InvalidChannel(text.to_owned()))?;
    let channel = existing.iter().find(|channel| channel.number == number && channel.node.exists);
    Ok((number, channel.ok_or(SpecError::UnknownChannel(number))?))
}

fn channel_node(channel: &ImexChannel) -> DeviceNode {
    DeviceNode {
        path: channel.node.path.to_string(),
        host_path: Some(channel.node.host.to_string()),
        ..DeviceNode::default()
    }
}
