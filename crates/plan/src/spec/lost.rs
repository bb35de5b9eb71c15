//! What cannot be described does not spoil the rest: GPUs that NVML does not report, MIG devices that have no name or no
//! capability nodes. Each is left out of what `all` means, and said; who names one is told that it cannot be had.

use super::{SpecMode, SpecOptions};
use crate::plan::select;
use crate::request::DeviceRequest;
use host::{Gpu, GpuFacts, Inventory, MigDevice, MigFacts};
use std::{borrow::Cow, collections::BTreeSet};

/// The machine without what is left out.
pub(super) fn without<'a>(
    inventory: &'a Inventory,
    options: &SpecOptions,
    remarks: &mut Vec<String>,
) -> Cow<'a, Inventory> {
    if options.mode != SpecMode::Nvml || options.requested() != DeviceRequest::All || inventory.nvml.is_none() {
        return Cow::Borrowed(inventory);
    }
    let mut known = inventory.clone();
    for gpu in &mut known.gpus {
        let facts = inventory.facts(gpu);
        remarks.extend(closed(gpu, facts));
        let index = gpu.index;
        gpu.mig.retain(|mig| {
            is_named(mig, facts) || {
                remarks.push(unnamed(index, mig));
                false
            }
        });
    }
    known.gpus.retain(|gpu| {
        select::mig_mode(gpu, inventory).is_some() || {
            remarks.push(unreported(gpu));
            false
        }
    });
    if remarks.is_empty() { Cow::Borrowed(inventory) } else { Cow::Owned(known) }
}

/// GPUs whose MIG devices are not called by their slots.
pub(super) fn without_slots(inventory: &Inventory, options: &SpecOptions, remarks: &mut Vec<String>) -> BTreeSet<u32> {
    if options.mode != SpecMode::Nvml || inventory.nvml.is_none() {
        return BTreeSet::new();
    }
    let unsettled = inventory.gpus.iter().filter(|gpu| !select::slots_hold(gpu, inventory));
    let gpus: BTreeSet<u32> = unsettled.map(|gpu| gpu.index).collect();
    let say =
        |gpu: &u32| format!("MIG devices of GPU {gpu} have no names by index: NVML does not list all of them just now");
    remarks.extend(gpus.iter().map(say));
    gpus
}

fn is(mig: &MigDevice, known: &MigFacts) -> bool {
    (known.gpu_instance, known.compute_instance) == (mig.gpu_instance, mig.compute_instance)
}

fn is_named(mig: &MigDevice, facts: Option<&GpuFacts>) -> bool {
    facts.is_some_and(|facts| facts.mig.iter().any(|known| is(mig, known)))
}

fn unnamed(gpu: u32, mig: &MigDevice) -> String {
    format!(
        "the MIG device of GPU instance {}, compute instance {} of GPU {gpu} is left out: NVML does not report it, so it \
         has no name",
        mig.gpu_instance, mig.compute_instance
    )
}

/// Only NVML knows whether a GPU that can be partitioned is, and it did not answer for this one.
fn unreported(gpu: &Gpu) -> String {
    format!("GPU {} ({}) is left out: NVML does not report it", gpu.index, gpu.uuid)
}

/// MIG devices that NVML knows and for which the kernel has no capability nodes.
fn closed(gpu: &Gpu, facts: Option<&GpuFacts>) -> Vec<String> {
    let known = facts.into_iter().flat_map(|facts| &facts.mig);
    let without = known.filter(|known| !gpu.mig.iter().any(|mig| is(mig, known)));
    let say = |mig: &MigFacts| {
        let MigFacts { index, uuid, .. } = mig;
        format!("MIG device {}:{index} ({uuid}) is left out: the kernel has no capability nodes for it", gpu.index)
    };
    without.map(say).collect()
}
