//! What the original does not do: no hooks, reasons, no giving up at one bad device; and parts by memory.

use super::*;

#[test]
fn one_hook_does_the_work_of_all() {
    let several = spec(&machine(), &options(SpecMode::Nvml)).unwrap();
    let one = spec(&machine(), &SpecOptions { single_hook: true, ..options(SpecMode::Nvml) }).unwrap();
    one.validate().unwrap();
    let [hook] = &*one.container_edits.hooks else { panic!("{:?}", one.container_edits.hooks) };
    // Every word of the others, in their order.
    let words = several.container_edits.hooks.iter().flat_map(|hook| &hook.args[2..]);
    let words: Vec<&String> = words.collect();
    assert_eq!(hook.args[..3], ["nvidia-ctk", "hook", "jobs"]);
    assert_eq!(hook.args[3..].iter().collect::<Vec<_>>(), words);
    assert_eq!(hook.env, several.container_edits.hooks[0].env);
    // Links of single devices are nodes, as a hook for each device would be a process for each.
    assert!(several.devices[0].container_edits.hooks.len() == 1 && one.devices[0].container_edits.hooks.is_empty());
    let nodes = one.devices[0].container_edits.device_nodes.iter().map(|node| node.path.as_str());
    assert_eq!(nodes.filter(|path| path.contains("by-path")).count(), 1);
    assert_eq!(one.container_edits.mounts, several.container_edits.mounts);
    let alone = HookSwitches { all_disabled: true, enabled: vec![HookName::UpdateLdcache], ..HookSwitches::default() };
    let alone = SpecOptions { single_hook: true, hooks: alone, ..options(SpecMode::Nvml) };
    let alone = spec(&machine(), &alone).unwrap();
    assert_eq!(alone.container_edits.hooks[0].args[2], "update-ldcache", "one alone needs no joining");
}

#[test]
fn without_hooks_links_are_mounts_and_nodes() {
    let mut machine = machine();
    machine.modify_device_files = true;
    let folders = ["/usr/lib64", "/usr/lib"].map(|path| ContainerPath::new(path).unwrap()).to_vec();
    let enabled = vec![HookName::CreateSymlinks];
    let hooks = HookSwitches { enabled, ..HookSwitches::default() };
    let draft = draft(&machine, &SpecOptions { hookless: Some(folders), hooks, ..options(SpecMode::Nvml) }).unwrap();
    let spec = draft.spec();
    spec.validate().unwrap();
    assert!(spec.all_edits().all(|edits| edits.hooks.is_empty()), "{spec:?}");
    let nodes: Vec<_> = spec.devices[0].container_edits.device_nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(nodes, ["/dev/nvidia0", "/dev/dri/card0", "/dev/dri/by-path/pci-0000:00:00.0-card"]);
    let by_path = &spec.devices[0].container_edits.device_nodes[2];
    assert_eq!((by_path.host_path.as_deref(), by_path.major), (Some("/dev/dri/card0"), Some(226)));
    let libraries = spec.container_edits.mounts.iter().filter(|mount| mount.host_path.contains("/usr/lib64/"));
    let names: Vec<_> = libraries.map(|mount| mount.container_path.as_str()).collect();
    expect![[r#"
        /usr/lib/libcuda.so
        /usr/lib/libcuda.so.1
        /usr/lib/libnvidia-allocator.so.1
        /usr/lib/libnvidia-egl-gbm.so.1
        /usr/lib/libnvidia-ml.so.1
        /usr/lib64/libcuda.so
        /usr/lib64/libcuda.so.1
        /usr/lib64/libcuda.so.550.54.14
        /usr/lib64/libnvidia-allocator.so.1
        /usr/lib64/libnvidia-allocator.so.550.54.14
        /usr/lib64/libnvidia-egl-gbm.so.1
        /usr/lib64/libnvidia-egl-gbm.so.1.1.1
        /usr/lib64/libnvidia-ml.so.1
        /usr/lib64/libnvidia-ml.so.550.54.14
        /usr/lib/gbm/nvidia-drm_gbm.so
        /usr/lib64/gbm/nvidia-drm_gbm.so"#]]
    .assert_eq(&names.join("\n"));
    assert!(draft.remarks[0].starts_with("without hooks nothing keeps programs"), "{:?}", draft.remarks);
}

#[test]
fn what_cannot_be_described_does_not_spoil_the_rest() {
    let names = |machine: &Inventory, ids: &[&str]| {
        let devices = ids.iter().map(|&id| id.to_owned()).collect();
        let draft = draft(machine, &SpecOptions { devices, ..options(SpecMode::Nvml) })?;
        let names: Vec<_> = draft.devices.iter().flat_map(|device| device.names.clone()).collect();
        Ok((names.join(" "), draft.remarks.join("; ")))
    };
    fn facts(machine: &mut Inventory) -> &mut Vec<GpuFacts> {
        &mut machine.nvml.as_mut().unwrap().gpus
    }
    type Damage = fn(&mut Inventory);
    let damages: [(Damage, &str, &str); 4] = [
        (|machine| facts(machine)[1].mig.clear(), "0", "the MIG device of GPU instance 2, compute instance 0 of GPU 1"),
        (
            |machine| machine.gpus[1].mig.clear(),
            "0",
            "MIG device 1:3 (MIG-5d6b9f0e-7c0e-5b7e-8b1c-1f0f4ad6c333) is left",
        ),
        (|machine| _ = facts(machine).remove(0), "1:3", "GPU 0 (GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c) is left out"),
        (|machine| _ = facts(machine).remove(1), "0", "the MIG device of GPU instance 2, compute instance 0 of GPU 1"),
    ];
    for (damage, left, said) in damages {
        let mut machine = machine();
        damage(&mut machine);
        let (found, remarks) = names(&machine, &["all"]).unwrap();
        assert_eq!(found, left, "{remarks}");
        assert!(remarks.starts_with(said), "{remarks}");
    }
    let mut machine = machine();
    facts(&mut machine).clear();
    let error = names(&machine, &["all"]).unwrap_err();
    assert!(matches!(&error, SpecError::NothingLeft { left_out } if left_out.contains("GPU 0")), "{error}");
    let old_name = format!("MIG-{CUT}/2/0");
    assert!(matches!(names(&machine, &[&old_name]).unwrap_err(), SpecError::Unnamed { gpu: 1, .. }));
    machine.gpus[0].model = "NVIDIA DGX Display".to_owned();
    assert_eq!(names(&machine, &["0"]).unwrap().0, "0", "by its name it can be had");
}

#[test]
fn parts_are_gpus_that_share_memory_and_those_that_do_not() {
    let mut machine = machine();
    let parts = |machine: &Inventory, coherent| {
        let draft = draft(machine, &SpecOptions { coherent, all_device: true, ..options(SpecMode::Nvml) }).unwrap();
        let shown = |part: Part| {
            let spec = part.spec?;
            spec.validate().unwrap();
            let names: Vec<_> = spec.devices.into_iter().map(|device| device.name).collect();
            Some(format!("{} {} {}", spec.kind, spec.cdi_version, names.join(" ")))
        };
        draft.parts().into_iter().map(|part| (part.name, shown(part))).collect::<Vec<_>>()
    };
    assert_eq!(parts(&machine, false), []);
    let rest = Some("nvidia.com/gpu.noncoherent 0.7.0 0 all".to_owned());
    assert_eq!(parts(&machine, true), [("coherent", None), ("noncoherent", rest)]);
    machine.nvml.as_mut().unwrap().gpus[0].addressing = Some(host::Addressing::Ats);
    let shared = Some("nvidia.com/gpu.coherent 0.7.0 0 all".to_owned());
    assert_eq!(parts(&machine, true), [("coherent", shared), ("noncoherent", None)]);
    let asked = SpecOptions { coherent: true, devices: vec!["0".to_owned()], ..options(SpecMode::Nvml) };
    assert!(needs_nvml(&Inventory { nvml: None, ..machine }, &asked));
}

#[test]
fn a_driver_without_libcuda_is_for_managers_only() {
    let mut machine = machine();
    machine
        .driver
        .as_mut()
        .unwrap()
        .files
        .retain(|file| file.path.file_name() != "libcuda.so.550.54.14" || !file.path.as_str().contains("lib64"));
    machine.remarks =
        vec!["There is no libcuda.so.550.54.14 in the folders that were searched: /usr/lib64.".to_owned()];
    let error = spec(&machine, &options(SpecMode::Nvml)).unwrap_err().to_string();
    let want = "driver 550.54.14 was found under /, but without libcuda.so.550.54.14 (There is no libcuda.so.550.54.14 in \
                the folders that were searched: /usr/lib64);";
    assert!(error.starts_with(want), "{error}");
    spec(&machine, &options(SpecMode::Management)).unwrap();
}

#[test]
fn every_part_has_a_reason() {
    let draft = draft(&machine(), &options(SpecMode::Nvml)).unwrap();
    let reasons = |edits: &crate::SpecEdits| -> Vec<crate::Reason> {
        let mounts = edits.mounts.iter().map(|mount| mount.reason.clone());
        let nodes = edits.devices.iter().map(|node| node.reason.clone());
        mounts.chain(nodes).chain(edits.hooks.iter().map(|hook| hook.reason.clone())).collect()
    };
    let part = reasons(&draft.devices[1].edits).iter().map(ToString::to_string).collect::<Vec<_>>();
    expect![[r#"
        node of GPU 1, whose part it is (--device-id=all)
        opens GPU instance 2 of GPU 1 (--device-id=all)
        opens compute instance 0 of GPU 1 (--device-id=all)"#]]
    .assert_eq(&part.join("\n"));
    let common = reasons(&draft.common);
    assert_eq!(common.len(), draft.spec().container_edits.mounts.len() + 2 + 6);
    assert!(common.iter().all(|reason| reason.request == "--mode=nvml" && !reason.rule.is_empty()), "{common:?}");
}

/// After boot the kernel learns a GPU's UUID when the GPU is first used.
#[test]
fn gpus_that_have_not_been_used_get_their_names_from_nvml() {
    let mut used = machine();
    let facts = used.nvml.as_mut().unwrap();
    for (facts, gpu) in facts.gpus.iter_mut().zip(&used.gpus) {
        facts.bus_id.clone_from(&gpu.bus_id);
    }
    let strategies = vec![NameStrategy::Index, NameStrategy::Uuid];
    let asked = SpecOptions { strategies, ..options(SpecMode::Nvml) };
    let mut unused = Inventory { nvml: None, ..used.clone() };
    for gpu in &mut unused.gpus {
        gpu.uuid.clear();
        gpu.mig_capable = false;
    }
    assert!(needs_nvml(&unused, &asked));
    let by_index = SpecOptions { devices: vec!["0".to_owned()], ..asked.clone() };
    assert!(needs_nvml(&unused, &by_index) && !needs_nvml(&Inventory { nvml: None, ..used.clone() }, &by_index));
    unused.learn(used.nvml.clone().unwrap());
    assert_eq!(spec(&unused, &asked).unwrap(), spec(&used, &asked).unwrap());
}
