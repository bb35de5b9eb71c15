//! Making a spec the same whatever order its parts were found in (cdi-and-ctk.md 3.4, 3.5).

use crate::edits::ContainerEdits;
use crate::spec::{Device, Spec};
use oci::ContainerPath;
use std::collections::BTreeMap;

impl Spec {
    /// Removes what stands there twice, takes from each device what is done for all of them anyway, and sorts nodes and
    /// mounts by their depth and then their path, devices by name. Variables and hooks keep their order, which matters.
    ///
    /// A device that would be left with nothing to do, besides groups, keeps what it has: it would not be valid.
    pub fn normalise(&mut self) {
        dedupe(&mut self.container_edits);
        sort(&mut self.container_edits);
        for device in &mut self.devices {
            dedupe(&mut device.container_edits);
            strip(&mut device.container_edits, &self.container_edits);
            sort(&mut device.container_edits);
        }
        self.devices.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Adds a device that is all of the others, unless there is one of that name. [`Spec::normalise`] belongs before and after.
    pub fn add_merged_device(&mut self, name: &str) {
        if self.devices.iter().any(|device| device.name == name) {
            return;
        }
        let mut container_edits = ContainerEdits::default();
        for device in &self.devices {
            container_edits.append(device.container_edits.clone());
        }
        self.devices.push(Device { name: name.to_owned(), annotations: BTreeMap::new(), container_edits });
    }
}

fn dedupe(edits: &mut ContainerEdits) {
    keep_first(&mut edits.env);
    keep_first(&mut edits.device_nodes);
    keep_first(&mut edits.net_devices);
    keep_first(&mut edits.hooks);
    keep_first(&mut edits.mounts);
    edits.additional_gids.sort_unstable();
    edits.additional_gids.dedup();
}

/// Lists are short (tens of entries), and what is in them is neither hashed nor ordered.
fn keep_first<T: PartialEq + Clone>(list: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for item in list.drain(..) {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    *list = kept;
}

/// Takes from a device what is among the common edits. Groups stay.
fn strip(edits: &mut ContainerEdits, common: &ContainerEdits) {
    let mut rest = edits.clone();
    rest.env.retain(|entry| !common.env.contains(entry));
    rest.device_nodes.retain(|node| !common.device_nodes.contains(node));
    rest.net_devices.retain(|device| !common.net_devices.contains(device));
    rest.hooks.retain(|hook| !common.hooks.contains(hook));
    rest.mounts.retain(|mount| !common.mounts.contains(mount));
    let groups_apart = ContainerEdits { additional_gids: Vec::new(), ..rest.clone() };
    if !groups_apart.is_empty() {
        *edits = rest;
    }
}

fn sort(edits: &mut ContainerEdits) {
    edits.device_nodes.sort_by_cached_key(|node| (depth(&node.path), node.path.clone()));
    edits.mounts.sort_by_cached_key(|mount| (depth(&mount.container_path), mount.container_path.clone()));
}

/// How many `/` the path has when it is written without detours.
fn depth(path: &str) -> usize {
    ContainerPath::root().join(path).as_str().matches('/').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::{DeviceNode, Mount};
    use proptest::prelude::*;

    fn node(path: &str) -> DeviceNode {
        DeviceNode { path: path.to_owned(), ..DeviceNode::default() }
    }

    fn mount(path: &str) -> Mount {
        Mount { host_path: "/h".to_owned(), container_path: path.to_owned(), ..Mount::default() }
    }

    fn device(name: &str, container_edits: ContainerEdits) -> Device {
        Device { name: name.to_owned(), container_edits, ..Device::default() }
    }

    #[test]
    fn twice_is_once_and_order_is_by_depth() {
        let mut spec = Spec {
            container_edits: ContainerEdits {
                env: vec!["B=1".to_owned(), "A=1".to_owned(), "B=1".to_owned()],
                device_nodes: vec![node("/dev/b/c"), node("/dev/z"), node("/dev/a"), node("/dev/z")],
                mounts: vec![mount("/x//y/../a"), mount("/z"), mount("/b/c/d")],
                additional_gids: vec![44, 0, 44],
                ..ContainerEdits::default()
            },
            ..Spec::default()
        };
        spec.normalise();
        let edits = &spec.container_edits;
        assert_eq!(edits.env, ["B=1", "A=1"]);
        assert_eq!(edits.device_nodes, [node("/dev/a"), node("/dev/z"), node("/dev/b/c")]);
        assert_eq!(edits.mounts, [mount("/z"), mount("/x//y/../a"), mount("/b/c/d")]);
        assert_eq!(edits.additional_gids, [0, 44]);
    }

    #[test]
    fn what_all_get_is_not_said_again_unless_nothing_would_be_left() {
        let common = ContainerEdits { device_nodes: vec![node("/dev/ctl")], ..ContainerEdits::default() };
        let both = ContainerEdits { device_nodes: vec![node("/dev/ctl"), node("/dev/0")], ..ContainerEdits::default() };
        let only = ContainerEdits { additional_gids: vec![5], ..common.clone() };
        let mut spec = Spec {
            devices: vec![device("b", only.clone()), device("a", both)],
            container_edits: common,
            ..Spec::default()
        };
        spec.normalise();
        assert_eq!(spec.devices[0].container_edits.device_nodes, [node("/dev/0")]);
        assert_eq!(spec.devices[1].container_edits, only);
    }

    #[test]
    fn the_merged_device_has_each_thing_once() {
        let zero = ContainerEdits { device_nodes: vec![node("/dev/0"), node("/dev/x")], ..ContainerEdits::default() };
        let one = ContainerEdits { device_nodes: vec![node("/dev/1"), node("/dev/x")], ..ContainerEdits::default() };
        let mut spec = Spec { devices: vec![device("1", one), device("0", zero)], ..Spec::default() };
        spec.normalise();
        spec.add_merged_device("all");
        spec.normalise();
        assert_eq!(spec.devices[2].name, "all");
        assert_eq!(spec.devices[2].container_edits.device_nodes, [node("/dev/0"), node("/dev/1"), node("/dev/x")]);
        let merged = spec.clone();
        spec.add_merged_device("all");
        assert_eq!(spec, merged);
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(
            env in prop::collection::vec("[AB]=[12]", 0..6),
            common in prop::collection::vec("[AB]=[12]", 0..3),
            paths in prop::collection::vec("/[ab](/[ab])?", 0..6),
        ) {
            let edits = ContainerEdits {
                env,
                device_nodes: paths.iter().map(|path| node(path)).collect(),
                ..ContainerEdits::default()
            };
            let container_edits = ContainerEdits { env: common, ..ContainerEdits::default() };
            let mut spec = Spec { devices: vec![device("b", edits.clone()), device("a", edits)], container_edits, ..Spec::default() };
            spec.normalise();
            let once = spec.clone();
            spec.normalise();
            prop_assert_eq!(spec, once);
        }
    }
}
