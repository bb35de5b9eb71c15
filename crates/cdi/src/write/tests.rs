//! What is written, compared with what the original wrote: `tests/recorded` holds its outputs for machines of the lab, and for
//! a list of odd texts.

use super::*;
use crate::spec::Device;
use crate::tree::Node;
use crate::{ContainerEdits, Hook};
use std::os::unix::fs::PermissionsExt;

const RECORDED: [(&str, Option<&str>); 4] = [
    (include_str!("../../tests/recorded/small.yaml"), Some(include_str!("../../tests/recorded/small.json"))),
    (include_str!("../../tests/recorded/two-gpus.yaml"), Some(include_str!("../../tests/recorded/two-gpus.json"))),
    (include_str!("../../tests/recorded/mig.yaml"), None),
    (include_str!("../../tests/recorded/mixed.yaml"), None),
];

fn with_args(args: &[&str]) -> Spec {
    let hook = Hook {
        hook_name: "prestart".to_owned(),
        path: "/p".to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..Hook::default()
    };
    let edits = ContainerEdits { hooks: vec![hook], ..ContainerEdits::default() };
    Spec {
        cdi_version: "0.3.0".to_owned(),
        kind: "v/c".to_owned(),
        devices: vec![Device { name: "a".to_owned(), container_edits: edits, ..Device::default() }],
        ..Spec::default()
    }
}

#[test]
fn specs_are_written_byte_for_byte_as_by_the_original() {
    for (yaml, json) in RECORDED {
        let Some(json) = json else { continue };
        let spec: Spec = serde_json::from_str(json).unwrap();
        assert_eq!(spec.to_text(Format::Json), json);
        assert_eq!(spec.to_text(Format::Yaml), yaml);
        assert_eq!(spec.minimum_version(), spec.cdi_version);
        spec.validate().unwrap();
    }
}

#[test]
fn odd_texts_are_quoted_as_by_the_original() {
    let Node::List(cases) = serde_json::from_str(include_str!("../../tests/recorded/strings.json")).unwrap() else {
        panic!("a list")
    };
    for case in cases {
        let Node::Map(members) = case else { panic!("a map") };
        let [(_, Node::Text(text)), (_, Node::Text(want))] = &members[..] else { panic!("two texts") };
        let written = with_args(&["first", text, "last"]).to_text(Format::Yaml);
        let (_, after) = written.split_once("- first\n").unwrap();
        let (found, _) = after.split_once("                - last\n").unwrap();
        assert_eq!(found, want, "{text:?}");
    }
}

#[test]
fn what_is_zero_or_empty_is_not_written() {
    let node = DeviceNode {
        path: "/d".to_owned(),
        host_path: Some(String::new()),
        major: Some(0),
        minor: Some(0),
        uid: Some(0),
        ..DeviceNode::default()
    };
    let mut spec = with_args(&[]);
    spec.devices[0].container_edits.device_nodes.push(node);
    let json = spec.to_text(Format::Json);
    let want = r#"{"cdiVersion":"0.3.0","kind":"v/c","devices":[{"name":"a","containerEdits":{"deviceNodes":[{"path":"/d","uid":0}],"hooks":[{"hookName":"prestart","path":"/p"}]}}],"containerEdits":{}}"#;
    assert_eq!(json, want);
    assert!(!spec.to_text(Format::Yaml).contains("containerEdits: {}"));
    assert!(with_args(&["<&>"]).to_text(Format::Json).contains(r#""\u003c\u0026\u003e""#));
}

#[test]
fn files_are_replaced_whole_and_readable_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cdi/new.yaml");
    with_args(&["1"]).write_file(&path, None).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let spec = with_args(&["2"]);
    spec.write_file(&path, None).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), spec.to_text(Format::Yaml));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["new.yaml"]);
}

#[test]
fn what_is_not_valid_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let mut spec = with_args(&[]);
    spec.devices[0] = Device { name: "all".to_owned(), ..Device::default() };
    let text = spec.write_file(&path, None).unwrap_err().to_string();
    assert!(
        text.ends_with(r#"invalid CDI Spec: failed add device "all": invalid device, empty device edits"#),
        "{text}"
    );
    assert!(!path.exists());
}

#[test]
fn a_long_key_stands_on_a_line_of_its_own() {
    for length in [100, 128, 129, 1025, 70_000] {
        let mut spec = with_args(&[]);
        let key = format!("a.b/{}", "c".repeat(length - 4));
        spec.annotations.insert(key.clone(), "value".to_owned());
        spec.devices[0].annotations.insert(format!("{key}: #"), "'".to_owned());
        let text = spec.to_text(Format::Yaml);
        assert_eq!(text.contains(&format!("    ? {key}\n    : value\n")), length > 128, "{length}");
        assert_eq!(Spec::parse(text.as_bytes()).unwrap().annotations, spec.annotations, "{length}");
        assert_eq!(Spec::parse(text.as_bytes()).unwrap().devices, spec.devices, "{length}");
    }
}
