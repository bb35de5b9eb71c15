//! `corten errors`: the table of codes, or one of them at length.

use super::{columns, usage};
use crate::{
    codes::{self, CODES, Code, Entry},
    fault::{Fault, Result},
};

pub fn run(mut parser: lexopt::Parser) -> Result<String> {
    let mut code = None;
    while let Some(arg) = parser.next().map_err(|error| usage("errors", error))? {
        match arg {
            lexopt::Arg::Value(word) if code.is_none() => code = Some(word.to_string_lossy().into_owned()),
            other => return Err(usage("errors", other.unexpected())),
        }
    }
    match code {
        None => Ok(columns(CODES.iter().map(|entry| (entry.number, entry.meaning)))),
        Some(text) => codes::lookup(&text).map(explain).ok_or_else(|| {
            Fault::new(Code::Usage, format!("corten errors: there is no code {text:?}"))
                .next("`corten errors` lists them all")
        }),
    }
}

fn explain(entry: &Entry) -> String {
    let Entry { number, meaning, next, explanation, .. } = entry;
    let next = wrapped(&format!("What to do: {next}."));
    format!("CORTEN-{number}: {meaning}\n\n{}\n\n{next}\n", wrapped(explanation))
}

/// Broken at blanks so that no line is longer than 80 characters where words allow it.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last].push_str(word);
        } else if lines[last].chars().count() + 1 + word.chars().count() <= 80 {
            lines[last] = format!("{} {word}", lines[last]);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(args: &[&str]) -> Result<String> {
        run(lexopt::Parser::from_args(args))
    }

    #[test]
    fn lists_all_and_explains_one() {
        let list = errors(&[]).unwrap();
        assert_eq!(list.lines().count(), CODES.len());
        assert!(list.starts_with("  E001  config.toml cannot be read\n"), "{list}");
        expect_test::expect![[r#"
            CORTEN-E010: --bundle was given without a folder

            The option was the last word of the command line.

            What to do: Give a folder after --bundle.
        "#]]
        .assert_eq(&errors(&["E010"]).unwrap());
        assert!(errors(&["E999"]).unwrap_err().to_string().contains("E999"));
        assert!(errors(&["E010", "E011"]).is_err());
        for entry in CODES {
            let text = errors(&[entry.number]).unwrap();
            assert!(text.lines().skip(1).all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
