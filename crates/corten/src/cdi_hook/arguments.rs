//! The hook program's command line.

use super::table::{HOOKS, Hook};
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use plan::hook_values::InvalidValue;
use std::{ffi::OsString, fmt::Write as _};

/// For tests of a hook: reads the state from a file.
const CONTAINER_SPEC: &str = "container-spec";

/// A parsed command line.
#[derive(Debug)]
pub struct Arguments {
    /// How much is said on stderr.
    pub verbosity: Verbosity,
    /// What to do.
    pub what: What,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings too.
    Normal,
    /// Everything.
    Debug,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum What {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// No hook, or one that is not known: no failure.
    Unknown(Option<String>),
    /// A known hook.
    Hook {
        /// Which.
        hook: &'static Hook,
        /// Names and values of its options, in order.
        options: Vec<(&'static str, String)>,
        /// `--container-spec FILE`; without it the state comes on stdin.
        container_spec: Option<String>,
    },
}

impl Arguments {
    /// Reads the words after the program's name. `variable` looks an environment variable up.
    pub fn parse(args: &[OsString], variable: impl Fn(&str) -> Option<String>) -> Result<Arguments> {
        let mut debug = switch(&variable, ["NVIDIA_CTK_DEBUG", "NVIDIA_CDI_DEBUG"])?;
        let mut quiet = switch(&variable, ["NVIDIA_CTK_QUIET", "NVIDIA_CDI_QUIET"])?;
        let mut words = args.iter().map(|word| word.to_string_lossy());
        let what = loop {
            let Some(word) = words.next() else { break What::Unknown(None) };
            match option(&word) {
                None => break hook(&word, words)?,
                Some(("debug" | "d", value)) => debug = boolean(&word, value.unwrap_or("true"))?,
                Some(("quiet", value)) => quiet = boolean(&word, value.unwrap_or("true"))?,
                Some(("help" | "h", _)) => break What::Help,
                Some(("version" | "v", _)) => break What::Version,
                // A newer release's option: its meaning, and whether a value follows, is unknown.
                Some(_) => break What::Unknown(None),
            }
        };
        let verbosity = match (quiet, debug) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Debug,
            (false, false) => Verbosity::Normal,
        };
        Ok(Arguments { verbosity, what })
    }
}

/// The help text.
pub fn help() -> String {
    let mut text = "Usage: nvidia-cdi-hook [--debug] [--quiet] [--version] HOOK [OPTION…]\n\nHooks:\n".to_owned();
    for hook in HOOKS.iter().filter(|hook| !hook.about.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:32}  {}", hook.name, hook.about);
        for option in hook.options {
            let _ = writeln!(text, "      --{option} VALUE");
        }
    }
    text
}

fn hook<W: AsRef<str>>(name: &str, mut words: impl Iterator<Item = W>) -> Result<What> {
    let Some(hook) = HOOKS.iter().find(|hook| hook.name == name) else {
        return Ok(What::Unknown(Some(name.to_owned())));
    };
    let (mut container_spec, mut options) = (None, Vec::new());
    while let Some(word) = words.next() {
        let word = word.as_ref();
        match option(word) {
            None => {}
            Some(("help" | "h", _)) => return Ok(What::Help),
            Some((name, value)) => {
                let known = hook.options.iter().chain(&[CONTAINER_SPEC]).find(|known| **known == name);
                let known = known.ok_or_else(|| usage(format!("flag provided but not defined: -{name}")))?;
                // Whatever follows is the value, also a word that begins with a dash.
                let value = value.map(str::to_owned).or_else(|| words.next().map(|word| word.as_ref().to_owned()));
                let value = value.ok_or_else(|| usage(format!("flag needs an argument: {word}")))?;
                match *known {
                    CONTAINER_SPEC => container_spec = Some(value).filter(|file| !file.is_empty() && file != "-"),
                    known => options.push((known, value)),
                }
            }
        }
    }
    Ok(What::Hook { hook, options, container_spec })
}

/// Name and value of `-name`, `--name` or either with `=value`.
fn option(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())?;
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

/// The first of these variables that is set decides; empty means false.
fn switch(variable: impl Fn(&str) -> Option<String>, names: [&str; 2]) -> Result<bool> {
    let found = names.iter().find_map(|name| variable(name).map(|value| (name, value)));
    match found {
        Some((name, value)) if !value.is_empty() => boolean(name, &value),
        _ => Ok(false),
    }
}

/// The spellings of truth that the original accepts.
fn boolean(name: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(usage(format!("could not parse {value:?} as bool value for {name}"))),
    }
}

/// A command line that is wrong.
pub fn usage(message: String) -> Fault {
    Fault::new(Code::Usage, message).next("`nvidia-cdi-hook --help` lists hooks and options")
}

impl From<InvalidValue> for Fault {
    fn from(error: InvalidValue) -> Fault {
        usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments> {
        let args: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        Arguments::parse(&args, |_| None)
    }

    /// What was understood, in words.
    fn shown(what: &What) -> String {
        match what {
            What::Help | What::Version | What::Unknown(None) => format!("{what:?}"),
            What::Unknown(Some(name)) => format!("unknown {name}"),
            What::Hook { hook, options, container_spec } => {
                let options: String = options.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                let spec = container_spec.as_ref().map(|spec| format!(" from {spec}")).unwrap_or_default();
                format!("{}{options}{spec}", hook.name)
            }
        }
    }

    #[test]
    fn what_a_command_line_asks_for() {
        for (line, want) in [
            ("", "Unknown(None)"),
            ("--debug", "Unknown(None)"),
            ("foo --bar baz", "unknown foo"),
            ("--new-option noop", "Unknown(None)"),
            ("noop", "noop"),
            ("-debug --quiet noop extra", "noop"),
            ("update-ldcache --folder /a x --folder=/b,c=d", "update-ldcache folder=/a folder=/b,c=d"),
            ("create-symlinks --link -x", "create-symlinks link=-x"),
            ("chmod -mode=755 --path --path", "chmod mode=755 path=--path"),
            ("noop --container-spec -", "noop"),
            ("noop --container-spec=/s", "noop from /s"),
            ("noop --help", "Help"),
            ("-v", "Version"),
        ] {
            assert_eq!(parse(line).map(|found| shown(&found.what)).map_err(|fault| fault.to_string()), Ok(want.into()));
        }
    }

    #[test]
    fn wrong_options_of_a_known_hook_are_errors() {
        for (line, want) in [
            ("noop --bogus", "flag provided but not defined: -bogus"),
            ("chmod --mode", "flag needs an argument: --mode"),
            ("--debug=maybe noop", "could not parse \"maybe\" as bool value"),
        ] {
            let fault = parse(line).unwrap_err();
            assert!(fault.to_string().starts_with(want), "{line}: {fault}");
        }
    }

    #[test]
    fn the_environment_decides_first() {
        let with = |set: &'static [(&str, &str)]| {
            Arguments::parse(&["noop".into()], move |name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("NVIDIA_CTK_DEBUG", "true")]).unwrap().verbosity, Verbosity::Debug);
        assert_eq!(with(&[("NVIDIA_CDI_QUIET", "1"), ("NVIDIA_CTK_DEBUG", "t")]).unwrap().verbosity, Verbosity::Quiet);
        assert_eq!(with(&[("NVIDIA_CTK_DEBUG", "")]).unwrap().verbosity, Verbosity::Normal);
        assert!(with(&[("NVIDIA_CTK_DEBUG", "maybe")]).is_err());
    }
}
