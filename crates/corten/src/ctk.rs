//! `nvidia-ctk`: CDI specifications, and the hooks that they name.
//!
//! Commands and flags stand in one table, from which parser and help follow. Names, environment variables, texts that
//! tools match on and exit statuses are the original's (reference: cdi-and-ctk.md sections 0 and 1).

mod configure;
mod flags;
mod generate;
mod help;
mod list;
mod output;
mod refresh;
mod transform;
mod validate;
mod watch;
mod worse;

use crate::{
    cdi_hook,
    codes::Code,
    console,
    fault::{Fault, Result},
    programs::Call,
    runtime::logger::print_error,
    version,
};
use flags::{After, Flag, ParseError, Values};
use log::LevelFilter;
use std::process::ExitCode;

/// A word of the command line: a group of further words, or something to do.
struct Command {
    name: &'static str,
    about: &'static str,
    does: Does,
}

enum Does {
    /// Holds further words.
    Group(&'static [Command]),
    /// Runs, with these flags.
    Run(&'static [Flag], fn(&Values) -> Result<()>),
    /// The same for a command that works on the files and folders that further words name.
    RunOn(&'static [Flag], fn(&Values) -> Result<()>),
    /// Its place is kept; any flags are taken and nothing is done.
    Later,
    /// Is another program, which reads what follows by itself.
    Hook,
}

const GLOBAL: &[Flag] = &[
    Flag::switch("debug", "NVIDIA_CTK_DEBUG", "say more").or("d"),
    Flag::switch("quiet", "NVIDIA_CTK_QUIET", "say only what failed; wins over --debug"),
    Flag::text("config", "NVIDIA_CTK_CONFIG", "config.toml that names the driver root, if another than the usual one"),
];

const COMMANDS: &[Command] = &[
    Command { name: "hook", about: "do what specifications name, as nvidia-cdi-hook does", does: Does::Hook },
    Command {
        name: "runtime",
        about: "set up container engines",
        does: Does::Group(&[Command {
            name: "configure",
            about: "add the nvidia runtime to an engine",
            does: Does::Run(configure::FLAGS, configure::run),
        }]),
    },
    Command { name: "info", about: "nothing yet, as in the original", does: Does::Group(&[]) },
    Command {
        name: "cdi",
        about: "make, list and change CDI specifications",
        does: Does::Group(&[
            Command {
                name: "generate",
                about: "write a specification of this machine's devices",
                does: Does::Run(generate::FLAGS, generate::run),
            },
            Command {
                name: "refresh",
                about: "bring the file that engines read up to date with this machine",
                does: Does::Run(refresh::FLAGS, refresh::run),
            },
            Command {
                name: "watch",
                about: "refresh whenever this machine changes, until told to end",
                does: Does::Run(watch::FLAGS, watch::run),
            },
            Command {
                name: "list",
                about: "list the devices that specifications describe",
                does: Does::Run(list::FLAGS, list::run),
            },
            Command {
                name: "validate",
                about: "check specifications, and say what in them will go wrong",
                does: Does::RunOn(validate::FLAGS, validate::run),
            },
            Command {
                name: "transform",
                about: "change specifications",
                does: Does::Group(&[Command {
                    name: "root",
                    about: "replace the root of a specification's paths",
                    does: Does::Run(transform::FLAGS, transform::run),
                }]),
            },
        ]),
    },
    Command {
        name: "system",
        about: "prepare this machine",
        does: Does::Group(&[
            Command { name: "create-dev-char-symlinks", about: "make links under /dev/char", does: Does::Later },
            Command { name: "create-device-nodes", about: "make the control device nodes", does: Does::Later },
        ]),
    },
    Command { name: "config", about: "show or change config.toml", does: Does::Later },
];

impl Command {
    /// Nothing in it works yet, which lists say.
    fn is_later(&self) -> bool {
        match self.does {
            Does::Later => true,
            Does::Group(inner) => !inner.is_empty() && inner.iter().all(Command::is_later),
            Does::Run(..) | Does::RunOn(..) | Does::Hook => false,
        }
    }
}

/// What came of a command line.
enum Outcome {
    /// With this status.
    Done(ExitCode),
    /// Printed to standard output.
    Show(String),
    /// No such word: told in the original's words, with a status of its own.
    NoTopic(Fault),
    /// As [`Outcome::Show`], and the flags were wrong.
    Usage(String, Fault),
}

/// Runs the command.
pub fn main(mut call: Call) -> ExitCode {
    if call.args.first().is_some_and(|word| word == "hook") {
        call.args.remove(0);
        return cdi_hook::main(call);
    }
    let words = call.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match run(words) {
        Ok(Outcome::Done(status)) => status,
        Ok(Outcome::Show(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Outcome::NoTopic(fault)) => {
            eprintln!("{fault}");
            ExitCode::from(3)
        }
        Ok(Outcome::Usage(help, fault)) => {
            print!("{help}");
            fail(&fault)
        }
        Err(fault) => fail(&fault),
    }
}

fn fail(fault: &Fault) -> ExitCode {
    print_error(&fault.to_string());
    ExitCode::FAILURE
}

/// Follows the words down the table.
fn run(words: Vec<String>) -> Result<Outcome> {
    let mut values = Values::new(words);
    let mut path = vec!["nvidia-ctk"];
    let mut group = COMMANDS;
    loop {
        if let Some(outcome) = take(&mut values, &path, group) {
            return Ok(outcome);
        }
        let Some(word) = values.next_word() else { return Ok(Outcome::Show(help::group(&path, group, GLOBAL))) };
        if word == "help" || word == "h" {
            return Ok(topic(path, group, &mut values));
        }
        let Some(command) = group.iter().find(|command| command.name == word) else {
            return Ok(no_topic(&path, &word));
        };
        path.push(command.name);
        match command.does {
            Does::Group(inner) => group = inner,
            Does::Run(flags, run) | Does::RunOn(flags, run) => return leaf(values, flags, &path, command, run),
            Does::Later => return Err(later(&path)),
            // Only behind global flags; without any, `main` has handed it on.
            Does::Hook => return Ok(hook(values)),
        }
    }
}

/// Reads global flags up to the next word; says what to do if they ask for help or are wrong.
fn take(values: &mut Values, path: &[&str], group: &[Command]) -> Option<Outcome> {
    let help = || help::group(path, group, GLOBAL);
    match values.take(&[], GLOBAL, environment) {
        Ok(_) => None,
        Err(ParseError::Help) => Some(Outcome::Show(help())),
        Err(ParseError::Version) if path.len() == 1 => {
            Some(Outcome::Show(version::lines("NVIDIA Container Toolkit CLI")))
        }
        Err(error) => Some(Outcome::Usage(help(), usage(path, &error))),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn leaf(
    mut values: Values,
    flags: &'static [Flag],
    path: &[&str],
    command: &Command,
    run: fn(&Values) -> Result<()>,
) -> Result<Outcome> {
    let takes_words = matches!(command.does, Does::RunOn(..));
    let help = || help::command(path, takes_words, command.about, flags, GLOBAL);
    let mut after = After::Word;
    loop {
        // Behind `--` a word is no flag, whatever it begins with.
        if after == After::Word {
            after = match values.take(flags, GLOBAL, environment) {
                Ok(after) => after,
                Err(ParseError::Help) => return Ok(Outcome::Show(help())),
                Err(error) => return Ok(Outcome::Usage(help(), usage(path, &error))),
            };
        }
        // The original ignores such words without a sound; a forgotten dash should not go unnoticed.
        let Some(word) = values.next_word() else { break };
        match takes_words {
            true => values.operands.push(word),
            false => values.ignored.push(word),
        }
    }
    console::start(match (values.is_set("quiet"), values.is_set("debug")) {
        (true, _) => LevelFilter::Error,
        (false, true) => LevelFilter::Debug,
        (false, false) => LevelFilter::Info,
    });
    for word in &values.ignored {
        log::warn!("{}: ignoring {word:?}, which is no flag", path.join(" "));
    }
    run(&values)?;
    Ok(Outcome::Done(ExitCode::SUCCESS))
}

/// `help WORD…`.
fn topic(mut path: Vec<&'static str>, mut group: &'static [Command], values: &mut Values) -> Outcome {
    while let Some(word) = values.next_word() {
        let Some(command) = group.iter().find(|command| command.name == word) else { return no_topic(&path, &word) };
        path.push(command.name);
        match command.does {
            Does::Group(inner) => group = inner,
            Does::Run(flags, _) => return Outcome::Show(help::command(&path, false, command.about, flags, GLOBAL)),
            Does::RunOn(flags, _) => return Outcome::Show(help::command(&path, true, command.about, flags, GLOBAL)),
            Does::Hook => return Outcome::Show(help::command(&path, false, command.about, &[], GLOBAL)),
            Does::Later => {
                let about = format!("{}, in a later version", command.about);
                return Outcome::Show(help::command(&path, false, &about, &[], GLOBAL));
            }
        }
    }
    Outcome::Show(help::group(&path, group, GLOBAL))
}

/// Hooks know nothing of `--config`; the other global flags are theirs too.
fn hook(values: Values) -> Outcome {
    let mut args: Vec<std::ffi::OsString> = Vec::new();
    for name in ["debug", "quiet"] {
        if values.is_set(name) {
            args.push(format!("--{name}").into());
        }
    }
    args.extend(values.rest().map(Into::into));
    Outcome::Done(cdi_hook::main(Call { name: "nvidia-ctk", called: "nvidia-ctk".into(), args }))
}

fn no_topic(path: &[&str], word: &str) -> Outcome {
    let fault = Fault::new(Code::Usage, format!("No help topic for '{word}'"));
    Outcome::NoTopic(fault.next(format!("`{} --help` lists the commands", path.join(" "))))
}

fn later(path: &[&str]) -> Fault {
    Fault::new(Code::NotYet, format!("{} is not in this version yet", path.join(" ")))
        .next("`nvidia-ctk --help` lists what there is")
}

fn usage(path: &[&str], error: &ParseError) -> Fault {
    Fault::new(Code::Usage, error.to_string()).next(format!("`{} --help` lists the flags", path.join(" ")))
}

#[cfg(test)]
mod tests;
