//! Each edit, from text to text, done twice.

use super::*;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

/// Does `edit` to `given` and checks the outcome; then again, which must change nothing.
fn check(given: &str, want: &str, edit: impl Fn(&mut Document)) {
    let mut document = parse(given);
    edit(&mut document);
    assert_eq!(text(&document), want);
    assert_eq!(document.is_changed(), given != want);
    let mut again = parse(want);
    edit(&mut again);
    assert_eq!(text(&again), want, "second time");
    assert!(!again.is_changed());
}

fn mount(destination: &str, source: &str) -> Mount {
    Mount { destination: destination.to_owned(), source: Some(source.to_owned()), ..Mount::default() }
}

fn rule(allow: bool, major: i64) -> DeviceRule {
    DeviceRule { allow, major: Some(major), ..DeviceRule::default() }
}

#[test]
fn env_is_replaced_in_place_or_appended() {
    let table = [
        (r#"{}"#, r#"{"process":{"env":["A=1","B=x\"y"]}}"#),
        (r#"{"process":{"env":null,"z":1e9}}"#, r#"{"process":{"env":["A=1","B=x\"y"],"z":1e9}}"#),
        (r#"{"process":{"env":["A=0","C=3"]}}"#, r#"{"process":{"env":["A=1","C=3","B=x\"y"]}}"#),
        (r#"{"process":{"env":["A=0","A","A=2","A=1=1"]}}"#, r#"{"process":{"env":["A=1","A","B=x\"y"]}}"#),
        (
            "{\"process\": {\n\t\"env\": [\n\t\t\"A=1\"\n\t]\n}}",
            "{\"process\": {\n\t\"env\": [\n\t\t\"A=1\",\n\t\t\"B=x\\\"y\"\n\t]\n}}",
        ),
    ];
    for (given, want) in table {
        check(given, want, |document| document.set_env(&[("A", "0"), ("B", "x\"y"), ("A", "1")]).unwrap());
    }
}

#[test]
fn mounts_of_ours_come_last_and_others_keep_their_order() {
    let a = r#"{"destination":"/a","source":"/x"}"#;
    let b = r#"{"destination":"/b/","source":"/y"}"#;
    let table = [
        (r#"{}"#.to_owned(), format!(r#"{{"mounts":[{a},{b}]}}"#)),
        (
            r#"{"mounts":[{"destination":"/z/deep"},{"destination":"/proc"}]}"#.to_owned(),
            format!(r#"{{"mounts":[{{"destination":"/z/deep"}},{{"destination":"/proc"}},{a},{b}]}}"#),
        ),
        (
            r#"{"mounts":[{"destination":"//b"},{"source":"x"},{"destination":"a/../a"}]}"#.to_owned(),
            format!(r#"{{"mounts":[{{"source":"x"}},{a},{b}]}}"#),
        ),
        (format!(r#"{{"mounts":[{b},{a}]}}"#), format!(r#"{{"mounts":[{a},{b}]}}"#)),
    ];
    for (given, want) in table {
        check(&given, &want, |document| {
            document.put_mounts(&[mount("/b", "/old"), mount("/a", "/x"), mount("/b/", "/y")]).unwrap();
        });
    }
}

#[test]
fn an_allowing_rule_counts_only_behind_the_last_denial() {
    let allow = r#"{"allow":true,"major":195}"#;
    let deny = r#"{"allow":false,"access":"rwm"}"#;
    let of = |rules: &[&str]| format!(r#"{{"linux":{{"resources":{{"devices":[{}]}}}}}}"#, rules.join(","));
    let table = [
        ("{}".to_owned(), of(&[allow])),
        (of(&[deny]), of(&[deny, allow])),
        (of(&[deny, allow]), of(&[deny, allow])),
        (of(&[allow, deny]), of(&[allow, deny, allow])),
    ];
    for (given, want) in table {
        check(&given, &want, |document| document.allow_devices(&[rule(true, 195), rule(true, 195)]).unwrap());
    }
}

#[test]
fn groups_and_hooks_are_added_once() {
    check(
        r#"{"process":{"user":{"uid":0,"additionalGids":[5]}}}"#,
        r#"{"process":{"user":{"uid":0,"additionalGids":[5,44]}}}"#,
        |document| document.add_gids(&[5, 44, 44]).unwrap(),
    );
    let hook = Hook { path: "/h".to_owned(), args: vec!["h".to_owned()], ..Hook::default() };
    check(
        r#"{"hooks":{"createContainer":[{"args":["h"],"path":"/other"}]}}"#,
        r#"{"hooks":{"createContainer":[{"args":["h"],"path":"/other"},{"path":"/h","args":["h"]}]}}"#,
        |document| document.add_hooks(HookPoint::CreateContainer, std::slice::from_ref(&hook)).unwrap(),
    );
    check(
        r#"{"hooks":{"prestart":[{"env":[],"args":["h"],"path":"/h"}]}}"#,
        r#"{"hooks":{"prestart":[{"env":[],"args":["h"],"path":"/h"}]}}"#,
        |document| document.add_hooks(HookPoint::Prestart, std::slice::from_ref(&hook)).unwrap(),
    );
}

#[test]
fn hooks_are_removed_by_file_name() {
    let ours = r#"{"path":"/usr/bin/nvidia-container-toolkit","args":["x"]}"#;
    let other = r#"{"path":"/usr/bin/other","weird":1e9}"#;
    let table = [
        ("{}".to_owned(), "{}".to_owned()),
        (
            format!(r#"{{"hooks":{{"prestart":[{ours},{other},{ours}]}}}}"#),
            format!(r#"{{"hooks":{{"prestart":[{other}]}}}}"#),
        ),
        (
            format!(r#"{{"hooks":{{"prestart":[{ours}],"poststop":[{ours}]}}}}"#),
            format!(r#"{{"hooks":{{"poststop":[{ours}]}}}}"#),
        ),
    ];
    for (given, want) in table {
        check(&given, &want, |document| {
            document.remove_hooks(HookPoint::Prestart, &["nvidia-container-toolkit"]).unwrap();
        });
    }
}

#[test]
fn nothing_to_do_touches_nothing() {
    check(r#"{"process":{},"mounts":null}"#, r#"{"process":{},"mounts":null}"#, |document| {
        document.set_env(&[]).unwrap();
        document.put_mounts(&[]).unwrap();
        document.put_devices(&[]).unwrap();
        document.allow_devices(&[]).unwrap();
        document.add_gids(&[]).unwrap();
        document.add_hooks(HookPoint::Poststop, &[]).unwrap();
    });
}

#[test]
fn wrong_types_are_named() {
    let mut document = parse(r#"{"process":{"env":["A=1",{}]},"linux":[],"mounts":[1]}"#);
    let message = |result: Result<(), DocumentError>| result.unwrap_err().to_string();
    assert_eq!(message(document.set_env(&[("B", "")])), "process.env[1] is an object, not a string");
    assert_eq!(message(document.put_devices(&[Device::default()])), "linux is an array, not an object");
    assert_eq!(message(document.put_mounts(&[mount("/a", "/b")])), "mounts[0] is a number, not an object");
}

/// The names are whatever a spec says, and no two of them are the same.
#[test]
fn interfaces_keep_their_exact_names() {
    let table = [
        ("eth0", r#"{"linux":{"netDevices":{"ETH0":{"name":"a"},"eth0":{"name":"b"}}}}"#),
        ("ETH0", r#"{"linux":{"netDevices":{"ETH0":{"name":"b"}}}}"#),
        ("e\"\n:{", r#"{"linux":{"netDevices":{"ETH0":{"name":"a"},"e\"\n:{":{"name":"b"}}}}"#),
        ("", r#"{"linux":{"netDevices":{"ETH0":{"name":"a"},"":{"name":"b"}}}}"#),
    ];
    for (name, want) in table {
        let given = r#"{"linux":{"netDevices":{"ETH0":{"name":"a"}}}}"#;
        check(given, want, |document| document.put_net_device(name, "b").unwrap());
    }
}
