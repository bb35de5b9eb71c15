//! Help and usage in argp's layout, from the tables: short options at column 2, long ones at 6, text at 29, wrapped at 79.

use super::{
    argp::{BUILT_IN, Opt, Takes},
    tables::{COMMANDS, Command, GLOBAL},
};

const TEXT_AT: usize = 29;
const WIDTH: usize = 79;
/// Column of the further lines of a usage.
const USAGE_AT: usize = 12;
/// Where the original names its own page: what is wrong here is no fault of theirs.
const BUGS: &str = "This is Corten's. Report bugs to Corten's issues, not to NVIDIA.";

/// The usage line of the program, or of one command.
fn headline(program: &str, command: Option<&Command>) -> String {
    match command {
        None => format!("Usage: {program} [OPTION...] COMMAND [ARG...]\n"),
        Some(Command { operand: Some(operand), .. }) => format!("Usage: {program} [OPTION...] {operand}\n"),
        Some(_) => format!("Usage: {program} [OPTION...]\n"),
    }
}

/// What `--help` prints.
pub fn help(program: &str, command: Option<&Command>) -> String {
    let mut text = headline(program, command);
    let about = command.map_or("Command line utility for manipulating NVIDIA GPU containers.", |command| command.about);
    text += &format!("{}\n", wrapped(about, 0));
    if command.is_none() {
        text += " Commands:\n";
        for command in COMMANDS {
            text += &row(&format!("  {}", command.name), command.about);
        }
        text += "\n";
    }
    text += " Options:\n";
    let options = sorted(command);
    for option in &options {
        text += &row(&spelling(option), option.about);
    }
    if options.iter().any(|option| option.short.is_some() && option.takes != Takes::Nothing) {
        text += "\nMandatory or optional arguments to long options are also mandatory or optional\nfor any corresponding \
                 short options.\n";
    }
    text + &format!("\n{BUGS}\n")
}

/// What `--usage` prints.
pub fn usage(program: &str, command: Option<&Command>) -> String {
    let options = sorted(command);
    let bundle: String =
        options.iter().filter(|option| option.takes == Takes::Nothing).filter_map(|option| option.short).collect();
    let mut parts = vec![format!("[-{bundle}]")];
    for option in &options {
        match (option.short, option.takes) {
            (Some(letter), Takes::Value(name)) => parts.push(format!("[-{letter} {name}]")),
            (Some(letter), Takes::Optional(name)) => parts.push(format!("[-{letter}[{name}]]")),
            _ => {}
        }
    }
    parts.extend(options.iter().map(|option| format!("[{}]", long(option))));
    let operands = match command {
        None => "COMMAND [ARG...]",
        Some(command) => command.operand.unwrap_or_default(),
    };
    parts.extend(operands.split_whitespace().map(str::to_owned));
    filled(format!("Usage: {program}"), parts.iter().map(String::as_str), USAGE_AT)
}

/// What stderr says where something that must be there is missing.
pub fn short_usage(program: &str, command: Option<&Command>) -> String {
    headline(program, command) + &hint(program)
}

/// Where help is to be had.
pub fn hint(program: &str) -> String {
    wrapped(&format!("Try `{program} --help' or `{program} --usage' for more information."), 0)
}

/// A text in lines of [`WIDTH`], the further ones at this column.
fn wrapped(text: &str, at: usize) -> String {
    let mut words = text.split(' ');
    filled(words.next().unwrap_or_default().to_owned(), words, at)
}

fn filled<'a>(mut line: String, parts: impl Iterator<Item = &'a str>, at: usize) -> String {
    let mut text = String::new();
    let mut is_empty = line.is_empty();
    for part in parts {
        if !is_empty && line.len() + 1 + part.len() > WIDTH {
            text += &format!("{line}\n");
            line = " ".repeat(at);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += part;
        is_empty = false;
    }
    text + &line + "\n"
}

/// As argp sorts: by the short letter, else the first of the long name, small letters before capitals, and those without
/// a short one first.
fn sorted(command: Option<&Command>) -> Vec<Opt> {
    let options = command.map_or(GLOBAL, |command| command.options);
    let mut options: Vec<Opt> = options.iter().copied().chain(BUILT_IN).collect();
    options.sort_by_key(|option| {
        let first = option.short.or_else(|| option.long.chars().next()).unwrap_or_default();
        (first.to_ascii_lowercase(), first.is_ascii_uppercase(), option.short.is_some(), option.long)
    });
    options
}

fn long(option: &Opt) -> String {
    match option.takes {
        Takes::Nothing => format!("--{}", option.long),
        Takes::Value(name) => format!("--{}={name}", option.long),
        Takes::Optional(name) => format!("--{}[={name}]", option.long),
    }
}

fn spelling(option: &Opt) -> String {
    match option.short {
        Some(letter) => format!("  -{letter}, {}", long(option)),
        None => format!("      {}", long(option)),
    }
}

/// A left column and a text beside it, or below it where the column is too narrow.
fn row(left: &str, text: &str) -> String {
    let mut head = left.to_owned();
    let mut above = String::new();
    match left.len() {
        length if length < TEXT_AT => head += &" ".repeat(TEXT_AT - length),
        length if length < TEXT_AT + 3 => head += "   ",
        _ => {
            above = format!("{left}\n");
            head = " ".repeat(TEXT_AT);
        }
    }
    let mut words = text.split(' ');
    head += words.next().unwrap_or_default();
    above + &filled(head, words, TEXT_AT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_argps() {
        let text = help("nvidia-container-cli", None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Usage: nvidia-container-cli [OPTION...] COMMAND [ARG...]");
        assert!(lines.contains(&"  -d, --debug=FILE           Write a log to FILE"), "{text}");
        assert!(lines.contains(&"  -u, --user[=UID[:GID]]     Ask NVML as this user and group"), "{text}");
        assert!(lines.contains(&"      --no-create-imex-channels   Make no nodes of IMEX channels"), "{text}");
        assert_eq!(lines.last(), Some(&"This is Corten's. Report bugs to Corten's issues, not to NVIDIA."));
        for command in COMMANDS.iter().map(Some).chain([None]) {
            let all = help("x", command) + &usage("x", command);
            assert!(all.lines().all(|line| line.len() <= WIDTH), "{all}");
        }
        assert!(help("x", COMMANDS.first()).starts_with("Usage: x [OPTION...] ROOTFS\n"));
        assert!(
            usage("x", COMMANDS.first())
                .starts_with("Usage: x [-?cDgnuvV] [-d ID] [-l PATH] [-p PID] [-r EXPR] [--help]")
        );
        let hint = hint("nvidia-container-cli list");
        assert_eq!(hint.lines().nth(1), Some("for more information."));
    }

    /// Two options of one table that could be taken for each other.
    #[test]
    fn names_are_unique() {
        for command in COMMANDS.iter().map(Some).chain([None]) {
            let options = sorted(command);
            for (i, option) in options.iter().enumerate() {
                let same =
                    |other: &Opt| other.long == option.long || (option.short.is_some() && other.short == option.short);
                assert!(!options[..i].iter().any(same), "{}", option.long);
            }
        }
    }
}
