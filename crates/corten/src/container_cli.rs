//! `nvidia-container-cli`: what the legacy stack does to a container, and what it knows of a machine (reference:
//! libnvidia-container.md). Here stands the command line; what it means is in `crates/legacy`.

mod argp;
mod configure;
mod failure;
mod help;
mod info;
mod list;
mod tables;
mod user;

use crate::{fault::one_line, programs::Call};
use argp::{Line, Stop, Word};
use failure::Failure;
use legacy::{Error, Machine, Settings, kmods, log_file, version};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};
use tables::{COMMANDS, Command, GLOBAL};

/// Runs a command.
pub fn main(call: Call) -> ExitCode {
    let full = call.called.to_string_lossy().into_owned();
    let short = Path::new(&full).file_name().map_or_else(|| full.clone(), |name| name.to_string_lossy().into_owned());
    let words = call.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (text, status) = match run(&full, &short, words) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Asked(text)) => match print(&text) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(_) => (String::new(), ExitCode::FAILURE),
        },
        Err(Failure::Said(line)) => (format!("{short}: {line}\n"), ExitCode::FAILURE),
        Err(Failure::NotForJetson(line)) => (format!("{short}: {line}\n"), ExitCode::from(255)),
        Err(Failure::CommandLine { program, said, hint }) => (format!("{program}: {said}\n{hint}"), ExitCode::FAILURE),
        Err(Failure::Missing(text)) => (text, ExitCode::FAILURE),
    };
    // Nothing is left to do about a stderr that is closed.
    let _ = io::stderr().write_all(text.as_bytes());
    status
}

fn run(full: &str, short: &str, words: Vec<String>) -> Result<(), Failure> {
    let mut line = Line::new(GLOBAL, words);
    let mut given = Given::default();
    let name = loop {
        match line.next().map_err(|stop| stopped(stop, full, short, None))? {
            Some(Word::Option(name, value)) => given.0.push((name, value)),
            Some(Word::Operand(word)) => break word,
            None => return Err(Failure::Missing(help::short_usage(short, None))),
        }
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        // The original prints the usage alone, which does not tell a slip of the pen.
        let said = one_line(&format!("there is no command {name:?}"));
        return Err(Failure::CommandLine { program: short.to_owned(), said, hint: help::short_usage(short, None) });
    };
    let globals = Globals::new(short, &given)?;
    let done = (command.run)(&globals, line.rest(), command);
    log::info!("shutting down library context");
    done
}

/// `named` is what argp calls the program in errors: by its whole path, where no command has been read yet.
fn stopped(stop: Stop, named: &str, program: &str, command: Option<&Command>) -> Failure {
    match stop {
        Stop::Help => Failure::Asked(help::help(program, command)),
        Stop::Usage => Failure::Asked(help::usage(program, command)),
        Stop::Version => Failure::Asked(version_lines()),
        Stop::Wrong(said) => Failure::CommandLine { program: named.to_owned(), hint: help::hint(program), said },
    }
}

/// What was said before the command.
struct Globals {
    /// The program's name without folders.
    program: String,
    settings: Settings,
    load_kmods: bool,
    create_imex_channels: bool,
}

impl Globals {
    fn new(program: &str, given: &Given) -> Result<Globals, Failure> {
        log_file::start(given.last("debug"));
        let mut settings = Settings::from_environment();
        if let Some(root) = given.last("root") {
            root.clone_into(&mut settings.root);
        }
        if let Some(cache) = given.last("ldcache") {
            cache.clone_into(&mut settings.ldcache);
        }
        if let Some(value) = given.0.iter().rev().find(|(name, _)| *name == "user").map(|(_, value)| value) {
            let user = user::parse(value.as_deref());
            settings.user = Some(user.map_err(|error| Failure::input(&format!("parse user/group failed: {error}")))?);
        }
        Ok(Globals {
            program: program.to_owned(),
            settings,
            load_kmods: given.has("load-kmods"),
            create_imex_channels: !given.has("no-create-imex-channels"),
        })
    }

    /// The machine, looked at.
    fn machine(&self, imex: &[u32]) -> Result<Machine, Failure> {
        let settings = Settings { imex: imex.to_vec(), ..self.settings.clone() };
        if self.load_kmods {
            kmods::load(&settings, self.create_imex_channels);
        }
        let root = settings.root.clone();
        Machine::init(settings).map_err(|error| match Failure::of("initialization")(error) {
            // Without NVML the original goes on with another library there, which is long gone (section 25).
            Failure::Said(line) if line.contains("load library failed") && is_jetson(Path::new(&root)) => {
                Failure::NotForJetson(format!(
                    "{line}; containers on Jetson systems need mode csv or a CDI specification"
                ))
            }
            failure => failure,
        })
    }
}

/// By the same signs as the original's.
fn is_jetson(root: &Path) -> bool {
    let family = std::fs::read_to_string("/sys/devices/soc0/family").unwrap_or_default();
    root.join("etc/nv_tegra_release").exists() || family.to_ascii_lowercase().starts_with("tegra")
}

/// The options of a command line, in its order, and its operands.
#[derive(Default)]
struct Given(Vec<(&'static str, Option<String>)>, Vec<String>);

impl Given {
    fn options(&self) -> impl Iterator<Item = &(&'static str, Option<String>)> {
        self.0.iter()
    }

    fn operands(&self) -> &[String] {
        &self.1
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == name)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| *given == name).filter_map(|(_, value)| value.as_deref())
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// The values of an option that may be repeated, as one list; `None` without any.
    fn joined(&self, name: &str) -> Option<String> {
        self.has(name).then(|| self.all(name).collect::<Vec<_>>().join(","))
    }
}

/// Reads what follows a command's name.
fn command_line(globals: &Globals, words: Vec<String>, command: &Command, operands: usize) -> Result<Given, Failure> {
    let program = format!("{} {}", globals.program, command.name);
    let mut line = Line::new(command.options, words);
    let mut given = Given::default();
    while let Some(word) = line.next().map_err(|stop| stopped(stop, &program, &program, Some(command)))? {
        match word {
            Word::Option(name, value) => given.0.push((name, value)),
            Word::Operand(_) if given.1.len() == operands => {
                return Err(match command.operand {
                    Some(_) => Failure::Missing(help::short_usage(&program, Some(command))),
                    None => {
                        let hint = help::hint(&program);
                        Failure::CommandLine { program, said: "Too many arguments".to_owned(), hint }
                    }
                });
            }
            Word::Operand(word) => given.1.push(word),
        }
    }
    if given.1.len() < operands {
        return Err(Failure::Missing(help::short_usage(&program, Some(command))));
    }
    Ok(given)
}

fn imex_failure(error: Error) -> Failure {
    Failure::Said(format!("error parsing IMEX info: {}", one_line(&error.to_string())))
}

fn version_lines() -> String {
    let text = version::TEXT;
    let machine = std::env::consts::ARCH;
    format!(
        "cli-version: {text}\nlib-version: {text}\nbuild date: \nbuild revision: {}\nbuild compiler: rustc\nbuild \
         platform: {machine}\nbuild flags: \n",
        option_env!("CORTEN_COMMIT").unwrap_or_default()
    )
}

fn json(value: &impl Serialize) -> String {
    crate::machine::to_json(value)
}

/// Writes to stdout. A reader that has gone is a failure without words.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::Said(format!("input error: write failed: {error}")))
}
