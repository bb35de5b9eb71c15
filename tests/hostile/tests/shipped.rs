//! What is installed has no switch; and every defence has an attack that succeeds without it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use engines::place::folder;
use hostile::{cases, operation::OPERATIONS, paused::PROPERTIES, preload, programs::Build};
use root::Defence;
use std::{collections::BTreeSet, fs, process::Command};

/// The variable's name is written here in two parts, so that this file is no place where it occurs.
fn variable() -> String {
    ["CORTEN", "UNDEFENDED"].join("_")
}

fn holds(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn what_is_installed_has_no_switch() {
    for (build, want) in [(Build::Shipped, false), (Build::Without(&[]), true)] {
        let executable = fs::read(build.folder().unwrap().join("corten")).unwrap();
        assert_eq!(holds(&executable, &variable()), want, "{build:?}");
    }
    let helper = fs::read(folder("CORTEN_BIN").unwrap().join("corten-nvml")).unwrap();
    assert!(!holds(&helper, &variable()));
}

/// A hook with every defence named in the variable does what it does without.
#[test]
fn setting_the_variable_changes_nothing() {
    let names: Vec<_> = Defence::ALL.iter().map(|defence| defence.name()).collect();
    let traced = |variables: &[(String, String)]| {
        let output = std::env::temp_dir().join(format!("corten-switch-{}-{}", std::process::id(), variables.len()));
        let mut command = Command::new("strace");
        command.args(["-qq", "-e", "trace=close_range,chdir,prctl,capset,openat,openat2", "-o"]).arg(&output);
        command.arg(folder("CORTEN_BIN").unwrap().join("nvidia-cdi-hook")).args(["chmod", "--mode=755", "--path=/x"]);
        command.envs(variables.iter().cloned()).stdin(std::process::Stdio::null());
        assert_eq!(command.output().unwrap().status.code(), Some(1), "it has no state");
        let trace = fs::read_to_string(&output).unwrap();
        fs::remove_file(output).unwrap();
        trace
    };
    let without = traced(&[]);
    assert!(without.contains("close_range") && without.contains("PR_SET_DUMPABLE"), "{without}");
    assert_eq!(without, traced(&[(variable(), names.join(","))]));
}

/// Every defence is proved by an attack that succeeds where it is off. Those that the tables do not name are in the
/// suite's `main`.
#[test]
fn every_defence_is_bitten() {
    let in_suite = [Defence::CloseOnExec, Defence::Undo, Defence::ByDescriptor, Defence::HookEnvironment];
    let in_tables = cases::all().flat_map(|attack| attack.bites).flat_map(|bite| bite.off).copied();
    let paused = PROPERTIES.iter().map(|(defence, _)| *defence);
    let bitten: BTreeSet<_> = in_tables.chain(paused).chain(in_suite).collect();
    let missing: Vec<_> = Defence::ALL.iter().filter(|defence| !bitten.contains(defence)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Names in the tables are right, and each is given once.
#[test]
fn the_tables_are_consistent() {
    let mut names = BTreeSet::new();
    for attack in cases::all().chain([&preload::ATTACK_23266]) {
        assert!(names.insert(attack.name), "{} twice", attack.name);
        for name in attack.operations.iter().chain(attack.bites.iter().map(|bite| &bite.operation)) {
            assert!(OPERATIONS.iter().any(|operation| operation.name == *name), "{}: {name}", attack.name);
        }
        for bite in attack.bites {
            assert!(attack.met_by().contains(&bite.operation), "{}: {}", attack.name, bite.operation);
        }
    }
}

/// docs/security.md names every defence and every incident of the suite.
#[test]
fn the_page_names_all_of_it() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md")).unwrap();
    for defence in Defence::ALL {
        assert!(page.contains(&format!("`{}`", defence.name())), "{} is not on the page", defence.name());
    }
    for attack in cases::all().chain([&preload::ATTACK_23266]) {
        assert!(page.contains(attack.name), "{} is not on the page", attack.name);
    }
}
