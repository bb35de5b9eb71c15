//! The program `nvidia-ctk`: data on standard output, everything else on stderr, and the original's exit statuses.

use crate::stage::{Stage, stderr, stdout};
use std::fs;

const SPEC: &str = r#"{"cdiVersion":"0.5.0","kind":"nvidia.com/gpu","devices":[{"name":"0","containerEdits":{"deviceNodes":[{"path":"/dev/nvidia0"}]}}]}"#;

#[test]
fn statuses_are_the_originals() {
    let stage = Stage::new();
    for (words, status, said) in [
        (&["whatever"][..], 3, "No help topic for 'whatever'. `nvidia-ctk --help` lists the commands [CORTEN-E080]\n"),
        (&["cdi", "whatever"], 3, "No help topic for 'whatever'. "),
        (&["cdi"], 0, ""),
        (&["cdi", "generate", "--whatever"], 1, "flag provided but not defined: -whatever"),
        (&["cdi", "generate", "--format=xml"], 1, "invalid output format: xml"),
        (&["runtime", "configure", "--runtime=containerd"], 1, "[CORTEN-E021]"),
        (&["hook", "whatever"], 0, "Unsupported CDI hook: whatever"),
        (&["--debug", "hook", "whatever"], 0, "Unsupported CDI hook: whatever"),
    ] {
        let output = stage.run("nvidia-ctk", words);
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        assert!(stderr(&output).contains(said), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).lines().count() <= 1, "{words:?}: {}", stderr(&output));
    }
}

#[test]
fn lists_are_data_and_problems_are_not() {
    let stage = Stage::new();
    fs::create_dir(stage.path("cdi")).unwrap();
    stage.write("cdi/a.json", SPEC);
    stage.write("cdi/bad.yaml", "{");
    let folder = format!("--spec-dir={}", stage.text("cdi"));
    let output = stage.run("nvidia-ctk", &["cdi", "list", &folder]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "nvidia.com/gpu=0\n"));
    let said = stderr(&output);
    assert!(said.contains("The following registry errors") && said.contains("bad.yaml"), "{said}");
    assert!(said.contains("level=info msg=\"Found 1 CDI devices\""), "{said}");
    let output = stage.run("nvidia-ctk", &["--quiet", "cdi", "list", "--json", &folder]);
    assert_eq!(stderr(&output), "");
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(found["devices"], serde_json::json!(["nvidia.com/gpu=0"]));
    assert_eq!(found["problems"].as_array().map(Vec::len), Some(1));
}

#[test]
fn transforms_go_from_file_to_standard_output() {
    let stage = Stage::new();
    stage.write("a.json", SPEC);
    let input = format!("--input={}", stage.text("a.json"));
    let output = stage.run("nvidia-ctk", &["cdi", "transform", "root", "--from=/", "--to=/host", &input]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("hostPath: /host/dev/nvidia0\n"), "{}", stdout(&output));
    assert_eq!(stage.read("a.json"), SPEC);
}
