//! Whole GPUs: the node of each, its DRM nodes and their links, its MIG devices.

use super::{Access, Nodes};
use crate::{DrmLink, Gpu, Node, folder, kernel::optional, procfs::Information};
use oci::ContainerPath;

/// A link under `/dev/dri/by-path`: its name and what it says.
type ByPath = (String, String);

/// Every GPU, in the order of bus ids; without DRM nodes and links if they are not wanted.
pub(crate) fn gpus(nodes: &mut Nodes, drm: bool) -> Vec<Gpu> {
    let by_path = if drm { by_path(nodes) } else { Vec::new() };
    let kernel = nodes.kernel;
    (0..).zip(&kernel.gpus).map(|(index, information)| gpu(nodes, index, information, drm, &by_path)).collect()
}

fn gpu(nodes: &mut Nodes, index: u32, information: &Information, drm: bool, by_path: &[ByPath]) -> Gpu {
    let Information { model, uuid, bus_id, minor, .. } = information.clone();
    let numbers = (nodes.kernel.majors.nvidia(), minor);
    let node = nodes.node(&format!("nvidia{minor}"), numbers, nodes.kernel.params.into());
    if uuid.is_empty() {
        nodes.remarks.push(format!(
            "The driver has not initialised GPU {bus_id} yet, so its UUID is unknown; start nvidia-persistenced, or run nvidia-smi once."
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
