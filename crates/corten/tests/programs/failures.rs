//! Every bad input ends in one line with a code and the next step, on stderr and in the log, with status 1; the
//! low-level runtime is not started, and bundle and root stay as they were.

use crate::stage::{Stage, asking, stderr};
use std::{fs, os::unix::fs::symlink, path::Path};

const SHIM: &str = "nvidia-container-runtime";

/// A situation: what to break, and what is said about it.
struct Case {
    name: &'static str,
    code: &'static str,
    /// The message begins with this; other programs match on the original's words.
    begins: &'static str,
    prepare: fn(&Stage),
}

const MODIFIER: &str = "failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: ";

const CASES: &[Case] = &[
    Case {
        name: "config.json is missing",
        code: "E011",
        begins: MODIFIER,
        prepare: |stage| {
            fs::remove_file(stage.path("bundle/config.json")).unwrap();
        },
    },
    Case {
        name: "config.json is cut off",
        code: "E012",
        begins: MODIFIER,
        prepare: |stage| {
            stage.write("bundle/config.json", "{\"process\":{\"env\":[\"NVIDIA_VISIBLE_DEVICES=a");
        },
    },
    Case {
        name: "config.json is a list",
        code: "E012",
        begins: MODIFIER,
        prepare: |stage| {
            stage.write("bundle/config.json", "[]");
        },
    },
    Case {
        name: "the environment is a number",
        code: "E012",
        begins: MODIFIER,
        prepare: |stage| {
            stage.write("bundle/config.json", r#"{"process":{"env":3}}"#);
        },
    },
    Case {
        name: "config.toml has a wrong type",
        code: "E002",
        begins: "error loading config: ",
        prepare: |stage| {
            stage.write("config.toml", "disable-require = \"yes\"\n");
        },
    },
    Case {
        name: "config.toml is not TOML",
        code: "E002",
        begins: "error loading config: ",
        prepare: |stage| {
            stage.write("config.toml", "[[[\n");
        },
    },
    Case {
        name: "config.toml is a folder",
        code: "E001",
        begins: "error loading config: ",
        prepare: |stage| {
            fs::remove_file(stage.path("config.toml")).unwrap();
            fs::create_dir(stage.path("config.toml")).unwrap();
        },
    },
    Case { name: "no such mode", code: "E020", begins: MODIFIER, prepare: |stage| stage.configure("mode = \"foo\"\n") },
    Case {
        name: "a mode to come",
        code: "E021",
        begins: MODIFIER,
        prepare: |stage| {
            stage.configure("mode = \"csv\"\n");
            ask(stage, &["NVIDIA_VISIBLE_DEVICES=all"]);
        },
    },
    Case {
        name: "no driver",
        code: "E040",
        begins: MODIFIER,
        prepare: |stage| {
            ask(stage, &["NVIDIA_VISIBLE_DEVICES=all"]);
        },
    },
    Case {
        name: "no such capability",
        code: "E032",
        begins: MODIFIER,
        prepare: |stage| {
            ask(stage, &["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,fabric"]);
        },
    },
    Case {
        name: "MIG configuration without privileges",
        code: "E035",
        begins: MODIFIER,
        prepare: |stage| {
            ask(stage, &["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_MIG_CONFIG_DEVICES=all"]);
        },
    },
    Case {
        name: "the driver root is missing",
        code: "E002",
        begins: MODIFIER,
        prepare: |stage| {
            fs::remove_dir(stage.path("driver")).unwrap();
            ask(stage, &["NVIDIA_VISIBLE_DEVICES=all"]);
        },
    },
    Case {
        name: "the root is missing",
        code: "E050",
        begins: MODIFIER,
        prepare: |stage| {
            stage.write(
                "bundle/config.json",
                &asking(&["NVIDIA_VISIBLE_DEVICES=all"]).replace("\"rootfs\"", "\"nowhere\""),
            );
        },
    },
    Case {
        name: "the root is the machine's own",
        code: "E051",
        begins: MODIFIER,
        prepare: |stage| {
            let climbing = "../".repeat(64);
            stage.write(
                "bundle/config.json",
                &asking(&["NVIDIA_VISIBLE_DEVICES=all"]).replace("\"rootfs\"", &format!("{climbing:?}")),
            );
        },
    },
    Case {
        name: "the runtime is missing",
        code: "E060",
        begins: LOOKUP,
        prepare: |stage| {
            fs::remove_file(stage.path("runc")).unwrap();
        },
    },
    Case {
        name: "the runtime is not executable",
        code: "E060",
        begins: LOOKUP,
        prepare: |stage| {
            fs::remove_file(stage.path("runc")).unwrap();
            stage.write("runc", "");
        },
    },
    Case {
        name: "the runtime is this program",
        code: "E060",
        begins: LOOKUP,
        prepare: |stage| {
            fs::remove_file(stage.path("runc")).unwrap();
            symlink(env!("CARGO_BIN_EXE_corten"), stage.path("runc")).unwrap();
        },
    },
    Case {
        name: "the runtime is no program",
        code: "E061",
        begins: "could not exec '",
        prepare: |stage| {
            stage.program("runc", "\u{7f}not a program\n");
        },
    },
];

const LOOKUP: &str =
    "failed to create NVIDIA Container Runtime: error constructing low-level runtime: error locating runtime: ";

fn ask(stage: &Stage, variables: &[&str]) {
    stage.write("bundle/config.json", &asking(variables));
}

#[test]
fn every_bad_input_has_its_code_and_harms_nothing() {
    for case in CASES {
        let stage = Stage::new();
        (case.prepare)(&stage);
        let before = everything_below(&stage.path("bundle"));
        let output = stage.run(SHIM, &["--log", &stage.text("log.json"), "--log-format", "json", "create", "id"]);
        let said = one_line(case.name, &stderr(&output));
        assert_eq!(output.status.code(), Some(1), "{}", case.name);
        assert!(said.starts_with(case.begins), "{}: {said}", case.name);
        assert!(said.ends_with(&format!("[CORTEN-{}]", case.code)), "{}: {said}", case.name);
        assert_eq!(last_error(&stage.read("log.json")), said, "{}: the engine's log", case.name);
        assert_eq!(everything_below(&stage.path("bundle")), before, "{}", case.name);
        assert_eq!(stage.started(), Vec::<String>::new(), "{}", case.name);
    }
}

#[test]
fn the_bundle_option_needs_a_folder() {
    let stage = Stage::new();
    let output = stage.run(SHIM, &["create", "--bundle"]);
    let said = one_line("bundle", &stderr(&output));
    let want = "failed to create NVIDIA Container Runtime: error constructing OCI specification: error getting bundle \
                directory: error getting bundle dir from args: bundle option requires an argument. ";
    assert!(said.starts_with(want) && said.ends_with("[CORTEN-E010]"), "{said}");
}

#[test]
fn a_wrapper_that_leads_back_is_noticed() {
    let stage = Stage::new();
    let command = stage.command(SHIM).get_program().to_owned();
    stage.program("runc", &format!("#!/bin/sh\nexec {} \"$@\"\n", command.to_str().unwrap()));
    let output = stage.run(SHIM, &["state", "id"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(one_line("loop", &stderr(&output)).ends_with("[CORTEN-E062]"));
}

/// The message of the only line on stderr.
fn one_line(name: &str, stderr: &str) -> String {
    assert_eq!(stderr.lines().count(), 1, "{name}: {stderr}");
    let message = stderr.trim_end().split_once(" level=error msg=").expect(stderr).1;
    message.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\")
}

/// The message of the last error in a JSON log.
fn last_error(log: &str) -> String {
    let mut lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let last = lines.rfind(|line| line["level"] == "error");
    last.and_then(|line| line["msg"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// Every path below a folder, with its content or target.
fn everything_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        found.push((path.display().to_string(), if kind.is_file() { fs::read(&path).unwrap() } else { vec![] }));
        if kind.is_dir() {
            found.extend(everything_below(&path));
        }
    }
    found.sort();
    found
}
