//! JSON text as a tree that is opened only where somebody touches it.
//!
//! An unopened node is a span of text. An opened one is its entries and the text between them, so that writing the tree
//! gives back every byte that no edit replaced, white space included. New text is appended to the same arena, which is why
//! a [`Span`] is all a node needs to know.
//!
//! Nothing here recurses further than a caller opens, and `serde_json` skips what stays closed without recursion, so deep
//! nesting in a hostile file costs nothing.

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// The text of a document, followed by all text that edits added.
#[derive(Clone, Debug)]
pub(crate) struct Arena(String);

impl Arena {
    pub(crate) fn new(text: String) -> Self {
        Arena(text)
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        self.0.get(span.start..span.end).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, text: &str) -> Span {
        let start = self.0.len();
        self.0.push_str(text);
        Span { start, end: self.0.len() }
    }
}

/// A piece of the arena, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A JSON value.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Nobody looked inside for editing; its text is what it was.
    Closed(Span),
    /// Its entries are known.
    Open(Container),
}

impl Node {
    /// Opens this node as a container of that shape; `None` if it is something else.
    pub(crate) fn open(&mut self, arena: &Arena, shape: Shape) -> Option<&mut Container> {
        if let Node::Closed(span) = *self {
            *self = Node::Open(Container::parse(arena, span, shape)?);
        }
        match self {
            Node::Open(container) if container.shape == shape => Some(container),
            _ => None,
        }
    }

    /// The text of this value.
    pub(crate) fn text<'a>(&self, arena: &'a Arena) -> Cow<'a, str> {
        match self {
            Node::Closed(span) => Cow::Borrowed(arena.text(*span)),
            Node::Open(container) => {
                let mut text = String::new();
                container.write(arena, &mut text);
                Cow::Owned(text)
            }
        }
    }

    pub(crate) fn write(&self, arena: &Arena, out: &mut String) {
        match self {
            Node::Closed(span) => out.push_str(arena.text(*span)),
            Node::Open(container) => container.write(arena, out),
        }
    }

    /// The first byte of the value, which tells its type.
    pub(crate) fn first_byte(&self, arena: &Arena) -> u8 {
        match self {
            Node::Closed(span) => arena.text(*span).bytes().next().unwrap_or_default(),
            Node::Open(container) => container.shape.brackets().0 as u8,
        }
    }
}

/// What kind of container a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Array,
}

impl Shape {
    /// The text of an empty one.
    pub(crate) fn empty(self) -> &'static str {
        match self {
            Shape::Object => "{}",
            Shape::Array => "[]",
        }
    }

    fn brackets(self) -> (char, char) {
        match self {
            Shape::Object => ('{', '}'),
            Shape::Array => ('[', ']'),
        }
    }
}

/// An opened object or array.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    shape: Shape,
    entries: Vec<Entry>,
    /// What stands between the brackets when there is no entry.
    blank: Span,
}

/// A member of an object or an item of an array.
#[derive(Clone, Debug)]
struct Entry {
    /// From the bracket or comma before it up to its value: white space, and a member's name and colon.
    lead: Span,
    /// The member's name, quotes included; empty in an array.
    name: Span,
    value: Node,
    /// White space up to the comma or bracket after it.
    trail: Span,
}

impl Container {
    fn parse(arena: &Arena, span: Span, shape: Shape) -> Option<Container> {
        let text = arena.text(span);
        match shape {
            Shape::Object => Members::parse(text).map(|members| Self::of_members(text, span.start, &members)),
            Shape::Array => parse_items(text).map(|items| Self::of_items(text, span.start, &items)),
        }
    }

    /// The members of the object that `text`, found at `base` of the arena, begins with.
    pub(crate) fn of_members(text: &str, base: usize, members: &Members<'_>) -> Container {
        let entries = members.0.iter().map(|(name, value)| (Some(*name), *value));
        Self::build(Shape::Object, text, base, entries)
    }

    fn of_items(text: &str, base: usize, items: &[&RawValue]) -> Container {
        Self::build(Shape::Array, text, base, items.iter().map(|value| (None, *value)))
    }

    /// Notes where the entries lie and what stands between them.
    fn build<'a>(
        shape: Shape,
        text: &'a str,
        base: usize,
        values: impl Iterator<Item = (Option<&'a RawValue>, &'a RawValue)>,
    ) -> Container {
        let find = |from: usize, what: char| from + text[from..].find(what).unwrap_or_default();
        let span = |start: usize, end: usize| Span { start: base + start, end: base + end };
        let mut entries: Vec<Entry> = Vec::new();
        let mut at = 1;
        for (name, value) in values {
            if let Some(previous) = entries.last_mut() {
                let comma = find(at, ',');
                previous.trail = span(at, comma);
                at = comma + 1;
            }
            let (start, end) = place(text, value);
            let name = name.map(|name| place(text, name)).map_or_else(Span::default, |(start, end)| span(start, end));
            let value = Node::Closed(span(start, end));
            entries.push(Entry { lead: span(at, start), name, value, trail: Span::default() });
            at = end;
        }
        let end = span(at, find(at, shape.brackets().1));
        match entries.last_mut() {
            Some(last) => last.trail = end,
            None => return Container { shape, entries, blank: end },
        }
        Container { shape, entries, blank: Span::default() }
    }

    /// What stands before the first entry in its line; `None` where that is the line of the bracket.
    pub(crate) fn indent(&self, arena: &Arena) -> Option<String> {
        let lead = arena.text(self.entries.first()?.lead);
        let blank = &lead[..lead.len() - lead.trim_ascii_start().len()];
        blank.rsplit_once('\n').map(|(_, indent)| indent.to_owned())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at `index`, which must be less than [`Container::len`], here and below.
    pub(crate) fn value(&self, index: usize) -> &Node {
        &self.entries[index].value
    }

    pub(crate) fn value_mut(&mut self, index: usize) -> &mut Node {
        &mut self.entries[index].value
    }

    /// Where the member of that name stands, by the rule of [`choose`].
    pub(crate) fn position(&self, arena: &Arena, name: &str) -> Option<usize> {
        choose(self.entries.iter().map(|entry| arena.text(entry.name)), name)
    }

    /// Where the member of just that name stands, for maps whose names are not a specification's.
    pub(crate) fn position_exact(&self, arena: &Arena, name: &str) -> Option<usize> {
        let is_it = |entry: &Entry| matches!(compare(arena.text(entry.name), name), Match::Exact);
        self.entries.iter().rposition(is_it)
    }

    pub(crate) fn member(&self, arena: &Arena, name: &str) -> Option<&Node> {
        self.position(arena, name).map(|index| &self.entries[index].value)
    }

    pub(crate) fn replace(&mut self, arena: &mut Arena, index: usize, value: &str) {
        self.entries[index].value = Node::Closed(arena.add(value));
    }

    /// Adds a member (or, without a name, an item) at the end, spaced as the one before it is.
    pub(crate) fn push(&mut self, arena: &mut Arena, name: Option<&str>, value: &str) {
        let (before, colon) = self.spacing(arena);
        let name_at = before.len();
        // A name may be anybody's, as that of a network interface.
        let quoted = name.map(|name| serde_json::Value::from(name).to_string()).unwrap_or_default();
        let lead = match name {
            None => before.to_owned(),
            Some(_) => format!("{before}{quoted}{colon}"),
        };
        let lead = arena.add(&lead);
        let start = lead.start + name_at;
        let name = name.map_or_else(Span::default, |_| Span { start, end: start + quoted.len() });
        // The white space before the closing bracket stays before the closing bracket.
        let trail = self.entries.last_mut().map(|last| std::mem::take(&mut last.trail)).unwrap_or_default();
        self.entries.push(Entry { lead, name, value: Node::Closed(arena.add(value)), trail });
    }

    /// What stands before the last entry and between its name and value.
    fn spacing<'a>(&self, arena: &'a Arena) -> (&'a str, &'a str) {
        let Some(last) = self.entries.last() else { return ("", ":") };
        let lead = arena.text(last.lead);
        let before = lead.len() - lead.trim_ascii_start().len();
        let colon = lead.get(before + (last.name.end - last.name.start)..);
        (&lead[..before], colon.unwrap_or(":"))
    }

    pub(crate) fn remove(&mut self, index: usize) {
        let removed = self.entries.remove(index);
        if index == self.entries.len() {
            match self.entries.last_mut() {
                Some(last) => last.trail = removed.trail,
                None => self.blank = Span::default(),
            }
        }
    }

    pub(crate) fn write(&self, arena: &Arena, out: &mut String) {
        let (open, close) = self.shape.brackets();
        out.push(open);
        out.push_str(arena.text(self.blank));
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(arena.text(entry.lead));
            entry.value.write(arena, out);
            out.push_str(arena.text(entry.trail));
        }
        out.push(close);
    }
}

/// Where in `text` a raw value that was borrowed from it stands. It is a part of that text, so the addresses tell.
fn place(text: &str, raw: &RawValue) -> (usize, usize) {
    let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
    (start, start + raw.get().len())
}

/// The members of an object as they stand in the text, in order, duplicates included.
pub(crate) struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Members<'a> {
    /// `None` if `text` is not one JSON object.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The value of the member of that name, by the rule of [`choose`].
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        choose(self.0.iter().map(|(raw, _)| raw.get()), name).map(|index| self.0[index].1.get())
    }

    /// Names and values, decoded and raw, in order. A name that is not Unicode (a lone surrogate) is left out.
    pub(crate) fn named(&self) -> impl Iterator<Item = (String, &'a str)> {
        self.0.iter().filter_map(|(name, value)| Some((serde_json::from_str(name.get()).ok()?, value.get())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Visitor).map(Members)
    }
}

/// The items of an array; `None` if `text` is not one JSON array.
pub(crate) fn parse_items(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// Which of several members answers to `name`: the last whose name is exactly that, else the last whose name differs only
/// in ASCII case.
///
/// runc's decoder takes the last of either, crun's takes exact names only. Where a document is not ambiguous all three
/// agree, and an engine's never is.
fn choose<'a>(names: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator, name: &str) -> Option<usize> {
    let mut other_case = None;
    for (index, raw) in names.enumerate().rev() {
        match compare(raw, name) {
            Match::Exact => return Some(index),
            Match::OtherCase if other_case.is_none() => other_case = Some(index),
            _ => {}
        }
    }
    other_case
}

enum Match {
    Exact,
    OtherCase,
    No,
}

/// Compares a name as it stands in the text, quotes and escapes included, with a plain one.
fn compare(raw: &str, name: &str) -> Match {
    if raw.contains('\\') {
        return serde_json::from_str(raw).map_or(Match::No, |decoded: String| compare_plain(&decoded, name));
    }
    compare_plain(raw.trim_matches('"'), name)
}

fn compare_plain(text: &str, name: &str) -> Match {
    if text == name {
        Match::Exact
    } else if text.eq_ignore_ascii_case(name) {
        Match::OtherCase
    } else {
        Match::No
    }
}

#[cfg(test)]
mod tests;
