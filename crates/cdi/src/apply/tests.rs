//! What edits do to a `config.json`: whole texts in, whole texts out, and what holds for all of them.

use super::*;
use crate::edits::{IntelRdt, NetDevice};
use expect_test::expect;
use proptest::prelude::*;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

fn node(path: &str, kind: Option<&str>, major: Option<i64>) -> DeviceNode {
    DeviceNode { path: path.to_owned(), kind: kind.map(str::to_owned), major, ..DeviceNode::default() }
}

fn gpu(_: &str) -> Result<HostNode, String> {
    Ok(HostNode { kind: 'c', major: 195, minor: 3, file_mode: 0o666 })
}

fn absent(_: &str) -> Result<HostNode, String> {
    Err("No such file or directory (os error 2)".to_owned())
}

/// One of everything.
fn everything() -> ContainerEdits {
    ContainerEdits {
        env: vec!["NVIDIA_VISIBLE_DEVICES=void".to_owned(), "NEW=1".to_owned()],
        device_nodes: vec![node("/dev/nvidia3", Some("c"), Some(195)), node("/dev/fifo", Some("p"), None)],
        hooks: vec![Hook {
            hook_name: "createContainer".to_owned(),
            path: "/usr/bin/nvidia-cdi-hook".to_owned(),
            args: vec!["nvidia-cdi-hook".to_owned(), "disable-device-node-modification".to_owned()],
            env: vec!["NVIDIA_CTK_DEBUG=false".to_owned()],
            timeout: None,
        }],
        mounts: vec![Mount {
            host_path: "/lib/libcuda.so.1".to_owned(),
            container_path: "/usr/lib/libcuda.so.1".to_owned(),
            options: vec!["ro".to_owned(), "rbind".to_owned()],
            kind: None,
        }],
        additional_gids: vec![0, 44],
        ..ContainerEdits::default()
    }
}

#[test]
fn one_of_everything() {
    let mut document = parse(
        r#"{
  "ociVersion": "1.9.0",
  "process": {
    "user": { "uid": 1000, "gid": 0 },
    "env": [
      "NVIDIA_VISIBLE_DEVICES=all",
      "FLAG"
    ],
    "future": 1e9
  },
  "mounts": [
    {"destination": "/a/b/c", "odd": 18446744073709551615},
    {"destination": "/proc"}
  ],
  "linux": { "resources": { "devices": [{"allow": false, "access": "rwm"}] } }
}
"#,
    );
    apply(everything(), &mut document).unwrap();
    expect![[r#"
        {
          "ociVersion": "1.9.0",
          "process": {
            "user": { "uid": 1000, "gid": 0, "additionalGids": [44] },
            "env": [
              "NVIDIA_VISIBLE_DEVICES=void",
              "FLAG",
              "NEW=1"
            ],
            "future": 1e9
          },
          "mounts": [
            {"destination": "/a/b/c", "odd": 18446744073709551615},
            {"destination": "/proc"},
            {"destination":"/usr/lib/libcuda.so.1","source":"/lib/libcuda.so.1","options":["ro","rbind"]}
          ],
          "linux": { "resources": { "devices": [{"allow": false, "access": "rwm"},{"allow":true,"type":"c","major":195,"minor":0,"access":"rwm"}] }, "devices": [{"path":"/dev/nvidia3","type":"c","major":195,"minor":0,"uid":1000},{"path":"/dev/fifo","type":"p","major":0,"minor":0,"uid":1000}] },
          "hooks": {"createContainer":[{"path":"/usr/bin/nvidia-cdi-hook","args":["nvidia-cdi-hook","disable-device-node-modification"],"env":["NVIDIA_CTK_DEBUG=false"]}]}
        }
    "#]]
    .assert_eq(&text(&document));
}

#[test]
fn network_devices_and_resource_groups_are_set_once() {
    let edits = ContainerEdits {
        net_devices: vec![
            NetDevice { host_interface_name: "ib0".to_owned(), name: "net1".to_owned() },
            NetDevice { host_interface_name: "ib1".to_owned(), name: "net\"2".to_owned() },
        ],
        intel_rdt: Some(IntelRdt { clos_id: "gold".to_owned(), enable_monitoring: true, ..IntelRdt::default() }),
        ..ContainerEdits::default()
    };
    let mut document = parse(r#"{"linux":{"intelRdt":{"closID":"old"},"netDevices":{"ib0":{"name":"x"},"eth9":{}}}}"#);
    apply(edits.clone(), &mut document).unwrap();
    let once = text(&document);
    let want = r#"{"linux":{"intelRdt":{"closID":"gold","enableMonitoring":true},"netDevices":{"ib0":{"name":"net1"},"eth9":{},"ib1":{"name":"net\"2"}}}}"#;
    assert_eq!(once, want);
    let mut twice = parse(&once);
    apply(edits.clone(), &mut twice).unwrap();
    assert!(!twice.is_changed());
}

#[test]
fn no_edits_no_change() {
    let given = r#"{"process": null, "linux": {}}"#;
    let mut document = parse(given);
    apply(ContainerEdits::default(), &mut document).unwrap();
    assert!(!document.is_changed());
    assert_eq!(text(&document), given);
}

#[test]
fn nodes_are_completed_from_the_host() {
    let with_mode = |mut node: DeviceNode, mode| {
        node.file_mode = Some(mode);
        node
    };
    let table = [
        (node("/dev/x", None, None), ("c", 195, 3, Some(0o666))),
        (node("/dev/x", Some("c"), Some(10)), ("c", 10, 0, Some(0o666))),
        (node("/dev/x", Some("u"), None), ("u", 195, 3, Some(0o666))),
        (with_mode(node("/dev/x", Some("c"), None), 0o600), ("c", 195, 3, Some(0o600))),
        (node("/dev/x", Some("p"), None), ("p", 0, 0, Some(0o666))),
    ];
    for (given, (kind, major, minor, mode)) in table {
        let edits = ContainerEdits { device_nodes: vec![given], ..ContainerEdits::default() };
        let mut document = parse("{}");
        apply_with(edits.clone(), &mut document, Some(&gpu)).unwrap();
        let device = document.devices().unwrap().remove(0);
        assert_eq!((device.kind.as_str(), device.major, device.minor, device.file_mode), (kind, major, minor, mode));
    }
}

#[test]
fn nodes_that_stand_alone_need_no_host() {
    let edits =
        ContainerEdits { device_nodes: vec![node("/dev/x", Some("c"), Some(195))], ..ContainerEdits::default() };
    let mut document = parse("{}");
    apply_with(edits.clone(), &mut document, Some(&absent)).unwrap();
    assert_eq!(document.devices().unwrap()[0].file_mode, None);
}

#[test]
fn the_hosts_path_is_looked_up_where_it_differs() {
    let mut given = node("/dev/x", None, None);
    given.host_path = Some("/driver/dev/x".to_owned());
    let edits = ContainerEdits { device_nodes: vec![given], ..ContainerEdits::default() };
    let lookup = |path: &str| if path == "/driver/dev/x" { gpu(path) } else { absent(path) };
    apply_with(edits.clone(), &mut parse("{}"), Some(&lookup)).unwrap();
}

#[test]
fn unbuffered_devices_are_allowed_as_character_devices() {
    let edits = ContainerEdits { device_nodes: vec![node("/dev/x", Some("u"), Some(5))], ..ContainerEdits::default() };
    let mut document = parse("{}");
    apply(edits.clone(), &mut document).unwrap();
    assert_eq!(document.device_rules().unwrap()[0].kind.as_deref(), Some("c"));
}

#[test]
fn errors_come_before_any_change() {
    let hook = Hook { hook_name: "later".to_owned(), path: "/h".to_owned(), ..Hook::default() };
    let env = vec!["A=1".to_owned()];
    let nothing = ContainerEdits::default();
    let table = [
        (
            ContainerEdits { env: vec!["A=1".to_owned(), "FLAG".to_owned()], ..nothing.clone() },
            "environment entry \"FLAG\" of the device's edits is not NAME=value",
        ),
        (
            ContainerEdits { env: env.clone(), hooks: vec![hook], ..nothing.clone() },
            "hook /h of the device's edits is for \"later\", which is not a list of OCI hooks",
        ),
        (
            ContainerEdits { env: env.clone(), device_nodes: vec![node("/dev/x", None, Some(1))], ..nothing.clone() },
            "device /dev/x needs the type and numbers of the host's /dev/x: No such file or directory (os error 2)",
        ),
    ];
    for (edits, want) in table {
        let mut document = parse("{}");
        assert_eq!(apply_with(edits.clone(), &mut document, Some(&absent)).unwrap_err().to_string(), want);
        assert!(!document.is_changed());
    }
    let edits = ContainerEdits { device_nodes: vec![node("/dev/x", Some("b"), None)], ..nothing };
    let error = apply_with(edits.clone(), &mut parse("{}"), Some(&gpu)).unwrap_err();
    assert_eq!(error.to_string(), "device /dev/x is to be of type b, but /dev/x on the host is of type c");
}

/// A few names, so that edits meet each other and what is there.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "a/", "/a", "../b", "a/b"]).prop_map(str::to_owned)
}

prop_compose! {
    fn any_edits()(
        env in prop::collection::vec((name(), "[a-c=\"\\\\]{0,2}"), 0..4),
        nodes in prop::collection::vec((name(), prop::sample::select(vec!["c", "b", "p"]), 1..3i64), 0..4),
        mounts in prop::collection::vec((name(), name()), 0..5),
        hooks in prop::collection::vec((prop::sample::select(HookPoint::ALL.to_vec()), name()), 0..3),
        additional_gids in prop::collection::vec(0..3u32, 0..4),
    ) -> ContainerEdits {
        ContainerEdits {
            env: env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            device_nodes: nodes.into_iter().map(|(path, kind, major)| node(&path, Some(kind), Some(major))).collect(),
            mounts: mounts
                .into_iter()
                .map(|(host_path, container_path)| Mount { host_path, container_path, ..Mount::default() })
                .collect(),
            hooks: hooks
                .into_iter()
                .map(|(point, path)| Hook { hook_name: point.name().to_owned(), path, ..Hook::default() })
                .collect(),
            additional_gids,
            ..ContainerEdits::default()
        }
    }
}

/// A text that stands for a part which nobody edits: numbers, order and white space that a decoder would lose.
fn odd_value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "1e9",
        "18446744073709551615",
        "{ \"z\" : 1,\"a\":[ ] }",
        "\"\\u0041\\/<\"",
        "[\"CAP_FUTURE\",\t\"CAP_CHOWN\"]",
        "null",
        "-0.0",
    ])
    .prop_map(str::to_owned)
}

prop_compose! {
    /// A document with odd parts at every level, between and within those that edits touch, each tagged with its number.
    fn any_document()(
        odd in prop::collection::vec(odd_value(), 7),
        env in prop::collection::vec(prop::sample::select(vec!["\"a=0\"", "\"a\"", "\"z=\\u0041\"", "\"a=9\"", "\"/a=\""]), 0..4),
        mounts in prop::collection::vec(prop::sample::select(vec!["/a", "b", "/x/y", "/"]), 0..4),
        space in prop::sample::select(vec!["", " ", "\n  "]),
    ) -> (String, Vec<String>) {
        let odd: Vec<String> = odd.iter().enumerate().map(|(index, value)| format!("\"odd{index}\" :{space}{value}")).collect();
        let mounts: Vec<String> = mounts
            .iter()
            .map(|destination| format!("{{ \"destination\":\"{destination}\", \"x\" : 1e9 }}"))
            .collect();
        let text = format!(
            "{{{space}{},\"process\":{{{},\"env\":[{space}{}],\"user\" : {{{}}}}},{},\"mounts\":[{}],\
             \"linux\":{{\"resources\":{{{}}},{} }},{space}{}}}\n",
            odd[0], odd[1], env.join(","), odd[2], odd[3], mounts.join(" , "), odd[4], odd[5], odd[6],
        );
        (text, odd)
    }
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once((given, _) in any_document(), edits in any_edits()) {
        let mut once = parse(&given);
        apply(edits.clone(), &mut once).unwrap();
        let once = text(&once);
        let mut twice = parse(&once);
        apply(edits.clone(), &mut twice).unwrap();
        prop_assert_eq!(text(&twice), once);
        prop_assert!(!twice.is_changed());
    }

    #[test]
    fn what_no_edit_names_keeps_its_bytes((given, odd) in any_document(), edits in any_edits()) {
        let mut document = parse(&given);
        apply(edits.clone(), &mut document).unwrap();
        let after = text(&document);
        let mut rest = after.as_str();
        for part in odd {
            let at = rest.find(&part);
            prop_assert!(at.is_some(), "{} is missing or out of order in {}", part, after);
            rest = &rest[at.unwrap_or_default() + part.len()..];
        }
        let kept = r#"{ "destination":"/x/y", "x" : 1e9 }"#;
        prop_assert_eq!(given.matches(kept).count(), after.matches(kept).count());
        prop_assert_eq!(given.matches(r#""z=\u0041""#).count(), after.matches(r#""z=\u0041""#).count());
    }

    #[test]
    fn what_was_asked_for_is_there((given, _) in any_document(), edits in any_edits()) {
        let mut document = parse(&given);
        apply(edits.clone(), &mut document).unwrap();
        let env = document.env().unwrap();
        for entry in &edits.env {
            let name = entry.split_once('=').unwrap().0;
            let values: Vec<_> = env.iter().filter(|other| other.split_once('=').is_some_and(|(n, _)| n == name)).collect();
            let last = edits.env.iter().rfind(|other| other.split_once('=').unwrap().0 == name).unwrap();
            prop_assert_eq!(values, [last]);
        }
        let gids = document.process_user().unwrap().additional_gids;
        prop_assert!(!gids.contains(&0));
        prop_assert!(edits.additional_gids.iter().all(|gid| *gid == 0 || gids.contains(gid)));
        // The document parses anew to the same views.
        let again = parse(&text(&document));
        prop_assert_eq!(again.mounts().unwrap(), document.mounts().unwrap());
        prop_assert_eq!(again.devices().unwrap(), document.devices().unwrap());
    }

    #[test]
    fn arbitrary_objects_never_panic(text in r#"\{"(process|mounts|linux|hooks)":[{}\[\]",:0aenv]{0,30}\}"#, edits in any_edits()) {
        if let Ok(mut document) = Document::parse(text.as_bytes()) {
            let _ = apply(edits.clone(), &mut document);
            let _ = document.to_bytes();
        }
    }
}
