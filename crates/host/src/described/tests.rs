//! Descriptions in full, in part, and wrong.

use super::*;
use crate::{discover, sample::Tree};

fn read(text: &str) -> Described {
    serde_json::from_str(text).unwrap()
}

fn complete(text: &str) -> Result<Inventory, String> {
    read(text).complete(None, Wanted::ALL).map_err(|error| error.to_string())
}

const FOLDER: &str = "usr/lib/x86_64-linux-gnu";

#[test]
fn an_inventory_describes_itself() {
    let tree = Tree::new();
    tree.kernel("550.54.14", &[("0000:07:00.0", 1), ("0000:08:00.0", 0)]).library(FOLDER, "libcuda", "550.54.14");
    tree.program("usr/bin/nvidia-smi").file("proc/driver/nvidia/capabilities/gpu1/mig/config", "");
    let instance = "proc/driver/nvidia/capabilities/gpu0/mig/gi1";
    tree.file(&format!("{instance}/access"), "DeviceFileMinor: 12\n");
    tree.file(&format!("{instance}/ci0/access"), "DeviceFileMinor: 13\n");
    let inventory = discover(&tree.roots(), Wanted::ALL).unwrap();
    assert_eq!((inventory.gpus.len(), inventory.gpus[1].mig.len()), (2, 1));
    let text = serde_json::to_string(&inventory).unwrap();
    drop(tree);
    assert_eq!(complete(&text).unwrap(), inventory);
    let nothing = Inventory { platform: Platform::Discrete, ..Inventory::default() };
    assert_eq!(complete(&serde_json::to_string(&nothing).unwrap()).unwrap(), nothing);
}

#[test]
fn what_is_usual_need_not_be_said() {
    let machine = complete(
        r#"{"gpus": [{"uuid": "GPU-1"}, {"uuid": "GPU-2", "minor": 5, "drm": [{"path": "/dev/dri/card1"}]}]}"#,
    );
    let machine = machine.unwrap();
    let shown = |node: &crate::Node| format!("{} {} {}:{}", node.host, node.path, node.major, node.minor);
    assert_eq!(shown(&machine.gpus[0].node), "/dev/nvidia0 /dev/nvidia0 195:0");
    assert_eq!((machine.gpus[1].index, shown(&machine.gpus[1].node).as_str()), (1, "/dev/nvidia5 /dev/nvidia5 195:5"));
    assert_eq!(shown(&machine.gpus[1].drm[0]), "/dev/dri/card1 /dev/dri/card1 0:0");
    assert_eq!(shown(&machine.nodes.ctl.unwrap()), "/dev/nvidiactl /dev/nvidiactl 195:255");
    assert_eq!(machine.nodes.uvm.map(|node| node.major), Some(0), "only the machine knows it");
    assert_eq!((machine.driver, machine.platform), (None, Platform::Discrete));
    let silent = complete(r#"{"nodes": {"imex": [{"number": 7}], "imex_major": 237}}"#).unwrap();
    assert_eq!(silent.nodes.ctl, None, "nodes that are described are all there are");
    assert_eq!(
        shown(&silent.nodes.imex[0].node),
        "/dev/nvidia-caps-imex-channels/channel7 /dev/nvidia-caps-imex-channels/channel7 237:7"
    );
}

#[test]
fn mistakes_are_found_and_placed() {
    for (text, want) in [
        (r#"{"gpus": [{}, {"index": 0, "minor": 3}]}"#, "gpus[1].index: 0 is that of gpus[0] already"),
        (r#"{"gpus": [{"uuid": "GPU-a"}, {"uuid": "GPU-A"}]}"#, "gpus[1].uuid: gpu-a is that of gpus[0] already"),
        (r#"{"gpus": [{"uuid": "x"}]}"#, "gpus[0].uuid: \"x\" does not begin with GPU-"),
        (r#"{"gpus": [{"drm": [{}]}]}"#, "gpus[0].drm[0]: give its path"),
        (r#"{"nodes": {"gds": [{"minor": 1}]}}"#, "nodes.gds[0]: give its path"),
        (r#"{"driver": {"files": []}}"#, "driver.version: it is missing"),
        (r#"{"driver": {"version": "550.54.14"}}"#, "driver: its files are not described;"),
        (r#"{"driver": {"root": "/no/such/folder"}}"#, "cannot use /no/such/folder as driver root"),
    ] {
        let error = complete(text).unwrap_err();
        assert!(error.starts_with(want), "{text}: {error}");
    }
    let mig = r#"{"gpus": [{"mig": [{"gpu_instance": 1, "compute_instance": 0, "gpu_instance_node": {"minor": 12},
                  "compute_instance_node": {}}]}]}"#;
    assert_eq!(complete(mig).unwrap_err(), "gpus[0].mig[0].compute_instance_node: give its minor, or its path");
    for (text, want) in [
        (r#"{"gpu": []}"#, "unknown field `gpu`"),
        ("{\n \"gpus\": [{\"minor\": -1}]}", "invalid value: integer `-1`, expected u32 at line 2"),
        (r#"{"driver": {"root": "relative"}}"#, "\"relative\" is not an absolute path"),
    ] {
        let error = serde_json::from_str::<Described>(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn a_driver_root_is_searched_and_no_kernel_asked() {
    let tree = Tree::new();
    tree.library(FOLDER, "libcuda", "550.54.14");
    tree.file(&format!("{FOLDER}/libcuda.so.535.1"), crate::sample::Library::named("libcuda.so.1").bytes());
    // As in a driver container, which has the host's procfs and sysfs.
    tree.kernel("535.1", &[]).file("proc/sys/kernel/osrelease", "6.1.0\n");
    tree.file("sys/module/firmware_class/parameters/path", "/custom\n").file("custom/nvidia/550.54.14/gsp_x.bin", "");
    tree.file("lib/firmware/6.1.0/nvidia/550.54.14/gsp_y.bin", "").file("lib/firmware/nvidia/550.54.14/gsp_z.bin", "");
    let root = tree.root();
    let found = Described::default().complete(Some(&root), Wanted::ALL).unwrap().driver.unwrap();
    let names: Vec<_> = found.files.iter().map(|file| file.path.file_name()).collect();
    assert_eq!((found.version.as_str(), names), ("550.54.14", vec!["libcuda.so.550.54.14", "gsp_z.bin"]));
    let older = read(r#"{"driver": {"version": "535.1"}}"#).complete(Some(&root), Wanted::ALL).unwrap();
    assert_eq!(older.driver.unwrap().version, "535.1");
    let error = read(r#"{"driver": {"version": "470.1"}}"#).complete(Some(&root), Wanted::ALL).unwrap_err();
    assert!(error.to_string().contains("holds driver 550.54.14, not 470.1"), "{error}");
    let empty = Tree::new();
    let error = Described::default().complete(Some(&empty.root()), Wanted::ALL).unwrap_err();
    assert!(error.to_string().starts_with("no driver was found under"), "{error}");
}
