//! The parts of a description, each completed by what is usual: `/dev/nvidiaN` has major 195 and minor N, say. A node
//! whose numbers nobody gave keeps zeros, which specifications leave out: then an engine looks at the node itself.

use super::{DescriptionError, wrong};
use crate::{DriverFile, DrmLink, Gpu, ImexChannel, MigDevice, Node, SharedNodes};
use oci::{ContainerPath, HostPath};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Major of GPUs, nvidiactl and nvidia-modeset.
const NVIDIA: u32 = 195;

/// See [`crate::Driver`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriverPart {
    pub version: Option<String>,
    pub root: Option<HostPath>,
    pub files: Option<Vec<DriverFile>>,
}

/// See [`Gpu`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpuPart {
    index: Option<u32>,
    minor: Option<u32>,
    uuid: String,
    bus_id: String,
    model: String,
    node: NodePart,
    drm: Vec<NodePart>,
    drm_links: Vec<DrmLink>,
    mig_capable: bool,
    mig: Vec<MigPart>,
}

/// See [`MigDevice`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigPart {
    gpu_instance: u32,
    compute_instance: u32,
    gpu_instance_node: NodePart,
    compute_instance_node: NodePart,
}

/// See [`Node`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodePart {
    host: Option<HostPath>,
    path: Option<ContainerPath>,
    major: Option<u32>,
    minor: Option<u32>,
    mode: Option<u32>,
    uid: u32,
    gid: u32,
    exists: Option<bool>,
}

/// See [`SharedNodes`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodesPart {
    ctl: Option<NodePart>,
    modeset: Option<NodePart>,
    uvm: Option<NodePart>,
    uvm_tools: Option<NodePart>,
    nvswitch: Vec<NodePart>,
    gds: Vec<NodePart>,
    mofed: Vec<NodePart>,
    gdrcopy: Vec<NodePart>,
    imex: Vec<ImexPart>,
    imex_major: Option<u32>,
    mig_config: Option<NodePart>,
    mig_monitor: Option<NodePart>,
    mig_minors: BTreeMap<u32, Vec<u32>>,
    gds_paths: Vec<HostPath>,
}

/// See [`ImexChannel`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImexPart {
    number: u32,
    #[serde(default)]
    node: NodePart,
}

impl GpuPart {
    /// The GPU at that position in the list.
    pub fn complete(self, position: u32) -> Result<Gpu, DescriptionError> {
        let place = format!("gpus[{position}]");
        let index = self.index.unwrap_or(position);
        let minor = self.minor.unwrap_or(index);
        if !self.uuid.is_empty() && !self.uuid.starts_with("GPU-") {
            return Err(wrong(place + ".uuid", format!("{:?} does not begin with GPU-", self.uuid)));
        }
        let drm = nodes(self.drm, &format!("{place}.drm"))?;
        let mig = self.mig.into_iter().enumerate().map(|(slot, mig)| mig.complete(&format!("{place}.mig[{slot}]")));
        Ok(Gpu {
            index,
            minor,
            uuid: self.uuid,
            bus_id: self.bus_id,
            model: self.model,
            node: self.node.usual(&format!("/dev/nvidia{minor}"), NVIDIA, minor),
            drm,
            drm_links: self.drm_links,
            mig_capable: self.mig_capable,
            mig: mig.collect::<Result<_, _>>()?,
        })
    }
}

impl MigPart {
    fn complete(self, place: &str) -> Result<MigDevice, DescriptionError> {
        Ok(MigDevice {
            gpu_instance: self.gpu_instance,
            compute_instance: self.compute_instance,
            gpu_instance_node: self.gpu_instance_node.capability(&format!("{place}.gpu_instance_node"))?,
            compute_instance_node: self.compute_instance_node.capability(&format!("{place}.compute_instance_node"))?,
        })
    }
}

impl NodePart {
    /// A node that is usually called `path` and has these numbers.
    fn usual(self, path: &str, major: u32, minor: u32) -> Node {
        let given = self.host.map(|host| host.to_string());
        let inside = self.path.map(|path| path.to_string());
        let path_text = inside.or_else(|| given.clone()).unwrap_or_else(|| path.to_owned());
        let host_text = given.unwrap_or_else(|| path_text.clone());
        Node {
            host: HostPath::root().join(&host_text),
            path: ContainerPath::root().join(&path_text),
            major: self.major.unwrap_or(major),
            minor: self.minor.unwrap_or(minor),
            mode: self.mode.unwrap_or(0o666),
            uid: self.uid,
            gid: self.gid,
            exists: self.exists.unwrap_or(true),
        }
    }

    /// A node that has no usual name.
    fn named(self, place: &str) -> Result<Node, DescriptionError> {
        if self.path.is_none() && self.host.is_none() {
            return Err(wrong(place, "give its path"));
        }
        Ok(self.usual("", 0, 0))
    }

    /// A capability's node, which its minor names.
    fn capability(self, place: &str) -> Result<Node, DescriptionError> {
        match self.minor {
            Some(minor) => Ok(self.usual(&format!("/dev/nvidia-caps/nvidia-cap{minor}"), 0, minor)),
            None => self.named(place).map_err(|_| wrong(place, "give its minor, or its path")),
        }
    }
}

impl NodesPart {
    /// Those of a machine of which nothing is said: the four control nodes.
    pub fn usual() -> Result<SharedNodes, DescriptionError> {
        let node = || Some(NodePart::default());
        NodesPart { ctl: node(), modeset: node(), uvm: node(), uvm_tools: node(), ..NodesPart::default() }.complete()
    }

    /// These, and no others.
    pub fn complete(self) -> Result<SharedNodes, DescriptionError> {
        let usual = |part: Option<NodePart>, path: &str, major, minor| part.map(|part| part.usual(path, major, minor));
        let capability = |part: Option<NodePart>, place: &str| part.map(|part| part.capability(place)).transpose();
        let imex = self.imex.into_iter().map(|ImexPart { number, node }| {
            let path = format!("/dev/nvidia-caps-imex-channels/channel{number}");
            ImexChannel { number, node: node.usual(&path, self.imex_major.unwrap_or(0), number) }
        });
        Ok(SharedNodes {
            ctl: usual(self.ctl, "/dev/nvidiactl", NVIDIA, 255),
            modeset: usual(self.modeset, "/dev/nvidia-modeset", NVIDIA, 254),
            uvm: usual(self.uvm, "/dev/nvidia-uvm", 0, 0),
            uvm_tools: usual(self.uvm_tools, "/dev/nvidia-uvm-tools", 0, 1),
            nvswitch: nodes(self.nvswitch, "nodes.nvswitch")?,
            gds: nodes(self.gds, "nodes.gds")?,
            mofed: nodes(self.mofed, "nodes.mofed")?,
            gdrcopy: nodes(self.gdrcopy, "nodes.gdrcopy")?,
            imex: imex.collect(),
            imex_major: self.imex_major,
            mig_config: capability(self.mig_config, "nodes.mig_config")?,
            mig_monitor: capability(self.mig_monitor, "nodes.mig_monitor")?,
            mig_minors: self.mig_minors,
            gds_paths: self.gds_paths,
        })
    }
}

fn nodes(parts: Vec<NodePart>, place: &str) -> Result<Vec<Node>, DescriptionError> {
    let named = |(position, part): (usize, NodePart)| part.named(&format!("{place}[{position}]"));
    parts.into_iter().enumerate().map(named).collect()
}
