//! [`Document`]: `config.json` as text that is read in places and edited in places.
//!
//! Everything that no edit replaces keeps its bytes: order, white space, numbers such as `1e9` and 2⁶⁴−1, members and
//! capabilities of specifications to come. The original decodes into the structures of one specification instead, so that
//! newer files fail or lose members (runtime-and-hook.md Q2).
//!
//! Types are checked where something is looked at and nowhere else: the low-level runtime will judge the rest.

mod edit;
mod read;
mod setting;

use crate::tree::{Arena, Container, Members, Node, Span};
use std::{borrow::Cow, fmt};

/// A `config.json`, or any JSON object to be edited with care.
#[derive(Clone, Debug)]
pub struct Document {
    arena: Arena,
    /// The text as it was given; edits append to the arena behind it.
    original: Span,
    /// White space before the object.
    prefix: Span,
    root: Node,
    /// What follows the object. Go's decoder, and so runc, reads one value and ignores the rest.
    suffix: Span,
    edited: bool,
}

/// Why a text is no document, or why a part of one cannot be read or edited.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// There is nothing but white space.
    #[error("is empty")]
    Empty,
    /// JSON is UTF-8 (RFC 8259).
    #[error("is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// A syntax error; the message has line and column.
    #[error("is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A part of it has a type that the specification does not give it.
    #[error("{at} is {found}, not {expected}")]
    WrongType {
        /// Which part, such as `process.env[3]`; `the document` for the whole.
        at: String,
        /// What the specification asks for.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
}

impl Document {
    /// Takes the text of a document, which must be a JSON object. What follows the object is kept and not looked at.
    ///
    /// # Errors
    /// All of [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes).map_err(|error| DocumentError::NotUtf8 { at: error.valid_up_to() })?;
        let start = text.len() - text.trim_ascii_start().len();
        match text.as_bytes().get(start) {
            None => return Err(DocumentError::Empty),
            Some(b'{') => {}
            // Prefer "is not JSON" for what is not JSON at all.
            Some(&first) if is_value_start(first) => return Err(At::default().wrong("an object", first)),
            Some(_) => {}
        }
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Members<'_>>();
        let members = stream.next().ok_or(DocumentError::Empty)?.map_err(DocumentError::NotJson)?;
        let end = stream.byte_offset();
        let root = Node::Open(Container::of_members(&text[start..end], start, &members));
        Ok(Document {
            root,
            original: Span { start: 0, end: text.len() },
            prefix: Span { start: 0, end: start },
            suffix: Span { start: end, end: text.len() },
            edited: false,
            arena: Arena::new(text.to_owned()),
        })
    }

    /// The text: the very bytes given to [`Document::parse`], except where edits replaced them.
    pub fn to_bytes(&self) -> Vec<u8> {
        if !self.edited {
            return self.arena.text(self.original).as_bytes().to_vec();
        }
        self.write().into_bytes()
    }

    /// Whether the text differs from the one that was parsed. If not, there is nothing to write.
    pub fn is_changed(&self) -> bool {
        self.edited && self.write() != self.arena.text(self.original)
    }

    fn write(&self) -> String {
        let mut out = String::with_capacity(self.original.end * 2);
        out.push_str(self.arena.text(self.prefix));
        self.root.write(&self.arena, &mut out);
        out.push_str(self.arena.text(self.suffix));
        out
    }

    /// The text of the value at that path; `None` if it or a parent is absent or `null`.
    fn text_at(&self, path: &[&str]) -> Result<Option<Cow<'_, str>>, DocumentError> {
        let mut node = &self.root;
        for (depth, name) in path.iter().enumerate() {
            match node {
                Node::Open(container) => match container.member(&self.arena, name) {
                    Some(member) => node = member,
                    None => return Ok(None),
                },
                Node::Closed(span) => {
                    return Ok(text_below(self.arena.text(*span), path, depth)?.map(Cow::Borrowed));
                }
            }
        }
        Ok(Some(node.text(&self.arena)).filter(|text| text != "null"))
    }
}

/// The text of the value at `path[depth..]` below the value `text`, which stands at `path[..depth]`.
fn text_below<'a>(mut text: &'a str, path: &[&str], depth: usize) -> Result<Option<&'a str>, DocumentError> {
    for (depth, name) in path.iter().enumerate().skip(depth) {
        if text == "null" {
            return Ok(None);
        }
        let members = Members::parse(text).ok_or_else(|| At::path(&path[..depth]).wrong("an object", first(text)))?;
        match members.get(name) {
            Some(member) => text = member,
            None => return Ok(None),
        }
    }
    Ok(Some(text).filter(|text| *text != "null"))
}

/// Where in a document something stands, for errors: `linux.devices[2].path`.
#[derive(Clone, Copy, Default)]
struct At<'a> {
    path: &'a [&'a str],
    index: Option<usize>,
    member: Option<&'a str>,
    inner_index: Option<usize>,
}

impl<'a> At<'a> {
    fn path(path: &'a [&'a str]) -> Self {
        At { path, ..At::default() }
    }

    fn item(self, index: usize) -> Self {
        match self.member {
            None => At { index: Some(index), ..self },
            Some(_) => At { inner_index: Some(index), ..self },
        }
    }

    fn member(self, name: &'a str) -> Self {
        At { member: Some(name), ..self }
    }

    fn wrong(&self, expected: &'static str, first_byte: u8) -> DocumentError {
        DocumentError::WrongType { at: self.to_string(), expected, found: type_of(first_byte) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str("the document");
        }
        f.write_str(&self.path.join("."))?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        if let Some(member) = self.member {
            write!(f, ".{member}")?;
        }
        match self.inner_index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

fn first(text: &str) -> u8 {
    text.bytes().next().unwrap_or_default()
}

fn is_value_start(byte: u8) -> bool {
    matches!(byte, b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9')
}

/// The type of a JSON value, told by its first byte.
fn type_of(first_byte: u8) -> &'static str {
    match first_byte {
        b'{' => "an object",
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Document {
        Document::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn unedited_text_comes_back() {
        for text in ["{}", " {\n\t\"a\" : 18446744073709551615 }\n", r#"{"a":1e9}{"b":2}"#, "{} trailing ]"] {
            let document = parse(text);
            assert!(!document.is_changed());
            assert_eq!(document.to_bytes(), text.as_bytes());
            assert_eq!(document.write(), text);
        }
    }

    #[test]
    fn what_is_no_document_says_why() {
        let table: [(&[u8], &str); 7] = [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"null", "the document is null, not an object"),
            (b"[]", "the document is an array, not an object"),
            (b"{\"a\":\"\xff\"}", "is not UTF-8 at byte 6"),
            (b"{\"a\":}", "is not JSON: expected value at line 1 column 6"),
            (b"\xef\xbb\xbf{}", "is not JSON: expected value at line 1 column 1"),
        ];
        for (bytes, want) in table {
            assert_eq!(Document::parse(bytes).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn deep_nesting_is_skipped() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(parse(&deep).to_bytes().len(), deep.len());
    }

    #[test]
    fn paths_lead_through_open_and_closed_nodes() {
        let document = parse(r#"{"Linux":{"resources":null,"a":{"b":[1]}},"x":3}"#);
        assert_eq!(document.text_at(&["linux", "a", "b"]).unwrap().as_deref(), Some("[1]"));
        assert_eq!(document.text_at(&["linux", "resources", "devices"]).unwrap(), None);
        let error = document.text_at(&["x", "y"]).unwrap_err();
        assert_eq!(error.to_string(), "x is a number, not an object");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(document) = Document::parse(&bytes) {
                prop_assert_eq!(document.to_bytes(), bytes);
            }
        }

        #[test]
        fn arbitrary_json_like_text_never_panics(text in r#"[{}\[\]",:0a \\n]{0,40}"#) {
            if let Ok(document) = Document::parse(text.as_bytes()) {
                prop_assert_eq!(document.write(), text);
            }
        }
    }
}
