//! Specs as people and programs write them, and what is no spec.

use super::*;
use crate::write::Format;
use proptest::prelude::*;

fn parse(text: &str) -> Spec {
    Spec::parse(text.as_bytes()).unwrap()
}

fn error(text: &str) -> String {
    Spec::parse(text.as_bytes()).unwrap_err().to_string()
}

/// A spec with these lines for a device node.
fn node(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("            {line}\n")).collect();
    format!(
        "cdiVersion: 0.5.0\nkind: v/c\ndevices:\n  - name: a\n    containerEdits:\n      deviceNodes:\n          - path: /d\n{lines}"
    )
}

#[test]
fn recorded_specs_come_back_from_either_format() {
    for yaml in [
        include_str!("../../tests/recorded/small.yaml"),
        include_str!("../../tests/recorded/two-gpus.yaml"),
        include_str!("../../tests/recorded/mig.yaml"),
        include_str!("../../tests/recorded/mixed.yaml"),
    ] {
        let spec = parse(yaml);
        spec.validate().unwrap();
        assert_eq!(spec.minimum_version(), spec.cdi_version);
        assert_eq!(spec.to_text(Format::Yaml), yaml);
        assert_eq!(parse(&spec.to_text(Format::Json)), spec);
    }
    let json = include_str!("../../tests/recorded/two-gpus.json");
    assert_eq!(parse(json), parse(include_str!("../../tests/recorded/two-gpus.yaml")));
}

#[test]
fn normalising_what_the_original_normalised_changes_nothing() {
    for yaml in [include_str!("../../tests/recorded/mixed.yaml"), include_str!("../../tests/recorded/two-gpus.yaml")] {
        let mut spec = parse(yaml);
        spec.devices.retain(|device| device.name != "all");
        spec.devices.reverse();
        for device in &mut spec.devices {
            device.container_edits.device_nodes.reverse();
            device.container_edits.device_nodes.extend(spec.container_edits.device_nodes.clone());
        }
        spec.container_edits.mounts.reverse();
        spec.normalise();
        // The original's order of hooks in `all` is that in which devices were found, which is the order of their indices.
        spec.add_merged_device("all");
        spec.normalise();
        assert_eq!(spec.to_text(Format::Yaml), yaml);
    }
}

#[test]
fn numbers_are_those_of_yaml_1_1() {
    let table =
        [("0666", 438), ("0o666", 438), ("0x1b6", 438), ("438", 438), ("4_3_8", 438), ("438.0", 438), ("0b1", 1)];
    for (text, value) in table {
        let spec = parse(&node(&[&format!("fileMode: {text}"), "major: 1_000"]));
        let node = &spec.devices[0].container_edits.device_nodes[0];
        assert_eq!((node.file_mode, node.major), (Some(value), Some(1000)), "{text}");
    }
}

#[test]
fn what_should_be_text_becomes_text() {
    let table = [
        ("0", "0"),
        ("010", "8"),
        ("0x10", "16"),
        ("yes", "true"),
        ("off", "false"),
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("0.5.0", "0.5.0"),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("'010'", "010"),
        ("!!str 010", "010"),
        ("null", ""),
        ("~", ""),
    ];
    for (text, want) in table {
        let spec = parse(&format!("cdiVersion: 0.5.0\nkind: v/c\ndevices:\n- name: {text}\n"));
        assert_eq!(spec.devices[0].name, want, "{text}");
    }
    assert_eq!(parse(r#"{"cdiVersion":"0.5.0","kind":"v/c","devices":[{"name":7}]}"#).devices[0].name, "7");
}

#[test]
fn numbers_as_texts_read_as_the_original_writes_them() {
    let given = "1e6, 100000.0, 1234567.0, 0.0001, 0.00001, .inf, -.inf, .nan, 0.1, 1e21, -0.0, 0.0, 123456.5, 16777217.0, 08, \
        99999999999999999999, ! 7, 0o17";
    let want = [
        "1e+06",
        "100000",
        "1.234567e+06",
        "0.0001",
        "1e-05",
        "+Inf",
        "-Inf",
        "NaN",
        "0.1",
        "1e+21",
        "-0",
        "0",
        "123456.5",
        "1.6777216e+07",
        "8",
        "1e+20",
        "7",
        "15",
    ];
    let spec = parse(&format!("cdiVersion: 0.3.0\nkind: v/c\ncontainerEdits: {{env: [{given}]}}\n"));
    assert_eq!(spec.container_edits.env, want);
}

#[test]
fn all_ways_to_write_a_map_are_read() {
    let flow = "{CDIVERSION: 0.5.0, kind: v/c, # comment\n devices: [{name: a, containerEdits: {env: [A=1,]}}], }";
    let spec = parse(flow);
    assert_eq!((spec.cdi_version.as_str(), spec.devices[0].container_edits.env.len()), ("0.5.0", 1));
    let anchors = "cdiVersion: 0.5.0\nkind: v/c\ncontainerEdits: &e\n  env: [A=1]\n  additionalGids: [5]\n\
        devices:\n- name: a\n  containerEdits: *e\n- name: b\n  containerEdits:\n    <<: *e\n    env: [B=1]\n---\nother: document\n";
    let spec = parse(anchors);
    assert_eq!(spec.devices[0].container_edits, spec.container_edits);
    assert_eq!(spec.devices[1].container_edits.env, ["B=1"]);
    assert_eq!(spec.devices[1].container_edits.additional_gids, [5]);
    let empty = "cdiVersion: 0.5.0\nkind: v/c\nannotations:\ndevices:\ncontainerEdits:\n  intelRdt:\n  env:\n";
    assert_eq!(parse(empty).container_edits, crate::ContainerEdits::default());
}

#[test]
fn what_is_no_spec_says_where_and_why() {
    let table = [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n", "has a list as the spec itself, where a map belongs"),
        ("a", "has a string as the spec itself, where a map belongs"),
        ("kind: v/c\nhook: 1\n", "has the unknown field \"hook\" in the spec itself"),
        ("kind: v/c\nkind: v/d\n", "has \"kind\" twice in the map that ends at line 2"),
        (r#"{"kind":"v/c","kind":"v/d"}"#, "has \"kind\" twice in the map that ends at line 1"),
        ("kind: v/c\nKind: v/d\n", "has the field \"kind\" more than once in the spec itself, in different case"),
        ("kind: [a]\n", "has a list as kind, where a string belongs"),
        ("kind: *a\n", "is neither JSON nor YAML: while parsing node, found unknown anchor at byte 6 line 1 column 7"),
        ("devices: {}\n", "has a map as devices, where a list belongs"),
        ("kind: !!int v/c\n", "has the tag \"tag:yaml.org,2002:int\" at line 1, which its value does not fit"),
        ("? [a]\n: b\n", "has a list as the name of a member at line 1, where a string belongs"),
    ];
    for (text, want) in table {
        assert_eq!(error(text), want, "{text:?}");
    }
    let at = "devices[0].containerEdits.deviceNodes[0]";
    assert_eq!(error(&node(&["mode: 1"])), format!("has the unknown field \"mode\" in {at}"));
    assert_eq!(error(&node(&["major: c"])), format!("has a string as {at}.major, where an integer of 64 bits belongs"));
    assert_eq!(
        error(&node(&["major: 1.5"])),
        format!("has a number as {at}.major, where an integer of 64 bits belongs")
    );
    let range = "where an integer from 0 to 4294967295 belongs";
    assert_eq!(error(&node(&["uid: -1"])), format!("has a number that is too small as {at}.uid, {range}"));
    assert_eq!(error(&node(&["gid: 4294967296"])), format!("has a number that is too large as {at}.gid, {range}"));
    assert_eq!(error("annotations:\n  \"a\\nb\": []\n"), "has a list as annotations.a\\nb, where a string belongs");
    assert_eq!(Spec::parse(b"a\xff").unwrap_err().to_string(), "is not UTF-8 at byte 1");
    assert!(matches!(Spec::parse(&vec![b' '; SPEC_LIMIT + 1]), Err(ReadError::TooLarge)));
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 9].join(","));
    }
    assert!(matches!(Spec::parse(bomb.as_bytes()), Err(ReadError::TooMany(_))));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1000].join(","));
    assert!(matches!(Spec::parse(long.as_bytes()), Err(ReadError::TooMany(_))));
    let itself = "kind: v/c\ncontainerEdits: &e\n  env: *e\n";
    assert!(matches!(Spec::parse(itself.as_bytes()), Err(ReadError::BadAlias { line: 3 })));
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), format!("a: {}", "[".repeat(65)), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        assert!(
            matches!(Spec::parse(text.as_bytes()), Err(ReadError::TooDeep(_) | ReadError::Syntax { .. })),
            "{}",
            &text[..20]
        );
    }
}

#[test]
fn aliases_in_each_other_are_as_deep_as_what_they_stand_for() {
    let mut tower = String::from("a0: &a0 [x]\n");
    for level in 1..500 {
        tower += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(matches!(Spec::parse(tower.as_bytes()), Err(ReadError::TooDeep(_))));
}

#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Spec::read_file(folder.path()), Err(ReadError::NotRegular)));
    assert!(matches!(Spec::read_file(Path::new("/dev/zero")), Err(ReadError::NotRegular)));
    assert!(matches!(Spec::read_file(&folder.path().join("none")), Err(ReadError::Io(_))));
}

/// One of each field: the table of fields and the structures know the same ones.
#[test]
fn the_table_has_all_fields() {
    let edits = crate::ContainerEdits {
        env: vec!["A=1".to_owned()],
        device_nodes: vec![crate::DeviceNode {
            path: "/d".to_owned(),
            host_path: Some("/h".to_owned()),
            kind: Some("c".to_owned()),
            major: Some(i64::MAX),
            minor: Some(i64::MIN),
            file_mode: Some(0o600),
            permissions: Some("r".to_owned()),
            uid: Some(u32::MAX),
            gid: Some(0),
        }],
        net_devices: vec![crate::NetDevice { host_interface_name: "a".to_owned(), name: "b".to_owned() }],
        hooks: vec![crate::Hook {
            hook_name: "prestart".to_owned(),
            path: "/p".to_owned(),
            args: vec!["a".to_owned()],
            env: vec!["B=1".to_owned()],
            timeout: Some(-1),
        }],
        mounts: vec![crate::Mount {
            host_path: "/a".to_owned(),
            container_path: "/b".to_owned(),
            options: vec!["ro".to_owned()],
            kind: Some("tmpfs".to_owned()),
        }],
        intel_rdt: Some(crate::IntelRdt {
            clos_id: "c".to_owned(),
            l3_cache_schema: "L3".to_owned(),
            mem_bw_schema: "MB".to_owned(),
            schemata: vec!["s".to_owned()],
            enable_monitoring: true,
        }),
        additional_gids: vec![0, u32::MAX],
    };
    let annotations = [("k".to_owned(), "v".to_owned())].into();
    let device = crate::Device { name: "a".to_owned(), annotations, container_edits: edits.clone() };
    let spec = Spec {
        cdi_version: "1.1.0".to_owned(),
        kind: "v/c".to_owned(),
        annotations: device.annotations.clone(),
        devices: vec![device],
        container_edits: edits,
    };
    spec.validate().unwrap();
    for format in [Format::Yaml, Format::Json] {
        assert_eq!(parse(&spec.to_text(format)), spec);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Spec::parse(&bytes);
    }

    #[test]
    fn arbitrary_yaml_like_text_never_panics(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \n\t]|kind|devices|<<|&a |\\*a|- |: |\n  ){0,30}") {
        let _ = Spec::parse(text.as_bytes());
    }

    #[test]
    fn any_text_survives_being_written_and_read(texts in prop::collection::vec("\\PC{0,12}|[-?:,\\[\\]{}#&*!|>'\"%@` \n\t0-9a-fxo_.~=\\\\]{0,12}", 1..4)) {
        let edits = crate::ContainerEdits { env: texts, ..crate::ContainerEdits::default() };
        let spec = Spec { cdi_version: "0.3.0".to_owned(), kind: "v/c".to_owned(), container_edits: edits, ..Spec::default() };
        for format in [Format::Yaml, Format::Json] {
            let text = spec.to_text(format);
            let read = Spec::parse(text.as_bytes());
            prop_assert!(read.is_ok(), "{:?} {}", read, text);
            prop_assert_eq!(read.unwrap(), spec.clone(), "{}", text);
        }
    }
}
