//! `nvidia-ctk cdi generate` on machines that are not as they should be.

use crate::stage::{Stage, stderr, stdout};

const GENERATE: &str = r#""${SHIM%/*}/nvidia-ctk" cdi generate --hooks=none --device-name-strategy=index"#;
/// Where the lab's kernel and NVML are described.
const STATE: &str = "/proc/driver/corten-lab.json";
const CAPABILITIES: &str = "/proc/driver/nvidia/capabilities";

/// Devices of the specification that a script writes, and what was warned of.
fn made(machine: &str, settings: &[&str], script: &str) -> (String, Vec<String>) {
    let done = Stage::without_runtime(&["bare"]).command_on(machine, settings, script).output().unwrap();
    assert!(done.status.success(), "{script}: {}", stderr(&done));
    let (text, said) = (stdout(&done), stderr(&done));
    let names = text.lines().filter_map(|line| line.strip_prefix("    - name: "));
    let names = names.map(|name| name.trim_matches('"')).collect::<Vec<_>>().join(" ");
    (names, said.lines().filter(|line| line.contains("level=warning")).map(str::to_owned).collect())
}

#[test]
fn one_bad_mig_device_does_not_spoil_the_rest() {
    let sealed = ["driver.modify-device-files=false"];
    let (names, warnings) = made("mixed", &sealed, GENERATE);
    assert_eq!((names.as_str(), warnings.len()), ("0 1:0 1:1 1:3 2 all", 0), "{warnings:?}");
    for (what, damage, left, said) in [
        (
            "without capability nodes",
            format!("rm -r {CAPABILITIES}/gpu1/mig/gi11"),
            "0 1:0 1:1 2 all",
            &["MIG device 1:3 (MIG-7b2d3e4f-9a1b-5e5c-8b7d-3c8f6d0e2555) is left out"][..],
        ),
        (
            // It counts the slots anew where it shows less than there is, so that they mean nothing.
            "unknown to NVML",
            format!(r#"sed -i 's/"gpu-instance": 9/"gpu-instance": 5/' {STATE}"#),
            "0 2 all",
            &[
                "the MIG device of GPU instance 9, compute instance 0 of GPU 1 is left out",
                "MIG devices of GPU 1 have no names by index",
            ],
        ),
    ] {
        let (names, warnings) = made("mixed", &sealed, &format!("{damage}; {GENERATE}"));
        assert_eq!(names, left, "{what}: {warnings:?}");
        assert_eq!(warnings.len(), said.len(), "{what}: {warnings:?}");
        assert!(said.iter().zip(&warnings).all(|(said, line)| line.contains(said)), "{what}: {warnings:?}");
    }
}

/// The original gives up at a profile of three slices with graphics.
#[test]
fn every_profile_with_graphics_has_drm_nodes() {
    let script = format!("{GENERATE} --device-id=0:0 --no-all-device | grep -c 'path: /dev/dri/[cr]'; true");
    for (profile, want) in [("3g.20gb", "0\n"), ("3g.20gb+gfx", "2\n")] {
        let stage = Stage::without_runtime(&["bare"]);
        let setting = format!("gpu.0.mig.0.profile={profile}");
        assert_eq!(stdout(&stage.command_on("mig", &[&setting], &script).output().unwrap()), want, "{profile}");
    }
}

#[test]
fn a_driver_without_libcuda_is_an_error_that_says_where_it_looked() {
    let stage = Stage::without_runtime(&["bare"]);
    let script = format!("rm /usr/lib/*/libcuda.so*; {GENERATE} --quiet; {GENERATE} --mode=management | wc -l");
    let script =
        script.replace("cdi generate --hooks=none --device-name-strategy=index --quiet", "--quiet cdi generate");
    let done = stage.command_on("two-gpus", &[], &script).output().unwrap();
    let said = stderr(&done);
    for want in ["without libcuda.so.550.54.14", "searched: /usr/lib64, /usr/lib/x86_64-linux-gnu", "[CORTEN-E040]"] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert!(stdout(&done).trim().parse::<u32>().unwrap() > 100, "managers need only NVML: {}", stdout(&done));
}

#[test]
fn a_root_may_be_relative_or_behind_a_link() {
    let stage = Stage::without_runtime(&["bare"]);
    let script = format!(
        "cd /run; ln -s nvidia/driver link; for root in /run/nvidia/driver nvidia/driver/ /run/link link; do \
             {GENERATE} --driver-root=$root >\"$D/spec\" 2>/dev/null && grep -v '^# ' \"$D/spec\" | md5sum && grep -c libcuda.so \"$D/spec\"; \
         done | sort | uniq -c"
    );
    let text = stdout(&stage.command_on("other-root", &[], &script).output().unwrap());
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("4 ")), "{text}");
}

/// A part without a device must not stay behind and offer devices that do not exist.
#[test]
fn parts_that_are_out_of_date_go_or_are_named() {
    let split = format!("{GENERATE} --feature-flag=enable-coherent-annotations");
    let forget = format!(r#"sed -i 's/"ats"/"none"/' {STATE}; rm /run/corten/nvml.json"#);
    let script = format!(
        "cd \"$D\"; {split} --output=out/n.yaml; ls out; {forget}; {GENERATE} --output=out/n.yaml; echo; \
         echo kind: x/y.z >out/other.coherent.yaml; {split} --output=out/other.yaml; {split} --output=out/n.yaml; ls out; \
         {split} --format=json | wc -l"
    );
    let stage = Stage::without_runtime(&["bare"]);
    let settings = ["gpu.0.addressing=ats", "driver.modify-device-files=false"];
    let done = stage.command_on("two-gpus", &settings, &script).output().unwrap();
    let want = "n.coherent.yaml\nn.noncoherent.yaml\nn.yaml\n\n\
                n.noncoherent.yaml\nn.yaml\nother.coherent.yaml\nother.noncoherent.yaml\nother.yaml\n1\n";
    assert_eq!(stdout(&done), want, "{}", stderr(&done));
    let said = stderr(&done);
    assert_eq!(said.matches("is of an earlier run and is not made anew").count(), 2, "{said}");
    assert_eq!(said.matches("Removed out/n.coherent.yaml").count(), 1, "{said}");
}

#[test]
fn every_part_is_explained_in_columns() {
    let stage = Stage::without_runtime(&["bare"]);
    let script = format!("{GENERATE} --format=json; echo; {GENERATE} --explain --output=\"$D/not-written\"");
    let done = stage.command_on("two-gpus", &[], &script).output().unwrap();
    assert!(!stage.path("not-written.yaml").exists() && !stage.path("not-written").exists());
    let text = stdout(&done);
    let (spec, table) = text.split_once('\n').unwrap();
    let lines: Vec<_> = table.lines().collect();
    let parts = |kind: &str| lines.iter().filter(|line| line.split_whitespace().nth(1) == Some(kind)).count();
    assert_eq!(parts("mount"), spec.matches("\"containerPath\"").count());
    // Each GPU's nodes stand in the device of its own and in the one that is all of them.
    assert_eq!(parts("node"), 4 + 2 * 5);
    let column = lines[0].find("WHY").unwrap();
    for line in &lines[1..] {
        let why: String = line.chars().skip(column - 2).take(3).collect();
        assert!(why.starts_with("  ") && !why.ends_with(' '), "{line}");
        let request = line.rsplit("  ").next().unwrap_or_default();
        assert!(request.starts_with("--"), "{line}");
    }
}

/// An engine needs no node on the host: it is told type and numbers.
#[test]
fn nodes_need_not_exist() {
    let stage = Stage::without_runtime(&["bare"]);
    let script = format!("ls /dev/nvidia0; {GENERATE} | grep -A5 'path: /dev/nvidia0'");
    let done = stage.command_on("old-frontend", &[], &script).output().unwrap();
    let lines: Vec<_> = stdout(&done).lines().map(|line| line.trim().to_owned()).take(5).collect();
    assert_eq!(lines, ["- path: /dev/nvidia0", "type: c", "major: 195", "fileMode: 438", "permissions: rwm"]);
    assert!(stderr(&done).contains("cannot access '/dev/nvidia0'"), "{}", stderr(&done));
}

/// The class stays that of GPUs, as in the original; engines refuse a device that two files describe.
#[test]
fn names_that_another_file_has_are_warned_of() {
    for (flags, want) in [("", 1), ("--class=gds", 0), ("--mode=nvml", 0)] {
        let stage = Stage::without_runtime(&["bare"]);
        let script = format!("{GENERATE} --mode=gds {flags} --output=\"$D/spec.yaml\"");
        let done = stage.command_on("eight-gpus-nvswitch", &[], &script).output().unwrap();
        assert!(done.status.success());
        assert_eq!(stderr(&done).matches("give --class=gds").count(), want, "{flags}: {}", stderr(&done));
    }
}

#[test]
fn only_what_a_hook_would_do_on_this_machine_is_missed() {
    let said = |setting: &str| made("two-gpus", &[setting], GENERATE).1.join("\n");
    assert!(said("driver.modify-device-files=true").contains("NVreg_ModifyDeviceFiles=0"));
    assert_eq!(said("driver.modify-device-files=false"), "");
}
