//! A container that was granted one GPU cannot help itself to another.

use crate::{
    callers::group_of_the_second_gpu,
    stage::{GPU_0, RUN, Stage, assert_prints, stdout},
};
use serde_json::json;

/// The machine's params allow NVIDIA's programs to make nodes, and the container may make nodes: still nvidia-smi makes
/// none, because the container sees params that forbid it.
#[test]
fn nvidia_smi_makes_no_further_nodes() {
    for runtime in ["runc", "crun"] {
        let stage = Stage::new(&["debian"]);
        stage.configure(runtime, "");
        let script = "nvidia-smi -L && echo /dev/nvidia[0-9]* && \
                      while read -r line; do case $line in Modify*) echo $line; esac; done </proc/driver/nvidia/params; \
                      echo end";
        stage.edit(|document| document["process"]["args"] = json!(["/bin/sh", "-c", script]));
        let want = format!("{GPU_0}/dev/nvidia0\nModifyDeviceFiles: 0\nend\n");
        assert_prints(runtime, &stage.on(&[], RUN), &want);
    }
}

/// The same without the hook, which shows that the test above can fail.
#[test]
fn without_our_hook_it_would() {
    let stage = Stage::new(&["debian"]);
    let lines = "[nvidia-container-runtime.modes.jit-cdi]\nnvcdi-disable-hooks = ['disable-device-node-modification']";
    stage.configure("runc", lines);
    stage.edit(|document| {
        document["process"]["args"] = json!(["/bin/sh", "-c", "nvidia-smi -L; echo /dev/nvidia[0-9]*"])
    });
    let printed = stdout(&stage.on(&[], RUN));
    assert!(printed.ends_with("/dev/nvidia0 /dev/nvidia1\n"), "{printed}");
}

/// A runtime in a container that was given the second GPU alone: no node of the first, and nobody may make one.
#[test]
fn a_gpu_that_was_kept_back_from_the_runtime_has_no_index() {
    let stage = Stage::new(&["debian"]);
    stage.configure("runc", "");
    stage.edit(|document| document["process"]["args"] = json!(["nvidia-smi", "-L"]));
    let outer = r#"rm /dev/nvidia0
        sed 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params >"$D/params"
        mount --bind "$D/params" /proc/driver/nvidia/params"#;
    let want = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c)\n";
    for devices in ["0", "all"] {
        stage.ask(&[&format!("NVIDIA_VISIBLE_DEVICES={devices}")]);
        assert_prints(devices, &stage.on_machine("two-gpus", &format!("{outer}\n{RUN}")), want);
    }
}

/// The same where the node is there and a device group closes it, for all who look at the machine.
#[test]
fn a_gpu_that_a_group_closes_is_in_no_spec() {
    let Some(group) = group_of_the_second_gpu() else { return };
    let stage = Stage::new(&["debian"]);
    let script = format!(r#"{group} "$CTK" --quiet cdi generate | grep -o '/dev/nvidia[0-9]\|name: .*' | sort -u"#);
    let uuid = "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c";
    let want = format!("/dev/nvidia1\nname: \"0\"\nname: {uuid}\nname: all\n");
    assert_prints("cdi generate", &stage.on_machine("two-gpus", &script), &want);
}
