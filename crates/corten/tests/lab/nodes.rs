//! A container that was granted one GPU cannot help itself to another.

use crate::stage::{GPU_0, RUN, Stage, assert_prints, stdout};
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
