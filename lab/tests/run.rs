//! The `lab` program as people use it: machines are made, commands run on them, and nothing is left behind.
//!
//! All of it needs root, as `lab run` does; without it each test says on stderr that it did not run. The mock libraries
//! are stubs here, since nothing in these tests asks them anything.
#![allow(clippy::unwrap_used)]

use lab::elf::{Processor, SharedObject, program};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// `lab run` on a machine that ships, with a folder of stand-ins for the companions.
fn run(machine: &str, settings: &[&str], command: &[&str]) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: this test needs root");
        return None;
    }
    let companions = companions();
    let machine = format!("{FOLDER}/machines/{machine}.toml");
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.env("CORTEN_LAB_DIR", companions.path()).args(["run", "--machine", &machine]);
    for setting in settings {
        lab.args(["--set", setting]);
    }
    Some(lab.arg("--").args(command).output().unwrap())
}

/// A folder with stand-ins for what lies beside the `lab` program.
fn companions() -> tempfile::TempDir {
    let companions = tempfile::tempdir().unwrap();
    let nvml = SharedObject {
        processor: Processor::NATIVE,
        soname: Some("libnvidia-ml.so.1"),
        needed: &["libc.so.6"],
        abi: None,
        functions: &[],
    };
    fs::write(companions.path().join("libnvidia_ml_mock.so"), nvml.bytes()).unwrap();
    let cuda = SharedObject { soname: Some("libcuda.so.1"), ..nvml };
    fs::write(companions.path().join("libcuda_mock.so"), cuda.bytes()).unwrap();
    fs::write(companions.path().join("lab-nvidia-smi"), program(Processor::NATIVE)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_lab-probe"), companions.path().join("lab-probe")).unwrap();
    companions
}

/// What a shell command prints on a machine; it must succeed.
fn shell(machine: &str, settings: &[&str], script: &str) -> Option<String> {
    let output = run(machine, settings, &["sh", "-ec", script])?;
    assert!(output.status.success(), "{machine}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_command_gets_its_words_and_gives_its_status() {
    let Some(output) = run("small", &[], &["sh", "-c", "echo $0 $1; exit 7", "a b", "--help"]) else { return };
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a b --help\n");
    let missing = run("no-gpu", &[], &["no-such-command"]).unwrap();
    assert_eq!(missing.status.code(), Some(127));
}

#[test]
fn the_loader_knows_the_driver() {
    let Some(text) = shell("two-gpus", &[], "ldconfig -p") else { return };
    for name in ["libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-tls.so.550.54.14", "libvdpau_nvidia.so"] {
        assert!(text.contains(&format!("\t{name} (libc6")), "{name} in {text}");
    }
    assert!(text.contains("libcuda.so.1 (libc6) => /usr/lib/i386-linux-gnu"), "{text}");
}

#[test]
fn nodes_have_their_numbers_and_nothing_behind_them() {
    let script = "stat -c '%n %t:%T %a' /dev/nvidia0 /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-caps/nvidia-cap1
        readlink /dev/dri/by-path/pci-0000:08:00.0-render; cat /dev/nvidia0 2>&1 || true";
    let Some(text) = shell("two-gpus", &[], script) else { return };
    let expected = "/dev/nvidia0 c3:0 666\n/dev/nvidiactl c3:ff 666\n/dev/nvidia-uvm 1ff:0 666\n\
                    /dev/nvidia-caps/nvidia-cap1 ec:1 400\n../renderD129\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("No such device or address\n"), "{text}");
}

#[test]
fn the_kernel_side_is_the_machines() {
    let script =
        "cat /proc/driver/nvidia/version; cat /proc/devices; ls /sys/bus/pci/devices; ls /proc/driver/nvidia/gpus";
    let Some(text) = shell("eight-gpus-nvswitch", &["driver.version=560.1.2"], script) else { return };
    for part in ["Kernel Module  560.1.2 ", "238 nvidia-nvswitch\n", "0000:df:00.0\n", "0000:f0:00.0\n"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn a_driver_in_another_root_leaves_usr_alone() {
    let script = "ls /usr/lib/*/libcuda.so.1 2>/dev/null && exit 1
        chroot /run/nvidia/driver /usr/bin/nvidia-smi
        ls /run/nvidia/driver/dev/nvidia0 /run/nvidia/driver/proc/driver/nvidia/version
        ldconfig -r /run/nvidia/driver -p | grep -c 'libcuda.so.1 '";
    let Some(text) = shell("other-root", &[], script) else { return };
    assert!(text.ends_with("version\n1\n"), "{text}");
}

#[test]
fn a_machine_without_gpus_has_nothing_of_nvidias() {
    let script = "ls /proc/driver; ls /dev | grep nvidia || true; grep nvidia /proc/devices || true";
    assert_eq!(shell("no-gpu", &[], script).unwrap_or_default(), "");
}

#[test]
fn low_level_runtimes_are_stood_in_for() {
    let script = "for name in runc crun; do command -v $name || continue; readlink -f $(command -v $name); done";
    let Some(text) = shell("small", &[], script) else { return };
    let own = fs::canonicalize(env!("CARGO_BIN_EXE_lab")).unwrap();
    for line in text.lines().filter(|line| !line.ends_with("/runc") && !line.ends_with("/crun")) {
        assert_eq!(PathBuf::from(line), own);
    }
}

#[test]
fn containers_see_the_machines_procfs() {
    let script = r#"
        mkdir -p /run/bundle; cd /run/bundle
        "$(readlink -f /usr/local/sbin/$0)" rootfs --kind debian --to rootfs
        $0 spec
        sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"lab-probe"/' config.json
        $0 run corten-lab-test-$0-$$"#;
    for runtime in ["runc", "crun"] {
        if Command::new(runtime).arg("--version").output().is_err() {
            eprintln!("not run: this test needs {runtime}");
            continue;
        }
        let Some(output) = run("small", &[], &["sh", "-ec", script, runtime]) else { return };
        assert!(output.status.success(), "{runtime}: {output:?}");
        let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(seen["params"], "ModifyDeviceFiles: 1", "{runtime}");
        assert_eq!(seen["gpus"], serde_json::json!(["0000:07:00.0", "0000:08:00.0"]), "{runtime}");
        assert!(seen["devices"].get("/dev/nvidia0").is_none(), "{runtime}");
    }
}

/// This host's own distribution, from a folder that has nothing else of the host.
#[test]
fn a_machine_can_have_another_distribution() {
    let script = r#"
        mkdir system
        for name in usr etc var; do mkdir system/$name; mount --bind /$name system/$name; done
        for name in bin lib lib64 sbin; do
            if [ -L /$name ]; then cp -P /$name system/; else mkdir system/$name; mount --bind /$name system/$name; fi
        done
        "$0" run --machine "$1" --system system -- sh -ec '
            pwd; ls /host/usr > /run/host; ls / /opt
            ldconfig -p | grep -c libcuda.so.1; readlink -f /usr/local/sbin/runc || true
            touch /usr/corten-lab-was-here'
        find system -name corten-lab-was-here"#;
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: this test needs root");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, env!("CARGO_BIN_EXE_lab")]);
    let (companions, folder) = (companions(), tempfile::tempdir().unwrap());
    command
        .current_dir(folder.path())
        .env("CORTEN_LAB_DIR", companions.path())
        .arg(format!("{FOLDER}/machines/two-gpus.toml"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("/host/"), "{text}");
    assert!(lines.contains(&"host") && lines.contains(&"etc") && !lines.contains(&"boot"), "{text}");
    // Those of both word sizes.
    assert!(lines.contains(&"2"), "{text}");
    let own = format!("/host{}", fs::canonicalize(env!("CARGO_BIN_EXE_lab")).unwrap().display());
    assert!(lines.contains(&own.as_str()) || Command::new("runc").output().is_err(), "{text}");
    assert!(!text.contains("was-here"), "{text}");
}

#[test]
fn the_host_does_not_change() {
    let before = host();
    let folders = ["/usr", "/etc", "/var", "/run", "/dev", "/proc/driver"];
    let script = folders.map(|folder| format!("touch {folder}/corten-lab-was-here")).join("; ");
    if shell("two-gpus", &[], &script).is_none() {
        return;
    }
    assert_eq!(host(), before);
    for folder in folders {
        assert!(!PathBuf::from(folder).join("corten-lab-was-here").exists(), "{folder}");
    }
    assert!(!PathBuf::from("/dev/nvidia0").exists() || before.contains("nvidia0"));
}

/// What a machine would change, as far as nobody else changes it at the same time.
fn host() -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours =
        mounts.lines().filter(|line| ["corten", " /proc/", " /usr ", " /etc "].iter().any(|part| line.contains(part)));
    let mut devices: Vec<_> = fs::read_dir("/dev").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    devices.retain(|name| name.to_string_lossy().starts_with("nvidia"));
    format!("{:?}{devices:?}{}", ours.collect::<Vec<_>>(), fs::read_to_string("/proc/devices").unwrap())
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    for (words, part) in [
        (&["run", "--machine", "x.toml", "--", "true"][..], "cannot read x.toml"),
        (&["run", "--", "true"], "--machine FILE is missing"),
        (&["run", "--machine", "x.toml"], "no command after"),
        (&["fly"], "there is no command \"fly\""),
        (&["rootfs", "--kind", "plan9", "--to", "/nonexistent/x"], "debian, rhel, arch, alpine, bare"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(words).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.starts_with("lab: ") && text.contains(part), "{words:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
