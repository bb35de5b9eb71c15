//! The hook program's command line.

use super::table::{HOOKS, Hook};
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use plan::{hook_values::InvalidValue, spec::JOBS};
use std::{ffi::OsString, fmt::Write as _};

/// For tests of a hook: reads the state from a file.
const CONTAINER_SPEC: &str = "container-spec";
/// The variables that count: two names for each of two switches, of which the first that is set decides.
const VARIABLES: [[&str; 2]; 2] = [["NVIDIA_CTK_DEBUG", "NVIDIA_CDI_DEBUG"], ["NVIDIA_CTK_QUIET", "NVIDIA_CDI_QUIET"]];

/// What the environment says, before it is forgotten: for debugging, and for being quiet.
#[derive(Debug, Default)]
pub struct Variables([Option<(&'static str, String)>; 2]);

impl Variables {
    /// This process's.
    pub fn of_process() -> Variables {
        Variables::from(|name| std::env::var(name).ok())
    }

    fn from(look_up: impl Fn(&str) -> Option<String>) -> Variables {
        Variables(VARIABLES.map(|names| names.into_iter().find_map(|name| Some((name, look_up(name)?)))))
    }

    fn switches(&self) -> Result<[bool; 2]> {
        let [debug, quiet] = &self.0;
        Ok([switch(debug.as_ref())?, switch(quiet.as_ref())?])
    }
}

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
    /// Hooks; as a rule one.
    Jobs {
        /// Those that are known, in order.
        jobs: Vec<Job>,
        /// Names of those that are not: no failure.
        unknown: Vec<String>,
        /// `--container-spec FILE`; without it the state comes on stdin.
        container_spec: Option<String>,
    },
}

/// A hook to be run.
#[derive(Debug)]
pub struct Job {
    /// Which.
    pub hook: &'static Hook,
    /// Names and values of its options, in order.
    pub options: Vec<(&'static str, String)>,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub fn parse(args: &[OsString], variables: &Variables) -> Result<Arguments> {
        let [mut debug, mut quiet] = variables.switches()?;
        let mut words = args.iter().map(|word| word.to_string_lossy());
        let what = loop {
            let Some(word) = words.next() else { break nothing() };
            match option(&word) {
                None if word == JOBS => break hooks(words, true)?,
                None => break hooks(std::iter::once(word).chain(words), false)?,
                Some(("debug" | "d", value)) => debug = boolean(&word, value.unwrap_or("true"))?,
                Some(("quiet", value)) => quiet = boolean(&word, value.unwrap_or("true"))?,
                Some(("help" | "h", _)) => break What::Help,
                Some(("version" | "v", _)) => break What::Version,
                // A newer release's option: its meaning, and whether a value follows, is unknown.
                Some(_) => break nothing(),
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
    let _ = writeln!(text, "  {JOBS:32}  do several of these in one process: {JOBS} HOOK [OPTION…] HOOK [OPTION…] …");
    text
}

fn nothing() -> What {
    What::Jobs { jobs: Vec::new(), unknown: Vec::new(), container_spec: None }
}

/// Reads hooks with their options. With `several`, each word that is neither an option nor its value begins the next one;
/// otherwise only the first does, and the others count for nothing.
fn hooks<W: AsRef<str>>(mut words: impl Iterator<Item = W>, several: bool) -> Result<What> {
    let (mut jobs, mut unknown, mut container_spec) = (Vec::<Job>::new(), Vec::new(), None);
    let mut current: Option<&'static Hook> = None;
    while let Some(word) = words.next() {
        let word = word.as_ref();
        match (option(word), current) {
            (None, _) if several || (jobs.is_empty() && unknown.is_empty()) => {
                match HOOKS.iter().find(|hook| hook.name == word) {
                    Some(hook) => {
                        current = Some(hook);
                        jobs.push(Job { hook, options: Vec::new() });
                    }
                    // It may as well be the value of an option of one that is not known.
                    None if current.is_none() && !unknown.is_empty() => {}
                    None => {
                        current = None;
                        unknown.push(word.to_owned());
                    }
                }
            }
            // What a hook that is not known takes is not known either.
            (None, _) | (_, None) => {}
            (Some(("help" | "h", _)), Some(_)) => return Ok(What::Help),
            (Some((name, value)), Some(hook)) => {
                let known = hook.options.iter().chain(&[CONTAINER_SPEC]).find(|known| **known == name);
                let known = known.ok_or_else(|| usage(format!("flag provided but not defined: -{name}")))?;
                // Whatever follows is the value, also a word that begins with a dash.
                let value = value.map(str::to_owned).or_else(|| words.next().map(|word| word.as_ref().to_owned()));
                let value = value.ok_or_else(|| usage(format!("flag needs an argument: {word}")))?;
                match (*known, jobs.last_mut()) {
                    (CONTAINER_SPEC, _) => container_spec = Some(value).filter(|file| !file.is_empty() && file != "-"),
                    (known, Some(job)) => job.options.push((known, value)),
                    (_, None) => {}
                }
            }
        }
    }
    Ok(What::Jobs { jobs, unknown, container_spec })
}

/// Name and value of `-name`, `--name` or either with `=value`.
fn option(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())?;
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

/// Empty means false.
fn switch(variable: Option<&(&str, String)>) -> Result<bool> {
    match variable {
        Some((name, value)) if !value.is_empty() => boolean(name, value),
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
        Arguments::parse(&args, &Variables::default())
    }

    /// What was understood, in words.
    fn shown(what: &What) -> String {
        let What::Jobs { jobs, unknown, container_spec } = what else { return format!("{what:?}") };
        let options =
            |job: &Job| job.options.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        let jobs = jobs.iter().map(|job| format!("{}{}", job.hook.name, options(job)));
        let unknown = unknown.iter().map(|name| format!("unknown {name}"));
        let spec = container_spec.iter().map(|spec| format!("from {spec}"));
        jobs.chain(unknown).chain(spec).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_a_command_line_asks_for() {
        for (line, want) in [
            ("", ""),
            ("--debug", ""),
            ("foo --bar baz", "unknown foo"),
            ("--new-option noop", ""),
            ("noop", "noop"),
            ("-debug --quiet noop extra", "noop"),
            ("update-ldcache --folder /a x --folder=/b,c=d", "update-ldcache folder=/a folder=/b,c=d"),
            ("create-symlinks --link -x", "create-symlinks link=-x"),
            ("chmod -mode=755 --path --path", "chmod mode=755 path=--path"),
            ("noop --container-spec -", "noop"),
            ("noop --container-spec=/s", "noop; from /s"),
            ("noop --help", "Help"),
            ("-v", "Version"),
            ("jobs", ""),
            ("jobs noop chmod --mode 755 --path noop --path=/a noop", "noop; chmod mode=755 path=noop path=/a; noop"),
            ("jobs new --x 1 chmod --mode=7 newer --path=/a y", "chmod mode=7; unknown new; unknown newer"),
            ("jobs noop --container-spec /s noop", "noop; noop; from /s"),
            ("jobs --mode=7 noop", "noop"),
            ("noop jobs chmod", "noop"),
        ] {
            assert_eq!(parse(line).map(|found| shown(&found.what)).map_err(|fault| fault.to_string()), Ok(want.into()));
        }
    }

    #[test]
    fn wrong_options_of_a_known_hook_are_errors() {
        for (line, want) in [
            ("noop --bogus", "flag provided but not defined: -bogus"),
            ("chmod --mode", "flag needs an argument: --mode"),
            ("jobs noop chmod --link a::b", "flag provided but not defined: -link"),
            ("--debug=maybe noop", "could not parse \"maybe\" as bool value"),
        ] {
            let fault = parse(line).unwrap_err();
            assert!(fault.to_string().starts_with(want), "{line}: {fault}");
        }
    }

    #[test]
    fn the_environment_decides_first() {
        let with = |set: &'static [(&str, &str)]| {
            let variables =
                Variables::from(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
            Arguments::parse(&["noop".into()], &variables)
        };
        assert_eq!(with(&[("NVIDIA_CTK_DEBUG", "true")]).unwrap().verbosity, Verbosity::Debug);
        assert_eq!(with(&[("NVIDIA_CDI_QUIET", "1"), ("NVIDIA_CTK_DEBUG", "t")]).unwrap().verbosity, Verbosity::Quiet);
        assert_eq!(with(&[("NVIDIA_CTK_DEBUG", "")]).unwrap().verbosity, Verbosity::Normal);
        assert!(with(&[("NVIDIA_CTK_DEBUG", "maybe")]).is_err());
    }
}
