//! A command line in the manner of GNU argp, from a table: unique beginnings of long options, bundled short ones, values
//! attached or not, and the messages that argp gives (reference: libnvidia-container.md 2; glibc manual, "Argp").

use std::{collections::VecDeque, iter::Peekable};

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Without dashes.
    pub long: &'static str,
    pub short: Option<char>,
    pub takes: Takes,
    pub about: &'static str,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A value of that name.
    Value(&'static str),
    /// A value that must be attached, and may be missing.
    Optional(&'static str),
}

impl Opt {
    pub const fn new(long: &'static str, takes: Takes, about: &'static str) -> Opt {
        Opt { long, short: None, takes, about }
    }

    pub const fn short(self, letter: char) -> Opt {
        Opt { short: Some(letter), ..self }
    }
}

/// What argp adds to every table.
pub const BUILT_IN: [Opt; 3] = [
    Opt::new("help", Takes::Nothing, "Give this help list").short('?'),
    Opt::new("usage", Takes::Nothing, "Give a short usage message"),
    Opt::new("version", Takes::Nothing, "Print program version").short('V'),
];

/// What argp adds and does not show: another name for the program, which nobody needs here. It is read because it makes
/// beginnings ambiguous (`--p`).
const PROGRAM_NAME: Opt = Opt::new("program-name", Takes::Value("NAME"), "");

/// A word of a command line that has been understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// An option, by its long name, with its value.
    Option(&'static str, Option<String>),
    /// Anything else.
    Operand(String),
}

/// Why a command line goes no further.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    Help,
    Usage,
    Version,
    /// It is wrong; argp's words.
    Wrong(String),
}

/// A command line being read.
pub struct Line<'a> {
    options: &'a [Opt],
    words: Peekable<std::vec::IntoIter<String>>,
    /// Letters of a bundle that are still to be read.
    letters: VecDeque<char>,
    /// What follows are operands only.
    over: bool,
}

impl<'a> Line<'a> {
    pub fn new(options: &'a [Opt], words: Vec<String>) -> Line<'a> {
        Line { options, words: words.into_iter().peekable(), letters: VecDeque::new(), over: false }
    }

    /// The next word; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Word>, Stop> {
        if let Some(letter) = self.letters.pop_front() {
            return self.letter(letter).map(Some);
        }
        let Some(word) = self.words.next() else { return Ok(None) };
        if self.over || !word.starts_with('-') || word == "-" {
            return Ok(Some(Word::Operand(word)));
        }
        if word == "--" {
            self.over = true;
            return self.next();
        }
        match word.strip_prefix("--") {
            Some(long) => match self.long(long)? {
                Word::Option(name, _) if name == PROGRAM_NAME.long => self.next(),
                word => Ok(Some(word)),
            },
            None => {
                self.letters = word.chars().skip(1).collect();
                self.next()
            }
        }
    }

    /// What has not been read.
    pub fn rest(self) -> Vec<String> {
        self.words.collect()
    }

    /// In argp's order, which messages show.
    fn all(&self) -> impl Iterator<Item = Opt> + use<'a> {
        let [help, usage, version] = BUILT_IN;
        self.options.iter().copied().chain([help, usage, PROGRAM_NAME, version])
    }

    fn long(&mut self, text: &str) -> Result<Word, Stop> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
        let exact = self.all().find(|option| option.long == name);
        let fitting: Vec<Opt> = self.all().filter(|option| option.long.starts_with(name)).collect();
        let option = match (exact, &fitting[..]) {
            (Some(option), _) | (None, &[option]) => option,
            (None, []) => return Err(Stop::Wrong(format!("unrecognized option '--{text}'"))),
            (None, several) => {
                let list: String = several.iter().map(|option| format!(" '--{}'", option.long)).collect();
                return Err(Stop::Wrong(format!("option '--{text}' is ambiguous; possibilities:{list}")));
            }
        };
        let value = match (option.takes, value) {
            (Takes::Nothing, Some(_)) => {
                return Err(Stop::Wrong(format!("option '--{}' doesn't allow an argument", option.long)));
            }
            (Takes::Value(_), None) => Some(
                self.words
                    .next()
                    .ok_or_else(|| Stop::Wrong(format!("option '--{}' requires an argument", option.long)))?,
            ),
            (_, value) => value,
        };
        found(option, value)
    }

    fn letter(&mut self, letter: char) -> Result<Word, Stop> {
        let Some(option) = self.all().find(|option| option.short == Some(letter)) else {
            return Err(Stop::Wrong(format!("invalid option -- '{letter}'")));
        };
        if option.takes == Takes::Nothing {
            return found(option, None);
        }
        let attached: String = self.letters.drain(..).collect();
        let value = match (option.takes, attached.is_empty()) {
            (_, false) => Some(attached),
            (Takes::Value(_), true) => Some(
                self.words.next().ok_or_else(|| Stop::Wrong(format!("option requires an argument -- '{letter}'")))?,
            ),
            _ => None,
        };
        found(option, value)
    }
}

fn found(option: Opt, value: Option<String>) -> Result<Word, Stop> {
    match option.long {
        "help" => Err(Stop::Help),
        "usage" => Err(Stop::Usage),
        "version" => Err(Stop::Version),
        long => Ok(Word::Option(long, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        Opt::new("pid", Takes::Value("PID"), "").short('p'),
        Opt::new("no-cgroups", Takes::Nothing, ""),
        Opt::new("no-devbind", Takes::Nothing, "").short('n'),
        Opt::new("user", Takes::Optional("UID"), "").short('u'),
        Opt::new("compute", Takes::Nothing, "").short('c'),
        Opt::new("compat32", Takes::Nothing, ""),
    ];

    fn read(text: &str) -> Result<Vec<String>, Stop> {
        let mut line = Line::new(OPTIONS, text.split_whitespace().map(str::to_owned).collect());
        let mut words = Vec::new();
        while let Some(word) = line.next()? {
            words.push(match word {
                Word::Option(name, None) => name.to_owned(),
                Word::Option(name, Some(value)) => format!("{name}={value}"),
                Word::Operand(word) => format!("<{word}>"),
            });
        }
        Ok(words)
    }

    #[test]
    fn options_are_spelt_in_many_ways() {
        for (text, want) in [
            ("--pid 1 --pi=2 -p3 -p 4 --pid=", "pid=1 pid=2 pid=3 pid=4 pid="),
            ("--program-name x --pr=y -c z", "compute <z>"),
            ("-cn --no-c x -cp5", "compute no-devbind no-cgroups <x> compute pid=5"),
            ("-u -u0:0 --user --user=1 z", "user user=0:0 user user=1 <z>"),
            ("x -c -- -c --pid -", "<x> compute <-c> <--pid> <->"),
            ("--compu -", "compute <->"),
        ] {
            assert_eq!(read(text).unwrap().join(" "), want, "{text}");
        }
    }

    #[test]
    fn mistakes_have_the_texts_of_getopt() {
        for (text, want) in [
            ("--nope", "unrecognized option '--nope'"),
            ("--nope=1", "unrecognized option '--nope=1'"),
            ("--p 1", "option '--p' is ambiguous; possibilities: '--pid' '--program-name'"),
            ("--us", "option '--us' is ambiguous; possibilities: '--user' '--usage'"),
            ("--no-=x", "option '--no-=x' is ambiguous; possibilities: '--no-cgroups' '--no-devbind'"),
            ("--no-", "option '--no-' is ambiguous; possibilities: '--no-cgroups' '--no-devbind'"),
            ("--comp", "option '--comp' is ambiguous; possibilities: '--compute' '--compat32'"),
            ("--no-cgroups=1", "option '--no-cgroups' doesn't allow an argument"),
            ("--pi", "option '--pid' requires an argument"),
            ("-cp", "option requires an argument -- 'p'"),
            ("-cxp", "invalid option -- 'x'"),
        ] {
            assert_eq!(read(text), Err(Stop::Wrong(want.into())), "{text}");
        }
        for (text, want) in [
            ("-c?", Stop::Help),
            ("--he", Stop::Help),
            ("--usag", Stop::Usage),
            ("-V", Stop::Version),
            ("--v x", Stop::Version),
        ] {
            assert_eq!(read(text), Err(want), "{text}");
        }
    }

    /// Whatever is said, reading ends, and nothing that is not an option is lost.
    #[test]
    fn every_line_ends() {
        const WORDS: [&str; 12] = ["", "-", "--", "-c", "-cp", "-p7", "--p", "--pid=", "--=x", "word", "-u", "-ü"];
        for number in 0..WORDS.len().pow(4) {
            let words = (0..4).map(|place| WORDS[number / WORDS.len().pow(place) % WORDS.len()].to_owned());
            let mut line = Line::new(OPTIONS, words.collect());
            let read = std::iter::from_fn(|| line.next().ok().flatten()).take(100).count();
            assert!(read <= 8, "{number}");
        }
    }
}
