//! The YAML of the original's emitter: lists are indented under their key, a level is four columns (or two, behind the dash of
//! a list), syntax is hidden in single quotes and text that looks like something else in double ones.
//!
//! Where that emitter loses something (text that begins with a blank or newline and has several lines), text is double-quoted.

use crate::scalar::stays_text;
use crate::tree::Node;

/// A document, from `---` to the last newline.
pub(super) fn document(node: &Node) -> String {
    let mut out = String::from("---\n");
    match node {
        Node::Map(members) if !members.is_empty() => block_map(members, 0, &mut out),
        other => {
            scalar(other, 0, &mut out);
        }
    }
    out
}

/// Longest key, in bytes, that the original's emitter writes in one line with its value. Readers give up at 1024 characters.
const LONGEST_KEY: usize = 128;

/// Members at a column; the cursor stands in that column already.
fn block_map(members: &[(String, Node)], column: usize, out: &mut String) {
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            indent(column, out);
        }
        if name.len() > LONGEST_KEY {
            out.push_str("? ");
            text(name, None, out);
            out.push('\n');
            indent(column, out);
        } else {
            text(name, None, out);
        }
        out.push(':');
        let inner = next_stop(column);
        match value {
            Node::Map(members) if !members.is_empty() => {
                out.push('\n');
                indent(inner, out);
                block_map(members, inner, out);
            }
            Node::List(items) if !items.is_empty() => block_list(items, inner, out),
            other => {
                out.push(' ');
                scalar(other, inner, out);
            }
        }
    }
}

fn block_list(items: &[Node], column: usize, out: &mut String) {
    out.push('\n');
    for item in items {
        indent(column, out);
        out.push_str("- ");
        match item {
            Node::Map(members) if !members.is_empty() => block_map(members, column + 2, out),
            other => scalar(other, column + 2, out),
        }
    }
}

/// The next column that is a multiple of four.
fn next_stop(column: usize) -> usize {
    (column / 4 + 1) * 4
}

fn indent(column: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', column));
}

/// A value that fits behind its key, with the newline that ends it. Further lines begin at the column.
fn scalar(node: &Node, column: usize, out: &mut String) {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(value) => out.push_str(&value.to_string()),
        Node::Integer(value) => out.push_str(&value.to_string()),
        Node::Float(value) => out.push_str(&value.to_string()),
        Node::Text(value) => return text_line(value, column, out),
        // A list in a list does not occur in specs, nor does a map that is not empty here.
        Node::List(_) => out.push_str("[]"),
        Node::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
}

fn text_line(value: &str, column: usize, out: &mut String) {
    text(value, Some(column), out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

/// A text in the least quotes that keep it. Only where there is a column may it take several lines.
fn text(value: &str, column: Option<usize>, out: &mut String) {
    match (Style::of(value), column) {
        (Style::Plain, _) => out.push_str(value),
        (Style::Single, _) => {
            out.push('\'');
            out.push_str(&value.replace('\'', "''"));
            out.push('\'');
        }
        (Style::Literal, Some(column)) => literal(value, column, out),
        (Style::Double | Style::Literal, _) => double_quoted(value, out),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Style {
    fn of(value: &str) -> Style {
        let has_special = value.chars().any(|c| !is_printable(c) && c != '\t');
        if value.contains('\n') {
            let begins_blank = value.starts_with([' ', '\n']);
            let breaks = has_special || begins_blank || value.contains(" \n") || value.ends_with(' ');
            return if breaks { Style::Double } else { Style::Literal };
        }
        if !stays_text(value) || has_special || value.contains('\t') {
            Style::Double
        } else if looks_like_syntax(value) {
            Style::Single
        } else {
            Style::Plain
        }
    }
}

/// Whether a plain text would be taken for something of YAML's.
fn looks_like_syntax(value: &str) -> bool {
    let mut chars = value.chars();
    let (first, second) = (chars.next().unwrap_or_default(), chars.next());
    let alone = second.is_none_or(|c| c == ' ');
    value.starts_with(' ')
        || value.ends_with([' ', ':'])
        || value.starts_with("---")
        || value.starts_with("...")
        || "#,[]{}&*!|>'\"%@`".contains(first)
        || ("?:-".contains(first) && alone)
        || value.contains(": ")
        || value.contains(" #")
}

/// What needs no escape. The original also escapes what lies beyond the first 65,536 characters.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}')
}

/// `|` keeps the last newline, `|-` says that there is none, `|+` that there are more.
fn literal(value: &str, column: usize, out: &mut String) {
    out.push_str(match value {
        _ if value.ends_with("\n\n") => "|+",
        _ if value.ends_with('\n') => "|",
        _ => "|-",
    });
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(column, out);
            out.push_str(line);
        }
    }
    out.push('\n');
}

fn double_quoted(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match escape(c) {
            Some(letter) => out.extend(['\\', letter]),
            None if is_printable(c) => out.push(c),
            None => numeric_escape(u32::from(c), out),
        }
    }
    out.push('"');
}

fn numeric_escape(code: u32, out: &mut String) {
    out.push_str(&match code {
        0..=0xff => format!("\\x{code:02X}"),
        0x100..=0xffff => format!("\\u{code:04X}"),
        _ => format!("\\U{code:08X}"),
    });
}

/// The characters for which YAML has a letter (YAML 1.2, 5.7).
fn escape(c: char) -> Option<char> {
    Some(match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => return None,
    })
}
