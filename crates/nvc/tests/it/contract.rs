//! What functions say when they are used as one should not: the same as the original's (`tests/c/contract.c`).

use crate::programs::{Library, compiled, dist, lab, recorded};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

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

#[test]
fn the_log_is_the_originals() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let variable = format!("NVC_DEBUG_FILE={}", log.display());
    Library::ours().run_with("two-gpus", &[&variable], &compiled("facts", &[]), &[]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("\n-- WARNING, the following logs are for debugging purposes only --\n\nI"), "{text}");
    for milestone in [
        "] initializing library context (version=1.20.0",
        "] using root /",
        "] using ldcache /etc/ld.so.cache",
        "] requesting driver information with ''",
        "] selecting /usr/bin/nvidia-smi",
        "] listing device /dev/nvidiactl",
        "] requesting device information with ''",
        "] listing device /dev/nvidia0 (GPU-",
        "] shutting down library context",
    ] {
        assert!(text.contains(milestone), "{milestone} is not in {text}");
    }
}

/// Whoever starts a program that has more rights than he must not steer what the library does by his environment.
#[test]
fn a_privileged_programs_environment_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let may_enter = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), may_enter.clone()).unwrap();
    let rpath = format!("-Wl,-rpath,{}/lib", folder.path().display());
    let program = folder.path().join("bin/program");
    for part in ["bin", "lib"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        fs::set_permissions(folder.path().join(part), may_enter.clone()).unwrap();
    }
    // Only good for this folder.
    let built = compiled("facts", &[&rpath]);
    fs::copy(&built, &program).unwrap();
    fs::remove_file(built).unwrap();
    for (from, to) in [
        (dist().join("bin/corten-nvml"), folder.path().join("bin/corten-nvml")),
        (Library::ours().file(), folder.path().join("lib/libnvidia-container.so.1")),
    ] {
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, may_enter.clone()).unwrap();
    }
    let run = |mode: u32, log: &Path| {
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = lab("two-gpus");
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        let output = command.env("NVC_DEBUG_FILE", log).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let world = folder.path().join("open");
    fs::create_dir(&world).unwrap();
    fs::set_permissions(&world, fs::Permissions::from_mode(0o777)).unwrap();
    let (plain, privileged) = (world.join("plain"), world.join("privileged"));
    let said = run(0o755, &plain);
    assert!(plain.exists() && said.contains("/usr/bin/nvidia-smi"), "{said}");
    let said = run(0o4755, &privileged);
    assert!(!privileged.exists(), "it wrote a log where its caller wanted it");
    assert!(said.contains("error: environment variable PATH not found"), "{said}");
}
