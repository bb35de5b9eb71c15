//! The fields of a spec, as one table, by which a tree is checked and brought into the form that the structures are read from.

use super::ReadError;
use crate::place::{Place, Step};
use crate::tree::Node;
use serde_json::{Map, Value};
use std::borrow::Cow;

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

/// How many problems of one file are told. A hostile file may have millions.
const PROBLEM_LIMIT: usize = 100;

/// The tree of a spec in the exact form of the structures: names in their case, texts as texts, nothing absent that is needed.
///
/// # Errors
/// Everything that does not fit, in the order of the file; never nothing.
pub(super) fn spec(node: Node) -> Result<Value, Vec<ReadError>> {
    if node == Node::Null {
        return Err(vec![ReadError::Empty]);
    }
    let mut fitter = Fitter::default();
    let value = fitter.fit(node, SPEC);
    if fitter.problems.is_empty() { Ok(value) } else { Err(fitter.problems) }
}

#[derive(Default)]
struct Fitter {
    at: Place,
    problems: Vec<ReadError>,
}

impl Fitter {
    /// What does not fit is noted, and `null` stands in its place.
    fn fit(&mut self, node: Node, shape: Shape) -> Value {
        match (shape, node) {
            (Shape::Map(fields), Node::Map(members)) => self.map(members, fields),
            (Shape::Map(fields), Node::Null) => self.map(Vec::new(), fields),
            (Shape::List(inner), Node::List(items)) => self.list(items, *inner),
            (Shape::List(_), Node::Null) => Value::Array(Vec::new()),
            (Shape::Texts, Node::Map(members)) => self.texts(members),
            (Shape::Texts, Node::Null) => Value::Object(Map::new()),
            (Shape::Bool, Node::Null) => Value::Bool(false),
            (Shape::Bool, Node::Bool(value)) => Value::Bool(value),
            (Shape::Integer | Shape::Unsigned, Node::Null) => Value::from(0),
            (Shape::Integer | Shape::Unsigned, Node::Integer(value)) => self.integer(value, shape),
            // Beyond 2⁵³ a float is no exact integer any more; no number in a spec comes near that.
            (Shape::Integer | Shape::Unsigned, Node::Float(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
                self.integer(value as i128, shape)
            }
            (Shape::Text, Node::Null) => Value::String(String::new()),
            (Shape::Text, Node::Text(text)) => Value::String(text),
            (Shape::Text, Node::Bool(value)) => Value::String(value.to_string()),
            (Shape::Text, Node::Integer(value)) => Value::String(value.to_string()),
            (Shape::Text, Node::Float(value)) => Value::String(float_text(value)),
            (shape, node) => self.wrong(shape, node.type_name()),
        }
    }

    fn map(&mut self, members: Vec<(String, Node)>, fields: &'static [(&'static str, Shape)]) -> Value {
        let (mut map, mut seen) = (Map::new(), Vec::new());
        for (name, node) in members {
            let field = fields.iter().find(|(field, _)| *field == name);
            let field = field.or_else(|| fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(&name)));
            let Some((field, shape)) = field else {
                let at = self.at.clone();
                self.note(ReadError::UnknownField { name, at });
                continue;
            };
            // The original takes one of them, and does not say which.
            if seen.contains(field) {
                let at = self.at.clone();
                self.note(ReadError::SameField { field, at });
                continue;
            }
            seen.push(*field);
            let is_null = node == Node::Null;
            let value = self.within(Step::Field(Cow::Borrowed(field)), |fitter| fitter.fit(node, *shape));
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
        Value::Object(map)
    }

    fn list(&mut self, items: Vec<Node>, shape: Shape) -> Value {
        let fit = |(index, item)| self.within(Step::Item(index), |fitter| fitter.fit(item, shape));
        Value::Array(items.into_iter().enumerate().map(fit).collect())
    }

    fn texts(&mut self, members: Vec<(String, Node)>) -> Value {
        let mut map = Map::new();
        for (name, node) in members {
            let step = Step::Field(Cow::Owned(name.clone()));
            let value = self.within(step, |fitter| fitter.fit(node, Shape::Text));
            map.insert(name, value);
        }
        Value::Object(map)
    }

    fn integer(&mut self, value: i128, shape: Shape) -> Value {
        let number = match shape {
            Shape::Unsigned => u32::try_from(value).ok().map(Value::from),
            _ => i64::try_from(value).ok().map(Value::from),
        };
        let found = if value < 0 { "a number that is too small" } else { "a number that is too large" };
        number.unwrap_or_else(|| self.wrong(shape, found))
    }

    fn wrong(&mut self, shape: Shape, found: &'static str) -> Value {
        let at = self.at.clone();
        self.note(ReadError::WrongType { at, expected: expected(shape), found });
        Value::Null
    }

    fn note(&mut self, problem: ReadError) {
        if self.problems.len() < PROBLEM_LIMIT {
            self.problems.push(problem);
        }
    }

    /// Runs something with the place extended.
    fn within<T>(&mut self, step: Step, work: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(step);
        let result = work(self);
        self.at.pop();
        result
    }
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
