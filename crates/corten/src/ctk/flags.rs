//! Flags: what the tables hold, and how a command line and the environment give them values.
//!
//! One dash or two, `--name value` or `--name=value`. A flag of the command line wins over a variable of the environment.
//! Lists may be given several times and are split at commas, in variables too.

use std::{collections::BTreeMap, collections::VecDeque};

/// A flag.
#[derive(Clone, Copy)]
pub struct Flag {
    /// Its name, then its aliases.
    pub names: [&'static str; 4],
    /// The variable that gives it a value.
    pub variable: &'static str,
    pub takes: Takes,
    /// What it is without a value, for help; empty for nothing.
    pub default: &'static str,
    pub about: &'static str,
}

/// What follows a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=true`, `=false`.
    Nothing,
    /// One text; the last one given counts.
    Text,
    /// A list.
    List,
}

/// Flags of a command's own, and after them those that it shares with another.
pub const fn join<const COUNT: usize>(own: &[Flag], shared: &[Flag]) -> [Flag; COUNT] {
    let mut flags = [own[0]; COUNT];
    let mut i = 1;
    while i < COUNT {
        flags[i] = if i < own.len() { own[i] } else { shared[i - own.len()] };
        i += 1;
    }
    flags
}

/// Where flags end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// At a word that is none, or at the end.
    Word,
    /// At `--`.
    Dashes,
}

/// Why a command line cannot be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("help is wanted")]
    Help,
    #[error("flag provided but not defined: -version")]
    Version,
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("flag needs an argument: {0}")]
    NoArgument(String),
    #[error("invalid value {value:?} for flag -{name}: parse error")]
    NotBoolean { name: String, value: String },
}

impl Flag {
    const fn new(name: &'static str, variable: &'static str, takes: Takes, about: &'static str) -> Flag {
        Flag { names: [name, "", "", ""], variable, takes, default: "", about }
    }

    /// A flag that is there or not.
    pub const fn switch(name: &'static str, variable: &'static str, about: &'static str) -> Flag {
        Flag::new(name, variable, Takes::Nothing, about)
    }

    /// A flag with one value.
    pub const fn text(name: &'static str, variable: &'static str, about: &'static str) -> Flag {
        Flag::new(name, variable, Takes::Text, about)
    }

    /// A flag with a list of values.
    pub const fn list(name: &'static str, variable: &'static str, about: &'static str) -> Flag {
        Flag::new(name, variable, Takes::List, about)
    }

    /// The same with one more name.
    pub const fn or(mut self, alias: &'static str) -> Flag {
        let mut i = 0;
        while !self.names[i].is_empty() {
            i += 1;
        }
        self.names[i] = alias;
        self
    }

    /// The same with a value that it has of itself.
    pub const fn by_default(mut self, default: &'static str) -> Flag {
        self.default = default;
        self
    }

    /// The name that stands for it.
    pub const fn name(&self) -> &'static str {
        self.names[0]
    }

    /// All its names.
    pub fn all_names(&self) -> impl Iterator<Item = &'static str> {
        self.names.into_iter().filter(|name| !name.is_empty())
    }
}

/// A command line being read, and the values it has given so far.
pub struct Values {
    words: VecDeque<String>,
    given: BTreeMap<&'static str, Vec<String>>,
    from_environment: BTreeMap<&'static str, Vec<String>>,
    defaults: BTreeMap<&'static str, &'static str>,
    /// Words that mean nothing where they stand.
    pub ignored: Vec<String>,
    /// Words that name what a command works on.
    pub operands: Vec<String>,
}

impl Values {
    /// A command line without an environment, for tests.
    #[cfg(test)]
    pub fn of_line(line: &str, flags: &'static [Flag]) -> Values {
        let mut values = Values::new(line.split_whitespace().map(str::to_owned).collect());
        values.take(flags, &[], |_| None).expect("the test's flags are right");
        values
    }

    /// Nothing read yet.
    pub fn new(words: Vec<String>) -> Values {
        Values {
            words: words.into(),
            given: BTreeMap::new(),
            from_environment: BTreeMap::new(),
            defaults: BTreeMap::new(),
            ignored: Vec::new(),
            operands: Vec::new(),
        }
    }

    /// Reads flags up to the next word that is none. `variable` looks an environment variable up; empty ones do not count.
    pub fn take(
        &mut self,
        own: &[Flag],
        global: &[Flag],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<After, ParseError> {
        let flags: Vec<Flag> = own.iter().chain(global).copied().collect();
        for flag in &flags {
            self.preset(flag, &variable)?;
        }
        while let Some(word) = self.words.front().filter(|word| word.len() > 1 && word.starts_with('-')).cloned() {
            self.words.pop_front();
            if word == "--" {
                return Ok(After::Dashes);
            }
            self.flag(&word, &flags)?;
        }
        Ok(After::Word)
    }

    fn preset(&mut self, flag: &Flag, variable: impl Fn(&str) -> Option<String>) -> Result<(), ParseError> {
        self.defaults.insert(flag.name(), flag.default);
        let Some(value) = variable(flag.variable).filter(|value| !value.is_empty()) else { return Ok(()) };
        self.from_environment.insert(flag.name(), checked(flag, value)?);
        Ok(())
    }

    fn flag(&mut self, word: &str, flags: &[Flag]) -> Result<(), ParseError> {
        let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or(word);
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value.to_owned())));
        let Some(flag) = flags.iter().find(|flag| flag.all_names().any(|own| own == name)) else {
            return Err(match name {
                "help" | "h" => ParseError::Help,
                "version" | "v" => ParseError::Version,
                _ => ParseError::Unknown(name.to_owned()),
            });
        };
        let value = match (flag.takes, value) {
            (_, Some(value)) => value,
            (Takes::Nothing, None) => "true".to_owned(),
            (_, None) => self.words.pop_front().ok_or_else(|| ParseError::NoArgument(word.to_owned()))?,
        };
        let values = checked(flag, value)?;
        let given = self.given.entry(flag.name()).or_default();
        if flag.takes != Takes::List {
            given.clear();
        }
        given.extend(values);
        Ok(())
    }

    /// The next word that is no flag.
    pub fn next_word(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// What has not been read.
    pub fn rest(self) -> impl Iterator<Item = String> {
        self.words.into_iter()
    }

    /// The value of a text flag; empty when it has none.
    pub fn text(&self, name: &str) -> String {
        self.list(name).pop().unwrap_or_default()
    }

    /// The values of a list flag.
    pub fn list(&self, name: &str) -> Vec<String> {
        let default = self.defaults.get(name).copied().unwrap_or_default();
        let from_default = || default.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
        self.given.get(name).or_else(|| self.from_environment.get(name)).cloned().unwrap_or_else(from_default)
    }

    /// A switch is on.
    pub fn is_set(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// The user gave it a value, on the command line or in the environment.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name) || self.from_environment.contains_key(name)
    }
}

/// The values in one text.
fn checked(flag: &Flag, value: String) -> Result<Vec<String>, ParseError> {
    match flag.takes {
        Takes::Text => Ok(vec![value]),
        Takes::List => Ok(value.split(',').map(|item| item.trim().to_owned()).collect()),
        Takes::Nothing => match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(vec!["true".to_owned()]),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(vec!["false".to_owned()]),
            _ => Err(ParseError::NotBoolean { name: flag.name().to_owned(), value }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::list("item", "ITEMS", "").or("items").by_default("a,b"),
        Flag::text("text", "TEXT", "").by_default("t"),
        Flag::switch("on", "ON", ""),
    ];

    fn read(line: &str, set: &[(&str, &str)]) -> Result<(Vec<String>, String, bool, Option<String>), ParseError> {
        let mut values = Values::new(line.split_whitespace().map(str::to_owned).collect());
        let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        values.take(FLAGS, &[], variable)?;
        Ok((values.list("item"), values.text("text"), values.is_set("on"), values.next_word()))
    }

    #[test]
    fn values_come_from_the_line_then_the_environment_then_the_table() {
        for (line, set, items, text, on, word) in [
            ("", &[][..], "a b", "t", false, None),
            ("-item x --items=y,z --text= -on w --text q", &[], "x y z", "", true, Some("w")),
            ("--text 1 -text 2 --on=F -- --item", &[], "a b", "2", false, Some("--item")),
            ("--text -x", &[("ITEMS", "p, q"), ("ON", "T"), ("TEXT", "env")], "p q", "-x", true, None),
            ("--item c", &[("ITEMS", "p"), ("ON", ""), ("TEXT", "")], "c", "t", false, None),
            ("- --on", &[], "a b", "t", false, Some("-")),
        ] {
            let (found, t, switch, next) = read(line, set).unwrap();
            assert_eq!(
                (found.join(" ").as_str(), t.as_str(), switch, next.as_deref()),
                (items, text, on, word),
                "{line}"
            );
        }
    }

    #[test]
    fn wrong_lines_say_why() {
        for (line, want) in [
            ("--nope", "flag provided but not defined: -nope"),
            ("--text", "flag needs an argument: --text"),
            ("-on=maybe", "invalid value \"maybe\" for flag -on: parse error"),
        ] {
            assert_eq!(read(line, &[]).unwrap_err().to_string(), want);
        }
        assert_eq!(read("-h", &[]), Err(ParseError::Help));
        assert!(read("", &[("ON", "maybe")]).is_err());
    }
}
