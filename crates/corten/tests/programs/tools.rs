//! The program `corten`; and what another says to a word that it does not have.

use crate::stage::{Stage, asking, stderr, stdout};
use host::{Driver, Gpu, Inventory, Node, Platform};
use oci::{ContainerPath, HostPath};
use std::fs;

#[test]
fn programs_are_listed_one_a_line_and_can_be_called_by_word() {
    let stage = Stage::new();
    let list = stdout(&stage.run("corten", &["programs"]));
    assert_eq!(list.lines().count(), 12, "{list}");
    assert_eq!(list.lines().next(), Some("corten"));
    let output = stage.run("corten", &["nvidia-cdi-hook", "--version"]);
    assert!(stdout(&output).starts_with("NVIDIA CDI Hook version "));
}

#[test]
fn a_plan_for_another_machine_gives_every_edit_its_reason_and_changes_nothing() {
    let stage = Stage::new();
    let output = stage.run("corten", &["plan"]);
    assert_eq!(stdout(&output), "This container asks for no GPU.\n", "{}", stderr(&output));
    let spec = asking(&["NVIDIA_VISIBLE_DEVICES=GPU-4cf8db2d"]);
    stage.write("bundle/config.json", &spec);
    let text = plan(&stage).unwrap();
    assert!(text.starts_with("Mode jit-cdi: "), "{text}");
    for want in ["\nDevices\n", "/dev/nvidia1 (195:1)", "NVIDIA_VISIBLE_DEVICES=GPU-4cf8db2d", "\nEnvironment\n"] {
        assert!(text.contains(want), "{want}: {text}");
    }
    assert_eq!(stage.read("bundle/config.json"), spec);
    assert_eq!(fs::read_dir(stage.path("bundle/rootfs/usr/lib")).unwrap().count(), 0);
}

/// The same decision as the shim's, so the same codes.
#[test]
fn requests_that_a_machine_cannot_meet_have_codes() {
    for (variables, code) in [
        (&["NVIDIA_VISIBLE_DEVICES=4711"][..], "E030"),
        (&["NVIDIA_VISIBLE_DEVICES=GPU-nonsense"], "E030"),
        (&["NVIDIA_VISIBLE_DEVICES=0,nvidia.com/gpu=0"], "E036"),
        (&["NVIDIA_VISIBLE_DEVICES=0:0"], "E047"),
        (&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_CUDA=cuda=>12"], "E033"),
        (&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_DRIVER=driver>=999"], "E034"),
        (&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_REQUIRE_CUDA=cuda>=12"], "E047"),
        (&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_IMEX_CHANNELS=x"], "E036"),
        (&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_IMEX_CHANNELS=3"], "E030"),
    ] {
        let stage = Stage::new();
        stage.write("bundle/config.json", &asking(variables));
        let said = plan(&stage).unwrap_err();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&format!("[CORTEN-{code}]")), "{variables:?}: {said}");
    }
}

/// `corten plan` for a machine with one GPU: what it prints, or what it complains about.
fn plan(stage: &Stage) -> Result<String, String> {
    let node = Node {
        host: HostPath::new("/dev/nvidia1").unwrap(),
        path: ContainerPath::new("/dev/nvidia1").unwrap(),
        major: 195,
        minor: 1,
        mode: 0o666,
        uid: 0,
        gid: 0,
        exists: true,
    };
    let gpu = Gpu {
        index: 0,
        minor: 1,
        uuid: "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c".into(),
        bus_id: "0000:07:00.0".into(),
        model: "NVIDIA L4".into(),
        node,
        drm: vec![],
        drm_links: vec![],
        mig_capable: false,
        mig: vec![],
    };
    let driver = Driver { version: "550.54.14".into(), root: HostPath::root(), files: vec![] };
    let machine =
        Inventory { platform: Platform::Discrete, driver: Some(driver), gpus: vec![gpu], ..Inventory::default() };
    stage.write("machine.json", &serde_json::to_string(&machine).unwrap());
    let output = stage.run("corten", &["plan", "--bundle", ".", "--machine", &stage.text("machine.json")]);
    if output.status.success() { Ok(stdout(&output)) } else { Err(stderr(&output)) }
}

#[test]
fn a_machine_file_that_is_none_is_named() {
    let stage = Stage::new();
    stage.write("bundle/config.json", &asking(&["NVIDIA_VISIBLE_DEVICES=0"]));
    stage.write("machine.json", "{\"gpus\": 3");
    let output = stage.run("corten", &["plan", "--machine", &stage.text("machine.json")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("machine.json") && stderr(&output).contains("[CORTEN-E046]"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_command_that_the_legacy_command_line_does_not_have_is_named() {
    let output = Stage::new().run("nvidia-container-cli", &["bogus\n"]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(said.starts_with("nvidia-container-cli: there is no command \"bogus\\n\"\nUsage: "), "{said}");
}
