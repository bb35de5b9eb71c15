//! A failure as people see it: one line with what failed, why, what to do, and a stable code.

use crate::codes::Code;
use std::{borrow::Cow, error::Error, fmt};

/// A failure of a program. Printed as `MESSAGE. NEXT STEP [CORTEN-E…]`, on one line whatever the message holds.
#[derive(Debug)]
pub struct Fault {
    code: Code,
    message: String,
    next: Cow<'static, str>,
}

/// What programs return.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A failure that has no cause in another crate.
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), next: Cow::Borrowed(code.entry().next) }
    }

    /// A failure that `error` and its sources explain. Where a text of ours knows the next step better than the table
    /// of codes, it has it after a semicolon, at its end.
    pub fn from_error(code: Code, error: &dyn Error) -> Fault {
        let text = chain(error);
        match text.rsplit_once("; ") {
            Some((message, next)) => Fault::new(code, message).next(sentence(next)),
            None => Fault::new(code, text),
        }
    }

    /// Puts the original's prefix of this stage before the message (reference: runtime-and-hook.md 2.8).
    pub fn within(mut self, stage: &str) -> Fault {
        self.message = format!("{stage}: {}", self.message);
        self
    }

    /// Replaces the code's usual next step by a better one.
    pub fn next(mut self, next: impl Into<Cow<'static, str>>) -> Fault {
        self.next = next.into();
        self
    }

    /// What failed, without what to do about it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = one_line(&self.message);
        let message = message.trim_end_matches(['.', ' ']);
        write!(f, "{message}. {} [CORTEN-{}]", one_line(&self.next), self.code.entry().number)
    }
}

impl Error for Fault {}

fn sentence(text: &str) -> String {
    let mut characters = text.trim_end_matches('.').chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// An error and its sources, `a: b: c`; a source whose text the error already holds is not repeated.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Line breaks become `; `, other control characters (an image may have chosen the text) become visible escapes.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let parts = text.lines().map(str::trim).filter(|part| !part.is_empty());
    for (i, part) in parts.enumerate() {
        if i > 0 {
            line.push_str("; ");
        }
        for character in part.chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_with_code_and_next_step() {
        let fault = Fault::new(Code::ConfigInvalid, "line 1\n\n  line 2\x1b[31m.\n").within("error loading config");
        assert_eq!(
            fault.to_string(),
            "error loading config: line 1; line 2\\u{1b}[31m. Correct the line that the message names, or remove the \
             key to use its default [CORTEN-E002]"
        );
        let fault = Fault::new(Code::NotYet, "x").next("Wait");
        assert_eq!(fault.to_string(), "x. Wait [CORTEN-E021]");
    }

    #[test]
    fn sources_follow_and_are_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("middle: {0}")]
        struct Inner(#[source] std::fmt::Error);
        let fault = Fault::from_error(Code::Usage, &Outer(Inner(std::fmt::Error)));
        assert_eq!(fault.message, format!("outer: middle: {}", std::fmt::Error));
        #[derive(Debug, thiserror::Error)]
        #[error("cannot: {0}; try again")]
        struct Told(#[source] std::fmt::Error);
        let fault = Fault::from_error(Code::Usage, &Told(std::fmt::Error));
        assert_eq!((fault.message, fault.next), (format!("cannot: {}", std::fmt::Error), "Try again".into()));
    }
}
