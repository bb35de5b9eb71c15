//! `ld.so.conf` and its patterns: total, folders read as they are written, and patterns match what a slower matcher says.

use crate::parts;
use host::ldconf::{Line, glob, lines};

/// An input of two parts: an `ld.so.conf`, names of files in lines.
pub fn ldconf(input: &[u8]) {
    let (text, names) = parts(input);
    let (text, names) = (String::from_utf8_lossy(text), String::from_utf8_lossy(names));
    for line in lines(&text) {
        match line {
            Line::Folder(folder) => {
                // A blank at the end of a line is none of the folder's.
                if folder.as_str().trim_end() == folder.as_str() {
                    let again: Vec<_> = lines(&format!("{folder}\n")).collect();
                    assert_eq!(again, [Line::Folder(folder)]);
                }
            }
            Line::Include(pattern) => {
                assert!(!pattern.is_empty() && !pattern.contains(char::is_whitespace));
                pattern.split('/').for_each(|component| compare(component, &names));
            }
        }
    }
}

fn compare(pattern: &str, names: &str) {
    for name in names.lines() {
        let matched = glob::matches(pattern, name);
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        let (slow_pattern, slow_name) = (letters(pattern), letters(name));
        if slow_pattern.len() + slow_name.len() <= 16 {
            let hidden = name.starts_with('.') && !pattern.starts_with('.');
            assert_eq!(matched, !hidden && slowly(&slow_pattern, &slow_name), "{pattern:?} {name:?}");
        }
        if !glob::is_pattern(pattern) && pattern.len() <= glob::LONGEST {
            let hidden = name.starts_with('.') && !pattern.starts_with('.');
            assert_eq!(matched, pattern == name && !hidden, "{pattern:?} {name:?}");
        }
    }
}

/// As `glob(7)` explains it, by trying everything.
fn slowly(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        (['*', rest @ ..], name) => (0..=name.len()).any(|taken| slowly(rest, &name[taken..])),
        (_, []) => false,
        (['?', rest @ ..], [_, tail @ ..]) => slowly(rest, tail),
        (['[', rest @ ..], [first, tail @ ..]) => match set(rest) {
            Some((inverted, members, rest)) => holds(members, *first) != inverted && slowly(rest, tail),
            None => *first == '[' && slowly(rest, tail),
        },
        (['\\', literal, rest @ ..], [first, tail @ ..]) => literal == first && slowly(rest, tail),
        ([literal, rest @ ..], [first, tail @ ..]) => literal == first && slowly(rest, tail),
    }
}

/// Whether it is inverted, its members, and what follows. A `]` at its beginning is a member.
fn set(after: &[char]) -> Option<(bool, &[char], &[char])> {
    let inverted = matches!(after.first(), Some('!' | '^'));
    let after = &after[usize::from(inverted)..];
    let end = (1..after.len()).find(|at| after[*at] == ']')?;
    Some((inverted, &after[..end], &after[end + 1..]))
}

fn holds(members: &[char], character: char) -> bool {
    match members {
        [] => false,
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&character) || holds(rest, character),
        [one, rest @ ..] => *one == character || holds(rest, character),
    }
}
