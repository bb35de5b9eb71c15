//! What the simulated kernel modules would tell and offer, as plain values: numbers of devices and capabilities. The
//! modules [`crate::proc`], [`crate::sys`] and [`crate::dev`] each show one side of it.

use machine::{Gpu, Machine};

/// GPUs and GPU instances that the driver reserves capability numbers for.
const GPUS: u32 = 32;
const GPU_INSTANCES: u32 = 15;
const COMPUTE_INSTANCES: u32 = 8;

/// One capability: path as `mig-minors` names it, and minor of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// `config`, `gpu0/gi1/access`, `gpu0/gi1/ci0/access`.
    pub name: String,
    /// N of `/dev/nvidia-caps/nvidia-capN`.
    pub minor: u32,
    /// Permission bits of that node.
    pub mode: u32,
}

impl Capability {
    /// Where it is below `/proc/driver/nvidia/capabilities`: the GPU's name comes before `mig`.
    pub fn proc_path(&self) -> String {
        match self.name.split_once('/') {
            Some((gpu, rest)) => format!("{gpu}/mig/{rest}"),
            None => format!("mig/{}", self.name),
        }
    }
}

/// Capabilities that exist now: the two of the machine, and those of its MIG instances.
pub fn capabilities(machine: &Machine) -> Vec<Capability> {
    if machine.driver.is_none() {
        return Vec::new();
    }
    let mut found: Vec<Capability> = global().into();
    for gpu in &machine.gpus {
        for mig in &gpu.mig {
            let instance = gpu_instance(gpu, mig.gpu_instance);
            if !found.contains(&instance) {
                found.push(instance);
            }
            found.push(compute_instance(gpu, mig.gpu_instance, mig.compute_instance));
        }
    }
    found
}

/// Every capability there can be, in the order of `mig-minors`.
pub fn all_capabilities() -> Vec<Capability> {
    let mut all: Vec<Capability> = global().into();
    for (gpu, instance) in (0..GPUS).flat_map(|gpu| (0..GPU_INSTANCES).map(move |instance| (gpu, instance))) {
        let minor = 3 + gpu * GPU_INSTANCES * (COMPUTE_INSTANCES + 1) + instance * (COMPUTE_INSTANCES + 1);
        all.push(capability(format!("gpu{gpu}/gi{instance}/access"), minor));
        all.extend(
            (0..COMPUTE_INSTANCES)
                .map(|compute| capability(format!("gpu{gpu}/gi{instance}/ci{compute}/access"), minor + 1 + compute)),
        );
    }
    all
}

fn global() -> [Capability; 2] {
    [Capability { mode: 0o400, ..capability("config".into(), 1) }, capability("monitor".into(), 2)]
}

fn gpu_instance(gpu: &Gpu, instance: u32) -> Capability {
    capability(format!("gpu{}/gi{instance}/access", gpu.minor), gpu.gpu_instance_cap(instance))
}

fn compute_instance(gpu: &Gpu, instance: u32, compute: u32) -> Capability {
    let name = format!("gpu{}/gi{instance}/ci{compute}/access", gpu.minor);
    capability(name, gpu.compute_instance_cap(instance, compute))
}

fn capability(name: String, minor: u32) -> Capability {
    Capability { name, minor, mode: 0o444 }
}

/// Lower-case bus id with a four-digit domain, as the kernel writes it.
pub fn bus_id(gpu: &Gpu) -> String {
    gpu.bus_id.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_capabilities_have_the_numbers_of_the_whole_table() {
        let machine = crate::machine_file::from_text(include_str!("../machines/mig.toml")).unwrap();
        let all = all_capabilities();
        let existing = capabilities(&machine);
        assert!(existing.len() > 4);
        for capability in existing {
            assert!(all.contains(&capability), "{capability:?}");
        }
    }

    #[test]
    fn proc_paths_put_mig_after_the_gpu() {
        assert_eq!(capability("gpu3/gi1/ci0/access".into(), 0).proc_path(), "gpu3/mig/gi1/ci0/access");
        assert_eq!(capability("config".into(), 1).proc_path(), "mig/config");
    }
}
