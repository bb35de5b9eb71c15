//! The devices of a specification: what each changes about a container.

use super::{
    Maker, NameStrategy, SpecError, SpecMode,
    driver::written,
    hooks::{HookName, each},
};
use crate::plan::select::{self, Grant};
use crate::request::DeviceRequest;
use cdi::{ContainerEdits, Device, DeviceNode, Mount};
use host::{Gpu, ImexChannel, MigDevice, Node};
use oci::{ContainerPath, HostPath};
use std::collections::BTreeMap;

/// Folders that hooks may open to everybody: where a runtime makes them with its own umask.
const OPENED: [&str; 2] = ["/dev/dri", "/dev/nvidia-caps"];

impl Maker<'_> {
    /// GPUs that are not partitioned, then MIG devices, each once for every way of naming.
    pub(super) fn gpus(&self) -> Result<Vec<Device>, SpecError> {
        let granted = self.granted()?;
        if granted.is_empty() {
            let edits = ContainerEdits { env: vec!["NVCT_EMPTY_DEVICE=".to_owned()], ..Default::default() };
            return Ok(vec![device("none".to_owned(), edits)]);
        }
        let (whole, parts): (Vec<_>, Vec<_>) = granted.iter().partition(|grant| grant.mig.is_none());
        let mut devices = Vec::new();
        for grant in whole.into_iter().chain(parts) {
            let (edits, names) = self.granted_device(grant)?;
            devices.extend(names.into_iter().map(|name| device(name, edits.clone())));
        }
        Ok(devices)
    }

    fn granted_device(&self, grant: &Grant) -> Result<(ContainerEdits, Vec<String>), SpecError> {
        let strategies = self.options.strategies.iter();
        match grant.mig {
            None => Ok((self.gpu(grant.gpu), strategies.map(|strategy| gpu_name(grant.gpu, *strategy)).collect())),
            Some(mig) => {
                let names = strategies.map(|strategy| self.mig_name(grant.gpu, mig, *strategy));
                let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
                // Before version 470 UUIDs of MIG devices are paths, which CDI does not take for names. With another
                // name the device can do without; else writing says what is wrong.
                if names.iter().any(|name| !name.contains('/')) {
                    names.retain(|name| !name.contains('/'));
                }
                Ok((self.mig(grant.gpu, mig), names))
            }
        }
    }

    fn gpu(&self, gpu: &Gpu) -> ContainerEdits {
        let mut edits = ContainerEdits::default();
        self.nodes(&mut edits, [&gpu.node]);
        self.drm(&mut edits, gpu);
        let folders = edits.device_nodes.iter().filter_map(|node| node.path.rsplit_once('/').map(|(folder, _)| folder));
        let mut folders: Vec<_> = folders.filter(|folder| OPENED.contains(folder)).map(str::to_owned).collect();
        folders.dedup();
        let mode = each("--mode", ["755".to_owned()]);
        self.hooks.add(&mut edits, HookName::Chmod, mode, each("--path", folders));
        edits
    }

    fn mig(&self, gpu: &Gpu, mig: &MigDevice) -> ContainerEdits {
        let mut edits = ContainerEdits::default();
        self.nodes(&mut edits, [&gpu.node]);
        if select::has_graphics(gpu, mig, self.inventory) == Some(true) {
            self.drm(&mut edits, gpu);
        }
        self.nodes(&mut edits, [&mig.gpu_instance_node, &mig.compute_instance_node]);
        edits
    }

    fn drm(&self, edits: &mut ContainerEdits, gpu: &Gpu) {
        self.nodes(edits, &gpu.drm);
        let links = gpu.drm_links.iter().map(|link| written(&link.target, &link.path));
        self.hooks.add(edits, HookName::CreateSymlinks, Vec::new(), each("--link", links));
    }

    fn mig_name(&self, gpu: &Gpu, mig: &MigDevice, strategy: NameStrategy) -> Result<String, SpecError> {
        let known = select::facts(gpu, self.inventory).into_iter().flat_map(|facts| &facts.mig);
        let id = (mig.gpu_instance, mig.compute_instance);
        let unnamed = || SpecError::Unnamed { gpu: gpu.index, gpu_instance: id.0, compute_instance: id.1 };
        let mut same = known.filter(|known| (known.gpu_instance, known.compute_instance) == id);
        let facts = same.next().ok_or_else(unnamed)?;
        Ok(match strategy {
            NameStrategy::Index => format!("{}:{}", gpu.index, facts.index),
            NameStrategy::Uuid => facts.uuid.clone(),
            NameStrategy::TypeIndex => format!("mig{}:{}", gpu.index, facts.index),
        })
    }

    /// The nodes that every container with a GPU gets.
    pub(super) fn control_nodes(&self, edits: &mut ContainerEdits) {
        let nodes = &self.inventory.nodes;
        self.nodes(edits, [&nodes.modeset, &nodes.uvm_tools, &nodes.uvm, &nodes.ctl].into_iter().flatten());
    }

    /// All nodes of the driver that this machine has.
    pub(super) fn management(&self) -> Result<Vec<Device>, SpecError> {
        let mut edits = ContainerEdits::default();
        self.control_nodes(&mut edits);
        let shared = &self.inventory.nodes;
        self.nodes(&mut edits, [&shared.mig_config, &shared.mig_monitor].into_iter().flatten());
        self.nodes(&mut edits, shared.imex.iter().map(|channel| &channel.node));
        for gpu in &self.inventory.gpus {
            self.nodes(&mut edits, [&gpu.node]);
            self.nodes(&mut edits, gpu.mig.iter().flat_map(|mig| [&mig.gpu_instance_node, &mig.compute_instance_node]));
        }
        whole("NVIDIA device nodes", edits)
    }

    /// A group of nodes as one device.
    pub(super) fn group(&self, mode: SpecMode) -> Result<Vec<Device>, SpecError> {
        let nodes = &self.inventory.nodes;
        let (list, what) = match mode {
            SpecMode::Gds => (&nodes.gds, "GPUDirect Storage nodes, /dev/nvidia-fs*"),
            SpecMode::Mofed => (&nodes.mofed, "InfiniBand nodes, /dev/infiniband/uverbs*"),
            SpecMode::NvSwitch => (&nodes.nvswitch, "NVSwitch nodes, /dev/nvidia-nvswitch*"),
            _ => (&nodes.gdrcopy, "GDRCopy node, /dev/gdrdrv"),
        };
        let mut edits = ContainerEdits::default();
        self.nodes(&mut edits, list);
        if mode == SpecMode::Gds && !list.is_empty() {
            edits.mounts.extend(nodes.gds_paths.iter().map(|host| self.gds_mount(host)));
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
    pub(super) fn imex(&self) -> Result<Vec<Device>, SpecError> {
        let existing = &self.inventory.nodes.imex;
        let channels: BTreeMap<u32, &ImexChannel> = match self.options.requested() {
            DeviceRequest::None => return Err(SpecError::InvalidChannel("none".to_owned())),
            DeviceRequest::All => existing.iter().map(|channel| (channel.number, channel)).collect(),
            DeviceRequest::Ids(names) => {
                let named = names.iter().map(|name| named_channel(&name.text, existing));
                named.collect::<Result<_, _>>()?
            }
        };
        if channels.is_empty() {
            return Err(SpecError::NoNodes { what: "IMEX channels, /dev/nvidia-caps-imex-channels/channel*" });
        }
        Ok(channels.into_iter().map(|(number, channel)| device(number.to_string(), channel_edits(channel))).collect())
    }

    /// Adds nodes, and the groups that a process must join to use them (reference: cdi-and-ctk.md 2.7).
    fn nodes<'n>(&self, edits: &mut ContainerEdits, nodes: impl IntoIterator<Item = &'n Node>) {
        for node in nodes {
            edits.device_nodes.push(device_node(node));
            let closed = node.mode & 0o006 != 0o006 && node.gid != 0;
            if closed && self.options.join_groups && !edits.additional_gids.contains(&node.gid) {
                edits.additional_gids.push(node.gid);
            }
        }
    }
}

fn device(name: String, container_edits: ContainerEdits) -> Device {
    Device { name, container_edits, ..Device::default() }
}

/// The one device of a mode that has only one. Nodes that do not exist are no part of it.
fn whole(what: &'static str, edits: ContainerEdits) -> Result<Vec<Device>, SpecError> {
    if edits.device_nodes.is_empty() {
        return Err(SpecError::NoNodes { what });
    }
    Ok(vec![device("all".to_owned(), edits)])
}

fn gpu_name(gpu: &Gpu, strategy: NameStrategy) -> String {
    match strategy {
        NameStrategy::Index => gpu.index.to_string(),
        NameStrategy::Uuid => gpu.uuid.clone(),
        NameStrategy::TypeIndex => format!("gpu{}", gpu.index),
    }
}

/// `7` or `channel7`.
fn named_channel<'a>(text: &str, existing: &'a [ImexChannel]) -> Result<(u32, &'a ImexChannel), SpecError> {
    let digits = text.strip_prefix("channel").unwrap_or(text);
    let number = digits.parse().ok().filter(|number| *number < 1 << 20 && digits.bytes().all(|b| b.is_ascii_digit()));
    let number: u32 = number.ok_or_else(|| SpecError::InvalidChannel(text.to_owned()))?;
    let channel = existing.iter().find(|channel| channel.number == number && channel.node.exists);
    Ok((number, channel.ok_or(SpecError::UnknownChannel(number))?))
}

fn channel_edits(channel: &ImexChannel) -> ContainerEdits {
    let node = DeviceNode {
        path: channel.node.path.to_string(),
        host_path: Some(channel.node.host.to_string()),
        ..DeviceNode::default()
    };
    ContainerEdits { device_nodes: vec![node], ..ContainerEdits::default() }
}

/// A node with its numbers. Zeros are left out, as a reader takes what is absent for zero. One that does not exist yet has
/// its type too, so that no engine has to look at the host for it.
fn device_node(node: &Node) -> DeviceNode {
    let number = |number: u32| Some(i64::from(number)).filter(|number| *number != 0);
    DeviceNode {
        path: node.path.to_string(),
        host_path: (node.host.as_str() != node.path.as_str()).then(|| node.host.to_string()),
        kind: (!node.exists).then(|| "c".to_owned()),
        major: number(node.major),
        minor: number(node.minor),
        file_mode: Some(node.mode).filter(|mode| *mode != 0),
        permissions: Some("rwm".to_owned()),
        uid: None,
        gid: Some(node.gid).filter(|gid| *gid != 0),
    }
}
