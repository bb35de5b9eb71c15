//! Every bad input ends in one line with a code and the next step, on stderr and in the engine's log, with status 1, and
//! changes neither config.json nor anything in the container's root.

use crate::stage::{Stage, assert_same, stderr};
use serde_json::json;
use std::{fs, os::unix::fs::symlink, path::Path};

/// A situation.
struct Case {
    name: &'static str,
    code: &'static str,
    /// Words that the message must have: what failed, on what.
    says: &'static str,
    /// Settings of the machine.
    machine: &'static [&'static str],
    /// Run on the machine before the shim.
    script: &'static str,
    prepare: fn(&Stage),
}

const CASE: Case = Case { name: "", code: "", says: "", machine: &[], script: "", prepare: |_| {} };

const CASES: &[Case] = &[
    Case {
        name: "malformed config.json",
        code: "E012",
        says: "config.json",
        prepare: |stage| stage.write("bundle/config.json", "{\"process\": {\"env\": [\"NVIDIA_VISIBLE_DEVICES=all\""),
        ..CASE
    },
    Case {
        name: "no config.json",
        code: "E011",
        says: "config.json",
        prepare: |stage| fs::remove_file(stage.path("bundle/config.json")).unwrap(),
        ..CASE
    },
    Case {
        name: "config.toml with a wrong type",
        code: "E002",
        says: "disable-require",
        prepare: |stage| stage.write("config.toml", "disable-require = \"yes\"\n"),
        ..CASE
    },
    Case {
        name: "no name of a device",
        code: "E030",
        says: "NVIDIA_VISIBLE_DEVICES asks for \"banana\"",
        prepare: |stage| stage.ask(&["NVIDIA_VISIBLE_DEVICES=banana"]),
        ..CASE
    },
    Case {
        name: "a GPU that does not exist",
        code: "E030",
        says: "asks for \"7\", which is an unknown device. Name one that this machine has: GPU 0 (GPU-4cf8db2d",
        prepare: |stage| stage.ask(&["NVIDIA_VISIBLE_DEVICES=0,7"]),
        ..CASE
    },
    Case {
        name: "a requirement that cannot be understood",
        code: "E033",
        says: "NVIDIA_REQUIRE_CUDA",
        prepare: |stage| stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda=>12"]),
        ..CASE
    },
    Case {
        name: "a requirement that is not met",
        code: "E034",
        says: "cuda>=99",
        prepare: |stage| stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda>=99"]),
        ..CASE
    },
    Case {
        name: "no such capability",
        code: "E032",
        says: "fabric",
        prepare: |stage| stage.ask(&["NVIDIA_DRIVER_CAPABILITIES=utility,fabric"]),
        ..CASE
    },
    Case {
        name: "a root that is a file",
        code: "E050",
        says: "/config.json",
        prepare: |stage| stage.edit(|document| document["root"]["path"] = json!("config.json")),
        ..CASE
    },
    Case {
        name: "a root that is missing",
        code: "E050",
        says: "/nowhere",
        prepare: |stage| stage.edit(|document| document["root"]["path"] = json!("nowhere")),
        ..CASE
    },
    Case {
        name: "the machine's own root",
        code: "E051",
        says: "this machine's own root",
        prepare: |stage| stage.edit(|document| document["root"]["path"] = json!("/")),
        ..CASE
    },
    Case {
        name: "NVML crashes",
        code: "E044",
        says: "NVIDIA_REQUIRE_CUDA",
        machine: &["nvml.crash=true"],
        prepare: |stage| stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda>=12"]),
        ..CASE
    },
    Case {
        name: "NVML is not installed",
        code: "E042",
        says: "libnvidia-ml.so.1",
        machine: &["nvml.absent=true"],
        prepare: |stage| stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda>=12"]),
        ..CASE
    },
    Case {
        name: "NVML answers with an error",
        code: "E045",
        says: "NVIDIA_REQUIRE_CUDA",
        machine: &["nvml.init-error=18"],
        prepare: |stage| stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda>=12"]),
        ..CASE
    },
    Case {
        name: "no low-level runtime",
        code: "E060",
        says: "no-such-runtime",
        prepare: |stage| stage.configure("no-such-runtime", ""),
        ..CASE
    },
    Case {
        name: "a low-level runtime that is not executable",
        code: "E060",
        says: "is not executable",
        prepare: |stage| {
            stage.write("plain", "");
            stage.configure(stage.path("plain").to_str().unwrap(), "");
        },
        ..CASE
    },
    Case {
        name: "the low-level runtime is this program",
        code: "E060",
        says: "is this program itself",
        prepare: |stage| {
            let shim = std::env::var_os("CORTEN_BIN").map(|bin| Path::new(&bin).join("nvidia-container-runtime"));
            symlink(shim.unwrap(), stage.path("runc")).unwrap();
            stage.configure(stage.path("runc").to_str().unwrap(), "");
        },
        ..CASE
    },
    Case {
        name: "no space for config.json",
        code: "E013",
        says: "No space left on device",
        script: r#"
            root=$B/rootfs B=$D/small
            mkdir "$B" && mount -t tmpfs -o size=64k tmpfs "$B"
            sed "s,\"rootfs\",\"$root\"," "$D/bundle/config.json" >"$B/config.json"
            cp "$B/config.json" "$D/before.json"
            dd if=/dev/zero of="$B/filler" bs=4k 2>/dev/null
        "#,
        ..CASE
    },
    Case {
        name: "no space in the root",
        code: "E052",
        says: "No space left on device",
        script: r#"
            mkdir "$D/full" && mount -t tmpfs -o size=8m tmpfs "$D/full" && cp -a "$B/rootfs" "$D/full/"
            sed "s,\"rootfs\",\"$D/full/rootfs\"," "$B/config.json" >"$B/config.json.new"
            cp "$B/config.json.new" "$D/before.json" && mv "$B/config.json.new" "$B/config.json"
            dd if=/dev/zero of="$D/full/filler" bs=4k 2>/dev/null
            AFTER='(cd "$D/full/rootfs" && find . | sort >"$D/names-after"; cd "$D/bundle/rootfs" && find . | sort | cmp - "$D/names-after")'
        "#,
        ..CASE
    },
];

/// One call in each format of the log; then what must not have changed is compared where the machine alone sees it.
const CALLS: &str = r#"
    for format in json text; do
        "$SHIM" --root "$D/state" --log "$D/log.$format" --log-format $format create --bundle "$B" "$ID" \
            2>"$D/stderr.$format"
        echo $? >"$D/status.$format"
    done
    if [ -e "$D/before.json" ]; then cmp "$B/config.json" "$D/before.json" || exit 9; fi
    eval "${AFTER:-}" || exit 9
"#;

#[test]
fn every_bad_input_has_its_code_and_harms_nothing() {
    for case in CASES {
        check(case, &["json", "text"], CALLS);
    }
}

/// Ten seconds: the time that NVML is given.
#[test]
fn nvml_that_hangs_is_given_up() {
    let case = Case {
        name: "NVML hangs",
        code: "E043",
        says: "within 10 s",
        machine: &["nvml.hang=true"],
        prepare: |stage| stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda>=12"]),
        ..CASE
    };
    check(&case, &["json"], &CALLS.replace("json text", "json"));
}

fn check(case: &Case, formats: &[&str], calls: &str) {
    let stage = Stage::new(&["debian"]);
    (case.prepare)(&stage);
    let (before, root) = (stage.read("bundle/config.json"), stage.tree());
    let done = stage.on(case.machine, &format!("{}{calls}", case.script));
    assert!(done.status.success(), "{}: {}", case.name, stderr(&done));
    for format in formats {
        let said = message(case.name, &stage.read(&format!("stderr.{format}")));
        assert_eq!(stage.read(&format!("status.{format}")), "1\n", "{}", case.name);
        assert!(said.ends_with(&format!("[CORTEN-{}]", case.code)), "{}: {said}", case.name);
        assert!(said.contains(case.says), "{}: {said}", case.name);
        assert!(said.matches(". ").count() >= 1, "{}: no next step: {said}", case.name);
        assert_eq!(logged(format, &stage.read(&format!("log.{format}"))), [said], "{}: the {format} log", case.name);
    }
    if !case.script.contains("before.json") {
        assert_eq!(stage.read("bundle/config.json"), before, "{}", case.name);
    }
    assert_same(case.name, &root, &stage.tree());
}

/// The message of the only line on stderr.
fn message(name: &str, stderr: &str) -> String {
    assert_eq!(stderr.lines().count(), 1, "{name}: {stderr}");
    text_message(stderr.trim_end())
}

/// The messages of all errors in a log.
fn logged(format: &str, log: &str) -> Vec<String> {
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    match format {
        "json" => log
            .lines()
            .map(json)
            .filter(|line| line["level"] == "error")
            .map(|line| line["msg"].as_str().unwrap().to_owned())
            .collect(),
        _ => log.lines().filter(|line| line.contains(" level=error ")).map(text_message).collect(),
    }
}

fn text_message(line: &str) -> String {
    let message = line.split_once(" level=error msg=").expect(line).1;
    message.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\")
}
