//! From TOML text to settings, by the table of keys.

use super::Config;
use super::keys::{KEYS, Key, Kind};
use toml_edit::{Document, Item, TableLike, Value};

/// A `config.toml` that cannot be used. Positions count from 1; columns are characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not TOML, or a key or table occurs twice.
    #[error("({line}, {column}): {message}; correct the file, or remove it to use the defaults")]
    #[allow(missing_docs)]
    Syntax { line: usize, column: usize, message: String },
    /// A value of another type than its key's.
    #[error(
        "failed to unmarshal config: ({line}, {column}): Can't convert {value}({found}) to {expected}: \
         {key:?} must be {example}; correct it or remove the line"
    )]
    #[allow(missing_docs)]
    Type {
        line: usize,
        column: usize,
        key: String,
        value: String,
        found: &'static str,
        expected: &'static str,
        example: &'static str,
    },
}

/// Something in a `config.toml` that has no effect, or another than it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Warning {
    /// No program reads this key. `nearest` is the key that was perhaps meant.
    #[error("({line}, {column}): unknown key {key:?} is ignored{}", meant(*.nearest))]
    Unknown { line: usize, column: usize, key: String, nearest: Option<&'static str> },
    /// The key stands there in two spellings; the one written as documented counts, else the first.
    #[error("({line}, {column}): key {key:?} is ignored: the file sets it in another spelling, too")]
    Twice { line: usize, column: usize, key: String },
    /// A key of an old release, and what it was taken for.
    #[error("{key:?} is a key of old releases and was taken for {instead}; write that instead")]
    Obsolete { key: &'static str, instead: String },
    /// A setting that is not obeyed, because an image could abuse it.
    #[error("{key:?} is not obeyed: {why}; remove it")]
    Unsafe { key: &'static str, why: &'static str },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean {key:?}?")).unwrap_or_default()
}

/// Overlays `config` with what `text` sets.
pub(super) fn read(text: &str, config: &mut Config) -> Result<Vec<Warning>, ConfigError> {
    let lines = Lines::of(text);
    let document = Document::parse(text).map_err(|error| {
        let (line, column) = lines.position(error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { line, column, message: one_line(error.message()) }
    })?;
    let mut reader = Reader { lines, config, warnings: Vec::new(), seen: Vec::new() };
    reader.table("", true, document.as_table())?;
    Ok(reader.warnings)
}

struct Reader<'a> {
    lines: Lines<'a>,
    config: &'a mut Config,
    warnings: Vec<Warning>,
    /// Keys set so far, and whether as written in the table.
    seen: Vec<(&'static str, bool)>,
}

impl Reader<'_> {
    /// Reads one table. `exact`: its name is spelled as in the table of keys.
    fn table(&mut self, prefix: &str, exact: bool, table: &dyn TableLike) -> Result<(), ConfigError> {
        for (written, item) in table.iter() {
            let at = table.key(written).and_then(toml_edit::Key::span).or(item.span()).map_or(0, |span| span.start);
            let spelled = spelling(written);
            let name = if prefix.is_empty() { spelled.clone() } else { format!("{prefix}.{spelled}") };
            self.entry(&name, exact && spelled == written, item, at)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, exact: bool, item: &Item, at: usize) -> Result<(), ConfigError> {
        let key = KEYS.iter().find(|key| key.name == name);
        let holds_keys = KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        match (key, item.as_table_like()) {
            (_, Some(table)) if holds_keys => self.table(name, exact, table),
            (None, None) if holds_keys => Err(self.wrong_type(name, "table", "a table", item, at)),
            (Some(key), _) => self.value(key, exact, item, at),
            (None, _) => {
                let (line, column) = self.lines.position(at);
                self.warnings.push(Warning::Unknown { line, column, key: name.to_owned(), nearest: nearest(name) });
                Ok(())
            }
        }
    }

    fn value(&mut self, key: &'static Key, exact: bool, item: &Item, at: usize) -> Result<(), ConfigError> {
        if !self.counts(key, exact, at) {
            return Ok(());
        }
        let (set, example) = match key.kind {
            Kind::Text(_, field) => (item.as_str().map(|text| text.clone_into(field(self.config))), "text in quotes"),
            Kind::Flag(_, field) => {
                (item.as_bool().map(|flag| *field(self.config) = flag), "true or false, without quotes")
            }
            Kind::List(_, field) => {
                (strings(item).map(|list| *field(self.config) = list), "an array of texts, [\"…\", \"…\"]")
            }
        };
        set.ok_or_else(|| self.wrong_type(key.name, key.kind.type_name(), example, item, at))
    }

    /// Whether this occurrence of a key is the one to use, for a file that has it in two spellings.
    fn counts(&mut self, key: &'static Key, exact: bool, at: usize) -> bool {
        let Some(seen) = self.seen.iter_mut().find(|(name, _)| *name == key.name) else {
            self.seen.push((key.name, exact));
            return true;
        };
        let better = exact && !seen.1;
        seen.1 |= exact;
        let (line, column) = self.lines.position(at);
        self.warnings.push(Warning::Twice { line, column, key: key.name.to_owned() });
        better
    }

    fn wrong_type(
        &self,
        key: &str,
        expected: &'static str,
        example: &'static str,
        item: &Item,
        at: usize,
    ) -> ConfigError {
        let (line, column) = self.lines.position(at);
        let found = match item.type_name() {
            "integer" => "int64",
            "float" => "float64",
            "boolean" => "bool",
            other => other,
        };
        ConfigError::Type { line, column, key: key.to_owned(), value: shown(item), found, expected, example }
    }
}

/// A name as the table of keys has it: one that is upper case throughout counts as lower case.
fn spelling(written: &str) -> String {
    if written.chars().any(|c| c.is_ascii_lowercase()) { written.to_owned() } else { written.to_ascii_lowercase() }
}

fn strings(item: &Item) -> Option<Vec<String>> {
    item.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Where the lines of a text begin: a file may have a remark for each of its lines, and counting them anew for each would take
/// time with the square of its length.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Line and column of a byte offset, both from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        (line, self.text.get(start..at).map_or(1, |before| before.chars().count() + 1))
    }
}

/// A value as an error shows it: plain, and not longer than a line.
fn shown(item: &Item) -> String {
    let text = match item {
        Item::Value(Value::String(text)) => text.value().clone(),
        other => other.to_string(),
    };
    let text = one_line(text.trim());
    if text.chars().count() > 60 { text.chars().take(59).chain(['…']).collect() } else { text }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The key that a misspelt one was perhaps meant to be: the same last word in another table, or a few letters away.
fn nearest(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next();
    let elsewhere = KEYS.iter().find(|key| key.name.rsplit('.').next() == last);
    let near = || KEYS.iter().filter(|key| distance(key.name, name) <= 3).min_by_key(|key| distance(key.name, name));
    elsewhere.or_else(near).map(|key| key.name)
}

/// Letters to change, add or drop to get from one text to the other, bounded: anything long is far.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
