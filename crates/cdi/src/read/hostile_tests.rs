//! Damaged and hostile texts: every prefix of a spec, every field with every wrong type, folders that change while they are
//! read. That nothing panics or grows without bound is what `tests/fuzz-targets` looks for, too.

use crate::{Host, Registry, Report, Seen, Spec};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

struct Nowhere;

impl Host for Nowhere {
    fn look(&self, _: &str) -> Option<Seen> {
        None
    }

    fn driver_version(&self) -> Option<&str> {
        None
    }
}

/// A spec with each field once, every list with one item.
const EVERY_FIELD: &str = r#"{"cdiVersion":"1.1.0","kind":"v/c","annotations":{"k":"v"},"containerEdits":{"env":["B=2"]},
"devices":[{"name":"a","annotations":{"k":"v"},"containerEdits":{"env":["A=1"],
"deviceNodes":[{"path":"/d","hostPath":"/h","type":"c","major":1,"minor":2,"fileMode":3,"permissions":"r","uid":4,"gid":5}],
"netDevices":[{"hostInterfaceName":"a","name":"b"}],
"hooks":[{"hookName":"prestart","path":"/p","args":["x"],"env":["C=3"],"timeout":6}],
"mounts":[{"hostPath":"/a","containerPath":"/b","options":["ro"],"type":"none"}],
"intelRdt":{"closID":"c","l3CacheSchema":"l","memBwSchema":"m","schemata":["s"],"enableMonitoring":true},
"additionalGids":[7]}}]}"#;

#[test]
fn a_truncated_file_is_an_error_or_says_less() {
    let json = EVERY_FIELD;
    Spec::parse(json.as_bytes()).unwrap().validate().unwrap();
    for end in 0..json.len() {
        assert!(Spec::parse(&json.as_bytes()[..end]).is_err(), "{}", &json[..end]);
        assert!(Report::of_bytes(&json.as_bytes()[..end], &Nowhere).spec.is_none());
    }
    for yaml in [include_str!("../../tests/recorded/transformed-host.yaml"), &yaml_of(EVERY_FIELD)] {
        let whole = Spec::parse(yaml.as_bytes()).unwrap();
        let count = |spec: &Spec| spec.all_edits().map(|edits| edits.mounts.len() + edits.hooks.len()).sum::<usize>();
        for end in 0..yaml.len() {
            // Half a YAML file is a YAML file.
            if let Ok(spec) = Spec::parse(&yaml.as_bytes()[..end]) {
                assert!(spec.devices.len() <= whole.devices.len() && count(&spec) <= count(&whole), "{}", &yaml[..end]);
            }
            assert!(Report::of_bytes(&yaml.as_bytes()[..end], &Nowhere).findings.len() <= 100);
        }
    }
}

fn yaml_of(json: &str) -> String {
    Spec::parse(json.as_bytes()).unwrap().to_text(crate::Format::Yaml)
}

#[test]
fn every_field_with_every_wrong_type_is_named() {
    let whole: Value = serde_json::from_str(EVERY_FIELD).unwrap();
    let mut pointers = Vec::new();
    collect("", &whole, &mut pointers);
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!("text"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"x": {}}),
    ];
    let mut refused = 0;
    for (pointer, value) in pointers.iter().flat_map(|pointer| values.iter().map(move |value| (pointer, value))) {
        let mut changed = whole.clone();
        let given = changed.pointer_mut(pointer).map(|place| std::mem::replace(place, value.clone())).unwrap();
        let text = changed.to_string();
        let found = Spec::parse(text.as_bytes()).map_err(|error| error.to_string());
        let report = Report::of_bytes(text.as_bytes(), &Nowhere);
        assert_eq!(found.is_ok(), report.spec.is_some(), "{text}");
        match found {
            Ok(_) => assert!(may_be(&given, value), "{pointer} may not be {value}"),
            Err(error) => {
                refused += 1;
                let place = pointer.rsplit('/').find(|step| step.parse::<usize>().is_err()).unwrap_or_default();
                assert!(!may_be(&given, value) && error.contains(place), "{pointer} may be {value}: {error}");
                assert!(["wrong-type", "unknown-field", "syntax"].contains(&report.findings[0].name), "{error}");
            }
        }
    }
    assert!(pointers.len() > 45 && refused > 300, "{} places, {refused} refused", pointers.len());
}

/// Every value, by its JSON pointer; the whole is the empty one.
fn collect(pointer: &str, value: &Value, pointers: &mut Vec<String>) {
    pointers.push(pointer.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| collect(&format!("{pointer}/{key}"), value, pointers))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| collect(&format!("{pointer}/{at}"), item, pointers))
        }
        _ => {}
    }
}

/// What may stand where `given` does.
fn may_be(given: &Value, value: &Value) -> bool {
    match (given, value) {
        (Value::Object(members), Value::Null) => !members.contains_key("cdiVersion"),
        (_, Value::Null) => true,
        (Value::String(_), Value::Bool(_) | Value::Number(_) | Value::String(_)) => true,
        (Value::Bool(_), Value::Bool(_)) => true,
        // -1 fits the fields with a sign only: `major` 1, `minor` 2, `timeout` 6.
        (Value::Number(number), Value::Number(new)) if *new == (-1).into() => {
            [1, 2, 6].map(Some).contains(&number.as_i64())
        }
        (Value::Number(_), Value::Number(new)) => *new == 7.into(),
        (Value::Array(_), Value::Array(items)) => items.is_empty(),
        // Annotations have any names.
        (Value::Object(_), Value::Object(members)) => members.is_empty(),
        _ => false,
    }
}

#[test]
fn nul_bytes_and_other_controls_are_no_spec() {
    for text in [
        &b"\0"[..],
        b"kind: v/c\0\n",
        b"{\"kind\":\"v/c\"}\0",
        b"\xef\xbb\xbf\0",
        b"kind: \x1b[31m\n",
        b"\xff\xfe{\0}\0",
    ] {
        let spec = Spec::parse(text);
        assert!(spec.is_err() || spec.as_ref().is_ok_and(|spec| spec.validate().is_err()), "{text:?}: {spec:?}");
    }
}

/// Files and folders come and go while they are read: whoever is there is whole, and what is gone is no failure.
#[test]
fn what_vanishes_between_listing_and_reading_is_no_failure() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("cdi");
    let done = AtomicBool::new(false);
    let loads = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                come_and_go(&folder)
            }
        });
        let mut seen = 0;
        for load in 0..1_000_000 {
            let registry = Registry::load(&[&folder]);
            let failures: Vec<_> = registry.failures().iter().map(ToString::to_string).collect();
            assert!(failures.is_empty(), "{load}: {failures:?}");
            seen += registry.names().count();
            if load >= 200 && seen > 0 {
                done.store(true, Ordering::Relaxed);
                return load;
            }
        }
        done.store(true, Ordering::Relaxed);
        0
    });
    assert!(loads > 0, "the files were never seen");
}

fn come_and_go(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let beside = folder.with_extension("new");
    for index in 0..20 {
        let text = EVERY_FIELD.replace("v/c", &format!("v/c{index}"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, folder.join(format!("{index}.json"))).unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}
