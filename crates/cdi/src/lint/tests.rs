//! Specs with one thing wrong each, and what is said about it.

use super::*;
use std::collections::HashMap;

/// A machine on which there is only what a test puts there.
#[derive(Default)]
struct Machine {
    files: HashMap<&'static str, Seen>,
    driver: Option<&'static str>,
}

impl Host for Machine {
    fn look(&self, path: &str) -> Option<Seen> {
        self.files.get(path).cloned()
    }

    fn driver_version(&self) -> Option<&str> {
        self.driver
    }
}

fn node(kind: char, major: i64, minor: i64) -> Seen {
    Seen::Node(HostNode { kind, major, minor, file_mode: 0o666 })
}

fn machine() -> Machine {
    let files = [
        ("/usr/bin/hook", Seen::File { executable: true }),
        ("/etc/passwd", Seen::File { executable: false }),
        ("/lib", Seen::Other),
        ("/dev/a", node('c', 195, 1)),
        ("/dev/p", node('p', 0, 0)),
        ("/sys/class/net/eth0", Seen::Other),
    ];
    Machine { files: files.into(), driver: Some("550.54.14") }
}

/// What is found, as `LINE NAME`.
fn found(text: &str, host: &Machine) -> Vec<String> {
    let findings = Report::of_bytes(text.as_bytes(), host).findings;
    findings.iter().map(|finding| format!("{} {}", finding.line.unwrap_or_default(), finding.name)).collect()
}

/// A valid spec; the lines are the edits of its only device, the first of them line 6 of the text.
fn spec(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("cdiVersion: 1.1.0\nkind: v/c\ndevices:\n- name: a\n  containerEdits:\n{lines}")
}

#[test]
fn a_good_spec_has_no_findings() {
    let good = spec(&[
        "env: [A=1]",
        "hooks:",
        "- {hookName: createContainer, path: /usr/bin/hook, env: [PATH=/bin]}",
        "- {hookName: startContainer, path: /in/the/container, env: [PATH=/bin]}",
        "mounts:",
        "- {hostPath: /lib, containerPath: /lib, options: [ro, rbind]}",
        "- {hostPath: tmpfs, containerPath: /lib/x, type: tmpfs}",
        "deviceNodes:",
        "- {path: /dev/a, type: c, major: 195, minor: 1}",
        "- {path: /dev/b, hostPath: /dev/a}",
        "- {path: /dev/to/come, type: c, major: 195, minor: 9}",
        "- {path: /dev/p, type: p}",
        "netDevices: [{hostInterfaceName: eth0, name: net0}]",
    ]);
    assert_eq!(Report::of_bytes(good.as_bytes(), &machine()).findings, []);
    let recorded = include_str!("../../tests/recorded/two-gpus.yaml");
    let findings = Report::of_bytes(recorded.as_bytes(), &Machine::default()).findings;
    assert!(findings.iter().all(|finding| finding.name.ends_with("-missing")), "{findings:?}");
}

#[test]
fn each_warning_has_its_name_and_line() {
    let hook = |path: &str| format!("- {{hookName: prestart, path: {path}, env: [A=1]}}");
    let table: &[(&[&str], &str)] = &[
        (&["hooks:", "- {hookName: prestart, path: /usr/bin/hook}"], "7 hook-without-env"),
        (&["hooks:", &hook("/none")], "7 hook-missing"),
        (&["hooks:", &hook("hook")], "7 hook-missing"),
        (&["hooks:", &hook("/etc/passwd")], "7 hook-not-executable"),
        (&["hooks:", &hook("/lib")], "7 hook-not-executable"),
        (&["mounts:", "- {hostPath: /none, containerPath: /x}"], "7 mount-source-missing"),
        (&["mounts:", "- {hostPath: /none, containerPath: /x, type: none}"], "7 mount-source-missing"),
        (&["deviceNodes:", "- {path: /dev/none}"], "7 device-missing"),
        (&["deviceNodes:", "- {path: /dev/none, type: c}"], "7 device-missing"),
        (&["deviceNodes:", "- {path: /dev/x, hostPath: /lib, type: c, major: 1}"], "7 device-missing"),
        (&["deviceNodes:", "- {path: /dev/a, major: 195, minor: 2}"], "7 device-changed"),
        (&["deviceNodes:", "- {path: /dev/a, type: c, major: 1, minor: 1}"], "7 device-changed"),
        (&["deviceNodes:", "- path: /dev/a", "  type: b"], "7 device-changed"),
        (&["netDevices: [{hostInterfaceName: eth1, name: net0}]"], "6 net-device-missing"),
        (
            &["mounts:", "- {hostPath: /lib, containerPath: /x}", "- {hostPath: /etc/passwd, containerPath: //x/.}"],
            "8 shadowed-mount",
        ),
        (
            &["mounts:", "- {hostPath: /lib, containerPath: /x/y}", "- {hostPath: /lib, containerPath: /x}"],
            "8 shadowed-mount",
        ),
    ];
    for (lines, want) in table {
        assert_eq!(found(&spec(lines), &machine()), [*want], "{lines:?}");
    }
}

#[test]
fn libraries_must_be_of_one_driver_and_of_the_loaded_one() {
    let mount = |name: &str| format!("- {{hostPath: /lib/{name}, containerPath: /lib/{name}}}");
    let mut host = machine();
    host.files.extend(["/lib/libcuda.so.550.54.14", "/lib/libnvidia-ml.so.535.1.2"].map(|path| (path, Seen::Other)));
    let (new, old) = (mount("libcuda.so.550.54.14"), mount("libnvidia-ml.so.535.1.2"));
    let both = spec(&["mounts:", &new, &old]);
    assert_eq!(found(&both, &host), ["8 several-driver-versions", "8 other-driver-version"]);
    assert_eq!(found(&spec(&["mounts:", &new]), &host), [""; 0]);
    host.driver = None;
    assert_eq!(found(&spec(&["mounts:", &old]), &host), [""; 0]);
    for name in ["libnvJitLink.so.12.4.127", "libcudart.so.12.4.99", "libc.so.100.1", "libcuda.so.1"] {
        assert_eq!(
            content::driver_files(&Spec::parse(spec(&["mounts:", &mount(name)]).as_bytes()).unwrap()).count(),
            0
        );
    }
}

#[test]
fn fields_of_newer_versions_are_found_even_when_empty() {
    let text = "cdiVersion: 0.3.0\nkind: v/c\nannotations: {}\ndevices:\n- name: a\n  containerEdits:\n    env: [A=1]\n    additionalGids: []\n    netDevices: []\n";
    assert_eq!(found(text, &machine()), ["3 newer-field", "8 newer-field", "9 newer-field"]);
    assert_eq!(found(&text.replace("0.3.0", "0.7.0"), &machine()), ["9 newer-field"]);
    assert_eq!(found(&text.replace("0.3.0", "1.1.0"), &machine()), [""; 0]);
    let used = text.replace("additionalGids: []", "additionalGids: [5]");
    assert_eq!(found(&used, &machine())[0], "1 version-too-old");
}

#[test]
fn all_errors_of_a_file_are_told_with_their_lines() {
    let text = "cdiVersion: [1]\nkind: v/c\nwhat: 1\ndevices:\n- name: a\n  containerEdits:\n    env: A=1\n    deviceNodes:\n    - path: /d\n      major: x\n      Path: /e\n";
    assert_eq!(
        found(text, &machine()),
        ["1 wrong-type", "3 unknown-field", "7 wrong-type", "10 wrong-type", "11 duplicate-field"]
    );
    let text = "cdiVersion: 0.5.0\nkind: vc\ncontainerEdits:\n  hooks:\n  - hookName: x\n    path: /usr/bin/hook\n    env: [A=1]\ndevices:\n- name: a-\n  containerEdits: {}\n- name: b\n  containerEdits: {env: [A=1]}\n- name: b\n  containerEdits: {env: [A]}\n";
    assert_eq!(
        found(text, &machine()),
        ["2 bad-name", "5 bad-hook", "9 bad-name", "9 empty-device", "13 duplicate-device", "14 bad-variable"]
    );
    for (text, want) in [
        ("", "0 syntax"),
        ("kind: v/c\n  x: [", "2 syntax"),
        ("a: b\nkind: v/c\nkind: v/c\n", "3 duplicate-field"),
        ("kind: v/c\n? [a]\n: b\n", "2 wrong-type"),
        ("cdiVersion: 0.5.0\nkind: v/c\n", "1 no-devices"),
    ] {
        assert_eq!(found(text, &machine()), [want], "{text:?}");
    }
    assert_eq!(Report::of_bytes(b"a\xff", &machine()).findings[0].name, "syntax");
}

#[test]
fn lines_of_json_are_found_however_it_is_indented() {
    for indent in ["  ", "\t", ""] {
        let text = format!(
            "{{\n{indent}\"cdiVersion\": \"0.5.0\",\n{indent}\"kind\": \"vc\",\n{indent}\"devices\": [\n{indent}{indent}{{\"name\": \"a\", \"containerEdits\": {{\"env\": [\"A=1\"]}}}}\n]\n}}\n"
        );
        assert_eq!(found(&text, &machine()), ["3 bad-name"], "{text}");
    }
}

#[test]
fn a_hostile_file_has_a_bounded_number_of_findings() {
    let many = format!("kind: v/c\ncontainerEdits: {{env: [{}]}}\n", "[],".repeat(200_000));
    let report = Report::of_bytes(many.as_bytes(), &machine());
    assert_eq!(report.findings.len(), 100);
}

#[test]
fn one_name_in_two_files_is_told_of_both() {
    let text = spec(&["env: [A=1]"]);
    let spec = Spec::parse(text.as_bytes()).unwrap();
    let files = [(Path::new("/a.yaml"), &spec), (Path::new("/b.yaml"), &spec)];
    let mut report = Report::of_bytes(text.as_bytes(), &machine());
    let found = same_names(&files);
    assert_eq!(found.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(found[0].1.text, "v/c=a is also in /b.yaml, so that it cannot be used");
    report.add(vec![found[1].1.clone()]);
    assert_eq!((report.findings[0].name, report.findings[0].line), ("conflicting-device", Some(4)));
    assert!(same_names(&files[..1]).is_empty());
}

#[test]
fn the_documentation_has_the_table() {
    let page = include_str!("../../../../docs/cdi-validate.md");
    let row = |(name, severity, meaning): &(&str, Severity, &str)| {
        format!("| `{name}` | {} | {meaning} |\n", if *severity == Severity::Error { "error" } else { "warning" })
    };
    let table: String = FINDINGS.iter().map(row).collect();
    assert!(page.contains(&table), "docs/cdi-validate.md should have this table:\n{table}");
}
