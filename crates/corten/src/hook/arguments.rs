//! The prestart hook's command line: Go's `flag` package, whose flags come before the word and take one dash or two
//! (reference: runtime-and-hook.md 6.1).

use std::ffi::OsString;

/// What is printed where the command line is wrong, or help is asked for.
pub const USAGE: &str = "\
Usage of nvidia-container-runtime-hook:
  -config string
    \tread this config.toml, which must exist
  -debug
    \tlet nvidia-container-cli write its log to stderr
  -version
    \tprint the version

Commands:
  prestart
        give the container whose state is on stdin the GPUs that it asks for
  poststart
        does nothing
  poststop
        does nothing";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `-config`; empty if it is not given.
    pub config: String,
    /// `-debug`.
    pub debug: bool,
    /// What to do.
    pub what: What,
}

/// What a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Help,
    Version,
    /// `poststart` and `poststop`, in which there is nothing to do.
    Nothing,
    Prestart,
}

/// Why a command line cannot be followed, in the words of Go.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("flag needs an argument: -{0}")]
    NoArgument(String),
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    NotBoolean { name: String, value: String },
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// No word, or one that is none: the usage says all, as in the original.
    #[error("")]
    NoCommand,
}

impl Arguments {
    /// Reads the words after the program's name; those after the command mean nothing.
    pub fn parse(args: &[OsString]) -> Result<Arguments, ParseError> {
        let mut words = args.iter().map(|word| word.to_string_lossy());
        let mut parsed = Arguments { config: String::new(), debug: false, what: What::Prestart };
        let mut version = false;
        let command = loop {
            let Some(word) = words.next() else { break String::new() };
            let name = match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
                // What follows `--` is no flag. A lone dash is a word.
                Some("") if word == "--" => break words.next().unwrap_or_default().into_owned(),
                None | Some("") => break word.into_owned(),
                Some(name) => name,
            };
            if name.starts_with(['-', '=']) {
                return Err(ParseError::Syntax(word.into_owned()));
            }
            let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            match name {
                "config" => {
                    let given = value.map(str::to_owned).or_else(|| words.next().map(std::borrow::Cow::into_owned));
                    parsed.config = given.ok_or_else(|| ParseError::NoArgument(name.to_owned()))?;
                }
                "debug" => parsed.debug = boolean(name, value)?,
                "version" => version = boolean(name, value)?,
                "h" | "help" => return Ok(Arguments { what: What::Help, ..parsed }),
                _ => return Err(ParseError::Unknown(name.to_owned())),
            }
        };
        parsed.what = match command.as_str() {
            _ if version => What::Version,
            "prestart" => What::Prestart,
            "poststart" | "poststop" => What::Nothing,
            _ => return Err(ParseError::NoCommand),
        };
        Ok(parsed)
    }
}

/// What Go's `strconv.ParseBool` makes of a text.
fn boolean(name: &str, value: Option<&str>) -> Result<bool, ParseError> {
    match value.unwrap_or("true") {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(ParseError::NotBoolean { name: name.to_owned(), value: other.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, ParseError> {
        Arguments::parse(&line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_come_before_the_word() {
        for (line, config, debug, what) in [
            ("prestart", "", false, What::Prestart),
            ("-debug -config /c prestart", "/c", true, What::Prestart),
            ("--config=/c=d --debug=false poststart", "/c=d", false, What::Nothing),
            ("-config= poststop --bogus", "", false, What::Nothing),
            ("prestart -debug", "", false, What::Prestart),
            ("-- prestart", "", false, What::Prestart),
            ("-version", "", false, What::Version),
            ("--version=true prestart", "", false, What::Version),
            ("-help", "", false, What::Help),
            ("-debug -h prestart", "", true, What::Help),
        ] {
            assert_eq!(parse(line), Ok(Arguments { config: config.into(), debug, what }), "{line}");
        }
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (line, want) in [
            ("", ""),
            ("start", ""),
            ("- prestart", ""),
            ("-config", "flag needs an argument: -config"),
            ("--verbose prestart", "flag provided but not defined: -verbose"),
            ("-debug=perhaps prestart", "invalid boolean value \"perhaps\" for -debug: parse error"),
            ("---debug prestart", "bad flag syntax: ---debug"),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), want, "{line}");
        }
    }
}
