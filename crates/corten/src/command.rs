//! The program `corten`: what the original has no name for. Everything here only looks and prints.

mod errors;
mod inventory;
mod plan;

use crate::{
    codes::Code,
    fault::{Fault, Result},
    programs::{Call, PROGRAMS},
    runtime::logger,
    stdout::print,
    version,
};
use std::{fmt::Write as _, process::ExitCode};

/// One word of the program. Parser and help follow from the table.
struct Word {
    name: &'static str,
    /// What may follow it, as help shows it.
    takes: &'static str,
    about: &'static str,
    /// Takes what follows the word; gives what is printed.
    run: fn(lexopt::Parser) -> Result<String>,
}

const WORDS: &[Word] = &[
    Word {
        name: "plan",
        takes: "[--bundle DIR] [--machine FILE] [--json]",
        about: "say what a container start would change, and why; change nothing",
        run: plan::run,
    },
    Word { name: "inventory", takes: "[--json]", about: "list this machine's driver and GPUs", run: inventory::run },
    Word { name: "errors", takes: "[CODE]", about: "list the error codes, or explain one", run: errors::run },
    Word { name: "programs", takes: "", about: "list the programs in this executable", run: programs },
    Word { name: "version", takes: "", about: "print the version", run: print_version },
];

impl Word {
    /// How it is called: `corten errors [CODE]`.
    fn usage(&self) -> String {
        format!("corten {} {}", self.name, self.takes).trim_end().to_owned()
    }

    fn help(&self) -> String {
        format!("Usage: {}\n\nThis will {}.\n", self.usage(), self.about)
    }
}

/// Runs one word, or prints help.
pub fn main(call: Call) -> ExitCode {
    match answer(call).and_then(print) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            logger::print_error(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}

fn answer(call: Call) -> Result<String> {
    let Some((first, rest)) = call.args.split_first() else { return Ok(help()) };
    match first.to_str().unwrap_or_default() {
        "help" | "--help" | "-h" => Ok(help()),
        "--version" | "-v" | "-V" => print_version(lexopt::Parser::from_args(rest)),
        name => match WORDS.iter().find(|word| word.name == name) {
            Some(word) if rest.iter().any(|argument| argument == "--help" || argument == "-h") => Ok(word.help()),
            Some(word) => (word.run)(lexopt::Parser::from_args(rest)),
            None => Err(Fault::new(Code::Usage, format!("corten: unknown word {first:?}"))
                .next("`corten --help` lists what there is")),
        },
    }
}

fn help() -> String {
    let rows: Vec<_> = WORDS.iter().map(|word| (format!("{} {}", word.name, word.takes), word.about)).collect();
    let mut text = "Usage: corten WORD [OPTION…]\n\n".to_owned();
    text += &columns(rows.iter().map(|(name, about)| (name.trim_end(), *about)));
    text += "\nCalled by another name, or with one as its first word, it is that program:\n\n";
    text += &columns(PROGRAMS[1..].iter().map(|program| (program.name, program.about)));
    text
}

fn programs(parser: lexopt::Parser) -> Result<String> {
    nothing_more("programs", parser)?;
    Ok(PROGRAMS.iter().map(|program| format!("{}\n", program.name)).collect())
}

fn print_version(parser: lexopt::Parser) -> Result<String> {
    nothing_more("version", parser)?;
    Ok(version::lines("Corten"))
}

fn nothing_more(word: &str, mut parser: lexopt::Parser) -> Result<()> {
    match parser.next() {
        Ok(None) => Ok(()),
        Ok(Some(arg)) => Err(usage(word, arg.unexpected())),
        Err(error) => Err(usage(word, error)),
    }
}

/// A fault of the command line of `corten WORD`.
fn usage(word: &str, error: lexopt::Error) -> Fault {
    let usage = WORDS.iter().find(|entry| entry.name == word).map_or_else(String::new, Word::usage);
    Fault::new(Code::Usage, format!("corten {word}: {error}")).next(format!("Usage: {usage}"))
}

/// Two columns, the second aligned, indented by two.
fn columns<'a>(rows: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let width = rows.clone().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (left, right) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", format!("  {left:width$}  {right}").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<String> {
        answer(Call {
            name: "corten",
            called: "corten".into(),
            args: line.split_whitespace().map(Into::into).collect(),
        })
    }

    #[test]
    fn help_lists_every_word_and_program() {
        let text = words("").unwrap();
        assert_eq!(words("--help").unwrap(), text);
        for name in WORDS.iter().map(|word| word.name).chain(PROGRAMS.iter().map(|program| program.name)) {
            assert!(text.contains(name), "{name}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 120 && line == line.trim_end()), "{text}");
    }

    #[test]
    fn every_word_has_help() {
        for word in WORDS {
            for line in [format!("{} --help", word.name), format!("{} -h", word.name)] {
                let text = words(&line).unwrap();
                assert!(text.starts_with(&format!("Usage: corten {}", word.name)), "{text}");
                assert!(text.ends_with(&format!("\n\nThis will {}.\n", word.about)), "{text}");
            }
        }
    }

    #[test]
    fn wrong_words_say_how() {
        for (line, want) in [
            ("fly", "corten: unknown word \"fly\". `corten --help` lists what there is [CORTEN-E080]"),
            ("programs x", "corten programs: unexpected argument \"x\". Usage: corten programs [CORTEN-E080]"),
            ("errors --x", "corten errors: invalid option '--x'. Usage: corten errors [CODE] [CORTEN-E080]"),
        ] {
            assert_eq!(words(line).unwrap_err().to_string(), want);
        }
    }
}
