//! Device nodes: of the granted GPUs and MIG devices, of the driver as a whole, IMEX channels and gated groups. Those of
//! containers that partition GPUs are in `partition.rs`.
//!
//! Links under `/dev/dri/by-path` become nodes with the same numbers: a container's `/dev` is a file system of its own,
//! made after the root was prepared, so links put into the root would never be seen.

use super::select::has_graphics;
use super::{DRM, MODESET, Plan, PlanError, UVM, missing_modules};
use crate::edits::{Because, Edits, Reason};
use crate::request::{Gated, ImexRequest};
use cdi::{DeviceNode, Mount};
use host::{Capabilities, Capability, Gpu, Node};
use oci::{ContainerPath, HostPath};

impl Plan<'_> {
    pub(super) fn devices(&self, edits: &mut Edits) -> Result<(), PlanError> {
        self.granted(edits);
        self.control(edits);
        self.gated(edits);
        self.partitioning(edits);
        self.imex(edits)
    }

    pub(super) fn granted(&self, edits: &mut Edits) {
        for grant in &self.grants {
            let gpu = grant.gpu;
            let because = |rule: String| Reason { request: grant.asked.clone(), rule };
            self.node(edits, &gpu.node, because(format!("node of GPU {}", gpu.index)));
            let Some(mig) = grant.mig else {
                self.drm(edits, gpu, &grant.asked);
                continue;
            };
            let (gi, ci) = (mig.gpu_instance, mig.compute_instance);
            self.node(edits, &mig.gpu_instance_node, because(format!("opens GPU instance {gi} of GPU {}", gpu.index)));
            self.node(edits, &mig.compute_instance_node, because(format!("opens compute instance {ci} of it")));
            match has_graphics(gpu, mig, self.inventory) {
                Some(true) => self.drm(edits, gpu, &grant.asked),
                Some(false) => {}
                None if DRM.meets(self.wanted) && !gpu.drm.is_empty() => {
                    edits
                        .remarks
                        .push(format!("without NVML, MIG device {gi}/{ci} of GPU {} gets no DRM nodes", gpu.index));
                }
                None => {}
            }
        }
    }

    /// A GPU's nodes under `/dev/dri`, for what draws or decodes.
    fn drm(&self, edits: &mut Edits, gpu: &Gpu, asked: &str) {
        if !DRM.meets(self.wanted) {
            return;
        }
        let rule = format!("DRM node of GPU {}, for {}", gpu.index, self.wanted.intersection(DRM));
        let reason = Reason { request: asked.to_owned(), rule };
        for node in &gpu.drm {
            self.node(edits, node, reason.clone());
        }
        for link in &gpu.drm_links {
            let name = link.target.rsplit('/').next().unwrap_or_default();
            if let Some(node) = gpu.drm.iter().find(|node| node.path.file_name() == name) {
                self.node_at(edits, node, &link.path, reason.clone());
            }
        }
    }

    /// Nodes of the driver as a whole. A missing one is no error: programs that need it say so, and the remark says why.
    pub(super) fn control(&self, edits: &mut Edits) {
        let nodes = &self.inventory.nodes;
        if let Some(node) = &nodes.ctl {
            let reason =
                Reason { request: self.request.asked.clone(), rule: "every program opens it first".to_owned() };
            self.node(edits, node, reason);
        }
        for (node, brought_by) in [(&nodes.uvm, UVM), (&nodes.uvm_tools, UVM), (&nodes.modeset, MODESET)] {
            if let Some(node) = node.as_ref().filter(|_| brought_by.meets(self.wanted)) {
                self.node(edits, node, self.by_capabilities(format!("comes with {brought_by}")));
            }
        }
        for module in missing_modules(self.request, self.inventory, self.config) {
            edits
                .remarks
                .push(format!("/dev/{module} is not granted: load the kernel module with `modprobe {module}`"));
        }
    }

    pub(super) fn gated(&self, edits: &mut Edits) {
        let nodes = &self.inventory.nodes;
        for group in &self.request.gated {
            let list = match group {
                Gated::Gds => &nodes.gds,
                Gated::Mofed => &nodes.mofed,
                Gated::GdrCopy => &nodes.gdrcopy,
                Gated::NvSwitch => &nodes.nvswitch,
            };
            let request = format!("{}=enabled", group.variable());
            if list.is_empty() {
                edits.remarks.push(format!("{request} grants nothing: this machine has no such device"));
            }
            let reason = Reason { request, rule: "belongs to the group".to_owned() };
            for node in list {
                self.node(edits, node, reason.clone());
            }
            if *group == Gated::Gds && !list.is_empty() {
                self.gds_paths(edits, &reason);
            }
        }
    }

    /// `/run/udev` and `/etc/cufile.json`, which GPUDirect Storage reads.
    fn gds_paths(&self, edits: &mut Edits, reason: &Reason) {
        for host in &self.inventory.nodes.gds_paths {
            let below = host.strip_prefix(&self.driver.root).unwrap_or(&host.as_str()[1..]);
            let mount = Mount {
                host_path: host.to_string(),
                container_path: ContainerPath::root().join(below).to_string(),
                options: super::libraries::options(super::libraries::READ_ONLY),
                kind: None,
            };
            edits.spec.mounts.push(Because::new(mount, reason.clone()));
        }
    }

    pub(super) fn imex(&self, edits: &mut Edits) -> Result<(), PlanError> {
        let existing = &self.inventory.nodes.imex;
        match &self.request.imex {
            ImexRequest::All { from } => {
                for channel in existing {
                    let reason =
                        Reason { request: format!("{from}: imex/all"), rule: "a channel that exists".to_owned() };
                    self.new_node_at(edits, &channel.node, &channel.node.path, reason);
                }
            }
            ImexRequest::Channels(names) => {
                for name in names {
                    let (text, from) = (name.text.clone(), name.from.clone());
                    let reason =
                        Reason { request: format!("{from}={text}"), rule: "the channel of that number".to_owned() };
                    let number = name.number.ok_or(PlanError::InvalidChannel { text, from })?;
                    let found =
                        existing.iter().find(|channel| channel.number == number).map(|channel| channel.node.clone());
                    let node = found
                        .or_else(|| self.new_channel(number))
                        .ok_or_else(|| self.no_channel(number, &name.from))?;
                    self.new_node_at(edits, &node, &node.path, reason);
                }
            }
        }
        Ok(())
    }

    /// A channel that has no node yet: its number suffices, unless the administrator wants channels made beforehand.
    fn new_channel(&self, number: u32) -> Option<Node> {
        let major = self.inventory.nodes.imex_major.filter(|_| !self.config.features.disable_imex_channel_creation)?;
        let path = format!("/dev/nvidia-caps-imex-channels/channel{number}");
        let (host, path) = (HostPath::new(&path).ok()?, ContainerPath::new(&path).ok()?);
        Some(Node { host, path, major, minor: number, mode: 0o666, uid: 0, gid: 0, exists: false })
    }

    fn no_channel(&self, number: u32, from: &str) -> PlanError {
        let channels: Vec<_> = self.inventory.nodes.imex.iter().map(|channel| channel.number.to_string()).collect();
        let exist =
            if channels.is_empty() { "no channel".to_owned() } else { format!("channels {}", channels.join(", ")) };
        PlanError::UnknownChannel { number, from: from.to_owned(), exist }
    }

    pub(super) fn node(&self, edits: &mut Edits, node: &Node, reason: Reason) {
        self.node_at(edits, node, &node.path, reason);
    }

    /// Grants a node at a path, with all its numbers, so that no runtime need look at the host's node. The group that owns
    /// it on the host is joined where others may not use the node (reference: cdi-and-ctk.md 2.7).
    fn node_at(&self, edits: &mut Edits, node: &Node, at: &ContainerPath, reason: Reason) {
        if !edits.spec.devices.iter().any(|known| known.what.path == at.as_str()) {
            self.new_node_at(edits, node, at, reason);
        }
    }

    /// The same for a path that was not granted before: a container may list thousands of IMEX channels, each once.
    pub(super) fn new_node_at(&self, edits: &mut Edits, node: &Node, at: &ContainerPath, reason: Reason) {
        let device = DeviceNode {
            path: at.to_string(),
            host_path: (node.host.as_str() != at.as_str()).then(|| node.host.to_string()),
            kind: Some("c".to_owned()),
            major: Some(node.major.into()),
            minor: Some(node.minor.into()),
            file_mode: Some(node.mode).filter(|mode| *mode != 0),
            permissions: Some("rwm".to_owned()),
            uid: None,
            gid: Some(node.gid).filter(|gid| *gid != 0),
        };
        let closed = node.mode & 0o006 != 0o006 && node.gid != 0;
        if closed && self.joins_groups() && !edits.spec.gids.iter().any(|known| known.what == node.gid) {
            let rule = format!("{at} is for group {} only", node.gid);
            edits.spec.gids.push(Because::new(node.gid, Reason { request: reason.request.clone(), rule }));
        }
        edits.spec.devices.push(Because::new(device, reason));
    }

    fn joins_groups(&self) -> bool {
        let flag = "no-additional-gids-for-device-nodes";
        !self.config.features.no_additional_gids_for_device_nodes && !self.config.jit_flag(flag)
    }

    /// Bit N for each granted `/dev/nvidiaN`; the profile has 64 bits.
    pub(super) fn profile_mask(&self) -> Option<u64> {
        let minors = self.grants.iter().map(|grant| grant.gpu.minor);
        let mask = minors.filter_map(|minor| 1_u64.checked_shl(minor)).fold(0, |mask, bit| mask | bit);
        let draws = Capabilities::of(&[Capability::Graphics, Capability::Display]).meets(self.wanted);
        Some(mask).filter(|mask| draws && *mask != 0)
    }
}
