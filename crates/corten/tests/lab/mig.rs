//! MIG: containers that partition GPUs, the ways to name a MIG device, and machines that are partitioned anew between two
//! starts.

use crate::stage::{RUN, Stage, assert_prints, stderr, stdout};
use serde_json::json;

const OLD: &str = "MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22";
const NEW: &str = "MIG-11111111-2d0f-5a0c-9c55-0d5f7f3b7e22";

/// Puts the bundle back, asking for this device, and starts it.
fn starting(device: &str) -> String {
    format!(
        r#"sed "s,NVIDIA_VISIBLE_DEVICES=0,NVIDIA_VISIBLE_DEVICES={device}," "$D/first" >"$B/config.json" && {RUN}"#
    )
}

/// Keeps the bundle, for [`starting`].
const KEEP: &str = r#"cp "$B/config.json" "$D/first""#;

/// Shows what the container has of MIG's capabilities: how many nodes, which of some, whether they open, and the kernel's
/// own file.
const LOOK: &str = r#"
    set -- /dev/nvidia-caps/*; echo "$# nodes"
    for minor in 1 2 12 13 67 137 138; do
        file=/dev/nvidia-caps/nvidia-cap$minor
        [ -c $file ] && echo "$minor $( (: <$file) 2>&1 | { read -r line; echo "${line##*: }"; } )"
    done
    for name in config monitor; do
        { read -r line </proc/driver/nvidia/capabilities/mig/$name; } && echo "$name $line"
    done
"#;

fn partitioning(variables: &[&str], privileged: bool) -> Stage {
    let stage = Stage::new(&["debian"]);
    stage.ask(variables);
    stage.edit(|document| {
        document["process"]["args"] = json!(["/bin/sh", "-c", LOOK]);
        if privileged {
            for set in ["bounding", "effective", "permitted"] {
                document["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN"));
            }
        }
    });
    stage
}

/// The GPU has places for 135 instances; two of each kind exist.
#[test]
fn privileged_containers_may_partition_what_they_were_granted() {
    let opens = |minors: &[u32]| -> String {
        minors.iter().map(|minor| format!("{minor} No such device or address\n")).collect()
    };
    let kernel = "config DeviceFileMinor: 1\nmonitor DeviceFileMinor: 2\n";
    for runtime in ["runc", "crun"] {
        for (variables, nodes, minors) in [
            (&["NVIDIA_MIG_CONFIG_DEVICES=all"][..], 136, &[1, 12, 13, 67, 137][..]),
            (&["NVIDIA_MIG_MONITOR_DEVICES=all"], 136, &[2, 12, 13, 67, 137]),
            (&["NVIDIA_MIG_CONFIG_DEVICES=all", "NVIDIA_MIG_MONITOR_DEVICES=all"], 137, &[1, 2, 12, 13, 67, 137]),
            // One name of a pattern that nothing fits.
            (&[], 1, &[]),
            (&["NVIDIA_VISIBLE_DEVICES=none", "NVIDIA_MIG_CONFIG_DEVICES=all"], 1, &[]),
        ] {
            let stage = partitioning(variables, true);
            stage.configure(runtime, "");
            let want = format!("{nodes} nodes\n{}{kernel}", opens(minors));
            assert_prints(&format!("{runtime} {variables:?}"), &stage.on_machine("mig", RUN), &want);
        }
    }
}

#[test]
fn what_goes_beyond_is_refused() {
    for (variables, privileged, code, says) in [
        (
            &["NVIDIA_MIG_CONFIG_DEVICES=all"][..],
            false,
            "E035",
            "cannot set MIG_CONFIG_DEVICES in non privileged container",
        ),
        (
            &["NVIDIA_MIG_MONITOR_DEVICES=all"],
            false,
            "E035",
            "cannot set MIG_MONITOR_DEVICES in non privileged container",
        ),
        (
            &["NVIDIA_MIG_CONFIG_DEVICES=0"],
            true,
            "E036",
            "mig-config error: 0: only 'all' devices are currently supported",
        ),
        (
            &["NVIDIA_VISIBLE_DEVICES=0:0", "NVIDIA_MIG_MONITOR_DEVICES=all"],
            true,
            "E036",
            "mig-monitor error: all: cannot enable mig-monitor with specific MIG devices selected",
        ),
    ] {
        let done = partitioning(variables, privileged).on_machine("mig", RUN);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{variables:?}: {said}");
        assert!(said.contains(says) && said.ends_with(&format!("[CORTEN-{code}]\"\n")), "{variables:?}: {said}");
    }
}

#[test]
fn a_mig_device_has_several_names() {
    let mut script = KEEP.to_owned();
    let parent = "4cf8db2d-06c0-7d70-1a51-e59b25b2c16c";
    let names = ["0:1".to_owned(), OLD.to_owned(), OLD[..12].to_owned(), format!("MIG-GPU-{parent}/7/0")];
    for name in &names {
        script += &format!("\n{} | grep -c {OLD}", starting(name));
    }
    script += &format!(
        "\nfor name in {}; do \"$CTK\" --quiet cdi generate --no-all-device --device-id=$name \
         --device-name-strategy=index,uuid | grep -A1 'name:' | grep -o 'name: .*'; done",
        names.join(" ")
    );
    let described = format!("name: \"0:1\"\nname: {OLD}\n").repeat(names.len());
    let done = Stage::new(&["debian"]).on_machine("mig", &script);
    assert_prints("names", &done, &format!("{}{described}", "1\n".repeat(names.len())));
}

/// NVML's answers are kept between starts; a device that is made, removed, or made anew under its old ids shows all the
/// same.
#[test]
fn partitioning_anew_between_two_starts_is_seen() {
    let repartition = r#""$LAB/lab" repartition --machine "$MACHINES/mig.toml""#;
    let with_new = format!("{repartition} --set gpu.0.mig.1.uuid={NEW}");
    let elsewhere = format!("{with_new} --set gpu.0.mig.1.gpu-instance=8");
    for (what, change) in [("another instance", elsewhere), ("an instance with the same ids", with_new)] {
        let script = format!(
            "{KEEP}\n{start_old} | grep -c {OLD}\n{change} && {start_new} | grep -c {NEW}\n{start_old} 2>&1",
            start_old = starting(OLD),
            start_new = starting(NEW)
        );
        let done = Stage::new(&["debian"]).on_machine("mig", &script);
        let said = stdout(&done);
        assert!(said.starts_with("1\n1\n") && done.status.code() == Some(1), "{what}: {said}{}", stderr(&done));
        assert!(
            said.contains(&format!(
                "{OLD}\\\", which is an unknown device. Name one that this machine has: GPU 0 (GPU-"
            )) && said.contains(&format!("MIG device 0:1 ({NEW})")),
            "{what}: {said}"
        );
    }
}
