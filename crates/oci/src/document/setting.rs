//! Settings: a value at a path of a document that people write by hand (an engine's `daemon.json`). What is not set keeps its
//! bytes; what is new looks like what is there.

use super::edit::{Editor, open};
use super::{At, Document, DocumentError};
use crate::tree::{Node, Shape};
use serde::Serialize;
use serde_json::{Value, ser::PrettyFormatter};

impl Document {
    /// Gives the value at a path, whose objects are made where they are missing or `null`. A value that is the same already
    /// keeps its text. Names are taken exactly, for these are maps of somebody's names.
    ///
    /// # Errors
    /// [`DocumentError::WrongType`] if something on the way is no object.
    pub fn set_value(&mut self, path: &[&str], value: &Value) -> Result<(), DocumentError> {
        let Document { arena, root, edited, .. } = self;
        let unit = open(root, arena, Shape::Object, &[])?.indent(arena);
        let mut node: &mut Node = root;
        for (depth, name) in path.iter().enumerate() {
            let rest = &path[depth + 1..];
            if open(node, arena, Shape::Object, &path[..depth])?.len() == 0 {
                // Nothing there shows how members are to stand, so the whole object is written anew.
                let whole = nested(&path[depth..], value);
                let text = formatted(&whole, unit.as_deref().or(Some("    ").filter(|_| depth == 0)), depth);
                *node = Node::Closed(arena.add(&text));
                *edited = true;
                return Ok(());
            }
            let container = open(node, arena, Shape::Object, &path[..depth])?;
            let index = container.position_exact(arena, name);
            let mut editor = Editor { container, arena, edited };
            let text = |inner: &Value| formatted(inner, unit.as_deref(), depth + 1);
            match index {
                Some(index) if holds_something(&editor.text(index)) && !rest.is_empty() => {
                    node = container.value_mut(index);
                    continue;
                }
                Some(index) => {
                    let old: Option<Value> = serde_json::from_str(&editor.text(index)).ok();
                    if !rest.is_empty() && !old.as_ref().is_some_and(|old| old.is_null() || old.is_object()) {
                        let first = editor.container.value(index).first_byte(editor.arena);
                        return Err(At::path(&path[..=depth]).wrong("an object", first));
                    }
                    if old.as_ref() != Some(value) || !rest.is_empty() {
                        editor.replace(index, &text(&nested(rest, value)));
                    }
                }
                None => editor.push_member(name, &text(&nested(rest, value))),
            }
            return Ok(());
        }
        Ok(())
    }

    /// The value at a path; `None` if there is none.
    ///
    /// # Errors
    /// [`DocumentError::WrongType`] if something on the way is no object.
    pub fn value(&self, path: &[&str]) -> Result<Option<Value>, DocumentError> {
        Ok(self.text_at(path)?.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

/// An object with members: worth looking into.
fn holds_something(text: &str) -> bool {
    text.starts_with('{') && !text[1..].trim_start().starts_with('}')
}

/// `value` below the names that lead to it.
fn nested(names: &[&str], value: &Value) -> Value {
    names
        .iter()
        .rev()
        .fold(value.clone(), |inner, name| Value::Object(std::iter::once(((*name).to_owned(), inner)).collect()))
}

/// The text of a value that stands so many levels deep.
fn formatted(value: &Value, unit: Option<&str>, depth: usize) -> String {
    let Some(unit) = unit.filter(|unit| !unit.is_empty()) else { return value.to_string() };
    let mut bytes = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(unit.as_bytes()));
    // A value of strings, numbers and names has no way to fail.
    let _ = value.serialize(&mut serializer);
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.replace('\n', &format!("\n{}", unit.repeat(depth)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn set(text: &str, path: &[&str], value: &Value) -> String {
        let mut document = Document::parse(text.as_bytes()).unwrap();
        document.set_value(path, value).unwrap();
        String::from_utf8(document.to_bytes()).unwrap()
    }

    #[test]
    fn new_values_look_like_what_is_there() {
        let runtime = json!({"args": [], "path": "p"});
        for (text, want) in [
            (
                "{}",
                "{\n    \"r\": {\n        \"n\": {\n            \"args\": [],\n            \"path\": \"p\"\n        }\n    }\n}",
            ),
            (
                "{\n}\n",
                "{\n    \"r\": {\n        \"n\": {\n            \"args\": [],\n            \"path\": \"p\"\n        }\n    }\n}\n",
            ),
            ("{\"a\":1}", "{\"a\":1,\"r\":{\"n\":{\"args\":[],\"path\":\"p\"}}}"),
            (
                "{\n  \"a\": 1e9,\n  \"r\": {}\n}\n",
                "{\n  \"a\": 1e9,\n  \"r\": {\n    \"n\": {\n      \"args\": [],\n      \"path\": \"p\"\n    }\n  }\n}\n",
            ),
            (
                "{\n\t\"r\" : {\n\t\t\"x\" : 1 }\n}",
                "{\n\t\"r\" : {\n\t\t\"x\" : 1,\n\t\t\"n\" : {\n\t\t\t\"args\": [],\n\t\t\t\"path\": \"p\"\n\t\t} }\n}",
            ),
            ("{\"r\":null}", "{\"r\":{\"n\":{\"args\":[],\"path\":\"p\"}}}"),
            ("{\"r\":{\"N\":1,\"n\":2}}", "{\"r\":{\"N\":1,\"n\":{\"args\":[],\"path\":\"p\"}}}"),
        ] {
            let got = set(text, &["r", "n"], &runtime);
            assert_eq!(got, want, "{text}");
            assert_eq!(set(&got, &["r", "n"], &runtime), got, "twice is once");
            let mut document = Document::parse(text.as_bytes()).unwrap();
            document.set_value(&["r", "n"], &runtime).unwrap();
            document.set_value(&["q"], &json!({"x": 1})).unwrap();
            assert_eq!(String::from_utf8(document.to_bytes()).unwrap(), set(&got, &["q"], &json!({"x": 1})), "{text}");
        }
    }

    #[test]
    fn a_value_that_is_the_same_keeps_its_text() {
        let text = "{ \"f\" : { \"cdi\" :true,\"x\":18446744073709551616 } }\n";
        assert_eq!(set(text, &["f", "cdi"], &json!(true)), text);
        assert_eq!(set(text, &["f", "cdi"], &json!(false)), text.replace(":true", ":false"));
    }

    #[test]
    fn what_is_no_object_is_not_replaced() {
        for (text, want) in [
            ("{\"r\":3}", "r is a number, not an object"),
            ("{\"r\":[]}", "r is an array, not an object"),
            ("{\"r\":\"\"}", "r is a string, not an object"),
        ] {
            let mut document = Document::parse(text.as_bytes()).unwrap();
            let error = document.set_value(&["r", "n"], &json!(1)).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }

    proptest! {
        #[test]
        fn only_the_value_changes(before in "[ \n\t]{0,3}", names in proptest::collection::btree_set("[a-z]{1,3}", 0..4), wanted in "[a-z]{1,3}") {
            let members: Vec<_> = names.iter().map(|name| format!("{before}\"{name}\":{{\"x\":1}}")).collect();
            let text = format!("{{{}{before}}}", members.join(","));
            let got: Value = serde_json::from_str(&set(&text, &[&wanted, "y"], &json!([2]))).unwrap();
            let mut want: Value = serde_json::from_str(&text).unwrap();
            want[&wanted]["y"] = json!([2]);
            prop_assert_eq!(got, want);
        }
    }
}
