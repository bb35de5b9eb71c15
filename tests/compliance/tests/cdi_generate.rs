//! `nvidia-ctk cdi generate` on the lab's machines: our specifications are the original's, byte for byte, but for what
//! `docs/differences.md` lists.
//!
//! What the original wrote is recorded in `facts/cdi-generate`. Where `CORTEN_THEIRS` names its programs, they run too and
//! must still write that; with `CORTEN_RECORD` set, what they write is recorded anew.

use compliance::{
    outer, programs,
    specs::{as_in_the_root, without_more_files, without_origin},
};
use std::{env, fs, path::PathBuf};

/// What is recorded as, the machine, and the flags.
const CASES: &[(&str, &str, &str)] = &[
    ("two-gpus", "two-gpus", ""),
    ("small", "small", ALL_NAMES),
    ("mig", "mig", ALL_NAMES),
    ("mixed", "mixed", ALL_NAMES),
    ("mixed-ids", "mixed", "--device-id=0,1:1,MIG-7b2d3e4f-9a1b-5e5c-8b7d-3c8f6d0e2555"),
    ("none", "mixed", "--device-id=1,none"),
    ("explicit-libraries", "mixed", "--feature-flag=enable-explicit-driver-libraries"),
    ("debian-alternatives", "debian-alternatives", ALL_NAMES),
    ("other-root", "other-root", "--driver-root=/run/nvidia/driver"),
    ("chmod", "two-gpus", "--enable-hook=chmod --disable-hook=create-symlinks"),
    ("one-hook", "two-gpus", "--enable-hook=create-symlinks --disable-hook=all"),
    ("nvml", "eight-gpus-nvswitch", "--mode=nvml"),
    ("management", "eight-gpus-nvswitch", "--mode=management"),
    ("gds", "eight-gpus-nvswitch", "--mode=gds"),
    ("mofed", "eight-gpus-nvswitch", "--mode=mofed"),
    ("gdrcopy", "eight-gpus-nvswitch", "--mode=gdrcopy"),
    ("nvswitch", "eight-gpus-nvswitch", "--mode=nvswitch"),
    ("imex", "eight-gpus-nvswitch", "--mode=imex"),
    ("imex-ids", "eight-gpus-nvswitch", "--mode=imex --device-id=1,channel2047 --no-all-device"),
];

const ALL_NAMES: &str = "--device-name-strategy=index,uuid,type-index";

#[test]
fn specifications_are_the_originals() {
    let theirs = programs::theirs().unwrap_or_else(|error| panic!("{error}"));
    for (name, machine, flags) in CASES {
        if let Some(folder) = &theirs {
            let written = generate(machine, &format!("{folder}/nvidia-ctk"), flags);
            if env::var_os("CORTEN_RECORD").is_some() {
                fs::write(facts(name), &written).unwrap();
            }
            assert_eq!(recorded(name), written, "{name}: the original writes something else than is recorded");
        }
        let ours = generate(machine, "nvidia-ctk", flags);
        assert!(ours.contains("\n# corten: {"), "{name} has no origin: {ours}");
        let ours = without_origin(&ours);
        let as_nvml_does = without_origin(&generate(machine, "nvidia-ctk", &format!("{flags} --gpus-from=nvml")));
        assert!(ours == as_nvml_does, "{name}, GPUs from NVML:\n{}", difference(&as_nvml_does, &ours));
        let (ours, theirs) = (without_more_files(&ours), as_in_the_root(&recorded(name)));
        // The explicit libraries are mounted by the original too, under the flag that asks for them.
        let theirs = without_more_files(&theirs);
        assert!(ours == theirs, "{name}:\n{}", difference(&theirs, &ours));
    }
}

fn generate(machine: &str, program: &str, flags: &str) -> String {
    let work = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let script = format!("{program} --quiet cdi generate --nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook {flags}");
    outer::script(machine, &script, work.path()).unwrap_or_else(|error| panic!("{machine} {flags}: {error}"))
}

fn facts(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("facts/cdi-generate/{name}.yaml"))
}

fn recorded(name: &str) -> String {
    fs::read_to_string(facts(name)).unwrap_or_else(|error| panic!("{}: {error}", facts(name).display()))
}

/// The lines that only one of them has.
fn difference(theirs: &str, ours: &str) -> String {
    let only = |mark: char, a: &str, b: &str| -> String {
        let other: Vec<_> = b.lines().collect();
        a.lines().filter(|line| !other.contains(line)).map(|line| format!("{mark} {line}\n")).collect()
    };
    let lines = only('-', theirs, ours) + &only('+', ours, theirs);
    if lines.is_empty() { "the same lines in another order".to_owned() } else { lines }
}
