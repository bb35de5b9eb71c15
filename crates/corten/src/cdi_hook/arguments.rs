//! The hook program's command line.

use super::table::{HOOKS, Hook, Opt};
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use plan::{hook_values::InvalidValue, spec::JOBS};
use std::{ffi::OsString, fmt::Write as _};

/// Every hook has it.
const CONTAINER_SPEC: Opt =
    Opt::new("container-spec", "FILE", "read the container's state from FILE, not from standard input");
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
    let global = [
        ("  --debug, -d".to_owned(), "say more"),
        ("  --quiet".to_owned(), "say only what failed; wins over --debug"),
        ("  --version, -v".to_owned(), "print the version"),
        ("  --help, -h".to_owned(), "print this"),
    ];
    let mut hooks = Vec::new();
    for hook in HOOKS.iter().filter(|hook| !hook.about.is_empty()) {
        hooks.push((format!("  {}", hook.name), hook.about));
        hooks.extend(hook.options.iter().map(row));
    }
    hooks.push((format!("  {JOBS} HOOK [OPTION…] HOOK [OPTION…] …"), "do several of these in one process"));
    let sections = [("Options", &global[..]), ("Hooks", &hooks), ("Every hook's", &[row(&CONTAINER_SPEC)])];
    let rows = sections.iter().flat_map(|(_, rows)| *rows);
    let width = rows.map(|(left, _)| left.chars().count()).max().unwrap_or_default();
    let mut text = "Usage: nvidia-cdi-hook [OPTION…] HOOK [OPTION…]\n".to_owned();
    for (title, rows) in sections {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{title}:");
        for (left, about) in rows {
            let _ = writeln!(text, "{left:width$}  {about}");
        }
    }
    text
}

fn row(option: &Opt) -> (String, &'static str) {
    (format!("      --{} {}", option.name, option.value), option.about)
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
                let known = hook.options.iter().chain([&CONTAINER_SPEC]).find(|known| known.name == name);
                let known = known.ok_or_else(|| usage(format!("flag provided but not defined: -{name}")))?;
                // Whatever follows is the value, also a word that begins with a dash.
                let value = value.map(str::to_owned).or_else(|| words.next().map(|word| word.as_ref().to_owned()));
                let value = value.ok_or_else(|| usage(format!("flag needs an argument: {word}")))?;
                match jobs.last_mut() {
                    _ if known.name == CONTAINER_SPEC.name => {
                        container_spec = Some(value).filter(|file| !file.is_empty() && file != "-");
                    }
                    Some(job) => job.options.push((known.name, value)),
                    None => {}
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
    fn help_explains_every_option_in_rows_that_line_up() {
        let text = help();
        for option in HOOKS.iter().flat_map(|hook| hook.options).chain([&CONTAINER_SPEC]) {
            assert!(text.contains(&format!("      --{} {} ", option.name, option.value)), "{text}");
        }
        assert!(text.contains("  --help, -h "), "{text}");
        // Two blanks end the left column, and its own words have one between them.
        let rows = text.lines().filter(|line| line.starts_with("  "));
        let column = |row: &str| row.rfind("  ").map(|at| row[..at + 2].chars().count());
        let columns: std::collections::BTreeSet<_> = rows.map(column).collect();
        assert_eq!(columns.len(), 1, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
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
