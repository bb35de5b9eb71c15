//! What the library knows of machines: what the original knows (`tests/c/facts.c`).

use crate::programs::{Library, compiled, difference, lab, recorded};

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
const NEWER: &str = "libnvidia-tileiras.so";

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

/// The original's command line program, on either library.
#[test]
fn the_originals_program_runs_on_ours() {
    let Some(theirs) = Library::theirs() else { return };
    let program = theirs.folder.parent().unwrap().join("bin/nvidia-container-cli");
    let run = |library: &Library, words: &str| {
        let mut command = lab("mig");
        command.arg("env").arg(format!("LD_LIBRARY_PATH={}", library.folder.display())).arg(&program);
        let output = command.args(words.split(' ')).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        format!("{}\n{}", output.status, String::from_utf8(text).unwrap())
    };
    for words in [
        "info",
        "info --csv",
        "list",
        "list --device all",
        "list --device 0:1",
        "list --device 9",
        "list --device all --mig-config all",
        "list --binaries --libraries --compat32",
        "list --imex-channel=0",
        "--load-kmods list --ipcs",
        "--user=0:0 info",
        "--root=/absent info",
        "--ldcache=/etc/passwd list",
    ] {
        let mut left = difference(&run(&theirs, words), &run(&Library::ours(), words));
        left.retain(|line| !line.contains(NEWER));
        assert!(left.is_empty(), "{words}: {left:#?}");
    }
}
