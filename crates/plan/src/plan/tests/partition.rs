//! Containers that may partition GPUs, or watch how they are partitioned.

use super::*;

#[test]
fn partitioning_brings_the_capabilities_of_the_granted_gpus() {
    let caps = |env: &str| {
        let edits = planned(&format!("NVIDIA_VISIBLE_DEVICES={env}"))?;
        let name = |path: &str| path.strip_prefix("/dev/nvidia-caps/nvidia-cap").map(str::to_owned);
        let caps: Vec<_> = devices(&edits).into_iter().filter_map(name).collect();
        Ok::<_, String>((caps.join(" "), edits.remarks.join("; ")))
    };
    let (config, monitor) = ("NVIDIA_MIG_CONFIG_DEVICES", "NVIDIA_MIG_MONITOR_DEVICES");
    let idle = "grants nothing: no granted GPU can be partitioned";
    for (env, want, remark) in [
        (format!("2 {config}=all"), "1 273 274 282 283 291", String::new()),
        (format!("2 {monitor}=ALL,,all"), "2 273 274 282 283 291", String::new()),
        (format!("all {config}=all {monitor}=all"), "273 274 282 283 1 291 2", String::new()),
        (format!("2 {config}="), "", String::new()),
        (format!("2 {config}=,"), "", String::new()),
        (format!("0,1 {config}=all"), "", format!("{config}=all {idle}")),
        (format!("none {monitor}=all"), "", format!("{monitor}=all {idle}")),
    ] {
        assert_eq!(caps(&env), Ok((want.to_owned(), remark)), "{env}");
    }
    for (env, want) in [
        (format!("2 {config}=0"), "mig-config error: 0: only 'all' devices are currently supported; set NVIDIA_MIG_C"),
        (format!("2 {monitor}=all,2:0"), "mig-monitor error: 2:0: only 'all' devices are currently supported"),
        (
            format!("0,2:0 {config}=all"),
            "mig-config error: all: cannot enable mig-config with specific MIG devices selected (NVIDIA_VISIBLE_DEVICES=2:0)",
        ),
        (format!("MIG-33333333 {monitor}=all"), "mig-monitor error: all: cannot enable mig-monitor with specific MIG"),
        (format!("MIG-{}/1/0 {config}=all", UUIDS[2]), "mig-config error: all: cannot enable mig-config with specific"),
    ] {
        let error = caps(&env).expect_err(&env);
        assert!(error.starts_with(want), "{env}: {error}");
    }
}

/// Whoever is to cut GPUs into MIG devices gets those that have none yet, and nobody needs NVML to know that.
#[test]
fn gpus_without_mig_devices_can_be_partitioned() {
    let mut idle = machine();
    idle.nvml = None;
    idle.gpus[2].mig.clear();
    let env = "NVIDIA_VISIBLE_DEVICES=all NVIDIA_MIG_CONFIG_DEVICES=all";
    assert_eq!(needs_nvml(&asked(env, &Config::default()), &idle), None);
    let edits = planned_with(env, &idle, "", &layout()).expect("planned");
    for path in ["/dev/nvidia2", "/dev/nvidia-caps/nvidia-cap1", "/dev/nvidia-caps/nvidia-cap273"] {
        assert!(devices(&edits).contains(&path), "{path}");
    }
    let made = edits.spec.devices.iter().find(|device| device.what.path.ends_with("cap291")).expect("cap291");
    let numbers = (made.what.major, made.what.minor, made.what.file_mode);
    assert_eq!(numbers, (Some(236), Some(291), Some(0o444)));
    assert_eq!(
        made.reason.to_string(),
        "capability 291 belongs to an instance of GPU 2 (NVIDIA_MIG_CONFIG_DEVICES=all)"
    );
    let unnumbered = Inventory { nodes: SharedNodes { mig_config: None, ..idle.nodes.clone() }, ..idle };
    let edits = planned_with(env, &unnumbered, "", &layout()).expect("planned");
    assert_eq!(
        edits.remarks,
        ["NVIDIA_MIG_CONFIG_DEVICES=all grants nothing: the kernel has no capability node for it"]
    );
}
