//! The hook program's command line, and which hooks it knows.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use std::{ffi::OsString, fmt::Write as _};

/// A hook, with the options it takes. Each takes a value.
struct Hook {
    name: &'static str,
    about: &'static str,
    options: &'static [&'static str],
}

/// What the original's hooks are called and take. `noop` is not listed in help, as in the original.
const HOOKS: &[Hook] = &[
    Hook { name: "update-ldcache", about: "make libraries known to the loader", options: &["folder", "ldconfig-path"] },
    Hook { name: "create-symlinks", about: "make symbolic links", options: &["link"] },
    Hook { name: "chmod", about: "change permissions", options: &["mode", "path"] },
    Hook {
        name: "enable-cuda-compat",
        about: "prefer the image's forward compatibility libraries",
        options: &["host-driver-version", "host-cuda-version", "cuda-compat-container-root"],
    },
    Hook { name: "disable-device-node-modification", about: "keep nvidia-smi from making device nodes", options: &[] },
    Hook { name: "update-application-profile", about: "tell EGL which GPUs there are", options: &[] },
    Hook { name: "noop", about: "", options: &[] },
];

/// Those that do their work in this version; the others refuse, since a hook that only seems to work harms later.
const BUILT: [&str; 2] = ["disable-device-node-modification", "noop"];

/// A hook of the original that is not in this version yet.
pub fn is_to_come(name: &str) -> bool {
    HOOKS.iter().any(|hook| hook.name == name) && !BUILT.contains(&name)
}

/// For tests of a hook: reads the state from a file.
const CONTAINER_SPEC: &str = "container-spec";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
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
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// No hook, or one that is not known: no failure.
    Unknown(Option<String>),
    /// A known hook.
    Hook {
        /// Its name.
        name: &'static str,
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
    let mut container_spec = None;
    while let Some(word) = words.next() {
        let word = word.as_ref();
        match option(word) {
            None => {}
            Some(("help" | "h", _)) => return Ok(What::Help),
            Some((name, value)) if name == CONTAINER_SPEC || hook.options.contains(&name) => {
                let value = value.map(str::to_owned).or_else(|| words.next().map(|word| word.as_ref().to_owned()));
                let value = value.ok_or_else(|| usage(format!("flag needs an argument: {word}")))?;
                if name == CONTAINER_SPEC {
                    container_spec = Some(value).filter(|file| !file.is_empty() && file != "-");
                }
            }
            Some((name, _)) => return Err(usage(format!("flag provided but not defined: -{name}"))),
        }
    }
    Ok(What::Hook { name: hook.name, container_spec })
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

fn usage(message: String) -> Fault {
    Fault::new(Code::Usage, message).next("`nvidia-cdi-hook --help` lists hooks and options")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments> {
        let args: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        Arguments::parse(&args, |_| None)
    }

    fn hook(name: &'static str) -> What {
        What::Hook { name, container_spec: None }
    }

    #[test]
    fn hooks_to_come_are_known_and_not_built() {
        for (name, want) in [("update-ldcache", true), ("chmod", true), ("noop", false), ("whatever", false)] {
            assert_eq!(is_to_come(name), want, "{name}");
        }
        assert!(BUILT.iter().all(|name| !is_to_come(name)));
    }

    #[test]
    fn what_a_command_line_asks_for() {
        for (line, want) in [
            ("", What::Unknown(None)),
            ("--debug", What::Unknown(None)),
            ("foo --bar baz", What::Unknown(Some("foo".into()))),
            ("--new-option noop", What::Unknown(None)),
            ("noop", hook("noop")),
            ("-debug --quiet noop extra", hook("noop")),
            ("update-ldcache --folder /a --folder=/b", hook("update-ldcache")),
            ("create-symlinks --link -x", hook("create-symlinks")),
            ("noop --container-spec -", hook("noop")),
            ("noop --container-spec=/s", What::Hook { name: "noop", container_spec: Some("/s".into()) }),
            ("noop --help", What::Help),
            ("-v", What::Version),
        ] {
            assert_eq!(parse(line).map(|found| found.what).map_err(|fault| fault.to_string()), Ok(want), "{line}");
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
