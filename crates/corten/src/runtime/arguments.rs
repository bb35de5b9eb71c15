//! The few words of the command line that concern the shim; all of them are forwarded unchanged.
//!
//! The command line belongs to the low-level runtime, and there are several of those. So this is a scan, not a parser:
//! it walks the global options, finds the sub-command, and, only for `create` and `run`, looks for the bundle. What
//! follows any other sub-command is never looked at: it may be the words of a process in a container (the original
//! obeyed those; reference: runtime-and-hook.md 2.3, Q9 and Q10).

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// What the shim learns from its command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--version` among the global options.
    pub version: bool,
    /// `--debug` among the global options.
    pub debug: bool,
    /// `--log FILE`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub json: bool,
    /// The sub-command, if there is one.
    pub command: Option<OsString>,
    /// Where the container to create is described; only for `create` and `run`.
    pub create: Option<Create>,
}

/// What `create` and `run` say about the container.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Create {
    bundle: Option<OsString>,
    file: Option<OsString>,
    missing: bool,
}

/// `--bundle` was the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error getting bundle directory: error getting bundle dir from args: bundle option requires an argument")]
pub struct BundleMissing;

impl Create {
    /// The bundle folder; without `--bundle`, or with an empty one, the current folder.
    ///
    /// # Errors
    /// [`BundleMissing`] when `--bundle` was the last word.
    pub fn bundle(&self) -> Result<&Path, BundleMissing> {
        match &self.bundle {
            _ if self.missing => Err(BundleMissing),
            Some(folder) if !folder.is_empty() => Ok(Path::new(folder)),
            _ => Ok(Path::new(".")),
        }
    }

    /// The file's name in the bundle; crun can be told another than `config.json`.
    pub fn file(&self) -> &Path {
        Path::new(self.file.as_deref().unwrap_or(OsStr::new("config.json")))
    }
}

/// Global options of runc, crun and youki that take a value in the next word.
const WITH_VALUE: &[&str] = &["log", "log-format", "log-level", "root", "rootless", "criu", "cgroup-manager"];

/// Their global options that take none.
const WITHOUT_VALUE: &[&str] =
    &["debug", "systemd-cgroup", "no-pivot", "version", "v", "V", "help", "h", "?", "usage", "verbose"];

/// Options of `create` and `run` that take a value in the next word, so that the value is not taken for an option.
const CREATE_WITH_VALUE: &[&str] =
    &["b", "bundle", "f", "config", "console-socket", "pid-file", "preserve-fds", "log", "log-format", "root"];

/// Sub-commands of the known runtimes; only used to tell the value of an unknown option from a sub-command.
const COMMANDS: &[&str] = &[
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "help",
    "info",
    "kill",
    "list",
    "mounts",
    "pause",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "update",
    "wait",
];

impl Arguments {
    /// Scans what follows the program's name.
    pub fn scan(args: &[OsString]) -> Arguments {
        let mut found = Arguments::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let Some(option) = Opt::parse(word) else {
                found.command = Some(word.clone());
                if word == "create" || word == "run" {
                    found.create = Some(Create::scan(rest.as_slice()));
                }
                break;
            };
            if option.is_end() {
                break;
            }
            let value = option.value.or_else(|| {
                takes_next(option.name, rest.as_slice()).and_then(|_| rest.next().map(OsString::as_os_str))
            });
            found.note(option.name, value);
        }
        found
    }

    fn note(&mut self, name: &str, value: Option<&OsStr>) {
        match (name, value) {
            ("version", _) => self.version = true,
            ("debug", value) => self.debug = value.is_none_or(|value| value != "false"),
            ("log", Some(file)) => self.log = (!file.is_empty()).then(|| PathBuf::from(file)),
            ("log-format", Some(format)) => self.json = format == "json",
            _ => {}
        }
    }
}

impl Create {
    /// Scans what follows `create` or `run`. It does not stop at the container's id: an option that we do not know may
    /// have a value that looks like one, and some runtimes accept options after it. No words of a process can follow.
    fn scan(args: &[OsString]) -> Create {
        let mut found = Create::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let Some(option) = Opt::parse(word) else { continue };
            if option.is_end() {
                break;
            }
            let takes = option.value.is_none() && CREATE_WITH_VALUE.contains(&option.name);
            let value = if takes { rest.next().map(OsString::as_os_str) } else { option.value };
            found.note(option.name, value);
        }
        found
    }

    fn note(&mut self, name: &str, value: Option<&OsStr>) {
        match name {
            "b" | "bundle" => {
                self.missing = value.is_none();
                self.bundle = value.map(OsStr::to_owned);
            }
            "f" | "config" => self.file = value.filter(|file| !file.is_empty()).map(OsStr::to_owned),
            _ => {}
        }
    }
}

/// Whether the next word is the value of the global option `name`. One that we do not know is taken to have a value
/// when something follows that is neither an option nor a sub-command: to overlook `create` would start the container
/// without its GPUs and without a word.
fn takes_next(name: &str, rest: &[OsString]) -> Option<()> {
    let next = rest.first()?;
    let known = WITH_VALUE.contains(&name);
    let unknown = !known && !WITHOUT_VALUE.contains(&name);
    let is_plain = Opt::parse(next).is_none() && !COMMANDS.iter().any(|command| next == command);
    (known || (unknown && is_plain)).then_some(())
}

/// A word that begins with a dash. Any number of dashes means the same, as in the original.
struct Opt<'a> {
    name: &'a str,
    value: Option<&'a OsStr>,
}

impl<'a> Opt<'a> {
    /// `None` for a word that is no option; `-` alone is none. A name that is not UTF-8 is unknown anyway.
    fn parse(word: &'a OsStr) -> Option<Opt<'a>> {
        let bytes = word.as_bytes();
        let name = &bytes[bytes.iter().take_while(|byte| **byte == b'-').count()..];
        if name.len() == bytes.len() || bytes == b"-" {
            return None;
        }
        let (name, value) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(OsStr::from_bytes(&name[at + 1..]))),
            None => (name, None),
        };
        Some(Opt { name: std::str::from_utf8(name).unwrap_or("\u{fffd}"), value })
    }

    /// `--`: no options follow.
    fn is_end(&self) -> bool {
        self.name.is_empty() && self.value.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(line: &str) -> Arguments {
        Arguments::scan(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn every_form_of_the_bundle_option() {
        for (line, want) in [
            ("create -b /x id", "/x"),
            ("create --bundle /x id", "/x"),
            ("create -bundle /x id", "/x"),
            ("create ---bundle=/x id", "/x"),
            ("create -b=/a/=b id", "/a/=b"),
            ("create -b -x id", "-x"),
            ("create --bundle /a --bundle /b id", "/b"),
            ("create --pid-file -b --bundle /x id", "/x"),
            ("create --new-option value --bundle /x id", "/x"),
            ("create id --bundle /x", "/x"),
            ("run --detach --bundle /x id", "/x"),
            ("--root create create -b /x id", "/x"),
            ("--systemd-cgroup --log-format json create -b /x id", "/x"),
            ("create id", "."),
            ("create --bundle= id", "."),
            ("create -- --bundle /x", "."),
        ] {
            let create = scan(line).create.expect(line);
            assert_eq!(create.bundle(), Ok(Path::new(want)), "{line}");
        }
        assert_eq!(scan("create --bundle").create.map(|create| create.bundle().is_err()), Some(true));
        assert_eq!(
            scan("create -b /x --config my.json id").create.map(|c| c.file().to_owned()),
            Some("my.json".into())
        );
    }

    #[test]
    fn only_the_sub_command_decides() {
        for (line, command) in [
            ("state create", "state"),
            ("delete create", "delete"),
            ("exec id create --bundle /x", "exec"),
            ("--root create state id", "state"),
            ("--unknown value state create", "state"),
            ("--unknown state create", "state"),
            ("--unknown=value state create", "state"),
            ("--log -x state create", "state"),
            ("restore --bundle /x id", "restore"),
        ] {
            let found = scan(line);
            assert_eq!(found.command.as_deref(), Some(OsStr::new(command)), "{line}");
            assert_eq!(found.create, None, "{line}");
        }
        for line in ["", "-- create", "--root", "--version"] {
            assert_eq!(scan(line).command, None, "{line}");
        }
        assert!(scan("--unknown value create -b /x id").create.is_some());
        assert!(scan("--unknown create -b /x id").create.is_some());
    }

    #[test]
    fn logging_and_version_count_only_before_the_sub_command() {
        let found = scan("--log /l --log-format=json -debug --version state");
        assert_eq!((found.log, found.json, found.debug, found.version), (Some("/l".into()), true, true, true));
        let found = scan("exec id prog --log /x --log-format json --debug --version");
        assert_eq!((found.log, found.json, found.debug, found.version), (None, false, false, false));
        assert!(!scan("--debug=false state").debug);
        assert!(!scan("-v").version);
    }

    #[test]
    fn odd_words_do_no_harm() {
        for bytes in [&b"-\xff"[..], b"\xff", b"-", b"--=", b"=", b"-=", b""] {
            let args = [OsStr::from_bytes(bytes).to_owned(), "create".into(), OsStr::from_bytes(bytes).to_owned()];
            Arguments::scan(&args);
        }
    }
}
