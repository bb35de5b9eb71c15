//! The way through the shim: what the low-level runtime is given.

use crate::stage::{PLAIN, Stage, asking, stderr, stdout};
use std::{fs, os::unix::fs::MetadataExt};

const SHIM: &str = "nvidia-container-runtime";

#[test]
fn every_word_is_forwarded_unchanged() {
    for args in [
        &["--root", "/r", "--log-format=json", "state", "id"][..],
        &["exec", "id", "prog", "--log", "/nonexistent/x", "--version", "", "a b\n"],
        &["delete", "create"],
        &["create", "--bundle", ".", "id"],
        &[],
    ] {
        let stage = Stage::new();
        let output = stage.run(SHIM, args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        let runc = stage.text("runc");
        let want = std::iter::once(runc.as_str()).chain(args.iter().copied());
        assert_eq!(stage.read("started"), want.map(|word| format!("{word}\n")).collect::<String>(), "{args:?}");
    }
}

#[test]
fn a_container_without_request_keeps_its_very_file() {
    let stage = Stage::new();
    let before = fs::metadata(stage.path("bundle/config.json")).unwrap();
    for command in ["create", "run"] {
        assert!(stage.run(SHIM, &[command, "id"]).status.success());
    }
    let after = fs::metadata(stage.path("bundle/config.json")).unwrap();
    assert_eq!(stage.read("bundle/config.json"), PLAIN);
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[test]
fn requests_for_nothing_are_no_requests() {
    for value in ["", "void"] {
        let stage = Stage::new();
        let spec = asking(&[&format!("NVIDIA_VISIBLE_DEVICES={value}"), "no-equals-sign"]);
        stage.write("bundle/config.json", &spec);
        let output = stage.run(SHIM, &["create", "id"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stage.read("bundle/config.json"), spec);
    }
}

#[test]
fn the_environment_is_the_callers() {
    let stage = Stage::new();
    stage.command(SHIM).env("SOME", "thing").arg("state").status().unwrap();
    let environment = stage.read("environment");
    assert!(environment.lines().any(|line| line == "SOME=thing"));
    let path = format!("NVIDIA_CTK_CONFIG_FILE_PATH={}", stage.text("config.toml"));
    assert!(environment.lines().any(|line| line == path));
}

#[test]
fn version_comes_before_the_runtimes_own() {
    let stage = Stage::new();
    let output = stage.run(SHIM, &["--version"]);
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("NVIDIA Container Runtime version "), "{text}");
    assert!(text.ends_with("spec: 1.3.0\n\nrunc version 1.2.3\n"), "{text}");
    assert_eq!(stage.started(), [stage.text("runc"), "--version".to_owned()]);
}

#[test]
fn logs_only_where_the_runtimes_own_words_say() {
    let stage = Stage::new();
    let (yes, no) = (stage.text("logs/deep/yes"), stage.text("no"));
    stage.run(SHIM, &["--log", &yes, "--log-format", "json", "--debug", "state", "--log", &no]);
    let line = stage.read("logs/deep/yes");
    let last: serde_json::Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "debug");
    assert_eq!(last["msg"], format!("Forwarding command to runtime {}", stage.text("runc")));
    assert!(!stage.path("no").exists());
    assert!(stage.read("debug.log").contains("Forwarding command"), "the configured file gets the same lines");
}

#[test]
fn a_log_that_cannot_be_opened_is_no_failure() {
    let stage = Stage::new();
    let output = stage.run(SHIM, &["--log", &stage.text("bundle"), "state"]);
    assert!(output.status.success());
    assert!(stage.read("debug.log").is_empty() || !stage.started().is_empty());
}

#[test]
fn the_experimental_program_has_its_own_ways_to_name_the_runtime() {
    const EXPERIMENTAL: &str = "nvidia-container-runtime.experimental";
    let stage = Stage::new();
    stage.program("other", "#!/bin/sh\necho other\n");
    stage.program("third", "#!/bin/sh\necho third\n");
    let by_variable = |name| {
        let mut command = stage.command(name);
        stdout(&command.env("NVIDIA_CONTAINER_RUNTIME_PATH", stage.path("other")).output().unwrap())
    };
    assert_eq!(by_variable(EXPERIMENTAL), "other\n");
    assert_eq!(by_variable(SHIM), "runc version 1.2.3\n", "the name decides");
    stage.configure(&format!("[nvidia-container-runtime.experimental]\nruntime-path = {:?}\n", stage.text("third")));
    assert_eq!(by_variable(EXPERIMENTAL), "other\n", "the variable comes first");
    assert_eq!(stdout(&stage.run(EXPERIMENTAL, &["state"])), "third\n");
    assert_eq!(stdout(&stage.run(SHIM, &["state"])), "runc version 1.2.3\n");
}

#[test]
fn legacy_mode_adds_its_hook_once_to_every_container() {
    let stage = Stage::new();
    let hook = stage.text("my-hook");
    stage.configure(&format!("[nvidia-container-runtime-hook]\npath = {hook:?}\n"));
    for _ in 0..2 {
        assert!(stage.run("nvidia-container-runtime.legacy", &["create", "id"]).status.success());
    }

    let spec: serde_json::Value = serde_json::from_str(&stage.read("bundle/config.json")).unwrap();

    let want = serde_json::json!({"prestart": [{"path": hook, "args": ["my-hook", "prestart"]}]});
    assert_eq!(spec["hooks"], want);
    assert!(stage.read("bundle/config.json").contains("1e9"), "what is not edited keeps its bytes");
}

#[test]
fn other_modes_remove_dockers_hook_and_nothing_else() {
    let stage = Stage::new();
    let docker =
        r#"{"path":"/usr/bin/nvidia-container-runtime-hook","args":["nvidia-container-runtime-hook","prestart"]}"#;
    let other = r#"{"path":"/usr/bin/other"}"#;
    stage.write(
        "bundle/config.json",
        &PLAIN.replace("\"x\":1e9", &format!(r#""hooks":{{"prestart":[{docker},{other}]}}"#)),
    );
    assert!(stage.run(SHIM, &["create", "id"]).status.success());
    let spec: serde_json::Value = serde_json::from_str(&stage.read("bundle/config.json")).unwrap();
    assert_eq!(spec["hooks"]["prestart"], serde_json::json!([{"path": "/usr/bin/other"}]));
}
