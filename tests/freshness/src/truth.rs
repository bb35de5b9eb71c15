//! Whether a container was given what is on the machine at this moment, and nothing else. What is there is read from the
//! machine's files by other code than the one under test.

use crate::running::Running;
use machine::{Gpu, Machine, STATE_FILE};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

const CAPABILITIES: &str = "/proc/driver/nvidia/capabilities";

/// The kernel's view at one moment.
pub struct Kernel {
    /// Majors by name.
    majors: BTreeMap<String, u64>,
    /// Minors of the GPUs by bus id.
    gpus: BTreeMap<String, u64>,
    /// GPU's minor, GPU instance and compute instance of each MIG device, with the minors of its two capabilities.
    mig: BTreeMap<(u64, u64, u64), [u64; 2]>,
}

/// What NVML would say, if it says the same as the kernel and can open what it speaks of. Only then does `all` mean all.
pub fn nvml(running: &Running, kernel: &Kernel) -> Option<Machine> {
    let machine: Machine = serde_json::from_str(&running.read(STATE_FILE)).unwrap();
    if !kernel.mig.values().flatten().all(|cap| opens(running, kernel, *cap)) {
        return None;
    }
    let parts = machine.gpus.iter().flat_map(|gpu| {
        gpu.mig.iter().map(|mig| (u64::from(gpu.minor), u64::from(mig.gpu_instance), u64::from(mig.compute_instance)))
    });
    let gpus = machine.gpus.iter().map(|gpu| (gpu.bus_id.clone(), u64::from(gpu.minor)));
    let same = parts.collect::<BTreeSet<_>>() == kernel.mig.keys().copied().collect()
        && gpus.collect::<BTreeMap<_, _>>() == kernel.gpus;
    same.then_some(machine)
}

/// The node of a capability is there, with its present numbers.
fn opens(running: &Running, kernel: &Kernel, cap: u64) -> bool {
    let node = fs::metadata(running.at(&format!("/dev/nvidia-caps/nvidia-cap{cap}")));
    let numbers = |node: fs::Metadata| {
        let (major, minor) = (rustix::fs::major(node.rdev()), rustix::fs::minor(node.rdev()));
        Some(u64::from(major)) == kernel.majors.get("nvidia-caps").copied() && u64::from(minor) == cap
    };
    node.is_ok_and(numbers)
}

impl Kernel {
    /// Looks.
    pub fn look(running: &Running) -> Kernel {
        let majors = running.read("/proc/devices");
        let majors = majors.lines().take_while(|line| !line.starts_with("Block")).filter_map(|line| {
            let (number, name) = line.trim().split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        });
        let gpus = running.names("/proc/driver/nvidia/gpus").into_iter().filter_map(|bus_id| {
            let text = running.read(&format!("/proc/driver/nvidia/gpus/{bus_id}/information"));
            let minor = text.lines().find_map(|line| line.strip_prefix("Device Minor:"))?.trim().parse().ok()?;
            Some((bus_id, minor))
        });
        Kernel { majors: majors.collect(), gpus: gpus.collect(), mig: mig(running) }
    }
}

fn mig(running: &Running) -> BTreeMap<(u64, u64, u64), [u64; 2]> {
    let number = |name: &str, prefix: &str| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let minor = |path: &str| {
        let text = running.read(&format!("{path}/access"));
        text.lines().find_map(|line| line.strip_prefix("DeviceFileMinor: ")?.parse::<u64>().ok())
    };
    let mut found = BTreeMap::new();
    for (gpu, gpu_name) in
        running.names(CAPABILITIES).iter().filter_map(|name| Some((number(name, "gpu")?, name.clone())))
    {
        let folder = format!("{CAPABILITIES}/{gpu_name}/mig");
        for (gi, gi_name) in running.names(&folder).iter().filter_map(|name| Some((number(name, "gi")?, name.clone())))
        {
            let folder = format!("{folder}/{gi_name}");
            for (ci, ci_name) in
                running.names(&folder).iter().filter_map(|name| Some((number(name, "ci")?, name.clone())))
            {
                if let (Some(gi_cap), Some(ci_cap)) = (minor(&folder), minor(&format!("{folder}/{ci_name}"))) {
                    found.insert((gpu, gi, ci), [gi_cap, ci_cap]);
                }
            }
        }
    }
    found
}

/// GPUs in MIG mode without a MIG device, by bus id, if NVML says the same as the kernel. Nothing but NVML tells that they are not to
/// be had whole.
pub fn idle(running: &Running) -> BTreeSet<String> {
    let machine = nvml(running, &Kernel::look(running));
    let gpus = machine.into_iter().flat_map(|machine| machine.gpus);
    gpus.filter(is_idle).map(|gpu| gpu.bus_id).collect()
}

fn is_idle(gpu: &Gpu) -> bool {
    gpu.mig_enabled && gpu.mig.is_empty()
}

/// What is wrong with what a container was given, if anything. `asked` is a device's name without its kind. That a GPU is in MIG
/// mode without a MIG device a start has to know only if it is among those that are `told`: NVML is slow, and is not asked at
/// each start whether a mode has been switched (D-96).
pub fn wrong(running: &Running, document: &Value, asked: &str, told: &BTreeSet<String>) -> Vec<String> {
    let kernel = Kernel::look(running);
    let mut wrong = Vec::new();
    let nodes = nodes(document);
    for (path, number) in &nodes {
        if let Some(why) = wrong_node(&kernel, path, *number) {
            wrong.push(format!("{path} is {}:{}: {why}", number.0, number.1));
        }
    }
    wrong.extend(wrong_mounts(running, document));
    if let Some(machine) = nvml(running, &kernel) {
        wrong.extend(wrong_device(&kernel, &machine, &nodes, asked, told));
    }
    wrong
}

fn nodes(document: &Value) -> BTreeMap<String, (u64, u64)> {
    let list = document["linux"]["devices"].as_array().into_iter().flatten();
    list.map(|node| {
        let number = |name: &str| node[name].as_u64().unwrap_or_default();
        (node["path"].as_str().unwrap().to_owned(), (number("major"), number("minor")))
    })
    .collect()
}

fn wrong_node(kernel: &Kernel, path: &str, (major, minor): (u64, u64)) -> Option<String> {
    let of = |name: &str| kernel.majors.get(name).copied();
    let name = path.strip_prefix("/dev/")?;
    if let Some(cap) = name.strip_prefix("nvidia-caps/nvidia-cap") {
        let exists = kernel.mig.values().flatten().any(|existing| *existing == minor);
        let right = Some(major) == of("nvidia-caps") && cap.parse() == Ok(minor) && exists;
        return (!right).then(|| "no such capability".to_owned());
    }
    let right = match name {
        "nvidia-uvm" | "nvidia-uvm-tools" => Some(major) == of("nvidia-uvm"),
        "nvidiactl" => (Some(major), minor) == (of("nvidia"), 255),
        "nvidia-modeset" => (Some(major), minor) == (of("nvidia"), 254),
        _ => {
            Some(major) == of("nvidia")
                && kernel.gpus.values().any(|gpu| *gpu == minor)
                && name == format!("nvidia{minor}")
        }
    };
    (!right).then(|| "the kernel has no such device".to_owned())
}

/// Everything that is mounted is there, and all libraries are of one version.
fn wrong_mounts(running: &Running, document: &Value) -> Vec<String> {
    let sources = document["mounts"].as_array().into_iter().flatten().filter_map(|mount| mount["source"].as_str());
    let sources: Vec<&str> = sources.filter(|source| source.starts_with('/')).collect();
    let missing = sources.iter().filter(|source| fs::symlink_metadata(running.at(source)).is_err());
    let mut wrong: Vec<_> = missing.map(|source| format!("{source} is mounted and does not exist")).collect();
    let version = |source: &&str| {
        let name = Path::new(source).file_name()?.to_str()?;
        let (_, version) = name.split_once(".so.")?;
        (version.matches('.').count() == 2).then(|| version.to_owned())
    };
    let versions: BTreeSet<_> = sources.iter().filter_map(version).collect();
    if versions.len() > 1 {
        wrong.push(format!("libraries of several versions: {versions:?}"));
    }
    wrong
}

/// The device that was asked for was given, and no other.
fn wrong_device(
    kernel: &Kernel,
    machine: &Machine,
    nodes: &BTreeMap<String, (u64, u64)>,
    asked: &str,
    told: &BTreeSet<String>,
) -> Option<String> {
    let unheard = machine.gpus.iter().filter(|gpu| is_idle(gpu) && !told.contains(&gpu.bus_id));
    let unheard: BTreeSet<u64> = unheard.map(|gpu| u64::from(gpu.minor)).filter(|_| asked == "all").collect();
    let given: BTreeSet<u64> = nodes
        .iter()
        .filter_map(|(path, (_, minor))| path.strip_prefix("/dev/nvidia")?.parse::<u64>().ok().map(|_| *minor))
        .collect();
    let caps: BTreeSet<u64> =
        nodes.iter().filter(|(path, _)| path.starts_with("/dev/nvidia-caps/")).map(|(_, (_, minor))| *minor).collect();
    let gpus = &given - &unheard;
    let Some((want_gpus, want_caps)) = wanted(kernel, machine, asked) else {
        let is_right = !given.is_empty() && gpus.is_empty() && caps.is_empty();
        return (!is_right).then(|| format!("{asked} is no device of this machine"));
    };
    ((&gpus, &caps) != (&want_gpus, &want_caps))
        .then(|| format!("{asked} is GPUs {want_gpus:?} with capabilities {want_caps:?}, not {gpus:?} with {caps:?}"))
}

/// Minors of the GPUs and capabilities that a name means.
fn wanted(kernel: &Kernel, machine: &Machine, asked: &str) -> Option<(BTreeSet<u64>, BTreeSet<u64>)> {
    let mut parts = Vec::new();
    for (index, gpu) in machine.gpus.iter().enumerate() {
        let minor = u64::from(gpu.minor);
        if [index.to_string(), gpu.uuid.clone()].contains(&asked.to_owned()) || asked == "all" && !gpu.mig_enabled {
            parts.push((minor, None));
        }
        for mig in &gpu.mig {
            if [format!("{index}:{}", mig.index), mig.uuid.clone(), "all".to_owned()].contains(&asked.to_owned()) {
                let key = (minor, u64::from(mig.gpu_instance), u64::from(mig.compute_instance));
                parts.push((minor, Some(kernel.mig[&key])));
            }
        }
    }
    let gpus: BTreeSet<u64> = parts.iter().map(|(minor, _)| *minor).collect();
    let caps = parts.iter().filter_map(|(_, caps)| *caps).flatten().collect();
    (!gpus.is_empty()).then_some((gpus, caps))
}
