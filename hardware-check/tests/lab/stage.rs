//! Runs the check on a simulated machine and reads its report.

use serde_json::Value;
use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

/// A folder that `cargo xtask test` names.
pub fn folder(variable: &str) -> PathBuf {
    let value = env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set; run `cargo xtask test`"));
    PathBuf::from(value)
}

/// One line of a report.
#[derive(Debug)]
pub struct Line {
    pub outcome: String,
    pub detail: String,
}

/// A report.
#[derive(Debug)]
pub struct Report {
    pub document: Value,
    pub status: Option<i32>,
}

/// Every check, in order.
pub const CHECKS: [&str; 14] = [
    "driver",
    "nvml",
    "driver version",
    "gpus",
    "mig devices",
    "device nodes",
    "cdi spec",
    "list, in place",
    "cuda, in place",
    "runc",
    "list, container",
    "cuda, container",
    "list, cdi",
    "cuda, cdi",
];

impl Report {
    /// The line of a check.
    pub fn line(&self, check: &str) -> Line {
        let lines = self.document["checks"].as_array().unwrap();
        let line = lines.iter().find(|line| line["check"] == check);
        let line = line.unwrap_or_else(|| panic!("there is no line {check:?} in {lines:?}"));
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        Line { outcome: text("outcome"), detail: text("detail") }
    }

    /// The outcomes of all checks, in the order of [`CHECKS`].
    pub fn outcomes(&self) -> Vec<String> {
        let lines = self.document["checks"].as_array().unwrap();
        let names: Vec<_> = lines.iter().map(|line| line["check"].as_str().unwrap()).collect();
        assert_eq!(names, CHECKS);
        lines.iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts a check's outcome, and what its line contains.
    pub fn has(&self, check: &str, outcome: &str, part: &str) {
        let line = self.line(check);
        assert!(line.outcome == outcome && line.detail.contains(part), "{check}: {line:?}, not {outcome} {part:?}");
    }
}

/// Runs a shell script on a machine; in it `$CHECK` is the program.
pub fn script(machine: &str, settings: &[&str], script: &str) -> Output {
    let mut lab = Command::new(folder("CORTEN_LAB").join("lab"));
    let file = if machine.starts_with('/') {
        PathBuf::from(machine)
    } else {
        folder("CORTEN_MACHINES").join(format!("{machine}.toml"))
    };
    lab.args(["run", "--machine"]).arg(file);
    for setting in settings {
        lab.args(["--set", setting]);
    }
    lab.env("CHECK", folder("CORTEN_HARDWARE_CHECK").join("hardware-check"));
    lab.args(["--", "sh", "-ec", script]).output().unwrap()
}

/// The report of the check on a machine, run after `before`, with these options.
pub fn report_after(machine: &str, settings: &[&str], before: &str, options: &str) -> Report {
    read(&script(machine, settings, &format!("{before}\nexec \"$CHECK\" --json {options}")))
}

/// The same for a machine as it is.
pub fn report(machine: &str, settings: &[&str]) -> Report {
    report_after(machine, settings, "", "")
}

/// The report that a run printed.
pub fn read(output: &Output) -> Report {
    let text = String::from_utf8_lossy(&output.stdout);
    let document = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    Report { document, status: output.status.code() }
}
