//! Whether a new spec would take from its file what this machine still has.
//!
//! While MIG devices are being made, or NVML is in trouble, a machine can look poorer than it is for a moment, and whoever
//! refreshes specs would hand that moment on to every engine (users-and-incidents.md, complaint 4: `all` transiently empty).

use crate::{claims, recipe::Recipe};
use cdi::{Device, DeviceNode, Found, Spec};
use host::{Gpu, Inventory, MigDevice, MigFacts, Node};
use std::{collections::BTreeSet, path::Path};

/// Devices of the spec in `file` that `new` lacks because NVML does not report them, although the kernel still has them, if all
/// that the old spec says is true. Then the old one is the better one. A spec that was made in another way, or edited, is not
/// compared.
pub fn lost(file: &Path, new: &Spec, recipe: &Recipe, inventory: &Inventory) -> Vec<String> {
    let Ok((old, Some(origin))) = Spec::read_file_with_origin(file) else { return Vec::new() };
    let found: Vec<_> = old.all_edits().map(|edits| Found { file, edits, reviewed: false }).collect();
    let comparable = origin.is_of(&old) && Recipe::of(&origin).as_ref() == Some(recipe);
    if !comparable || claims::check(&found).is_err() {
        return Vec::new();
    }
    let described = |spec: &Spec| spec.devices.iter().map(unit).collect::<Vec<Unit>>();
    let (before, now) = (described(&old), described(new));
    let named: BTreeSet<&str> = old.devices.iter().map(|device| device.name.as_str()).collect();
    // A MIG device that was made anew has the nodes of the old one, and another UUID: what the old spec says of it is not true.
    let is_renamed = |device: &Device| before.contains(&unit(device)) && !named.contains(device.name.as_str());
    if new.devices.iter().any(is_renamed) {
        return Vec::new();
    }
    let unreported = unreported(inventory);
    let is_lost = |unit: &Unit| unreported.contains(unit) && !now.contains(unit);
    let lost = old.devices.iter().filter(|device| is_lost(&unit(device)));
    lost.map(|device| device.name.clone()).collect()
}

/// The nodes that tell a GPU or MIG device from others, by path and numbers.
type Unit = BTreeSet<(String, i64, i64)>;

/// What the kernel has to offer and NVML does not report: GPUs that are not partitioned, and MIG devices. A GPU that it does
/// report may have been switched to MIG mode; then it is not to be had whole, whatever it was before.
fn unreported(inventory: &Inventory) -> Vec<Unit> {
    let node = |node: &Node| (node.path.to_string(), i64::from(node.major), i64::from(node.minor));
    let of_gpu = |gpu: &Gpu| -> Vec<Unit> {
        let facts = inventory.facts(gpu);
        let is_reported = |mig: &MigDevice| {
            let same = |known: &MigFacts| {
                (known.gpu_instance, known.compute_instance) == (mig.gpu_instance, mig.compute_instance)
            };
            facts.is_some_and(|facts| facts.mig.iter().any(same))
        };
        let parts = gpu.mig.iter().filter(|mig| !is_reported(mig));
        match gpu.mig.is_empty() {
            true => facts.is_none().then(|| Unit::from([node(&gpu.node)])).into_iter().collect(),
            false => parts
                .map(|mig| [&gpu.node, &mig.gpu_instance_node, &mig.compute_instance_node].map(node).into())
                .collect(),
        }
    };
    inventory.gpus.iter().flat_map(of_gpu).collect()
}

fn unit(device: &Device) -> Unit {
    let own = |node: &&DeviceNode| node.path.starts_with("/dev/nvidia");
    let number = |number: Option<i64>| number.unwrap_or_default();
    let nodes = device.container_edits.device_nodes.iter().filter(own);
    nodes.map(|node| (node.path.clone(), number(node.major), number(node.minor))).collect()
}
