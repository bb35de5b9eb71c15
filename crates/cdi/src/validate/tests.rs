//! Specs that break one rule each, and what is said about them.

use crate::Spec;

/// A valid spec with one device, and these members in place of its own.
fn spec(kind: &str, devices: &str, common: &str) -> Spec {
    let text =
        format!(r#"{{"cdiVersion":"1.1.0","kind":"{kind}","devices":[{devices}],"containerEdits":{{{common}}}}}"#);
    serde_json::from_str(&text).unwrap()
}

const DEVICE: &str = r#"{"name":"a","containerEdits":{"env":["A=1"]}}"#;

#[test]
fn a_valid_spec_is_valid() {
    spec("v/c", DEVICE, "").validate().unwrap();
    let everything = r#""env":["A="],"deviceNodes":[{"path":"/d","type":"u","permissions":"mr"}],
        "netDevices":[{"hostInterfaceName":"e0","name":"e1"},{"hostInterfaceName":"e1","name":"e0"}],
        "hooks":[{"hookName":"poststop","path":"/h","env":["B=1"]}],"mounts":[{"hostPath":"/a","containerPath":"/b"}],
        "intelRdt":{"closID":"/"},"additionalGids":[0]"#;
    spec("v/c", DEVICE, everything).validate().unwrap();
}

/// What engines take must not be refused here.
#[test]
fn annotations_may_have_any_key() {
    let device = r#"{"name":"a","annotations":{"bad key":"y"},"containerEdits":{"env":["A=1"]}}"#;
    let mut odd = spec("v/c", device, "");
    odd.annotations.insert("no such key!!/a b".to_owned(), "x".repeat(300 << 10));
    odd.validate().unwrap();
}

#[test]
fn each_rule_is_named() {
    let twice = format!("{DEVICE},{DEVICE}");
    let net = |pairs: &[(&str, &str)]| {
        let items: Vec<_> =
            pairs.iter().map(|(host, name)| format!(r#"{{"hostInterfaceName":"{host}","name":"{name}"}}"#)).collect();
        format!(r#""netDevices":[{}]"#, items.join(","))
    };
    let (no_host, same_host, same_name) =
        (net(&[("", "a")]), net(&[("a", "b"), ("a", "c")]), net(&[("a", "c"), ("b", "c")]));
    let table = [
        ("vc", DEVICE, "", r#"invalid kind: the vendor is missing in "vc", which should read vendor/class"#),
        ("v/c", "", "", "invalid spec, no devices"),
        ("v/c", &twice, "", r#"invalid spec, multiple device "a""#),
        (
            "v/c",
            r#"{"name":"all","containerEdits":{}}"#,
            "",
            r#"failed add device "all": invalid device, empty device edits"#,
        ),
        (
            "v/c",
            r#"{"name":"","containerEdits":{}}"#,
            "",
            r#"failed add device "": invalid device, device name "" does not begin with a letter or digit"#,
        ),
        (
            "v/c",
            r#"{"name":"x","containerEdits":{"env":["A"]}}"#,
            "",
            r#"failed add device "x": invalid device, invalid environment variable "A": it is not NAME=value"#,
        ),
        (
            "v/c",
            DEVICE,
            r#""env":["=1"]"#,
            r#"invalid container edits: invalid environment variable "=1": it is not NAME=value"#,
        ),
        ("v/c", DEVICE, r#""deviceNodes":[{"path":""}]"#, "invalid container edits: invalid device node, empty path"),
        (
            "v/c",
            DEVICE,
            r#""deviceNodes":[{"path":"/d","type":"x"}]"#,
            r#"invalid container edits: device "/d" has the invalid type "x": b, c, u and p are known"#,
        ),
        (
            "v/c",
            DEVICE,
            r#""deviceNodes":[{"path":"/d","permissions":"rx"}]"#,
            r#"invalid container edits: device "/d" has the invalid permissions "rx": r, w and m are known"#,
        ),
        (
            "v/c",
            DEVICE,
            r#""hooks":[{"hookName":"x","path":"/h"}]"#,
            r#"invalid container edits: invalid hook name "x""#,
        ),
        (
            "v/c",
            DEVICE,
            r#""hooks":[{"hookName":"prestart","path":""}]"#,
            r#"invalid container edits: invalid hook "prestart" with empty path"#,
        ),
        (
            "v/c",
            DEVICE,
            r#""mounts":[{"hostPath":"","containerPath":"/a"}]"#,
            "invalid container edits: invalid mount, empty host path",
        ),
        (
            "v/c",
            DEVICE,
            r#""mounts":[{"hostPath":"/a","containerPath":""}]"#,
            "invalid container edits: invalid mount, empty container path",
        ),
        (
            "v/c",
            DEVICE,
            r#""intelRdt":{"closID":"../x"}"#,
            r#"invalid container edits: invalid closID "../x": it is neither a file name nor /"#,
        ),
        ("v/c", DEVICE, &no_host, "invalid container edits: invalid network device, empty hostInterfaceName"),
        (
            "v/c",
            DEVICE,
            &same_host,
            r#"invalid container edits: invalid network devices, "a" is the hostInterfaceName of two"#,
        ),
        ("v/c", DEVICE, &same_name, r#"invalid container edits: invalid network devices, "c" is the name of two"#),
    ];
    for (kind, devices, common, want) in table {
        assert_eq!(spec(kind, devices, common).validate().unwrap_err().to_string(), want);
    }
}

#[test]
fn versions_must_be_known_and_sufficient() {
    let table = [
        ("0.5", r#"invalid version "0.5": known are 0.1.0 to 1.1.0"#),
        ("1.2.0", r#"invalid version "1.2.0": known are 0.1.0 to 1.1.0"#),
        ("0.2.0", "the spec version must be at least v0.3.0, but it is 0.2.0"),
    ];
    for (version, want) in table {
        let given = Spec { cdi_version: version.to_owned(), ..spec("v/c", DEVICE, "") };
        assert_eq!(given.validate().unwrap_err().to_string(), want);
    }
    let given = Spec { cdi_version: "0.6.0".to_owned(), ..spec("v/c", DEVICE, r#""additionalGids":[44]"#) };
    let error = given.validate().unwrap_err();
    assert_eq!(error.to_string(), "the spec version must be at least v0.7.0, but it is 0.6.0");
}
