//! The words of the legacy stack: total, and what is selected is there, once, and nothing else.

use crate::parts;
use legacy::{
    DeviceInfo, DeviceNode, Gpu, MigDevice, imex,
    options::{ContainerOptions, DriverOptions, InitOptions},
    select,
};

/// An input of two parts: a list of devices, and a string of options or channels.
pub fn legacy(input: &[u8]) {
    let (list, words) = parts(input);
    let (Ok(list), Ok(words)) = (std::str::from_utf8(list), std::str::from_utf8(words)) else { return };
    let info = machine();
    if let Ok(selection) = select::devices(list, &info) {
        let mut gpus = selection.gpus.clone();
        gpus.sort_unstable();
        gpus.dedup();
        assert_eq!(gpus.len(), selection.gpus.len(), "a GPU is there twice");
        assert!(selection.mig.iter().all(|(gpu, _)| gpus.contains(gpu)), "a MIG device without its GPU");
        assert_eq!(selection.gpus(&info).count() + selection.mig(&info).count(), gpus.len() + selection.mig.len());
        let is_empty = list.split(',').all(str::is_empty);
        assert_eq!(is_empty, gpus.is_empty(), "no word grants nothing, and nothing grants without a word");
        let doubled = select::devices(&format!("{list},{list}"), &info).map(|twice| twice.gpus);
        assert!(selection.all || doubled == Ok(selection.gpus.clone()), "a list twice is another list");
        if let Ok(Some(gpus)) = select::to_partition("mig-config", Some(words), &selection, &info) {
            assert!(gpus.iter().all(|gpu| selection.gpus.contains(gpu) && info.gpus[*gpu].mig_capable));
        }
    }
    let _ = (InitOptions::parse(Some(words)), DriverOptions::parse(Some(words)));
    if let Ok(options) = ContainerOptions::parse(Some(words)) {
        let again = ContainerOptions::parse(Some(words.replace(' ', "  ").trim())).ok();
        assert!(again.is_none_or(|again| again == options), "blanks count");
    }
    if let Ok(channels) = imex::parse(words) {
        let text: Vec<String> = channels.iter().map(u32::to_string).collect();
        assert_eq!(imex::parse(&text.join(",")), Ok(channels));
    }
}

fn machine() -> DeviceInfo {
    let mig = |slot| MigDevice {
        uuid: format!("MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e2{slot}"),
        slot,
        gpu_instance: slot + 1,
        compute_instance: 0,
        gpu_instance_path: String::new(),
        compute_instance_path: String::new(),
    };
    let gpu = |minor: u32, parts: &[u32]| Gpu {
        model: String::new(),
        uuid: format!("GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16{minor}"),
        bus_id: format!("00000000:0{}:00.0", 7 + minor),
        arch: String::new(),
        brand: String::new(),
        node: DeviceNode { path: format!("/dev/nvidia{minor}"), major: 195, minor },
        mig_capable: !parts.is_empty(),
        mig: parts.iter().copied().map(mig).collect(),
    };
    DeviceInfo { gpus: vec![gpu(0, &[]), gpu(1, &[0, 2]), gpu(2, &[])] }
}
