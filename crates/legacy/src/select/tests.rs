//! Selection, against the reference's table.

use super::*;
use crate::DeviceNode;
use proptest::prelude::*;

fn gpu(number: u32, mig: &[(&str, u32)]) -> Gpu {
    Gpu {
        model: "NVIDIA A100".into(),
        uuid: format!("GPU-0000000{number}-aaaa-bbbb-cccc-ddddeeeeffff"),
        bus_id: format!("00000000:{:02x}:00.0", 7 + number),
        arch: String::new(),
        brand: String::new(),
        node: DeviceNode { path: format!("/dev/nvidia{number}"), major: 195, minor: number },
        mig_capable: !mig.is_empty(),
        mig: mig
            .iter()
            .map(|(uuid, slot)| MigDevice {
                uuid: (*uuid).into(),
                slot: *slot,
                gpu_instance: slot + 1,
                compute_instance: 0,
                gpu_instance_path: String::new(),
                compute_instance_path: String::new(),
            })
            .collect(),
    }
}

fn machine() -> DeviceInfo {
    DeviceInfo { gpus: vec![gpu(0, &[]), gpu(1, &[("MIG-a1", 0), ("MIG-b2", 2)]), gpu(2, &[])] }
}

type Selected = (Vec<usize>, Vec<(usize, usize)>);

fn selected(list: &str) -> Result<Selected, String> {
    devices(list, &machine()).map(|found| (found.gpus, found.mig)).map_err(|error| error.to_string())
}

#[test]
fn every_spelling_names_its_device() {
    for (list, gpus, mig) in [
        ("", vec![], vec![]),
        (",,", vec![], vec![]),
        ("0", vec![0], vec![]),
        ("2,0,2,00", vec![2, 0], vec![]),
        ("gpu-00000001-AAAA-bbbb-cccc-ddddeeeeffff", vec![1], vec![]),
        ("0000:07:00.0,00000000:9:0.0", vec![0, 2], vec![]),
        ("1", vec![1], vec![]),
        ("1:0", vec![1], vec![(1, 0)]),
        ("mig-B2,0,1:2", vec![1, 0], vec![(1, 1)]),
        ("0,all,nonsense", vec![0, 1, 2], vec![(1, 0), (1, 1)]),
        ("ALL", vec![0, 1, 2], vec![(1, 0), (1, 1)]),
    ] {
        assert_eq!(selected(list), Ok((gpus, mig)), "{list}");
    }
}

/// As in the runtime's own modes: it reads these names first and hands them on as they are.
#[test]
fn names_of_the_runtime_are_names_here() {
    for (list, gpus, mig) in [
        ("GPU-00000001", vec![1], vec![]),
        ("gpu-00000002-AAAA-b,1", vec![2, 1], vec![]),
        ("MIG-GPU-00000001-aaaa-bbbb-cccc-ddddeeeeffff/3/0", vec![1], vec![(1, 1)]),
        ("mig-gpu-00000001-aaaa-bbbb-cccc-ddddeeeeFFFF/1/0,1:2", vec![1], vec![(1, 0), (1, 1)]),
    ] {
        assert_eq!(selected(list), Ok((gpus, mig)), "{list}");
    }
    let mut info = machine();
    info.gpus[1].mig[0].uuid = "MIG-11111111-aaaa-bbbb-cccc-ddddeeeeffff".into();
    info.gpus[1].mig[1].uuid = "MIG-11111111-aabb-bbbb-cccc-ddddeeeeffff".into();
    assert_eq!(devices("MIG-11111111-aab", &info).map(|found| found.mig), Ok(vec![(1, 1)]));
    let several = devices("0,MIG-11111111-aa", &info).map_err(|error| error.to_string());
    assert_eq!(
        several,
        Err("MIG-11111111-aa: fits several devices: MIG-11111111-aaaa-bbbb-cccc-ddddeeeeffff, \
             MIG-11111111-aabb-bbbb-cccc-ddddeeeeffff; write more of the UUID"
            .to_owned())
    );
}

#[test]
fn other_texts_name_nothing() {
    for item in [
        "3",
        "0:9",
        "1:1",
        "GPU-",
        "GPU-0000000",
        "GPU-00000003",
        "MIG-GPU-00000001-aaaa-bbbb-cccc-ddddeeeeffff/2/0",
        "MIG-GPU-00000001/1/0",
        "07:00.0",
        "0000:07:00",
        "0000:07:00.1",
        "none",
        "-1",
        "+1",
        " 0",
        "MIG-c",
        "1:",
    ] {
        assert_eq!(selected(item), Err(format!("{item}: unknown device")), "{item}");
    }
    assert_eq!(devices("anything", &DeviceInfo::default()), Ok(Selection::default()));
}

#[test]
fn partitioning_is_for_all_or_for_none() {
    let info = machine();
    let partition = |device: &str, list: Option<&str>| {
        to_partition("mig-config", list, &devices(device, &info).unwrap(), &info).map_err(|error| error.to_string())
    };
    assert_eq!(partition("all", Some("all")), Ok(Some(vec![1])));
    assert_eq!(partition("0,1", Some("ALL,all")), Ok(Some(vec![1])));
    assert_eq!(partition("0", Some("all")), Ok(Some(vec![])));
    for nothing_said in [None, Some(""), Some(",")] {
        assert_eq!(partition("all", nothing_said), Ok(None), "{nothing_said:?}");
        assert_eq!(partition("1:0", nothing_said), Ok(None), "{nothing_said:?}");
    }
    assert_eq!(partition("all", Some("0")), Err("0: only 'all' devices are currently supported".into()));
    assert_eq!(
        partition("1:0", Some("all")),
        Err("all: cannot enable mig-config with specific MIG devices selected".into())
    );
}

proptest! {
    #[test]
    fn selects_nothing_twice_and_nothing_that_is_not_there(list in "([0-9a-gA-GIMPU:.,-]|all|GPU-|MIG-|\\.0){0,12}") {
        if let Ok(found) = devices(&list, &machine()) {
            let mut gpus = found.gpus.clone();
            gpus.sort_unstable();
            gpus.dedup();
            prop_assert_eq!(gpus.len(), found.gpus.len());
            prop_assert!(gpus.iter().all(|gpu| *gpu < 3));
            prop_assert!(found.mig.iter().all(|(gpu, _)| found.gpus.contains(gpu)));
        }
    }
}
