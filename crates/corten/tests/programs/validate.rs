//! `nvidia-ctk cdi validate` and `cdi list` over folders as people have them.

use crate::stage::{Stage, stderr, stdout};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

/// What vendors write: an AMD GPU, an Intel one, a network device.
const OTHERS: [(&str, &str); 3] = [
    (
        "amd.json",
        r#"{"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": [{"name": "0", "containerEdits":
            {"deviceNodes": [{"path": "/dev/kfd", "hostPath": "/dev/null", "type": "c", "major": 1, "minor": 3}]}}]}"#,
    ),
    (
        "intel.yaml",
        "cdiVersion: 0.5.0\nkind: intel.com/gpu\ndevices:\n- name: card1\n  containerEdits:\n    deviceNodes:\n    - path: /dev/null\n",
    ),
    (
        "net.yaml",
        "cdiVersion: 1.1.0\nkind: example.com/net\ndevices:\n- name: lo\n  containerEdits:\n    netDevices:\n    - hostInterfaceName: lo\n      name: lo1\n",
    ),
];

fn folder(files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new();
    fs::create_dir(stage.path("cdi")).unwrap();
    fs::set_permissions(stage.path("cdi"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in files {
        stage.write(&format!("cdi/{name}"), text);
        fs::set_permissions(stage.path(&format!("cdi/{name}")), fs::Permissions::from_mode(0o644)).unwrap();
    }
    stage
}

/// Status, and each finding as `FILE:LINE NAME`.
fn check(stage: &Stage, words: &[&str]) -> (Option<i32>, Vec<String>) {
    let output = stage.run("nvidia-ctk", &[&["cdi", "validate", "--json"], words].concat());
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let told = |finding: &Value| {
        let file = finding["file"].as_str().unwrap().rsplit('/').next().unwrap();
        format!("{file}:{} {}", finding["line"], finding["name"].as_str().unwrap())
    };
    (output.status.code(), found["findings"].as_array().unwrap().iter().map(told).collect())
}

#[test]
fn good_specs_of_any_vendor_have_no_findings() {
    let stage = folder(&OTHERS);
    let output = stage.run("nvidia-ctk", &["cdi", "validate", "--strict", &stage.text("cdi")]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""), "{}", stderr(&output));
    assert!(stderr(&output).contains("0 errors, 0 warnings in 3 CDI spec files"), "{}", stderr(&output));
}

#[test]
fn findings_are_lines_with_names_and_warnings_fail_only_strictly() {
    let hook = "cdiVersion: 0.5.0\nkind: a.b/c\ndevices:\n- name: x\n  containerEdits:\n    hooks:\n    - hookName: prestart\n      path: /no/such/hook\n";
    let stage = folder(&[("a.yaml", hook)]);
    let output = stage.run("nvidia-ctk", &["cdi", "validate", &stage.text("cdi/a.yaml")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output);
    let file = stage.text("cdi/a.yaml");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(
        lines.lines().all(|line| line.starts_with(&format!("{file}:7: warning: the hook \"/no/such/hook\" "))),
        "{lines}"
    );
    assert!(lines.contains("[hook-without-env]\n") && lines.contains("[hook-missing]\n"), "{lines}");
    let (status, names) = check(&stage, &["--strict", &file]);
    assert_eq!((status, names), (Some(1), vec!["a.yaml:7 hook-without-env".into(), "a.yaml:7 hook-missing".into()]));
    let output = stage.run("nvidia-ctk", &["cdi", "validate", "--strict", &file]);
    assert!(
        stderr(&output).contains("0 errors, 2 warnings in 1 CDI spec file")
            && stderr(&output).contains("[CORTEN-E072]")
    );
}

#[test]
fn errors_fail_and_are_told_of_every_file() {
    let two = "cdiVersion: 0.5.0\nkind: a.b/c\nextra: 1\ndevices: {}\n";
    let stage = folder(&[OTHERS[0], ("bad.json", "{"), ("two.yaml", two), ("ignored.txt", "{")]);
    let (status, names) = check(&stage, &[&stage.text("cdi")]);
    assert_eq!(status, Some(1));
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[0].starts_with("bad.json:") && names[0].ends_with(" syntax"), "{names:?}");
    assert_eq!(names[1..], ["two.yaml:3 unknown-field", "two.yaml:4 wrong-type"]);
    let (status, names) = check(&stage, &[&stage.text("cdi/none.yaml")]);
    assert_eq!((status, names), (Some(1), vec!["none.yaml:null unreadable".to_owned()]));
}

#[test]
fn folders_are_checked_as_folders() {
    let stage = folder(&[OTHERS[1], ("copy.yaml", OTHERS[1].1), ("b.yml", OTHERS[2].1)]);
    fs::set_permissions(stage.path("cdi"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(stage.path("cdi/b.yml"), fs::Permissions::from_mode(0o664)).unwrap();
    let flag = format!("--spec-dir={}/missing,{}", stage.text("."), stage.text("cdi"));
    let (status, names) = check(&stage, &[&flag]);
    assert_eq!(status, Some(0));
    let want = [
        "cdi:null writable-by-others",
        "b.yml:null file-not-read",
        "b.yml:null writable-by-others",
        "copy.yaml:4 conflicting-device",
        "intel.yaml:4 conflicting-device",
    ];
    assert_eq!(names, want);
}

#[test]
fn lists_say_which_file_and_what_is_in_conflict() {
    let stage = folder(&[OTHERS[0], OTHERS[1], ("copy.yaml", OTHERS[1].1), ("bad.json", "[]")]);
    fs::create_dir(stage.path("later")).unwrap();
    stage.write("later/amd.json", OTHERS[0].1);
    let (cdi, later) = (stage.text("cdi"), stage.text("later"));
    let flag = format!("--spec-dir={cdi},{later}");
    let output = stage.run("nvidia-ctk", &["cdi", "list", "--files", &flag]);
    assert_eq!(stdout(&output), format!("amd.com/gpu=0  {later}/amd.json (hides {cdi}/amd.json)\n"));
    let output = stage.run("nvidia-ctk", &["cdi", "list", "--json", &flag]);
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(found["files"][0]["hides"], json!([format!("{cdi}/amd.json")]));
    let files = [format!("{cdi}/copy.yaml"), format!("{cdi}/intel.yaml")];
    assert_eq!(found["conflicts"], json!([{"device": "intel.com/gpu=card1", "files": files}]));
    assert_eq!(found["failures"][0]["path"], json!(format!("{cdi}/bad.json")));
}

/// Names like those of specs, of things that are none: nobody waits, nobody reads without end.
#[test]
fn hostile_folders_hurt_only_themselves() {
    let stage = folder(&[OTHERS[0], ("nul.json", "{\"kind\": \"a\0b\"}"), ("deep.yaml", &"[".repeat(100_000))]);
    let at = |name: &str| stage.path(&format!("cdi/{name}"));
    let bomb: String = (1..30).map(|level| format!("a{level}: &a{level} [*a{0},*a{0},*a{0}]\n", level - 1)).collect();
    fs::write(at("bomb.yaml"), format!("a0: &a0 [x,x,x]\n{bomb}")).unwrap();
    fs::write(at("utf8.yaml"), b"kind: \xff\xfe\n").unwrap();
    for (name, size) in [("large.yaml", 100_u64 << 20), ("sparse.json", 1 << 30)] {
        fs::File::create(at(name)).unwrap().set_len(size).unwrap();
    }
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo.yaml"), fifo, 0o666.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.json")).unwrap();
    fs::create_dir(at("folder.yaml")).unwrap();
    for (name, target) in [
        ("dangling.yaml", "/nowhere"),
        ("itself.yaml", "itself.yaml"),
        ("zero.json", "/dev/zero"),
        ("to-fifo.json", "fifo.yaml"),
        ("parent.yaml", ".."),
    ] {
        symlink(target, at(name)).unwrap();
    }
    let cdi = stage.text("cdi");
    stage.configure(&format!("mode = \"cdi\"\n[nvidia-container-runtime.modes.cdi]\nspec-dirs = [{cdi:?}]\n"));
    for (words, status) in [
        (&["nvidia-ctk", "cdi", "list", "--spec-dir", &cdi][..], 0),
        (&["nvidia-ctk", "cdi", "validate", &cdi], 1),
        (&["nvidia-container-runtime", "create", "x"], 0),
    ] {
        stage.write("bundle/config.json", &crate::stage::asking(&["NVIDIA_VISIBLE_DEVICES=amd.com/gpu=0"]));
        let program = stage.command(words[0]);
        // 100 MB of memory, and a time after which it hangs for sure.
        let mut bounded = std::process::Command::new("/bin/sh");
        bounded
            .args(["-c", "ulimit -v 100000; exec timeout 120 \"$@\"", "sh"])
            .arg(program.get_program())
            .args(&words[1..]);
        bounded.env_clear().env("PATH", "/usr/bin:/bin").env("NVIDIA_CTK_CONFIG_FILE_PATH", stage.path("config.toml"));
        let output = bounded.current_dir(stage.path("bundle")).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", stderr(&output));
        if words[2] == "list" {
            assert_eq!(stdout(&output), "amd.com/gpu=0\n");
            // All but the good one and the folder, and the line above them.
            assert_eq!(
                stderr(&output).lines().filter(|line| line.contains("level=warning")).count(),
                14,
                "{}",
                stderr(&output)
            );
        }
    }
    assert!(stage.read("bundle/config.json").contains("/dev/kfd"));
}
