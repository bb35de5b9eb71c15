//! Paths that move and paths that stay. `tests/recorded/transformed-*.yaml` are the original's outputs for the same spec.

use super::*;
use crate::write::Format;
use proptest::prelude::*;

/// A spec with a path of each kind below `/r`.
fn spec() -> Spec {
    let hook = |name: &str| format!(r#"{{"hookName":"{name}","path":"/r/bin/{name}","args":["/r/bin","t::/r/l"]}}"#);
    let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"].map(hook);
    let text = format!(
        r#"{{"cdiVersion":"0.5.0","kind":"vv/cc","devices":[{{"name":"a","containerEdits":{{
            "deviceNodes":[{{"path":"/r/dev/x"}},{{"path":"/dev/y","hostPath":"/r/dev/y"}}],
            "mounts":[{{"hostPath":"/r/lib","containerPath":"/r/lib"}}],"hooks":[{}]}}}}]}}"#,
        hooks.join(",")
    );
    Spec::parse(text.as_bytes()).unwrap()
}

fn moved(path: &str, from: &str, to: &str) -> String {
    let mut argument = path.to_owned();
    Transform { from, to, relative_to: RelativeTo::Host }.argument(&mut argument);
    argument
}

#[test]
fn each_side_moves_as_with_the_original() {
    let table = [
        (RelativeTo::Host, include_str!("../../tests/recorded/transformed-host.yaml")),
        (RelativeTo::Container, include_str!("../../tests/recorded/transformed-container.yaml")),
    ];
    for (relative_to, want) in table {
        let mut spec = spec();
        spec.transform_root("/r", "/n", relative_to);
        assert_eq!(spec.to_text(Format::Yaml), want);
    }
}

#[test]
fn only_whole_components_match() {
    let table = [
        ("/a", "/a", "/h", "/h"),
        ("/a/", "/a", "/h", "/h"),
        ("/a", "/a/", "/h/", "/h"),
        ("/a/b", "/a", "/h", "/h/b"),
        ("/a/b", "/a", "/", "/b"),
        ("/a/b", "/a", "", "/b"),
        ("/ab", "/a", "/h", "/ab"),
        ("/b/a", "/a", "/h", "/b/a"),
        ("/a//b/../c", "/a", "/h", "/h/c"),
        ("/a/../etc", "/a", "/h", "/a/../etc"),
        ("/x", "/", "/h", "/h/x"),
        ("/x", "", "/h", "/h/x"),
        ("/", "/", "/h", "/h"),
        ("", "/", "/h", ""),
        ("a", "/", "/h", "a"),
        ("--folder=/a", "", "/h", "--folder=/a"),
        ("/a/b::/a/c", "/a", "/h", "/h/b::/h/c"),
        ("../x::/a/c", "/a", "/h", "../x::/h/c"),
        ("/a/b::/a/c::/a/d", "/a", "/h", "/h/b::/h/c::/a/d"),
        ("/a::", "/a", "/h", "/h::"),
    ];
    for (path, from, to, want) in table {
        assert_eq!(moved(path, from, to), want, "{path} from {from} to {to}");
    }
}

#[test]
fn the_same_root_changes_nothing() {
    let mut same = spec();
    same.transform_root("/r", "/r", RelativeTo::Host);
    assert_eq!(same, spec());
}

proptest! {
    #[test]
    fn moving_there_and_back_changes_nothing(rest in "(/[a-c]{1,2}){0,3}", from in "(/[x-z]){1,2}", to in "(/[u-w]){1,2}") {
        let path = format!("{from}{rest}");
        prop_assert_eq!(moved(&moved(&path, &from, &to), &to, &from), path);
    }

    #[test]
    fn arbitrary_texts_never_panic(path in "[/.a:é]{0,12}", from in "[/.aé]{0,4}", to in "[/.b]{0,4}") {
        let _ = moved(&path, &from, &to);
    }
}
