//! Specifications without hooks (`nvidia-ctk cdi generate --hooks=none`): their edits put into a plain bundle, which a
//! plain low-level runtime starts. Nothing of ours runs at that start.

use crate::stage::{GPU_0, RUNTIMES, Stage, assert_prints, stderr};
use serde_json::{Value, json};

/// What the machine's specification says about its first GPU and about all, with these flags.
fn edits(stage: &Stage, flags: &str) -> Vec<Value> {
    let script = format!("\"${{SHIM%/*}}/nvidia-ctk\" --quiet cdi generate --hooks=none --format=json {flags}");
    let done = stage.on(&["driver.size=full"], &script);
    let spec: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", stderr(&done)));
    let devices = spec["devices"].as_array().unwrap();
    let device = devices.iter().find(|device| device["name"] == "0").unwrap();
    vec![spec["containerEdits"].clone(), device["containerEdits"].clone()]
}

/// As the CDI specification has it, for the kinds of edits that such specifications hold.
fn apply(document: &mut Value, edits: &Value) {
    let list = |key: &str| edits[key].as_array().cloned().unwrap_or_default();
    assert_eq!(list("hooks"), [] as [Value; 0]);
    let push = |list: &mut Value, item: Value| match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    };
    for mount in list("mounts") {
        let mount = json!({
            "destination": mount["containerPath"], "source": mount["hostPath"],
            "type": "bind", "options": mount["options"],
        });
        push(&mut document["mounts"], mount);
    }
    for node in list("deviceNodes") {
        let number = |key: &str| node[key].as_i64().unwrap_or(0);
        let (major, minor) = (number("major"), number("minor"));
        let device = json!({
            "path": node["path"], "type": "c", "major": major, "minor": minor, "fileMode": number("fileMode"),
        });
        push(&mut document["linux"]["devices"], device);
        let rule = json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm"});
        push(&mut document["linux"]["resources"]["devices"], rule);
    }
    for variable in list("env") {
        push(&mut document["process"]["env"], variable);
    }
}

/// Starts the bundle without any shim.
fn start(runtime: &str) -> String {
    format!(r#"{runtime} --root "$D/state" run --bundle "$B" "$ID""#)
}

fn prepared(root: &[&str], flags: &str) -> Stage {
    let stage = Stage::new(root);
    let edits = edits(&stage, flags);
    stage.edit(|document| edits.iter().for_each(|edits| apply(document, edits)));
    stage
}

/// The loader in these roots is this machine's, so what Fedora's finds in `/usr/lib64` is found in `/usr/lib` here.
#[test]
fn nvidia_smi_works_in_every_distribution_with_glibc() {
    for root in [&["debian"][..], &["debian", "--no-cache"], &["rhel"], &["arch"], &["arch", "--abs-links"]] {
        for runtime in RUNTIMES {
            let stage = prepared(root, "");
            let done = stage.on(&["driver.size=full"], &start(runtime));
            assert_prints(&format!("{root:?} {runtime}"), &done, GPU_0);
        }
    }
}

/// Drivers that lie where no container's loader looks: in a folder of Debian's alternatives, below another root.
#[test]
fn a_driver_may_lie_anywhere() {
    for (machine, flags) in [("debian-alternatives", ""), ("other-root", "--driver-root=/run/nvidia/driver")] {
        for (root, runtime) in [("debian", "runc"), ("rhel", "crun"), ("arch", "runc")] {
            let stage = Stage::new(&[root]);
            let script = format!("\"${{SHIM%/*}}/nvidia-ctk\" --quiet cdi generate --hooks=none --format=json {flags}");
            let done = stage.command_on(machine, &[], &script).output().unwrap();
            let spec: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", stderr(&done)));
            stage.edit(|document| {
                apply(document, &spec["containerEdits"]);
                apply(document, &spec["devices"][0]["containerEdits"]);
            });
            let done = stage.command_on(machine, &[], &start(runtime)).output().unwrap();
            assert_prints(&format!("{machine} {root} {runtime}"), &done, GPU_0);
        }
    }
}

/// Libraries lie under each name where the loader of such a root looks: musl's in `/usr/lib`.
#[test]
fn roots_without_glibc_have_the_files_and_the_device() {
    for root in ["alpine", "bare"] {
        for runtime in RUNTIMES {
            let stage = prepared(&[root], "");
            stage.edit(|document| {
                document["process"]["args"] = json!(["/lab-probe"]);
                let probe = std::env::var("CORTEN_LAB").unwrap_or_default() + "/lab-probe-static";
                let mounts = document["mounts"].as_array_mut().unwrap();
                mounts.push(json!({"destination": "/lab-probe", "type": "bind", "options": ["bind"], "source": probe}));
            });
            let done = stage.on(&["driver.size=full"], &start(runtime));
            let seen: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", stderr(&done)));
            assert_eq!(seen["devices"]["/dev/nvidia0"]["open"], "ENXIO", "{root} {runtime}: granted");
            let tree = stage.tree();
            for name in ["usr/lib/libcuda.so.1", "usr/lib/libcuda.so", "usr/lib/gbm/nvidia-drm_gbm.so"] {
                assert!(tree.keys().any(|path| path.to_string_lossy() == name), "{root} {runtime}: no {name}");
            }
        }
    }
}

/// What it costs. A driver with hooks is 73 mounts on this machine.
#[test]
fn each_name_is_one_mount() {
    let stage = Stage::new(&["bare"]);
    let mounts = |flags: &str| edits(&stage, flags)[0]["mounts"].as_array().unwrap().len();
    let flag = "--container-library-folder";
    assert_eq!(mounts(&format!("{flag}=")), 117, "under each name in the driver's folder");
    assert_eq!(mounts(&format!("{flag}=/usr/lib64")), 117 + 62, "and in another folder under those that are asked for");
    assert_eq!(mounts(""), 117 + 2 * 62, "and in the two that are usual");
}
