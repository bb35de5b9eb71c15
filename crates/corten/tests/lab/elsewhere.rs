//! Specifications of machines that are not here (`nvidia-ctk cdi generate --machine`): the same wherever they are made.

use crate::stage::{Stage, folder, stderr, stdout, without_origin};
use std::process::{Command, Output};

const FLAGS: &str = "--device-name-strategy=index,uuid,type-index";

/// Machines with all there is: MIG devices, groups of nodes, another root, nodes that do not exist.
const MACHINES: [(&str, &str); 7] = [
    ("two-gpus", "nvml management"),
    ("mig", "nvml"),
    ("mixed", "nvml management"),
    ("debian-alternatives", "nvml"),
    ("other-root", "nvml management"),
    ("old-frontend", "nvml"),
    ("eight-gpus-nvswitch", "nvml management gds mofed gdrcopy nvswitch imex"),
];

fn written(what: &str, output: &Output) -> String {
    assert!(output.status.success(), "{what}: {}{}", stdout(output), stderr(output));
    stdout(output)
}

/// Makes the specification of each mode in turn.
fn generate(modes: &str, machine: &str) -> String {
    format!(
        r#"for mode in {modes}; do
               "${{SHIM%/*}}/nvidia-ctk" --quiet cdi generate --nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook \
                   --mode=$mode {FLAGS} {machine} || exit 1
           done"#
    )
}

/// `corten inventory --json` there and `--machine` elsewhere give what `cdi generate` gives there.
#[test]
fn an_inventory_is_enough() {
    let stage = Stage::without_runtime(&["bare"]);
    for (machine, modes) in MACHINES {
        let root = if machine == "other-root" { "/run/nvidia/driver" } else { "/" };
        stage.write("config.toml", &format!("[nvidia-container-cli]\nroot = {root:?}\n"));
        let there = format!("{}; \"${{SHIM%/*}}/corten\" inventory --json >\"$D/machine.json\"", generate(modes, ""));
        let there = written(machine, &stage.command_on(machine, &[], &there).output().unwrap());
        let here = generate(modes, r#"--machine="$D/machine.json""#);
        let here = written(machine, &stage.command_on("no-gpu", &[], &here).output().unwrap());
        assert!(!here.contains("\n# corten: "), "a spec of another machine has no origin");
        assert_eq!(here, without_origin(&there), "{machine}");
        assert_eq!(there.matches("cdiVersion").count(), modes.split(' ').count(), "{machine}");
    }
}

/// A driver that was unpacked into a folder, and GPUs that somebody wrote down.
#[test]
fn a_driver_root_and_a_few_lines_are_enough() {
    let stage = Stage::without_runtime(&["bare"]);
    let copy = "mkdir \"$D/root\"; cd /run/nvidia/driver; for part in usr etc lib lib64 bin; do
                    [ ! -e $part ] || cp -a $part \"$D/root\" || exit 1; done";
    written("copy", &stage.command_on("other-root", &[], copy).output().unwrap());
    stage.write("machine.json", r#"{"gpus": [{"uuid": "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c", "minor": 3}]}"#);
    for (what, flags) in [("driver only", "none"), ("with a GPU", r#""$D/machine.json""#)] {
        let script = generate("nvml", &format!(r#"--driver-root="$D/root" --machine={flags}"#));
        let outside = |script: &str| {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", script]).env("D", stage.path("")).env("SHIM", folder("CORTEN_BIN").join("shim"));
            // Folders of the host in which programs and configuration would be looked for.
            shell.env("PATH", "/opt/cuda/bin:/usr/bin:/bin").env("XDG_DATA_DIRS", "/opt/share");
            written(what, &shell.output().unwrap())
        };
        let spec = outside(&script);
        for machine in ["no-gpu", "eight-gpus-nvswitch", "broken-nvml"] {
            let there = written(what, &stage.command_on(machine, &[], &script).output().unwrap());
            assert_eq!(
                there.replace(&shown(&stage, "root"), "R"),
                spec.replace(&shown(&stage, "root"), "R"),
                "{machine}"
            );
        }
        let libcuda = format!("- hostPath: {}/usr/lib64/libcuda.so.550.54.14\n", shown(&stage, "root"));
        assert!(spec.contains(&libcuda), "{what}: {spec}");
        assert!(spec.contains("containerPath: /usr/bin/nvidia-smi\n") && spec.contains("gsp_ga10x.bin"), "{spec}");
        assert!(!spec.contains("containerPath: /run/"), "{what}: no socket of a driver that does not run: {spec}");
        let device = if flags == "none" { "- name: none\n" } else { "- path: /dev/nvidia3\n" };
        assert!(spec.contains(device), "{what}: {spec}");
    }
}

fn shown(stage: &Stage, name: &str) -> String {
    stage.path(name).canonicalize().unwrap().display().to_string()
}

#[test]
fn mistakes_are_said_with_their_place() {
    let stage = Stage::without_runtime(&["bare"]);
    for (text, want) in [
        ("{\n  \"gpu\": []\n}", "unknown field `gpu`"),
        ("{\n  \"gpu\": []\n}", "at line 2 column 7"),
        ("{\"gpus\": [{\"uuid\": \"4cf8\"}]}", "4cf8\\\" does not begin with GPU-"),
        ("{\"gpus\": [{}]}", "no NVIDIA driver was found"),
        ("{\"driver\": {\"version\": \"550.54.14\"}}", "its files are not described. Name the folder"),
    ] {
        stage.write("machine.json", text);
        let done = stage.command_on("two-gpus", &[], &generate("nvml", r#"--machine="$D/machine.json""#)).output();
        let said = stderr(&done.unwrap());
        assert!(said.contains(want) && said.lines().count() == 1, "{text}: {said}");
    }
}
