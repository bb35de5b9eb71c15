//! `nvidia-ctk runtime configure`, on files of its own.

use crate::stage::{Stage, stderr, stdout};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    process::Output,
};

fn configure(stage: &Stage, flags: &[&str]) -> Output {
    let file = stage.text("docker/daemon.json");
    stage.run("nvidia-ctk", &[&["runtime", "configure", "--runtime=docker", "--config", &file][..], flags].concat())
}

#[test]
fn docker_gets_its_runtime_and_nothing_else_changes() {
    let stage = Stage::new();
    // The variable of the global flag of that name is not this one's.
    let toolkit = stage
        .command("nvidia-ctk")
        .env("NVIDIA_CTK_CONFIG", stage.text("config.toml"))
        .args(["runtime", "configure", "--dry-run", "--config", &stage.text("none")])
        .output();
    assert!(stdout(&toolkit.unwrap()).contains("\"nvidia\""));
    let output = configure(&stage, &["--dry-run"]);
    let text = "{\n    \"runtimes\": {\n        \"nvidia\": {\n            \"args\": [],\n            \"path\": \"nvidia-container-runtime\"\n        }\n    }\n}";
    assert_eq!(stdout(&output), format!("{text}\n"));
    assert!(!stage.path("docker").exists());

    let output = configure(&stage, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("Wrote updated config to {}", stage.text("docker/daemon.json"))));
    assert!(stderr(&output).contains("It is recommended that docker daemon be restarted."));
    assert_eq!(stage.read("docker/daemon.json"), text);

    let inode = || fs::metadata(stage.path("docker/daemon.json")).unwrap().ino();
    let before = inode();
    assert!(configure(&stage, &[]).status.success());
    assert_eq!(inode(), before, "what says so already is not written");

    let flags = ["--runtime-path=/opt/x", "--set-as-default", "--cdi.enabled", "--nvidia-runtime-name=other"];
    assert!(configure(&stage, &flags).status.success());
    let spec: serde_json::Value = serde_json::from_str(&stage.read("docker/daemon.json")).unwrap();
    let want = serde_json::json!({
        "runtimes": {
            "nvidia": {"args": [], "path": "nvidia-container-runtime"},
            "other": {"args": [], "path": "/opt/x"},
        },
        "default-runtime": "other",
        "features": {"cdi": true},
    });
    assert_eq!(spec, want);
}

/// Mode and a link in the file's place are the administrator's.
#[test]
fn the_file_is_replaced_where_it_lies() {
    let stage = Stage::new();
    fs::create_dir(stage.path("docker")).unwrap();
    stage.write("docker/real", "{\"a\": 1e9}\n");
    fs::set_permissions(stage.path("docker/real"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real", stage.path("docker/daemon.json")).unwrap();
    assert!(configure(&stage, &["--cdi.enabled"]).status.success());
    assert!(fs::symlink_metadata(stage.path("docker/daemon.json")).unwrap().is_symlink());
    assert_eq!(fs::metadata(stage.path("docker/real")).unwrap().mode() & 0o777, 0o600);
    assert!(stage.read("docker/real").starts_with("{\"a\": 1e9,\"features\": "), "{}", stage.read("docker/real"));
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    let stage = Stage::new();
    fs::create_dir(stage.path("docker")).unwrap();
    for text in ["{", "{\"runtimes\": 3}", "[]"] {
        stage.write("docker/daemon.json", text);
        let output = configure(&stage, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("[CORTEN-E075]"), "{}", stderr(&output));
        assert_eq!(stage.read("docker/daemon.json"), text);
    }
    let output = configure(&stage, &["--drop-in-config=/etc/docker/x"]);
    assert!(stderr(&output).contains("runtime docker does not support drop-in configs"), "{}", stderr(&output));
}

#[test]
fn the_hooks_file_is_the_originals() {
    let stage = Stage::new();
    let output = stage.run(
        "nvidia-ctk",
        &["runtime", "configure", "--config-mode=oci-hook", "--nvidia-runtime-hook-path=/opt/x/my-hook"],
    );
    let want = r#"{
  "version": "1.0.0",
  "hook": {
    "path": "/opt/x/my-hook",
    "args": [
      "my-hook",
      "prestart"
    ],
    "env": [
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/x"
    ]
  },
  "when": {
    "always": true,
    "commands": [
      ".*"
    ]
  },
  "stages": [
    "prestart"
  ]
}
"#;
    assert_eq!(stdout(&output), want);
    let output =
        stage.run("nvidia-ctk", &["runtime", "configure", "--config-mode=hook", "--nvidia-runtime-hook-path=x"]);
    assert!(
        stderr(&output).contains("the NVIDIA runtime hook path \\\"x\\\" is not an absolute path"),
        "{}",
        stderr(&output)
    );
}
