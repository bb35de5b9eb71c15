//! The fields of a spec, as one table, by which a tree is checked and brought into the form that the structures are read from.

use super::ReadError;
use crate::tree::Node;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// What belongs somewhere.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// 64 bits, with a sign.
    Integer,
    /// 32 bits, without.
    Unsigned,
    Bool,
    /// A map with any names.
    Texts,
    List(&'static Shape),
    Map(&'static [(&'static str, Shape)]),
}

const SPEC: Shape = Shape::Map(&[
    ("cdiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("annotations", Shape::Texts),
    ("devices", Shape::List(&DEVICE)),
    ("containerEdits", EDITS),
]);

const DEVICE: Shape = Shape::Map(&[("name", Shape::Text), ("annotations", Shape::Texts), ("containerEdits", EDITS)]);

const EDITS: Shape = Shape::Map(&[
    ("env", Shape::List(&Shape::Text)),
    ("deviceNodes", Shape::List(&DEVICE_NODE)),
    ("netDevices", Shape::List(&NET_DEVICE)),
    ("hooks", Shape::List(&HOOK)),
    ("mounts", Shape::List(&MOUNT)),
    ("intelRdt", INTEL_RDT),
    ("additionalGids", Shape::List(&Shape::Unsigned)),
]);

const DEVICE_NODE: Shape = Shape::Map(&[
    ("path", Shape::Text),
    ("hostPath", Shape::Text),
    ("type", Shape::Text),
    ("major", Shape::Integer),
    ("minor", Shape::Integer),
    ("fileMode", Shape::Unsigned),
    ("permissions", Shape::Text),
    ("uid", Shape::Unsigned),
    ("gid", Shape::Unsigned),
]);

const NET_DEVICE: Shape = Shape::Map(&[("hostInterfaceName", Shape::Text), ("name", Shape::Text)]);

const HOOK: Shape = Shape::Map(&[
    ("hookName", Shape::Text),
    ("path", Shape::Text),
    ("args", Shape::List(&Shape::Text)),
    ("env", Shape::List(&Shape::Text)),
    ("timeout", Shape::Integer),
]);

const MOUNT: Shape = Shape::Map(&[
    ("hostPath", Shape::Text),
    ("containerPath", Shape::Text),
    ("options", Shape::List(&Shape::Text)),
    ("type", Shape::Text),
]);

const INTEL_RDT: Shape = Shape::Map(&[
    ("closID", Shape::Text),
    ("l3CacheSchema", Shape::Text),
    ("memBwSchema", Shape::Text),
    ("schemata", Shape::List(&Shape::Text)),
    ("enableMonitoring", Shape::Bool),
]);

/// Fields that the structures insist on. The original reads absent ones as empty, and then says which rule that breaks.
const NEEDED: [&str; 7] = ["cdiVersion", "kind", "name", "path", "hookName", "hostInterfaceName", "containerPath"];

/// The tree of a spec in the exact form of the structures: names in their case, texts as texts, nothing absent that is needed.
pub(super) fn spec(node: Node) -> Result<Value, ReadError> {
    match node {
        Node::Null => Err(ReadError::Empty),
        node => fit(node, SPEC, &mut String::new()),
    }
}

fn fit(node: Node, shape: Shape, at: &mut String) -> Result<Value, ReadError> {
    match (shape, node) {
        (Shape::Map(fields), Node::Map(members)) => fit_map(members, fields, at),
        (Shape::Map(fields), Node::Null) => fit_map(Vec::new(), fields, at),
        (Shape::List(inner), Node::List(items)) => fit_list(items, *inner, at),
        (Shape::List(_), Node::Null) => Ok(Value::Array(Vec::new())),
        (Shape::Texts, Node::Map(members)) => fit_texts(members, at),
        (Shape::Texts, Node::Null) => Ok(Value::Object(Map::new())),
        (Shape::Bool, Node::Bool(value)) => Ok(Value::Bool(value)),
        (Shape::Integer | Shape::Unsigned, Node::Integer(value)) => integer(value, shape, at),
        // Beyond 2⁵³ a float is no exact integer any more; no number in a spec comes near that.
        (Shape::Integer | Shape::Unsigned, Node::Float(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
            integer(value as i128, shape, at)
        }
        (Shape::Text, Node::Null) => Ok(Value::String(String::new())),
        (Shape::Text, Node::Text(text)) => Ok(Value::String(text)),
        (Shape::Text, Node::Bool(value)) => Ok(Value::String(value.to_string())),
        (Shape::Text, Node::Integer(value)) => Ok(Value::String(value.to_string())),
        (Shape::Text, Node::Float(value)) => Ok(Value::String(float_text(value))),
        (shape, node) => Err(wrong(shape, &node, at)),
    }
}

fn fit_map(
    members: Vec<(String, Node)>,
    fields: &'static [(&'static str, Shape)],
    at: &mut String,
) -> Result<Value, ReadError> {
    let (mut map, mut seen) = (Map::new(), Vec::new());
    for (name, node) in members {
        let field = fields.iter().find(|(field, _)| *field == name);
        let field = field.or_else(|| fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(&name)));
        let Some((field, shape)) = field else {
            return Err(ReadError::UnknownField { name, at: place(at) });
        };
        // The original takes one of them, and does not say which.
        if seen.contains(field) {
            return Err(ReadError::SameField { field, at: place(at) });
        }
        seen.push(*field);
        let is_null = node == Node::Null;
        let value = within(at, format_args!(".{field}"), |at| fit(node, *shape, at))?;
        // A map without content is not the same as an absent one only for `intelRdt`.
        if !is_null {
            map.insert((*field).to_owned(), value);
        }
    }
    for (field, _) in fields.iter().filter(|(field, _)| NEEDED.contains(field)) {
        map.entry(*field).or_insert_with(|| Value::String(String::new()));
    }
    // A mount needs its source; a device node has it only where it differs.
    if fields.iter().any(|(field, _)| *field == "containerPath") {
        map.entry("hostPath").or_insert_with(|| Value::String(String::new()));
    }
    Ok(Value::Object(map))
}

fn fit_list(items: Vec<Node>, shape: Shape, at: &mut String) -> Result<Value, ReadError> {
    let fit_item = |(index, item)| within(at, format_args!("[{index}]"), |at| fit(item, shape, at));
    Ok(Value::Array(items.into_iter().enumerate().map(fit_item).collect::<Result<_, _>>()?))
}

fn fit_texts(members: Vec<(String, Node)>, at: &mut String) -> Result<Value, ReadError> {
    let mut map = Map::new();
    for (name, node) in members {
        let value = within(at, format_args!(".{}", name.escape_debug()), |at| fit(node, Shape::Text, at))?;
        map.insert(name, value);
    }
    Ok(Value::Object(map))
}

/// Runs something with the place extended.
fn within<T>(at: &mut String, step: std::fmt::Arguments<'_>, work: impl FnOnce(&mut String) -> T) -> T {
    let length = at.len();
    // Writing to a string does not fail.
    let _ = at.write_fmt(step);
    let result = work(at);
    at.truncate(length);
    result
}

fn integer(value: i128, shape: Shape, at: &str) -> Result<Value, ReadError> {
    let number = match shape {
        Shape::Unsigned => u32::try_from(value).ok().map(Value::from),
        _ => i64::try_from(value).ok().map(Value::from),
    };
    number.ok_or_else(|| ReadError::WrongType {
        at: place(at),
        expected: expected(shape),
        found: if value < 0 { "a number that is too small" } else { "a number that is too large" },
    })
}

fn wrong(shape: Shape, node: &Node, at: &str) -> ReadError {
    ReadError::WrongType { at: place(at), expected: expected(shape), found: node.type_name() }
}

fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "a string",
        Shape::Integer => "an integer of 64 bits",
        Shape::Unsigned => "an integer from 0 to 4294967295",
        Shape::Bool => "a boolean",
        Shape::Texts | Shape::Map(_) => "a map",
        Shape::List(_) => "a list",
    }
}

fn place(at: &str) -> String {
    match at.strip_prefix('.') {
        Some(path) => path.to_owned(),
        None => "the spec itself".to_owned(),
    }
}

/// A float that stands where a text belongs (`1.0`), as the original writes it: the shortest digits of a 32-bit float, with an
/// exponent from a million on and below a ten-thousandth.
fn float_text(value: f64) -> String {
    let narrow = value as f32;
    let scientific = format!("{narrow:e}");
    match scientific.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) if narrow != 0.0 && !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        Some(_) => narrow.to_string(),
        None if narrow.is_nan() => "NaN".to_owned(),
        None => if narrow < 0.0 { "-Inf" } else { "+Inf" }.to_owned(),
    }
}
