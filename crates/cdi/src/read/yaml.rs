//! YAML to a tree: the parser's events, with scalars taken by YAML 1.1, aliases put in, and merge keys obeyed.

use super::ReadError;
use crate::scalar::{Scalar, resolve};
use crate::tree::Node;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use std::collections::{HashMap, HashSet};

/// A spec has seven levels.
const DEPTH_LIMIT: usize = 64;

/// A spec for eight GPUs has some two thousand values. One counts for more if it is a long text.
const VALUE_LIMIT: usize = 1 << 20;

/// The first document of a YAML text; what follows it is ignored, as the original does.
pub(super) fn parse(text: &str) -> Result<Node, ReadError> {
    let mut tree = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        if let Event::DocumentEnd | Event::StreamEnd = event {
            break;
        }
        tree.take(event, span.start.line())?;
    }
    Ok(tree.root.unwrap_or(Node::Null))
}

fn syntax(error: &ScanError) -> ReadError {
    ReadError::Syntax { text: error.to_string(), line: error.marker().line() }
}

#[derive(Default)]
struct Builder {
    /// What is open, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    root: Option<Node>,
    /// How much has been built, copies by aliases included.
    values: usize,
}

/// What an alias stands for.
struct Anchor {
    node: Node,
    /// How much it is, as [`Builder::values`] counts.
    size: usize,
    /// How many levels it has.
    height: usize,
}

struct Open {
    anchor: usize,
    content: Content,
    /// The builder's count when it was opened.
    before: usize,
}

enum Content {
    List(Vec<Node>),
    Map {
        members: Vec<(String, Node)>,
        names: HashSet<String>,
        /// A key that waits for its value.
        key: Option<Key>,
        /// What `<<` brings; members that stand here themselves win.
        merged: Vec<Node>,
    },
}

enum Key {
    Name(String),
    Merge,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), ReadError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_merge = text == "<<" && style == ScalarStyle::Plain && self.expects_key();
                let node = scalar(&text, style, tag.as_deref(), line)?;
                self.count(1 + text.len() / 16)?;
                self.put(node, anchor, 1 + text.len() / 16, is_merge, line)
            }
            Event::SequenceStart(anchor, _) => self.start(anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.start(
                anchor,
                Content::Map { members: Vec::new(), names: HashSet::new(), key: None, merged: Vec::new() },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(line),
            Event::Alias(anchor) => {
                let Anchor { node, size, height } = self.anchors.get(&anchor).ok_or(ReadError::BadAlias { line })?;
                // Both are told before the copy is made: what is too much is never there.
                if self.open.len() + height > DEPTH_LIMIT {
                    return Err(ReadError::TooDeep(DEPTH_LIMIT));
                }
                if self.values + size > VALUE_LIMIT {
                    return Err(ReadError::TooMany(VALUE_LIMIT));
                }
                self.values += size;
                let (node, size) = (node.clone(), *size);
                self.put(node, 0, size, false, line)
            }
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn count(&mut self, values: usize) -> Result<(), ReadError> {
        self.values += values;
        if self.values > VALUE_LIMIT { Err(ReadError::TooMany(VALUE_LIMIT)) } else { Ok(()) }
    }

    fn start(&mut self, anchor: usize, content: Content) -> Result<(), ReadError> {
        if self.open.len() >= DEPTH_LIMIT {
            return Err(ReadError::TooDeep(DEPTH_LIMIT));
        }
        let before = self.values;
        self.count(1)?;
        self.open.push(Open { anchor, content, before });
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), ReadError> {
        let Some(Open { anchor, content, before }) = self.open.pop() else { return Ok(()) };
        let node = match content {
            Content::List(items) => Node::List(items),
            Content::Map { members, names, merged, .. } => Node::Map(merge(members, names, merged, line)?),
        };
        self.put(node, anchor, self.values - before, false, line)
    }

    /// Gives a value its place: in what is open, or at the root.
    fn put(&mut self, node: Node, anchor: usize, size: usize, is_merge: bool, line: usize) -> Result<(), ReadError> {
        // The parser counts anchors from 1; 0 is none.
        if anchor != 0 {
            self.count(size)?;
            self.anchors.insert(anchor, Anchor { node: node.clone(), size, height: height(&node) });
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { members, names, key, merged }) => match key.take() {
                None if is_merge => *key = Some(Key::Merge),
                None => *key = Some(Key::Name(unique(name(node, line)?, names, line)?)),
                Some(Key::Merge) => merged.push(node),
                Some(Key::Name(name)) => members.push((name, node)),
            },
        }
        Ok(())
    }
}

/// How many levels of lists and maps a value has.
fn height(node: &Node) -> usize {
    match node {
        Node::List(items) => 1 + items.iter().map(height).max().unwrap_or_default(),
        Node::Map(members) => 1 + members.iter().map(|(_, value)| height(value)).max().unwrap_or_default(),
        _ => 0,
    }
}

fn unique(name: String, names: &mut HashSet<String>, line: usize) -> Result<String, ReadError> {
    match names.insert(name.clone()) {
        true => Ok(name),
        false => Err(ReadError::DuplicateKey { name, line }),
    }
}

/// The name of a member; numbers and booleans have one, too.
fn name(node: Node, line: usize) -> Result<String, ReadError> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Integer(value) => Ok(value.to_string()),
        Node::Bool(value) => Ok(value.to_string()),
        Node::Float(value) => Ok(value.to_string()),
        node => Err(ReadError::BadName { found: node.type_name(), line }),
    }
}

/// Puts in what `<<` brought: a map, or a list of maps of which earlier ones win. Members of the map itself win over all.
fn merge(
    mut members: Vec<(String, Node)>,
    mut names: HashSet<String>,
    merged: Vec<Node>,
    line: usize,
) -> Result<Vec<(String, Node)>, ReadError> {
    for source in merged.into_iter().flat_map(|node| if let Node::List(items) = node { items } else { vec![node] }) {
        let Node::Map(source) = source else {
            return Err(ReadError::BadMerge { found: source.type_name(), line });
        };
        members.extend(source.into_iter().filter(|(name, _)| names.insert(name.clone())));
    }
    Ok(members)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Node, ReadError> {
    let bad_tag = |tag: &Tag| ReadError::BadTag { tag: format!("{}{}", tag.handle, tag.suffix), line };
    let is_text = match tag {
        None => style != ScalarStyle::Plain,
        Some(tag) if is_core(tag, "str") || is_core(tag, "timestamp") => true,
        // `!` alone makes a text of anything.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => true,
        Some(_) => false,
    };
    if is_text {
        return Ok(Node::Text(text.to_owned()));
    }
    let node = match resolve(text) {
        Scalar::Null => Node::Null,
        Scalar::Bool(value) => Node::Bool(value),
        Scalar::Integer(value) => Node::Integer(value),
        Scalar::Float(value) => Node::Float(value),
        Scalar::Text => Node::Text(text.to_owned()),
    };
    match (tag, node) {
        (None, node) => Ok(node),
        (Some(tag), node @ Node::Null) if is_core(tag, "null") => Ok(node),
        (Some(tag), node @ Node::Bool(_)) if is_core(tag, "bool") => Ok(node),
        (Some(tag), node @ Node::Integer(_)) if is_core(tag, "int") => Ok(node),
        (Some(tag), Node::Integer(value)) if is_core(tag, "float") => Ok(Node::Float(value as f64)),
        (Some(tag), node @ Node::Float(_)) if is_core(tag, "float") => Ok(node),
        (Some(tag), _) => Err(bad_tag(tag)),
    }
}

fn is_core(tag: &Tag, name: &str) -> bool {
    tag.is_yaml_core_schema() && tag.suffix == name
}
