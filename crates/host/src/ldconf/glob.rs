//! Shell patterns for one component of a path, as `include` lines of ld.so.conf use them.

/// Longest pattern that is one: no name of a file is longer (`NAME_MAX`).
pub const LONGEST: usize = 255;

/// `name` matches `pattern`: `*`, `?`, `[a-z]`, `[!a-z]`, `\x`. Names that begin with a dot want a pattern that does too
/// (`glob(7)`). Takes time proportional to the product of both lengths, whatever the pattern; one of more than [`LONGEST`]
/// bytes matches nothing.
pub fn matches(pattern: &str, name: &str) -> bool {
    if pattern.len() > LONGEST {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    // Sets can only be before this; looking for the end of each that has none would take a third factor of time.
    let last_end = pattern.iter().rposition(|c| *c == ']').unwrap_or(0);
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and how far the name had got: on a mismatch that star takes one character more.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n], p < last_end) {
            (p, n) = (p + length, n + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// The text holds a character that makes it a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// If the pattern's first element matches the character: the element's length.
fn one(pattern: &[char], character: char, may_be_set: bool) -> Option<usize> {
    match pattern {
        [] => None,
        ['?', ..] => Some(1),
        ['[', rest @ ..] if may_be_set => match set(rest, character) {
            Some((matched, length)) => matched.then_some(length + 1),
            None => (character == '[').then_some(1),
        },
        ['\\', literal, ..] => (*literal == character).then_some(2),
        [literal, ..] => (*literal == character).then_some(1),
    }
}

/// What follows a `[`: whether the character is in the set, and the set's length with its `]`. `None` if it never ends.
fn set(pattern: &[char], character: char) -> Option<(bool, usize)> {
    let inverted = matches!(pattern.first(), Some('!' | '^'));
    let start = usize::from(inverted);
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let (mut found, mut rest) = (false, &pattern[start..end]);
    while let [low, tail @ ..] = rest {
        (found, rest) = match tail {
            ['-', high, tail @ ..] => (found || (*low..=*high).contains(&character), tail),
            _ => (found || *low == character, tail),
        };
    }
    Some((found != inverted, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_glob() {
        for (pattern, name, want) in [
            ("*.conf", "libc.conf", true),
            ("*.conf", ".hidden.conf", false),
            (".*", ".hidden", true),
            ("*.conf", "libc.config", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("[", "[", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("", "", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_long() {
        assert!(!matches(&"*a".repeat(127), &"a".repeat(126)));
        assert!(!matches(&format!("*{}", "[".repeat(254)), &"[".repeat(253)));
        assert!(!matches(&"*".repeat(256), ""), "longer than any name");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern in ".{0,20}", name in ".{0,20}") {
            let _ = matches(&pattern, &name);
        }
    }
}
