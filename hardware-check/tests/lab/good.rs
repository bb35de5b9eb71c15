//! Machines on which all is well.

use crate::stage::{report, report_after, script};

/// Every check holds, each in its way.
#[test]
fn everything_holds_on_every_kind_of_machine() {
    for (machine, root, gpus, mig, list) in [
        ("two-gpus", "/", "2: ", "none, ", "lists 2 GPUs"),
        ("mig", "/", "1: ", "2: ", "lists 1 GPUs and 2 MIG devices"),
        ("mixed", "/", "3: ", "3: ", "lists 3 GPUs and 3 MIG devices"),
        ("eight-gpus-nvswitch", "/", "8: ", "none, ", "lists 8 GPUs"),
        ("debian-alternatives", "/", "2: ", "none, ", "lists 2 GPUs"),
        ("other-root", "/run/nvidia/driver", "2: ", "none, ", "lists 2 GPUs"),
        ("local-nvidia", "/usr/local/nvidia", "2: ", "none, ", "lists 2 GPUs"),
    ] {
        let report = report(machine, &[]);
        eprintln!("{machine}: {:#}", report.document);
        assert_eq!(report.status, Some(0), "{machine}");
        assert_eq!(report.outcomes(), ["pass"; 14], "{machine}");
        assert_eq!(report.document["driver_root"], root);
        assert_eq!(report.document["simulated"], true);
        report.has("driver", "pass", &format!("550.54.14 below {root},"));
        report.has("gpus", "pass", gpus);
        report.has("mig devices", "pass", mig);
        report.has("cdi spec", "pass", "the same from the kernel's files and from NVML");
        for check in ["list, in place", "list, container", "list, cdi"] {
            report.has(check, "pass", list);
        }
        for check in ["cuda, in place", "cuda, container", "cuda, cdi"] {
            report.has(check, "pass", "CUDA 12.4");
        }
    }
}

/// Within a container that was given one of two GPUs, the kernel still lists both.
#[test]
fn a_part_of_a_machine_is_compared_with_that_part() {
    let report = report_after("two-gpus", &["driver.modify-device-files=false"], "rm /dev/nvidia0", "");
    report.has(
        "gpus",
        "pass",
        "1: index, UUID, bus id and minor as NVML says; this is a container, which was given a part of the machine's 2",
    );
    report.has("device nodes", "pass", "all with the kernel's numbers");
    report.has("list, container", "pass", "lists 1 GPUs");
    assert_eq!(report.status, Some(0), "{report:?}");
}

/// Where no container can be started, the rest is still done, and that is no failure.
#[test]
fn without_the_right_to_mount_the_rest_is_done_in_place() {
    let run = r#"exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$CHECK" --json"#;
    let report = crate::stage::read(&script("two-gpus", &[], run));
    report.has("runc", "skip", "a mount namespace of its own: Operation not permitted");
    for check in ["list, container", "cuda, container", "list, cdi", "cuda, cdi"] {
        report.has(check, "skip", "no container can be started here");
    }
    for check in ["gpus", "cdi spec", "list, in place", "cuda, in place"] {
        report.has(check, "pass", "");
    }
    assert_eq!(report.status, Some(0));
}

/// People see aligned lines and a sum, and that it was no real machine; no UUID is whole and no host is named.
#[test]
fn the_text_is_for_people_and_the_report_can_be_shown() {
    let steps = r#"exec unshare --uts sh -ec 'echo unlikely-host > /proc/sys/kernel/hostname
        "$CHECK" --report /run/report.json; cat /run/report.json >&2'"#;
    let output = script("two-gpus", &[], steps);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("on a SIMULATED machine") && lines[0].ends_with("2 × NVIDIA A100-SXM4-40GB"), "{text}");
    assert!(
        lines[2..16]
            .iter()
            .all(|line| line[..6].trim_end().len() == 4 && &line[22..24] == "  " && line.as_bytes()[24] != b' '),
        "{text}"
    );
    assert_eq!(*lines.last().unwrap(), "14 passed, 0 failed, 0 skipped; nothing of this ran on real hardware");
    let json = String::from_utf8(output.stderr).unwrap();
    assert!(json.contains("\"driver\": \"550.54.14\"") && !json.contains("unlikely-host"), "{json}");
    assert!(!json.contains("06c0-7d70"), "{json}");
}
