//! GPUs and MIG devices of a specification: what each changes about a container.

use super::{
    Maker, NameStrategy, SpecError,
    draft::DraftDevice,
    driver::written,
    hooks::{HookName, each},
};
use crate::edits::{Because, Reason, SpecEdits};
use crate::plan::select::{self, Grant};
use cdi::DeviceNode;
use host::{Addressing, Gpu, MigDevice, Node};

/// Folders that hooks may open to everybody: where a runtime makes them with its own umask.
const OPENED: [&str; 2] = ["/dev/dri", "/dev/nvidia-caps"];

impl Maker<'_> {
    /// GPUs that are not partitioned, then MIG devices, each once for every way of naming.
    pub(super) fn gpus(&self, left_out: &mut Vec<String>) -> Result<Vec<DraftDevice>, SpecError> {
        let granted = self.granted()?;
        if granted.is_empty() {
            let rule = "a device without edits would not be valid";
            let reason = Reason { request: "--device-id=none".to_owned(), rule: rule.to_owned() };
            let env = vec![Because::new("NVCT_EMPTY_DEVICE=".to_owned(), reason)];
            return Ok(vec![DraftDevice::named("none", SpecEdits { env, ..SpecEdits::default() })]);
        }
        let (whole, parts): (Vec<_>, Vec<_>) = granted.iter().partition(|grant| grant.mig.is_none());
        for grant in whole.iter().filter(|grant| grant.gpu.uuid.is_empty()) {
            if self.options.strategies.contains(&NameStrategy::Uuid) {
                left_out.push(format!("GPU {} has no name by its UUID, which nobody knows yet", grant.gpu.index));
            }
        }
        whole.into_iter().chain(parts).map(|grant| self.granted_device(grant)).collect()
    }

    fn granted_device(&self, grant: &Grant) -> Result<DraftDevice, SpecError> {
        let strategies = self.options.strategies.iter();
        match grant.mig {
            None => {
                let names = strategies.map(|strategy| gpu_name(grant.gpu, *strategy));
                let names = names.filter(|name| !name.is_empty()).collect();
                Ok(DraftDevice { names, edits: self.gpu(grant), coherent: self.coherent(grant.gpu) })
            }
            Some(mig) => {
                // Whether NVML knows it does not depend on how it is to be called.
                self.mig_name(grant.gpu, mig, NameStrategy::Uuid)?;
                let by_slot = !self.without_slots.contains(&grant.gpu.index);
                let strategies = strategies.filter(|strategy| by_slot || **strategy == NameStrategy::Uuid);
                let names = strategies.map(|strategy| self.mig_name(grant.gpu, mig, *strategy));
                let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
                // Before version 470 UUIDs of MIG devices are paths, which CDI does not take for names. With another
                // name the device can do without; else writing says what is wrong.
                if names.iter().any(|name| !name.contains('/')) {
                    names.retain(|name| !name.contains('/'));
                }
                Ok(DraftDevice { names, edits: self.mig(grant, mig), coherent: None })
            }
        }
    }

    /// A whole GPU shares the CPU's memory; a driver that cannot say so has none that does.
    fn coherent(&self, gpu: &Gpu) -> Option<bool> {
        let addressing = || self.inventory.facts(gpu).and_then(|facts| facts.addressing);
        self.options.coherent.then(|| addressing() == Some(Addressing::Ats))
    }

    fn gpu(&self, grant: &Grant) -> SpecEdits {
        let gpu = grant.gpu;
        let mut edits = SpecEdits::default();
        self.nodes(&mut edits, [&gpu.node], &asked(grant, format!("node of GPU {}", gpu.index)));
        self.drm(&mut edits, grant);
        let paths = edits.devices.iter().map(|node| node.what.path.as_str());
        let folders = paths.filter_map(|path| path.rsplit_once('/').map(|(folder, _)| folder));
        let mut folders: Vec<_> = folders.filter(|folder| OPENED.contains(folder)).map(str::to_owned).collect();
        folders.dedup();
        let mode = each("--mode", ["755".to_owned()]);
        self.hooks.add(
            &mut edits,
            HookName::Chmod,
            mode,
            each("--path", folders),
            Reason {
                request: "--enable-hook=chmod".to_owned(),
                rule: "opens the folders of the GPU's nodes".to_owned(),
            },
        );
        edits
    }

    fn mig(&self, grant: &Grant, mig: &MigDevice) -> SpecEdits {
        let gpu = grant.gpu;
        let mut edits = SpecEdits::default();
        self.nodes(&mut edits, [&gpu.node], &asked(grant, format!("node of GPU {}, whose part it is", gpu.index)));
        if select::has_graphics(gpu, mig, self.inventory) == Some(true) {
            self.drm(&mut edits, grant);
        }
        let opens = |what: &str, id: u32| asked(grant, format!("opens {what} instance {id} of GPU {}", gpu.index));
        self.nodes(&mut edits, [&mig.gpu_instance_node], &opens("GPU", mig.gpu_instance));
        self.nodes(&mut edits, [&mig.compute_instance_node], &opens("compute", mig.compute_instance));
        edits
    }

    fn drm(&self, edits: &mut SpecEdits, grant: &Grant) {
        let gpu = grant.gpu;
        let reason = asked(grant, format!("DRM node of GPU {}", gpu.index));
        self.nodes(edits, &gpu.drm, &reason);
        // A hook for the links of each device would be a process for each.
        if self.options.hookless.is_some() || self.options.single_hook {
            return self.by_path_nodes(edits, gpu, &reason);
        }
        let links = gpu.drm_links.iter().map(|link| written(&link.target, &link.path));
        let rule = format!("names of the DRM nodes of GPU {} by its place", gpu.index);
        let links = each("--link", links);
        self.hooks.add(edits, HookName::CreateSymlinks, Vec::new(), links, asked(grant, rule));
    }

    fn mig_name(&self, gpu: &Gpu, mig: &MigDevice, strategy: NameStrategy) -> Result<String, SpecError> {
        let known = self.inventory.facts(gpu).into_iter().flat_map(|facts| &facts.mig);
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
    pub(super) fn control_nodes(&self, edits: &mut SpecEdits) {
        let nodes = &self.inventory.nodes;
        let all = [&nodes.modeset, &nodes.uvm_tools, &nodes.uvm, &nodes.ctl].into_iter().flatten();
        self.nodes(edits, all, &self.by_mode("node of the driver as a whole"));
    }

    /// Adds nodes, and the groups that a process must join to use them (reference: cdi-and-ctk.md 2.7).
    pub(super) fn nodes<'n>(&self, edits: &mut SpecEdits, nodes: impl IntoIterator<Item = &'n Node>, reason: &Reason) {
        for node in nodes {
            edits.devices.push(Because::new(device_node(node), reason.clone()));
            let closed = node.mode & 0o006 != 0o006 && node.gid != 0;
            if closed && self.options.join_groups && !edits.gids.iter().any(|gid| gid.what == node.gid) {
                let rule = format!("only this group may use {}", node.path);
                edits.gids.push(Because::new(node.gid, Reason { rule, ..reason.clone() }));
            }
        }
    }
}

fn asked(grant: &Grant, rule: String) -> Reason {
    Reason { request: grant.asked.clone(), rule }
}

fn gpu_name(gpu: &Gpu, strategy: NameStrategy) -> String {
    match strategy {
        NameStrategy::Index => gpu.index.to_string(),
        NameStrategy::Uuid => gpu.uuid.clone(),
        NameStrategy::TypeIndex => format!("gpu{}", gpu.index),
    }
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
