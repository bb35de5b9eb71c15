//! The `lab` program. Under the names of low-level runtimes and of the procfs hook it is those.

use lab::{
    Error, Result, companions::Companions, driver, hook, machine_file, namespace, repartition, rootfs, tree::Tree,
    wrapper,
};
use lexopt::{Arg, Parser, ValueExt};
use machine::Machine;
use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

const HELP: &str = "\
lab - a machine with NVIDIA GPUs, made out of nothing

Usage:
  lab run --machine FILE [--set KEY=VALUE]... [--system FOLDER] -- COMMAND [ARGUMENT]...
      Runs COMMAND on the machine and ends with its status. Everything is made in
      private namespaces and is gone when the last process in them has ended. Needs root.
  lab describe --machine FILE [--set KEY=VALUE]...
      Shows the machine as JSON, as its mock NVML reads it.
  lab repartition --machine FILE [--set KEY=VALUE]...
      On a machine: removes its MIG devices that FILE has not, and makes those that FILE has.
  lab machines [FOLDER]
      Lists the machines in FOLDER (default: lab/machines) with a sentence about each.
  lab tree --machine FILE [--set KEY=VALUE]... --to FOLDER
      Writes the driver's files below FOLDER.
  lab rootfs --kind KIND [--no-cache] [--abs-links] [--with FILE]... --to FOLDER
      Makes a small container root: debian, rhel, arch, alpine (also called musl) or bare.
      --no-cache   without /etc/ld.so.cache
      --abs-links  /run and /etc are absolute links into /data
      --with FILE  also this program or library, with the libraries that it needs

Options:
  --machine FILE     a machine's TOML file
  --set KEY=VALUE    changes it: KEY is a dotted path, as in driver.version=535.104.05 or
                     gpu.0.minor=3; VALUE is TOML, or a string without quotes
  --system FOLDER    another distribution, as debootstrap makes it, is the machine's own
                     instead of this host's, which COMMAND finds at /host
  -h, --help         shows this text
  -V, --version      shows the version

Environment:
  CORTEN_LAB_DIR     where the mock libraries and programs are (default: beside this program)
";

fn main() -> ExitCode {
    let mut words = env::args_os();
    let name = words.next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match dispatch(&name, words.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => report(2, &format!("{text}; see `lab --help`")),
        Err(Failure::Lab(error)) => report(status(&error), &error.to_string()),
    }
}

/// Why nothing came of it.
enum Failure {
    Usage(String),
    Lab(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Lab(error)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure::Usage(error.to_string())
    }
}

fn report(code: u8, text: &str) -> ExitCode {
    eprintln!("lab: {text}");
    ExitCode::from(code)
}

/// As shells have it, 127 for a command that does not exist and 126 for one that cannot be run.
fn status(error: &Error) -> u8 {
    match error {
        Error::File { action: "run", source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
        Error::File { action: "run", .. } => 126,
        _ => 125,
    }
}

fn dispatch(name: &str, words: Vec<OsString>) -> std::result::Result<(), Failure> {
    if wrapper::RUNTIMES.contains(&name) {
        return Ok(wrapper::run(name, &words).map(drop)?);
    }
    if name == hook::NAME {
        return Ok(hook::run(io::stdin().lock())?);
    }
    let options = Options::parse(words)?;
    if matches!(options.command.as_deref(), Some("tree" | "rootfs" | "repartition")) {
        rustix::process::umask(namespace::MASK);
    }
    match options.command.as_deref() {
        Some("run") => run(options),
        Some("describe") => describe(&options),
        Some("repartition") => Ok(repartition::run(&options.load()?)?),
        Some("machines") => Ok(machines(&options)?),
        Some("tree") => tree(&options),
        Some("rootfs") => make_root(&options),
        Some("help") => print(HELP),
        Some("version") => print(concat!("lab ", env!("CARGO_PKG_VERSION"), "\n")),
        Some(other) => Err(Failure::Usage(format!("there is no command {other:?}"))),
        None => Err(Failure::Usage("no command is given".into())),
    }
}

/// The command line, of which every command reads its part.
#[derive(Default)]
struct Options {
    command: Option<String>,
    machine: Option<PathBuf>,
    settings: Vec<String>,
    system: Option<PathBuf>,
    kind: Option<String>,
    oddities: rootfs::Oddities,
    with: Vec<PathBuf>,
    to: Option<PathBuf>,
    rest: Vec<OsString>,
}

impl Options {
    fn parse(words: Vec<OsString>) -> std::result::Result<Options, lexopt::Error> {
        let mut options = Options::default();
        // What follows "--" belongs to the command that is run.
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let (ours, rest) = words.split_at(end);
        options.rest.extend(rest.iter().skip(1).cloned());
        let mut parser = Parser::from_args(ours.iter().cloned());
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("machine") => options.machine = Some(parser.value()?.into()),
                Arg::Long("set") => options.settings.push(parser.value()?.string()?),
                Arg::Long("system") => options.system = Some(parser.value()?.into()),
                Arg::Long("kind") => options.kind = Some(parser.value()?.string()?),
                Arg::Long("no-cache") => options.oddities.no_cache = true,
                Arg::Long("abs-links") => options.oddities.absolute_links = true,
                Arg::Long("with") => options.with.push(parser.value()?.into()),
                Arg::Long("to") => options.to = Some(parser.value()?.into()),
                Arg::Short('h') | Arg::Long("help") => options.command = Some("help".into()),
                Arg::Short('V') | Arg::Long("version") => options.command = Some("version".into()),
                Arg::Value(word) if options.command.is_none() => options.command = Some(word.string()?),
                Arg::Value(word) if options.command.as_deref() == Some("machines") => options.to = Some(word.into()),
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }

    fn load(&self) -> std::result::Result<Machine, Failure> {
        let file = self.machine.as_ref().ok_or_else(|| Failure::Usage("--machine FILE is missing".into()))?;
        Ok(machine_file::load(file, &self.settings)?)
    }

    fn target(&self) -> std::result::Result<&Path, Failure> {
        self.to.as_deref().ok_or_else(|| Failure::Usage("--to FOLDER is missing".into()))
    }
}

fn run(options: Options) -> std::result::Result<(), Failure> {
    if options.rest.is_empty() {
        return Err(Failure::Usage("there is no command after \"--\"".into()));
    }
    let machine = options.load()?;
    Ok(namespace::run(&machine, &Companions::find()?, options.system.as_deref(), &options.rest).map(drop)?)
}

fn describe(options: &Options) -> std::result::Result<(), Failure> {
    let text = serde_json::to_string_pretty(&options.load()?).map_err(|error| Failure::Usage(error.to_string()))?;
    print(&format!("{text}\n"))
}

fn machines(options: &Options) -> Result<()> {
    let folder = options.to.clone().unwrap_or_else(|| "lab/machines".into());
    let entries = std::fs::read_dir(&folder).map_err(Error::file("list", &folder))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "toml")) {
        println!("{:<40} {}", file.display(), machine_file::load(file, &[])?.description);
    }
    Ok(())
}

fn tree(options: &Options) -> std::result::Result<(), Failure> {
    let machine = options.load()?;
    Ok(driver::install(&machine, &Companions::find()?, &Tree::new(options.target()?))?)
}

fn make_root(options: &Options) -> std::result::Result<(), Failure> {
    let kind = options.kind.as_deref().ok_or_else(|| Failure::Usage("--kind KIND is missing".into()))?;
    Ok(rootfs::make_with(kind.parse()?, options.oddities, &Companions::find()?, &options.with, options.target()?)?)
}

fn print(text: &str) -> std::result::Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| Error::file("write to", "stdout")(error).into())
}
