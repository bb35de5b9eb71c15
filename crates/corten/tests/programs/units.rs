//! The unit files, held against systemd's own reader, and against a system that starts engines.

use crate::stage::{Stage, stdout};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const UNITS: [&str; 3] = ["nvidia-cdi-refresh.service", "nvidia-cdi-refresh.path", "nvidia-cdi-watch.service"];

/// Engines as distributions have them: Docker's socket is ready before basic.target.
const ENGINES: [(&str, &str); 4] = [
    ("docker.socket", "[Socket]\nListenStream=/run/docker.sock\n[Install]\nWantedBy=sockets.target\n"),
    (
        "docker.service",
        "[Unit]\nAfter=network-online.target docker.socket containerd.service\nRequires=docker.socket\n\
         [Service]\nExecStart=/usr/bin/nvidia-ctk\n[Install]\nWantedBy=multi-user.target\n",
    ),
    ("containerd.service", "[Unit]\nAfter=network.target\n[Service]\nExecStart=/usr/bin/nvidia-ctk\n"),
    ("podman-restart.service", "[Unit]\nAfter=network-online.target\n[Service]\nExecStart=/usr/bin/nvidia-ctk\n"),
];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

/// A system with systemd's own units, engines, and ours with `change` made to the service; everything is enabled.
fn system(change: impl Fn(String) -> String) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let (units, wants) = (root.path().join("usr/lib/systemd/system"), root.path().join("etc/systemd/system"));
    for folder in [units.parent().unwrap(), &root.path().join("usr/bin")] {
        fs::create_dir_all(folder).unwrap();
    }
    let own = ["/usr/lib/systemd/system", "/lib/systemd/system"].into_iter().find(|path| Path::new(path).is_dir());
    let copied = Command::new("cp").arg("-a").arg(own.expect("systemd's units")).arg(&units).status().unwrap();
    assert!(copied.success());
    symlink("usr/lib", root.path().join("lib")).unwrap();
    let program = root.path().join("usr/bin/nvidia-ctk");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in ENGINES {
        write(&units, name, text);
    }
    for name in UNITS {
        let text = fs::read_to_string(packaging().join("systemd").join(name)).unwrap();
        write(&units, name, &change(text));
    }
    let enabled = ["docker.service", "containerd.service", "podman-restart.service"].into_iter().chain(UNITS);
    for (target, name) in enabled.map(|name| ("multi-user", name)).chain([("sockets", "docker.socket")]) {
        let folder = wants.join(format!("{target}.target.wants"));
        fs::create_dir_all(&folder).unwrap();
        symlink(format!("/usr/lib/systemd/system/{name}"), folder.join(name)).unwrap();
    }
    root
}

fn write(units: &Path, name: &str, text: &str) {
    let file = units.join(name);
    // The distribution's own may be a link.
    let _ = fs::remove_file(&file);
    fs::write(file, text).unwrap();
}

/// What systemd has to say of these units, as far as it is about ours or about the order of things.
fn complaints(root: &TempDir, units: &[&str]) -> Vec<String> {
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(format!("--root={}", root.path().display())).args(units);
    let done = verify.output().expect("systemd-analyze, which `cargo xtask test` installs");
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    text.lines().filter(|line| line.contains("cycle") || line.contains("nvidia")).map(str::to_owned).collect()
}

#[test]
fn systemd_understands_every_line() {
    let root = system(|text| text);
    assert_eq!(complaints(&root, &UNITS), Vec::<String>::new());
    let broken = system(|text| text.replace("Type=oneshot", "Type=once"));
    assert_eq!(complaints(&broken, &UNITS).len(), 1, "{:?}", complaints(&broken, &UNITS));
}

/// The service comes before the engines, and nothing waits for itself: neither through multi-user.target, as with the
/// original, nor through the engines' sockets.
#[test]
fn a_boot_has_no_cycle() {
    assert_eq!(complaints(&system(|text| text), &["multi-user.target"]), Vec::<String>::new());
    for (from, to) in
        [("After=systemd", "After=multi-user.target systemd"), ("Before=docker", "Before=docker.socket docker")]
    {
        let found = complaints(&system(|text| text.replace(from, to)), &["multi-user.target"]);
        assert!(found.iter().any(|line| line.contains("ordering cycle")), "{to}: {found:?}");
    }
    let service = fs::read_to_string(packaging().join("systemd").join(UNITS[0])).unwrap();
    for engine in ["docker", "containerd", "crio", "podman", "podman-restart", "kubelet"] {
        let before = service.lines().filter_map(|line| line.strip_prefix("Before=")).flat_map(str::split_whitespace);
        assert!(before.into_iter().any(|unit| unit == format!("{engine}.service")), "{engine}");
    }
}

/// Nothing that happens often can switch the units off, and nothing is done by a shell.
#[test]
fn there_is_no_limit_and_no_shell() {
    for name in UNITS {
        let text = fs::read_to_string(packaging().join("systemd").join(name)).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            assert!(line.starts_with("/usr/bin/nvidia-ctk cdi "), "{name}: {line}");
        }
        let limit = match name {
            "nvidia-cdi-refresh.service" => "\nStartLimitIntervalSec=0\n",
            "nvidia-cdi-refresh.path" => "\nTriggerLimitIntervalSec=0\n",
            _ => continue,
        };
        assert!(text.contains(limit), "{name}");
    }
}

/// Every variable in the file for administrators is one that the programs read.
#[test]
fn the_environment_file_names_real_variables() {
    let help = stdout(&Stage::new().run("nvidia-ctk", &["cdi", "watch", "--help"]));
    let text = fs::read_to_string(packaging().join("systemd/nvidia-cdi-refresh.env")).unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# NVIDIA_")?.split_once('=')).collect();
    assert!(names.len() >= 4, "{names:?}");
    for (name, _) in names {
        assert!(help.contains(&format!("NVIDIA_{name}")), "NVIDIA_{name} is in no help: {help}");
    }
    assert!(text.lines().all(|line| line.starts_with('#')), "nothing is set unless an administrator sets it");
}
