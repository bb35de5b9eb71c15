//! MIG devices as the kernel shows them, and the capability nodes that open them.
//!
//! `/proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access` says which `/dev/nvidia-caps/nvidia-capN` belongs to an
//! instance. The same number is in `/proc/driver/nvidia-caps/mig-minors`, which lists every instance that could exist;
//! it is asked where the first file does not say (reference: libnvidia-container.md section 11).

use super::{Access, Nodes};
use crate::{
    MigDevice, Node, Roots, folder,
    kernel::optional,
    procfs::{self, Fields},
};
use oci::HostPath;

/// Whether the GPU can be partitioned, and the MIG devices that it has.
pub(super) fn devices(nodes: &mut Nodes, gpu: u32) -> (bool, Vec<MigDevice>) {
    let roots = nodes.kernel.roots;
    let listed = match &nodes.kernel.mig {
        Some(listed) => listed.get(&gpu).cloned().unwrap_or_default(),
        None => instances(roots, gpu),
    };
    let devices = listed.into_iter().filter_map(|instance| device(nodes, gpu, instance)).collect();
    (is_capable(roots, gpu), devices)
}

/// The GPU with that minor can be partitioned.
pub(super) fn is_capable(roots: &Roots, gpu: u32) -> bool {
    mig_folder(roots, gpu).as_path().is_dir()
}

/// Ids of the GPU instances of the GPU with that minor, each with the compute instances in it, in order.
fn instances(roots: &Roots, gpu: u32) -> Vec<(u32, u32)> {
    let folder = mig_folder(roots, gpu);
    let numbered = |folder: &HostPath, prefix: &str| {
        let names = folder::names(folder, |name| name.starts_with(prefix));
        let mut ids: Vec<u32> = names.iter().filter_map(|name| name[prefix.len()..].parse().ok()).collect();
        ids.sort_unstable();
        ids
    };
    let gpu_instances = numbered(&folder, "gi").into_iter();
    let within = |gi: u32| numbered(&folder.join(&format!("gi{gi}")), "ci").into_iter().map(move |ci| (gi, ci));
    gpu_instances.flat_map(within).collect()
}

fn mig_folder(roots: &Roots, gpu: u32) -> HostPath {
    roots.proc.join(&format!("driver/nvidia/capabilities/gpu{gpu}/mig"))
}

/// The folder that the kernel has for a MIG device of the GPU with that minor, as long as the device exists.
pub(crate) fn mig_device_folder(roots: &Roots, gpu: u32, device: &MigDevice) -> HostPath {
    let MigDevice { gpu_instance, compute_instance, .. } = device;
    mig_folder(roots, gpu).join(&format!("gi{gpu_instance}/ci{compute_instance}"))
}

fn device(nodes: &mut Nodes, gpu: u32, (gi, ci): (u32, u32)) -> Option<MigDevice> {
    let instance = format!("gi{gi}/access");
    let compute = format!("gi{gi}/ci{ci}/access");
    let found = (
        capability(nodes, &format!("gpu{gpu}/mig/{instance}"), &format!("gpu{gpu}/{instance}")),
        capability(nodes, &format!("gpu{gpu}/mig/{compute}"), &format!("gpu{gpu}/{compute}")),
    );
    let (Some(gpu_instance_node), Some(compute_instance_node)) = found else {
        nodes.remarks.push(format!(
            "The kernel does not say which capability nodes open MIG device gi{gi}/ci{ci} of /dev/nvidia{gpu}; it is left out."
        ));
        return None;
    };
    Some(MigDevice { gpu_instance: gi, compute_instance: ci, gpu_instance_node, compute_instance_node })
}

/// The node of the capability whose access file is `file`, named `name` in the list of minors.
pub(super) fn capability(nodes: &mut Nodes, file: &str, name: &str) -> Option<Node> {
    let proc = &nodes.kernel.roots.proc;
    let major = nodes.kernel.majors.get("nvidia-caps")?;
    let text = optional(&proc.join("driver/nvidia/capabilities").join(file)).ok()??;
    let fields = Fields::new(&text);
    let minor = fields.number("DeviceFileMinor").or_else(|| {
        let minors = optional(&proc.join("driver/nvidia-caps/mig-minors")).ok()??;
        procfs::mig_minor(&minors, name)
    })?;
    let access = Access { mode: fields.number("DeviceFileMode").unwrap_or(0o444) & 0o777, ..Access::OPEN };
    Some(nodes.node(&format!("nvidia-caps/nvidia-cap{minor}"), (major, minor), access))
}
