//! The machine's device nodes. No driver stands behind them, so opening one gives ENXIO where the device cgroup allows
//! it and EPERM where it does not: enough to test rules.

use crate::{
    Result, kernel,
    tree::{Node, Tree},
};
use machine::{Driver, Machine};

/// Major of `/dev/dri` nodes, fixed by the kernel.
pub const DRM_MAJOR: u32 = 226;
/// Major of `/dev/infiniband/uverbsN`, fixed by the kernel; the first minor is 192.
pub const VERBS_MAJOR: u32 = 231;

/// Groups that own DRM nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Owner of `cardN`.
    pub video: u32,
    /// Owner of `renderDN`.
    pub render: u32,
}

impl Groups {
    /// Reads them from the text of `/etc/group`; a system without the group has nodes of Debian's `video`, 44.
    pub fn from_text(text: &str) -> Groups {
        let find = |name| {
            let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            lines.find(|fields| fields.first() == Some(&name)).and_then(|fields| fields.get(2)?.parse().ok())
        };
        let video = find("video").unwrap_or(44);
        Groups { video, render: find("render").unwrap_or(video) }
    }
}

/// Fills `tree`, which stands for `/dev`.
///
/// # Errors
/// When a node cannot be made, as without root.
pub fn install(machine: &Machine, groups: Groups, tree: &Tree) -> Result<()> {
    let Some(driver) = &machine.driver else { return Ok(()) };
    if driver.device_nodes {
        nodes(machine).into_iter().try_for_each(|(name, node)| tree.node(&name, node))?;
    }
    graphics(machine, driver, groups, tree)
}

/// Everything outside `/dev/dri`.
fn nodes(machine: &Machine) -> Vec<(String, Node)> {
    let majors = &machine.majors;
    let mut nodes = vec![
        ("nvidiactl".to_owned(), open_node(majors.nvidia, 255)),
        ("nvidia-modeset".to_owned(), open_node(majors.nvidia, 254)),
        ("nvidia-uvm".to_owned(), open_node(majors.uvm, 0)),
        ("nvidia-uvm-tools".to_owned(), open_node(majors.uvm, 1)),
    ];
    let mut add = |name: String, major, minor| nodes.push((name, open_node(major, minor)));
    for gpu in &machine.gpus {
        add(format!("nvidia{}", gpu.minor), majors.nvidia, gpu.minor);
    }
    for channel in &machine.imex_channels {
        add(format!("nvidia-caps-imex-channels/channel{channel}"), majors.imex, *channel);
    }
    for number in 0..machine.nvswitches {
        add(format!("nvidia-nvswitch{number}"), majors.nvswitch, number);
    }
    if machine.nvswitches > 0 {
        add("nvidia-nvswitchctl".into(), majors.nvswitch, 255);
    }
    for number in 0..machine.gds {
        add(format!("nvidia-fs{number}"), majors.fs, number);
    }
    if machine.gdrcopy {
        add("gdrdrv".into(), majors.gdrdrv, 0);
    }
    for number in 0..machine.mofed {
        add(format!("infiniband/uverbs{number}"), VERBS_MAJOR, 192 + number);
    }
    if machine.mofed > 0 {
        add("infiniband/rdma_cm".into(), 10, 58);
    }
    nodes.extend(capability_nodes(machine));
    nodes
}

fn capability_nodes(machine: &Machine) -> impl Iterator<Item = (String, Node)> {
    kernel::capabilities(machine).into_iter().map(|capability| {
        let node = Node { major: machine.majors.caps, minor: capability.minor, mode: capability.mode, gid: 0 };
        (format!("nvidia-caps/nvidia-cap{}", capability.minor), node)
    })
}

/// Makes those nodes of capabilities that are not there yet, where the machine has nodes at all.
pub(crate) fn install_capabilities(machine: &Machine, tree: &Tree) -> Result<()> {
    if machine.driver.as_ref().is_none_or(|driver| !driver.device_nodes) {
        return Ok(());
    }
    capability_nodes(machine)
        .filter(|(name, _)| !tree.path(name).exists())
        .try_for_each(|(name, node)| tree.node(&name, node))
}

fn open_node(major: u32, minor: u32) -> Node {
    Node { major, minor, mode: 0o666, gid: 0 }
}

fn graphics(machine: &Machine, driver: &Driver, groups: Groups, tree: &Tree) -> Result<()> {
    if !driver.drm {
        return Ok(());
    }
    for (number, gpu) in (0..).zip(&machine.gpus) {
        let both = [("card", number, groups.video), ("renderD", 128 + number, groups.render)];
        for ((prefix, minor, gid), by_path) in both.into_iter().zip(["card", "render"]) {
            tree.node(&format!("dri/{prefix}{minor}"), Node { major: DRM_MAJOR, minor, mode: 0o660, gid })?;
            let link = format!("dri/by-path/pci-{}-{by_path}", kernel::bus_id(gpu));
            tree.link(&link, format!("../{prefix}{minor}"))?;
        }
    }
    Ok(())
}

/// Whether an entry of the host's `/dev` belongs to a real driver of what is simulated, and so must not be seen.
pub fn simulated(name: &str) -> bool {
    name.starts_with("nvidia") || ["dri", "infiniband", "gdrdrv", "dxg"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_from_the_file_or_are_debians() {
        let text = "root:x:0:\nvideo:x:39:\nrender:x:105:\n";
        assert_eq!(Groups::from_text(text), Groups { video: 39, render: 105 });
        assert_eq!(Groups::from_text(""), Groups { video: 44, render: 44 });
    }

    #[test]
    fn eight_gpus_with_switches_have_all_their_nodes() {
        let machine = crate::machine_file::from_text(include_str!("../machines/eight-gpus-nvswitch.toml")).unwrap();
        let names: Vec<String> = nodes(&machine).into_iter().map(|(name, _)| name).collect();
        for name in [
            "nvidia7",
            "nvidia-nvswitch3",
            "nvidia-nvswitchctl",
            "nvidia-fs0",
            "gdrdrv",
            "infiniband/uverbs0",
            "infiniband/rdma_cm",
            "nvidia-caps/nvidia-cap1",
            "nvidia-caps-imex-channels/channel0",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} of {names:?}");
        }
    }
}
