//! Whole GPUs: the node of each, its DRM nodes and their links, its MIG devices.

use super::{Access, Nodes, is_open};
use crate::{DrmLink, Gpu, Node, folder, kernel::optional, procfs::Information};
use oci::ContainerPath;

/// A link under `/dev/dri/by-path`: its name and what it says.
type ByPath = (String, String);

/// The GPUs that this process can use, in the order of bus ids; without DRM nodes and links if they are not wanted.
///
/// NVML lists just these, and so its indices count only them (reference: libnvidia-container.md 8, 11): of the others a
/// batch system or an outer container has kept the nodes back.
pub(crate) fn gpus(nodes: &mut Nodes, drm: bool) -> Vec<Gpu> {
    let by_path = if drm { by_path(nodes) } else { Vec::new() };
    let kernel = nodes.kernel;
    let numbers = |information: &Information| (kernel.majors.nvidia(), information.minor);
    let mut gpus: Vec<_> = kernel
        .gpus
        .iter()
        .map(|gpu| (gpu, nodes.node(&format!("nvidia{}", gpu.minor), numbers(gpu), kernel.params.into())))
        .collect();
    let are_made = gpus.iter().any(|(_, node)| node.exists);
    gpus.retain(|(information, node)| match why_closed(node, are_made, kernel.params.modify) {
        None => true,
        Some(why) => {
            nodes.remarks.push(format!("GPU {} is left out: {why}.", information.bus_id));
            false
        }
    });
    (0..).zip(gpus).map(|(index, (information, node))| gpu(nodes, index, information, node, drm, &by_path)).collect()
}

/// Why this process has no use of the GPU with that node. One that nobody has made yet is no reason, since a container's is
/// made from its numbers; but where other GPUs have theirs and the driver's programs may make none, as in a container,
/// nobody will.
fn why_closed(node: &Node, are_made: bool, may_be_made: bool) -> Option<String> {
    match node.exists {
        true => (!is_open(&node.host))
            .then(|| format!("{} is closed to this process, by its mode or by the device cgroup", node.host)),
        false => (are_made && !may_be_made).then(|| {
            format!(
                "there is no {}, while others are there, and ModifyDeviceFiles is 0, so that none is made",
                node.host
            )
        }),
    }
}

fn gpu(nodes: &mut Nodes, index: u32, information: &Information, node: Node, drm: bool, by_path: &[ByPath]) -> Gpu {
    let Information { model, uuid, bus_id, minor, .. } = information.clone();
    if uuid.is_empty() {
        nodes.remarks.push(format!(
            "The driver had not initialised GPU {bus_id} yet when the kernel was looked at, so its UUID could only come \
             from NVML; start nvidia-persistenced, or run nvidia-smi once."
        ));
    }
    let drm = if drm { drm_nodes(nodes, &bus_id) } else { Vec::new() };
    let drm_links = links_to(&drm, by_path);
    let (mig_capable, mig) = super::mig::devices(nodes, minor);
    Gpu { index, minor, uuid, bus_id, model, node, drm, drm_links, mig_capable, mig }
}

/// The DRM nodes that sysfs lists for the PCI function `bus_id`.
fn drm_nodes(nodes: &mut Nodes, bus_id: &str) -> Vec<Node> {
    let folder = nodes.kernel.roots.sys.join("bus/pci/devices").join(bus_id).join("drm");
    let names = folder::names(&folder, |name| name.starts_with("card") || name.starts_with("renderD"));
    let numbers = |name: &str| numbers(&optional(&folder.join(name).join("dev")).ok()??);
    let mut node = |name: &String| match numbers(name) {
        Some(numbers) => Some(nodes.node(&format!("dri/{name}"), numbers, Access::DRM)),
        None => nodes.on_disk(&format!("dri/{name}")),
    };
    names.iter().filter_map(&mut node).collect()
}

/// `226:128` as sysfs writes it.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn by_path(nodes: &Nodes) -> Vec<ByPath> {
    let link = |name: String| {
        let target = std::fs::read_link(nodes.path("dri/by-path").join(&name)).ok()?;
        Some((name, target.to_str()?.to_owned()))
    };
    nodes.names("dri/by-path", |name| name.starts_with("pci-")).into_iter().filter_map(link).collect()
}

/// The links that lead to one of these nodes. They keep their text and lie in `/dev/dri/by-path` of the container: the
/// dev root is no part of either.
fn links_to(nodes: &[Node], by_path: &[ByPath]) -> Vec<DrmLink> {
    let folder = ContainerPath::root().join("dev/dri/by-path");
    let leads_here = |target: &str| {
        let name = target.rsplit('/').next().unwrap_or_default();
        nodes.iter().any(|node| node.path.file_name() == name)
    };
    let links = by_path.iter().filter(|(_, target)| leads_here(target));
    links.map(|(name, target)| DrmLink { path: folder.join(name), target: target.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Roots, kernel::Kernel};

    #[test]
    fn a_node_that_nobody_has_made_is_missed_where_others_are_and_none_can_be_made() {
        let (roots, mut remarks) = (Roots::default(), Vec::new());
        let kernel = Kernel::read(&roots, &mut Vec::new()).unwrap();
        let mut nodes = Nodes::new(&kernel, &mut remarks);
        let (there, missing) = (nodes.node("null", (1, 3), Access::OPEN), nodes.node("none", (1, 3), Access::OPEN));
        for (are_made, may_be_made, out) in
            [(false, false, false), (false, true, false), (true, true, false), (true, false, true)]
        {
            assert_eq!(why_closed(&missing, are_made, may_be_made).is_some(), out, "{are_made} {may_be_made}");
            assert_eq!(why_closed(&there, true, may_be_made), None);
        }
    }
}
