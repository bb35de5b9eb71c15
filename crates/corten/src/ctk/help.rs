//! Help, from the tables of commands and flags.

use super::{
    Command,
    flags::{Flag, Takes},
};
use std::fmt::Write as _;

/// For a word that holds others.
pub fn group(path: &[&str], commands: &[Command], global: &[Flag]) -> String {
    let mut text = format!("Usage: {} [FLAG…] COMMAND\n", path.join(" "));
    if !commands.is_empty() {
        text += "\nCommands:\n";
    }
    for command in commands {
        let state = if command.is_later() { " (not yet)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:26}{}{state}", command.name, command.about);
    }
    text + &flags("\nGlobal flags:\n", global.iter())
}

/// For a word that does something, to the files and folders that further words name or without any.
pub fn command(path: &[&str], takes_words: bool, about: &str, own: &[Flag], global: &[Flag]) -> String {
    let words = if takes_words { " [FILE|FOLDER…]" } else { "" };
    let mut text = format!("Usage: {} [FLAG…]{words}\n\nThis will {about}.\n", path.join(" "));
    if !own.is_empty() {
        text += &flags("\nFlags:\n", own.iter());
    }
    // A flag of the command's own hides a global one of its name.
    let is_hidden = |flag: &&Flag| own.iter().any(|own| own.all_names().any(|name| name == flag.name()));
    text + &flags("\nGlobal flags:\n", global.iter().filter(|flag| !is_hidden(flag)))
}

fn flags<'a>(title: &str, flags: impl Iterator<Item = &'a Flag>) -> String {
    let mut text = title.to_owned();
    for flag in flags {
        let names: Vec<_> = flag.all_names().map(|name| dashed(name) + value(flag.takes)).collect();
        let _ = writeln!(text, "  {}", names.join(", "));
        let default = if flag.default.is_empty() { String::new() } else { format!("; by default {}", flag.default) };
        let variable = if flag.variable.is_empty() { String::new() } else { format!(" [${}]", flag.variable) };
        let _ = writeln!(text, "        {}{default}{variable}", flag.about);
    }
    text
}

fn dashed(name: &str) -> String {
    if name.len() == 1 { format!("-{name}") } else { format!("--{name}") }
}

fn value(takes: Takes) -> &'static str {
    match takes {
        Takes::Nothing => "",
        Takes::Text => " TEXT",
        Takes::List => " TEXT[,TEXT…]",
    }
}
