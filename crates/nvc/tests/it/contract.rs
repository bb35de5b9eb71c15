//! What functions say when they are used as one should not: the same as the original's (`tests/c/contract.c`).

use crate::programs::{Library, compiled, recorded};

fn contract(library: &Library, what: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    for folder in ["proc", "etc"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    let path = root.path().to_str().unwrap();
    let said = library.run("two-gpus", &compiled("contract", &[]), &[what, path]);
    said.replace(path, "ROOT").lines().map(|line| without_pid(line) + "\n").collect()
}

/// The number of the process that a line tells of is another each time.
fn without_pid(line: &str) -> String {
    match line.split_once("/proc/") {
        Some((before, after)) if !after.starts_with("99999999") => {
            format!("{before}/proc/PID{}", after.trim_start_matches(|digit: char| digit.is_ascii_digit()))
        }
        _ => line.to_owned(),
    }
}

#[test]
fn every_answer_is_the_originals() {
    for what in ["surface", "init", "memory", "detection", "container"] {
        let theirs = recorded(&format!("contract-{what}"), |library| contract(library, what));
        assert_eq!(contract(&Library::ours(), what), theirs, "{what}");
    }
}
