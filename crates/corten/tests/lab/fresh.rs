//! CDI specs that have become older than the machine, and what the shim makes of them.

use crate::stage::{CREATE, Stage, assert_prints, stderr};
use serde_json::Value;

/// Writes the spec that the shim is to use.
const GENERATE: &str =
    r#"mkdir -p /etc/cdi; "$CTK" --quiet cdi generate --output=/etc/cdi/nvidia.yaml --nvidia-cdi-hook-path=/usr/bin/h"#;

/// As after a reboot in which modules were loaded in another order.
const REBOOT: &str =
    "sed 's/^511 nvidia-uvm/499 nvidia-uvm/' /proc/devices >$D/devices; mount --bind $D/devices /proc/devices";

fn stage(asked: &str) -> Stage {
    let stage = Stage::without_runtime(&["bare"]);
    stage.configure("/bin/true", "mode = 'cdi'");
    stage.ask(&[&format!("NVIDIA_VISIBLE_DEVICES={asked}")]);
    stage
}

/// Path and numbers of the container's nodes.
fn nodes(stage: &Stage) -> Vec<String> {
    let document: Value = serde_json::from_str(&stage.read("bundle/config.json")).unwrap();
    let list = document["linux"]["devices"].as_array().unwrap();
    list.iter().map(|node| format!("{} {}:{}", node["path"].as_str().unwrap(), node["major"], node["minor"])).collect()
}

/// What the log says of specs that are out of date.
fn remarks(stage: &Stage) -> usize {
    stage.read("log").matches("is older than this machine's present state").count()
}

#[test]
fn a_spec_is_used_as_it_is_while_nothing_has_changed() {
    let stage = stage("0");
    let done = stage.on(&[], &format!("{GENERATE} && echo 'garbage' >/proc/driver/corten-lab.json && {CREATE}"));
    assert_prints("NVML is not even asked", &done, "");
    assert_eq!(remarks(&stage), 0);
    assert!(nodes(&stage).contains(&"/dev/nvidia-uvm 511:0".to_owned()), "{:?}", nodes(&stage));
}

#[test]
fn another_number_of_a_node_is_noticed_and_said_once() {
    let stage = stage("0");
    let done = stage.on(
        &[],
        &format!(
            "{GENERATE} && md5sum /etc/cdi/nvidia.yaml >$D/sum && {REBOOT} && {CREATE} && md5sum --quiet -c $D/sum"
        ),
    );
    assert_prints("the file is left as it is", &done, "");
    assert_eq!(remarks(&stage), 1, "{}", stage.read("log"));
    assert!(nodes(&stage).contains(&"/dev/nvidia-uvm 499:0".to_owned()), "{:?}", nodes(&stage));
}

/// What is made anew is made as it was: with one hook, where that was asked for.
#[test]
fn one_hook_stays_one() {
    let stage = stage("0");
    let script = format!("{GENERATE} --hooks=one && {REBOOT} && {CREATE}");
    assert_prints("made anew", &stage.on(&[], &script), "");
    assert_eq!(remarks(&stage), 1, "{}", stage.read("log"));
    let document: Value = serde_json::from_str(&stage.read("bundle/config.json")).unwrap();
    let hooks = document["hooks"]["createContainer"].as_array().unwrap();
    assert_eq!((hooks.len(), hooks[0]["args"][1].as_str()), (1, Some("jobs")), "{hooks:?}");
}

/// A MIG device that was made after the spec can be asked for, and one that is gone cannot, whatever the spec says.
#[test]
fn mig_devices_come_and_go() {
    const NEW: &str = "MIG-22222222-2d0f-5a0c-9c55-0d5f7f3b7e22";
    const OLD: &str = "MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22";
    let change = format!(r#""$LAB/lab" repartition --machine $MACHINES/mig.toml --set 'gpu.0.mig.1.uuid={NEW}'"#);
    let script = format!("{GENERATE} && {change} && {CREATE}");
    let stage_new = stage(NEW);
    assert_prints(NEW, &stage_new.command_on("mig", &[], &script).output().unwrap(), "");
    assert!(nodes(&stage_new).contains(&"/dev/nvidia-caps/nvidia-cap67 236:67".to_owned()), "{:?}", nodes(&stage_new));
    let stage_old = stage(OLD);
    let done = stage_old.command_on("mig", &[], &script).output().unwrap();
    let said = stderr(&done);
    assert!(!done.status.success() && said.contains("CORTEN-E037") && said.contains(NEW), "{said}");
}

#[test]
fn a_spec_that_cannot_be_made_again_is_not_used() {
    let stage = stage("0");
    let done = stage.on(&[], &format!("{GENERATE} && rm /usr/lib/*/libcuda.so.* && {CREATE}"));
    let said = stderr(&done);
    assert!(
        !done.status.success() && said.contains("nvidia.yaml is out of date, and cannot be made again: "),
        "{said}"
    );
    assert!(said.contains("libcuda"), "{said}");
}

/// Who edits a spec takes it over. Then it is as a spec of anybody's: checked against the machine, and never replaced.
#[test]
fn an_edited_spec_is_held_to_the_machine() {
    const EDIT: &str = "sed -i 's/^    env:/&\\n        - EDITED=yes/' /etc/cdi/nvidia.yaml";
    let fits = stage("0");
    assert_prints("it fits", &fits.on(&[], &format!("{GENERATE} && {EDIT} && {CREATE}")), "");
    assert!(fits.read("bundle/config.json").contains("EDITED=yes"));
    for (what, change) in [
        ("of a mount does not exist", "rm /usr/lib/*/libcuda.so.*"),
        (
            "/dev/nvidia-uvm\\\" is 499:0, but the spec says 511:0",
            "rm /dev/nvidia-uvm && mknod /dev/nvidia-uvm c 499 0",
        ),
    ] {
        let stale = stage("0");
        let done = stale.on(&[], &format!("{GENERATE} && {EDIT} && {change} && {CREATE}"));
        let said = stderr(&done);
        assert!(!done.status.success() && said.contains("CORTEN-E038") && said.contains(what), "{what}: {said}");
    }
}

/// While NVML does not report a MIG device that the kernel has, a spec with it is better than one without. One that is wanted
/// otherwise is not compared.
#[test]
fn a_better_file_is_kept() {
    let stage = stage("all");
    let doubt = r#""$LAB/lab" describe --machine $MACHINES/mig.toml --set gpu.0.mig.1.gpu-instance=9 >/proc/driver/corten-lab.json
        rm /run/corten/nvml.json"#;
    let aloud = GENERATE.replace("--quiet ", "");
    let script = format!(
        "{GENERATE}; cp /etc/cdi/nvidia.yaml $D/good; {doubt}
         {aloud} 2>$D/said && cmp /etc/cdi/nvidia.yaml $D/good && echo kept
         {GENERATE} --no-all-device 2>/dev/null && grep -c 'name: ' /etc/cdi/nvidia.yaml"
    );
    let done = stage.command_on("mig", &[], &script).output().unwrap();
    assert_prints("of two devices one is left, by its UUID", &done, "kept\n1\n");
    let said = stage.read("said");
    assert!(said.contains("is left as it is: NVML does not report 0:1, MIG-0f6b3a52"), "{said}");
}
