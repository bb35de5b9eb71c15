//! What the library knows of machines: what the original knows (`tests/c/facts.c`).

use crate::programs::{Library, compiled, compiled_from, difference, dist, lab, recorded};

const MACHINES: [&str; 7] = ["two-gpus", "mig", "mixed", "eight-gpus-nvswitch", "small", "no-gpu", "broken-nvml"];

/// Parts that only ours sees: the original stops at the first empty slot (D-142).
const BEHIND_A_HOLE: [(&str, &[&str]); 1] = [(
    "mixed",
    &[
        "+  /dev/nvidia-caps/nvidia-cap237 236:237",
        "+  /dev/nvidia-caps/nvidia-cap238 236:238",
        "+  part 2: MIG-7b2d3e4f-9a1b-5e5c-8b7d-3c8f6d0e2555, 11, 0, 1",
    ],
)];

/// Newer than the original that was recorded; releases from 1.19 on have it.
pub const NEWER: &str = "libnvidia-tileiras.so";

fn facts(library: &Library, machine: &str) -> String {
    let options = ["no-uvm no-mps", "no-glvnd no-modeset no-persistenced no-fabricmanager no-gsp-firmware", "no-such"];
    library.run(machine, &compiled("facts", &[]), &options)
}

#[test]
fn every_machine_is_seen_as_by_the_original() {
    for machine in MACHINES {
        let theirs = recorded(&format!("facts-{machine}"), |library| facts(library, machine));
        let ours = facts(&Library::ours(), machine);
        let mut left = difference(&theirs, &ours);
        // One more library, so another count of them.
        let before = left.len();
        left.retain(|line| !line.contains(NEWER));
        if left.len() < before {
            left.retain(|line| !line[1..].starts_with("libraries: "));
        }
        let behind = BEHIND_A_HOLE.iter().find(|(with, _)| *with == machine).map_or(&[][..], |(_, lines)| lines);
        assert_eq!(left, behind, "{machine}");
        assert!(ours.lines().count() > 0, "{machine}");
    }
}

/// A job of a batch system has the second GPU's node and not the first's: for NVML there is one GPU, and so for us.
#[test]
fn a_gpu_without_a_node_is_none() {
    let program = compiled("facts", &[]);
    let facts = |command: &str| {
        let script = format!(r#"{command}; export LD_LIBRARY_PATH="$0"; exec "$@""#);
        let mut lab = lab("two-gpus");
        let output = lab.args(["sh", "-c", &script]).arg(dist().join("lib")).arg(&program).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let uuids = |facts: &str| {
        let gpus = facts.lines().filter(|line| line.contains(", GPU-"));
        gpus.map(|line| line.split(", ").skip(1).take(4).collect::<Vec<_>>().join(", ")).collect::<Vec<_>>()
    };
    let both = uuids(&facts("true"));
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(uuids(&facts("rm /dev/nvidia0")), both[1..]);
}

/// The example of the documentation is a program.
#[test]
fn the_documented_program_lists_gpus() {
    let text = include_str!("../../../../docs/c-library.md");
    let code: Vec<_> = text.lines().skip_while(|line| !line.starts_with("    #include")).collect();
    let code: Vec<_> =
        code.iter().map_while(|line| line.strip_prefix("    ").or(line.is_empty().then_some(""))).collect();
    let end = code.iter().position(|line| *line == "}").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("documented.c");
    std::fs::write(&source, code[..=end].join("\n") + "\n").unwrap();
    let said = Library::ours().run("two-gpus", &compiled_from(&source, &[]), &[]);
    assert_eq!(said.matches("GPU-").count(), 2, "{said}");
}
