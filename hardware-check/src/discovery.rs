//! What our discovery says, without NVML, held against what NVML says and against what lies on disk.

use crate::{
    machine::Machine,
    report::{Verdict, fail, skip},
};
use host::{Node, NvmlFacts};
use rustix::fs::{FileType, major, minor};
use std::{collections::BTreeSet, os::unix::fs::MetadataExt};

/// A driver is installed, and it is that of the loaded module.
pub fn driver(machine: &Machine) -> Verdict {
    let loaded = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let Some(driver) = machine.driver() else {
        let module = if loaded.is_some() { "the kernel module is loaded, but " } else { "no driver is loaded, and " };
        return fail(format!("{module}{}; --driver-root names another place", machine.missing));
    };
    let found = format!("{} below {}, {} files", driver.version, driver.root, driver.files.len());
    match loaded {
        None => fail(format!("{found}; the kernel's /proc/driver/nvidia is not here, so only NVML could tell of GPUs")),
        Some(text) if text.split_whitespace().any(|word| word == driver.version) => {
            Ok(format!("{found}; the loaded kernel module is of the same version"))
        }
        Some(text) => {
            let line = text.lines().next().unwrap_or_default();
            fail(format!("{found}; the loaded kernel module is another: {line}"))
        }
    }
}

/// NVML answers.
pub fn nvml(machine: &Machine) -> Verdict {
    if machine.driver().is_none() {
        return no_driver();
    }
    match &machine.nvml {
        Ok(facts) => {
            let mig: usize = facts.gpus.iter().map(|gpu| gpu.mig.len()).sum();
            Ok(format!("answers: {} GPUs, {mig} MIG devices, CUDA {}", facts.gpus.len(), cuda(facts)))
        }
        Err(why) => fail(why),
    }
}

/// `12.4`.
pub fn cuda(facts: &NvmlFacts) -> String {
    facts.cuda_version.map_or("unknown".to_owned(), |(major, minor)| format!("{major}.{minor}"))
}

/// The version in the files' names is the one that NVML reports.
pub fn driver_version(machine: &Machine) -> Verdict {
    let facts = facts(machine)?;
    match machine.version() {
        Some(version) if version == facts.driver_version => Ok(format!("{version}, as NVML says")),
        Some(version) => fail(format!("the files say {version}, NVML says {}", facts.driver_version)),
        None => no_driver(),
    }
}

/// The kernel's GPUs are NVML's: in number, order, UUID, bus id and minor.
pub fn gpus(machine: &Machine) -> Verdict {
    let facts = facts(machine)?;
    let ours: Vec<_> = machine.seen().map(|gpu| (&gpu.uuid, &gpu.bus_id, gpu.minor)).collect();
    let theirs: Vec<_> = facts.gpus.iter().map(|gpu| (&gpu.uuid, &gpu.bus_id, gpu.minor)).collect();
    for (index, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        if our != their {
            let shown = |(uuid, bus_id, minor): &(&String, &String, u32)| format!("{uuid} at {bus_id}, minor {minor}");
            return fail(format!("GPU {index}: the kernel says {}, NVML says {}", shown(our), shown(their)));
        }
    }
    if ours.len() != theirs.len() {
        return fail(format!("the kernel's files list {} GPUs, NVML lists {}", ours.len(), theirs.len()));
    }
    if ours.is_empty() {
        return fail("neither the kernel nor NVML lists a GPU");
    }
    Ok(format!("{}: index, UUID, bus id and minor as NVML says{}", ours.len(), part(machine)))
}

/// What is said where only a part of the machine is ours.
fn part(machine: &Machine) -> String {
    match machine.is_part() {
        true => {
            format!("; this is a container, which was given a part of the machine's {}", machine.listed)
        }
        false => String::new(),
    }
}

/// The kernel's MIG devices are NVML's: by GPU, GPU instance and compute instance.
pub fn mig_devices(machine: &Machine) -> Verdict {
    let facts = facts(machine)?;
    let ours: BTreeSet<_> = machine
        .seen()
        .flat_map(|gpu| machine.seen_mig(gpu).map(|mig| (gpu.uuid.as_str(), mig.gpu_instance, mig.compute_instance)))
        .collect();
    let theirs: BTreeSet<_> = facts
        .gpus
        .iter()
        .flat_map(|gpu| gpu.mig.iter().map(|mig| (gpu.uuid.as_str(), mig.gpu_instance, mig.compute_instance)))
        .collect();
    let shown = |(uuid, gi, ci): &(&str, u32, u32)| format!("GPU instance {gi}, compute instance {ci} of {uuid}");
    match (ours.difference(&theirs).next(), theirs.difference(&ours).next()) {
        (Some(more), _) => fail(format!("the kernel lists {}, which NVML does not", shown(more))),
        (_, Some(more)) => fail(format!("NVML lists {}, which the kernel does not", shown(more))),
        (None, None) if ours.is_empty() => Ok("none, as NVML says".to_owned()),
        (None, None) => Ok(format!("{}: GPU instance and compute instance as NVML says", ours.len())),
    }
}

/// Every node on disk has the numbers that the kernel's files give it.
pub fn nodes(machine: &Machine) -> Verdict {
    let all = every_node(machine);
    let (mut right, mut wrong, mut absent) = (0, Vec::new(), Vec::new());
    for node in &all {
        match on_disk(node) {
            Some(numbers) if numbers == (node.major, node.minor) => right += 1,
            Some((major, minor)) => {
                wrong.push(format!("{} is {major}:{minor}, the kernel says {}:{}", node.path, node.major, node.minor));
            }
            None => absent.push(node.path.to_string()),
        }
    }
    if let Some(first) = wrong.first() {
        return fail(format!("{} of {} differ: {first}", wrong.len(), all.len()));
    }
    if right == 0 {
        return if all.is_empty() { no_driver() } else { fail(format!("none of {} is on disk", absent.join(", "))) };
    }
    match absent.len() {
        0 => Ok(format!("{right} on disk, all with the kernel's numbers")),
        count => {
            Ok(format!("{right} on disk, all with the kernel's numbers; {count} not there: {}", absent.join(", ")))
        }
    }
}

fn every_node(machine: &Machine) -> Vec<&Node> {
    let shared = &machine.inventory.nodes;
    let single =
        [&shared.ctl, &shared.modeset, &shared.uvm, &shared.uvm_tools, &shared.mig_config, &shared.mig_monitor];
    let lists = [&shared.nvswitch, &shared.gds, &shared.mofed, &shared.gdrcopy].into_iter().flatten();
    let own = machine.inventory.gpus.iter().flat_map(|gpu| {
        let mig = gpu.mig.iter().flat_map(|mig| [&mig.gpu_instance_node, &mig.compute_instance_node]);
        std::iter::once(&gpu.node).chain(&gpu.drm).chain(mig)
    });
    let imex = shared.imex.iter().map(|channel| &channel.node);
    single.into_iter().flatten().chain(lists).chain(own).chain(imex).collect()
}

fn on_disk(node: &Node) -> Option<(u32, u32)> {
    let found = std::fs::symlink_metadata(node.host.as_path()).ok()?;
    match FileType::from_raw_mode(found.mode()) {
        FileType::CharacterDevice => Some((major(found.rdev()), minor(found.rdev()))),
        // Something else in its place has numbers that no node has.
        _ => Some((0, 0)),
    }
}

/// NVML's answer, or that there is nothing to compare with.
pub fn facts(machine: &Machine) -> Verdict<&NvmlFacts> {
    match (&machine.nvml, machine.driver()) {
        (_, None) => no_driver(),
        (Ok(facts), _) => Ok(facts),
        (Err(_), _) => skip("NVML gives no answer to compare with"),
    }
}

/// Nothing to look at.
pub fn no_driver<T>() -> Verdict<T> {
    skip("there is no driver")
}
