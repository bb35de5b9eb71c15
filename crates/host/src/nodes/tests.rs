//! GPUs and nodes of machines that are trees in a folder. Real device nodes cannot be made there, so what is found on
//! disk is tried on this machine's own `/dev/null`, which is 1:3 everywhere.

use super::*;
use crate::{GpuFacts, Inventory, MigFacts, NvmlFacts, Roots, Wanted, discover, discover_as_nvml_does, sample::Tree};

fn look(tree: &Tree) -> Inventory {
    discover(&tree.roots(), Wanted::ALL).unwrap()
}

/// `c195:0 660 0:44 /dev/nvidia0`, with `+` in front of a node that exists.
fn show(node: &Node) -> String {
    let Node { path, major, minor, mode, uid, gid, exists, .. } = node;
    format!("{}c{major}:{minor} {mode:o} {uid}:{gid} {path}", if *exists { "+" } else { "" })
}

#[test]
fn gpus_are_numbered_by_bus_id_and_named_by_minor() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[("0000:08:00.0", 0), ("0000:07:00.0", 1), ("10000:01:00.0", 2)]);
    let gpus = look(&tree).gpus;
    let seen: Vec<_> = gpus.iter().map(|gpu| (gpu.index, gpu.minor, gpu.bus_id.as_str())).collect();
    assert_eq!(seen, [(0, 1, "0000:07:00.0"), (1, 0, "0000:08:00.0"), (2, 2, "10000:01:00.0")]);
    assert_eq!(gpus[0].uuid, "GPU-00000001-06c0-7d70-1a51-e59b25b2c16c");
    assert_eq!(gpus[0].model, "NVIDIA A100-SXM4-40GB");
    assert_eq!(show(&gpus[0].node), "c195:1 660 0:44 /dev/nvidia1");
    assert_eq!(gpus[0].node.host, tree.root().join("dev/nvidia1"));
}

/// Where NVML lists the GPUs, its list, order and names count, and the kernel's files only give the nodes.
#[test]
fn nvml_can_say_which_gpus_there_are() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[("0000:07:00.0", 1), ("0000:08:00.0", 0)]);
    tree.file("proc/driver/nvidia/capabilities/gpu0/mig/gi3/access", "DeviceFileMinor: 30\n");
    tree.file("proc/driver/nvidia/capabilities/gpu0/mig/gi3/ci0/access", "DeviceFileMinor: 31\n");
    tree.file("proc/driver/nvidia/capabilities/gpu0/mig/gi4/access", "DeviceFileMinor: 39\n");
    tree.file("proc/driver/nvidia/capabilities/gpu0/mig/gi4/ci0/access", "DeviceFileMinor: 40\n");
    let kernel = look(&tree);
    let of = |gpu: &crate::Gpu| GpuFacts {
        uuid: gpu.uuid.clone(),
        bus_id: gpu.bus_id.clone(),
        minor: gpu.minor,
        name: gpu.model.clone(),
        mig: gpu.mig.iter().map(|mig| MigFacts { gpu_instance: mig.gpu_instance, ..MigFacts::default() }).collect(),
        ..GpuFacts::default()
    };
    let mut nvml = NvmlFacts { gpus: kernel.gpus.iter().map(of).collect(), ..NvmlFacts::default() };
    let named = |nvml: &NvmlFacts| discover_as_nvml_does(&tree.roots(), Wanted::ALL, nvml).unwrap();
    assert_eq!(kernel.gpus[1].mig.len(), 2);
    assert_eq!(named(&nvml).gpus, kernel.gpus);
    assert_eq!(named(&nvml).nvml.as_ref(), Some(&nvml));
    nvml.gpus.remove(0);
    nvml.gpus[0].uuid = "GPU-other".to_owned();
    nvml.gpus[0].mig.remove(0);
    let gpus = named(&nvml).gpus;
    assert_eq!((gpus.len(), gpus[0].index, gpus[0].minor, gpus[0].uuid.as_str()), (1, 0, 0, "GPU-other"));
    assert_eq!(gpus[0].mig, kernel.gpus[1].mig[1..]);
}

#[test]
fn excluded_and_unreadable_gpus_are_named() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[]);
    let gpu = |bus: &str, text: &str| _ = tree.file(&format!("proc/driver/nvidia/gpus/{bus}/information"), text);
    gpu("0000:01:00.0", "Device Minor: 0\nGPU Excluded: Yes\n");
    gpu("0000:02:00.0", "Model: A\n");
    gpu("0000:03:00.0", "Device Minor: 2\nGPU UUID: GPU-????????-????\n");
    let found = look(&tree);
    assert_eq!(found.gpus.len(), 1);
    assert_eq!((found.gpus[0].index, found.gpus[0].uuid.as_str()), (0, ""));
    assert_eq!(found.remarks.len(), 4, "{:?}", found.remarks);
    for (remark, part) in
        found.remarks.iter().zip(["0000:01:00.0 is excluded", "0000:02:00.0/information", "0000:03:00.0 yet"])
    {
        assert!(remark.contains(part), "{remark}");
    }
}

#[test]
fn drm_nodes_come_from_sysfs_and_links_keep_no_root() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[("0000:07:00.0", 0)]);
    for (name, numbers) in [("card1", "226:1"), ("renderD129", "226:129"), ("controlD65", "226:65")] {
        tree.file(&format!("sys/bus/pci/devices/0000:07:00.0/drm/{name}/dev"), format!("{numbers}\n"));
    }
    tree.link("dev/dri/by-path/pci-0000:07:00.0-card", "../card1");
    tree.link("dev/dri/by-path/pci-0000:00:02.0-card", "../card0");
    let gpu = look(&tree).gpus.remove(0);
    let nodes: Vec<_> = gpu.drm.iter().map(show).collect();
    assert_eq!(nodes, ["c226:1 660 0:0 /dev/dri/card1", "c226:129 660 0:0 /dev/dri/renderD129"]);
    assert_eq!(gpu.drm_links.len(), 1);
    assert_eq!(gpu.drm_links[0].path.as_str(), "/dev/dri/by-path/pci-0000:07:00.0-card");
    assert_eq!(gpu.drm_links[0].target, "../card1");
    let plain = discover(&tree.roots(), Wanted { drm: false, ..Wanted::ALL }).unwrap().gpus.remove(0);
    assert!(plain.drm.is_empty() && plain.drm_links.is_empty());
}

#[test]
fn mig_devices_and_their_capability_nodes() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[("0000:07:00.0", 0), ("0000:08:00.0", 1)]);
    let access = |path: &str, text: &str| _ = tree.file(&format!("proc/driver/nvidia/capabilities/{path}"), text);
    access("gpu0/mig/gi10/access", "DeviceFileMinor: 93\nDeviceFileMode: 292\nDeviceFileModify: 1\n");
    access("gpu0/mig/gi10/ci0/access", "DeviceFileMinor: 94\nDeviceFileMode: 256\n");
    access("gpu0/mig/gi2/access", "DeviceFileMode: 292\n");
    access("gpu0/mig/gi2/ci0/access", "DeviceFileMode: 292\n");
    access("gpu0/mig/gi3/access", "");
    access("gpu0/mig/gi3/ci1/access", "");
    access("mig/config", "DeviceFileMinor: 1\nDeviceFileMode: 256\n");
    access("mig/monitor", "DeviceFileMinor: 2\nDeviceFileMode: 292\n");
    tree.file(
        "proc/driver/nvidia-caps/mig-minors",
        "config 1\nmonitor 2\ngpu0/gi2/access 21\ngpu0/gi2/ci0/access 22\n",
    );
    let found = look(&tree);
    let devices: Vec<_> = found.gpus[0]
        .mig
        .iter()
        .map(|mig| {
            (mig.gpu_instance, mig.compute_instance, show(&mig.gpu_instance_node), show(&mig.compute_instance_node))
        })
        .collect();
    let cap = |minor: u32, mode: &str| format!("c236:{minor} {mode} 0:0 /dev/nvidia-caps/nvidia-cap{minor}");
    assert_eq!(devices, [(2, 0, cap(21, "444"), cap(22, "444")), (10, 0, cap(93, "444"), cap(94, "400"))]);
    assert_eq!((found.gpus[0].mig_capable, found.gpus[1].mig_capable), (true, false));
    assert_eq!(found.nodes.mig_config.map(|node| show(&node)), Some(cap(1, "400")));
    assert_eq!(found.nodes.mig_monitor.map(|node| show(&node)), Some(cap(2, "444")));
    let minors: Vec<_> = found.nodes.mig_minors.into_iter().collect();
    assert_eq!(minors, [(0, vec![21, 22])], "of the GPU that can be partitioned");
    assert!(found.remarks[0].contains("MIG device gi3/ci1 of /dev/nvidia0"), "{:?}", found.remarks);
}

#[test]
fn control_nodes_follow_what_is_loaded() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[]);
    let nodes = look(&tree).nodes;
    let shown = |node: &Option<Node>| node.as_ref().map(show);
    assert_eq!(shown(&nodes.ctl).as_deref(), Some("c195:255 660 0:44 /dev/nvidiactl"));
    assert_eq!(nodes.modeset, None);
    assert_eq!(shown(&nodes.uvm).as_deref(), Some("c511:0 666 0:0 /dev/nvidia-uvm"));
    assert_eq!(shown(&nodes.uvm_tools).as_deref(), Some("c511:1 666 0:0 /dev/nvidia-uvm-tools"));
    tree.file("proc/modules", "nvidia_modeset 1515520 2 nvidia_drm, Live 0x0\n");
    assert_eq!(shown(&look(&tree).nodes.modeset).as_deref(), Some("c195:254 660 0:44 /dev/nvidia-modeset"));
}

#[test]
fn without_the_uvm_module_there_is_no_uvm_node() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[]).file("proc/devices", "Character devices:\n195 nvidia\n").file("dev/nvidia-uvm", "");
    let found = look(&tree);
    assert_eq!((found.nodes.uvm, found.nodes.uvm_tools), (None, None));
    assert_eq!(found.remarks.len(), 2, "{:?}", found.remarks);
    assert!(found.remarks[0].contains("nvidia-uvm is not loaded"));
}

#[test]
fn a_node_of_another_kind_is_not_trusted() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[("0000:07:00.0", 0)]).file("dev/nvidia0", "").link("dev/nvidiactl", "/dev/null");
    let found = look(&tree);
    assert!(!found.gpus[0].node.exists && !found.nodes.ctl.unwrap().exists);
    assert!(found.remarks[0].contains("dev/nvidia0 is not the character device 195:0"), "{:?}", found.remarks);
    assert!(found.remarks[1].contains("dev/nvidiactl is not the character device 195:255"));
}

#[test]
fn a_node_on_disk_is_believed_if_its_numbers_are_right() {
    let roots = Roots::default();
    let mut remarks = Vec::new();
    let kernel = Kernel::read(&roots, &mut remarks).unwrap();
    let mut nodes = Nodes::new(&kernel, &mut remarks);
    let right = nodes.node("null", (1, 3), Access::DRM);
    assert_eq!((right.exists, right.mode), (true, 0o666));
    let wrong = nodes.node("null", (195, 0), Access::DRM);
    assert_eq!((wrong.exists, wrong.mode, wrong.major), (false, 0o660, 195));
    assert_eq!(nodes.on_disk("null").map(|node| (node.major, node.minor)), Some((1, 3)));
    assert_eq!(nodes.on_disk("shm"), None);
    assert_eq!(nodes.of_driver("null", "nothing").map(|node| node.minor), Some(3));
    assert_eq!(nodes.of_driver("null", "misc"), None);
    assert_eq!(remarks.len(), 2, "{remarks:?}");
}

#[test]
fn channels_without_a_node_can_still_be_named() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[]).file("dev/nvidia-caps-imex-channels/channel7", "");
    let found = look(&tree);
    assert_eq!((found.nodes.imex, found.nodes.imex_major), (vec![], Some(237)));
    assert!(found.remarks[0].contains("channel7 is not the character device 237:7"), "{:?}", found.remarks);
}

#[test]
fn modify_device_files_is_passed_on() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[]);
    assert!(look(&tree).modify_device_files);
    tree.file("proc/driver/nvidia/params", "ModifyDeviceFiles: 0\n");
    assert!(!look(&tree).modify_device_files);
}
