//! Nodes that no single GPU owns: control nodes, and those of features that a container asks for by name.

use super::{
    Access, Nodes,
    mig::{capability, is_capable},
};
use crate::{
    ImexChannel, Node, SharedNodes,
    kernel::optional,
    procfs::{mig_minors_of, module_loaded},
};
use oci::HostPath;
use std::collections::BTreeMap;

/// Highest IMEX channel number.
const LAST_CHANNEL: u32 = (1 << 20) - 1;

/// Which of them are wanted.
#[derive(Clone, Copy)]
pub(crate) struct SharedWanted {
    pub(crate) control: bool,
    pub(crate) extras: bool,
}

/// The wanted nodes.
pub(crate) fn shared(nodes: &mut Nodes, wanted: SharedWanted) -> SharedNodes {
    let mut shared = SharedNodes::default();
    if wanted.control {
        control(nodes, &mut shared);
    }
    if wanted.extras {
        extras(nodes, &mut shared);
    }
    shared
}

fn control(nodes: &mut Nodes, shared: &mut SharedNodes) {
    let access = Access::from(nodes.kernel.params);
    let nvidia = nodes.kernel.majors.nvidia();
    if nodes.kernel.is_loaded() || nodes.on_disk("nvidiactl").is_some() {
        shared.ctl = Some(nodes.node("nvidiactl", (nvidia, 255), access));
    }
    if modeset_loaded(nodes) || nodes.on_disk("nvidia-modeset").is_some() {
        shared.modeset = Some(nodes.node("nvidia-modeset", (nvidia, 254), access));
    }
    shared.uvm = uvm(nodes, "nvidia-uvm", 0);
    shared.uvm_tools = uvm(nodes, "nvidia-uvm-tools", 1);
    shared.mig_config = capability(nodes, "mig/config", "config");
    shared.mig_monitor = capability(nodes, "mig/monitor", "monitor");
}

fn modeset_loaded(nodes: &Nodes) -> bool {
    nodes.kernel.majors.get("nvidia-modeset").is_some()
        || optional(&nodes.kernel.roots.proc.join("modules"))
            .is_ok_and(|text| text.is_some_and(|text| module_loaded(&text, "nvidia-modeset")))
}

/// Without the module there is no number: the node that an earlier load left behind may by now belong to anything.
fn uvm(nodes: &mut Nodes, name: &str, minor: u32) -> Option<Node> {
    let major = nodes.kernel.majors.get("nvidia-uvm");
    if major.is_none() && nodes.kernel.is_loaded() && minor == 0 {
        nodes.remarks.push("The kernel module nvidia-uvm is not loaded: CUDA programs will not find a GPU; run nvidia-modprobe -u -c 0.".into());
    }
    Some(nodes.node(name, (major?, minor), Access::OPEN))
}

fn extras(nodes: &mut Nodes, shared: &mut SharedNodes) {
    let names = nodes.names("", |name| name.starts_with("nvidia-"));
    let named = |prefix: &'static str| names.iter().filter(move |name| name.starts_with(prefix));
    shared.nvswitch = named("nvidia-nvswitch").filter_map(|name| nodes.of_driver(name, "nvidia-nvswitch")).collect();
    shared.gds = named("nvidia-fs").filter_map(|name| nodes.of_driver(name, "nvidia-fs")).collect();
    shared.gdrcopy = nodes.of_driver("gdrdrv", "gdrdrv").into_iter().collect();
    shared.mofed = verbs(nodes);
    shared.mofed.extend(nodes.on_disk("infiniband/rdma_cm"));
    shared.imex_major = nodes.kernel.majors.get("nvidia-caps-imex-channels");
    shared.imex = imex(nodes, shared.imex_major);
    shared.mig_minors = mig_minors(nodes);
    if !shared.gds.is_empty() {
        shared.gds_paths = gds_paths(&nodes.kernel.roots.driver);
    }
}

/// For those who may partition GPUs: they need nodes for instances that they are yet to make.
fn mig_minors(nodes: &Nodes) -> BTreeMap<u32, Vec<u32>> {
    let roots = nodes.kernel.roots;
    let capable: Vec<u32> =
        nodes.kernel.gpus.iter().map(|gpu| gpu.minor).filter(|gpu| is_capable(roots, *gpu)).collect();
    if capable.is_empty() {
        return BTreeMap::new();
    }
    let text = optional(&roots.proc.join("driver/nvidia-caps/mig-minors")).ok().flatten().unwrap_or_default();
    capable.into_iter().map(|gpu| (gpu, mig_minors_of(&text, gpu))).collect()
}

fn verbs(nodes: &mut Nodes) -> Vec<Node> {
    let names = nodes.names("infiniband", |name| name.starts_with("uverbs"));
    names.iter().filter_map(|name| nodes.of_driver(&format!("infiniband/{name}"), "infiniband_verbs")).collect()
}

fn imex(nodes: &mut Nodes, major: Option<u32>) -> Vec<ImexChannel> {
    const FOLDER: &str = "nvidia-caps-imex-channels";
    let number = |name: &str| name.strip_prefix("channel")?.parse().ok().filter(|number| *number <= LAST_CHANNEL);
    let names = nodes.names(FOLDER, |name| number(name).is_some());
    let mut channels: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let number = number(name)?;
            let name = format!("{FOLDER}/{name}");
            let node = match major {
                Some(major) => Some(nodes.node(&name, (major, number), Access::OPEN)).filter(|node| node.exists),
                None => nodes.on_disk(&name),
            };
            Some(ImexChannel { number, node: node? })
        })
        .collect();
    channels.sort_by_key(|channel| channel.number);
    channels
}

/// What GPUDirect Storage needs beside its nodes.
fn gds_paths(driver: &HostPath) -> Vec<HostPath> {
    let (folder, file) = (driver.join("run/udev"), driver.join("etc/cufile.json"));
    let found = [folder.as_path().is_dir().then_some(folder), file.as_path().is_file().then_some(file)];
    found.into_iter().flatten().collect()
}
