//! Requirement expressions: total, blanks do not count, and for any two versions just one of less, equal and greater holds.

use crate::parts;
use plan::{
    request::Requirement,
    requirement::{Facts, RequirementError, check, parse},
};

/// An input of two parts: an expression, and what the machine says of everything.
pub fn requirements(input: &[u8]) {
    let (text, fact) = parts(input);
    let (Ok(text), Ok(fact)) = (std::str::from_utf8(text), std::str::from_utf8(fact)) else { return };
    let facts = facts(fact);
    let parsed = parse(&requirement(text));
    let spaced = text.replace(' ', " \t ").replace(',', ",,");
    assert_eq!(parsed.is_ok(), parse(&requirement(&spaced)).is_ok(), "blanks count");
    let verdict = check(&[requirement(text)], &facts);
    if let Err(error) = &verdict {
        assert!(error.to_string().chars().count() < 400 + fact.chars().count(), "an endless error: {error}");
    }
    match &parsed {
        Err(error) => assert_eq!(verdict.as_ref(), Err(error)),
        Ok(expression) => {
            assert_eq!(
                parse(&requirement(&spaced)).map(|spaced| spaced.properties().eq(expression.properties())),
                Ok(true)
            );
            if expression.properties().next().is_none() {
                assert_eq!(verdict, Ok(()), "what demands nothing does not hold");
            }
        }
    }
    for value in text.split([' ', ',', '=', '<', '>', '!']).take(8) {
        compare(value, &facts);
    }
}

fn compare(value: &str, facts: &Facts) {
    for property in ["cuda", "driver", "arch"] {
        let holds = |operator: &str| check(&[requirement(&format!("{property}{operator}{value}"))], facts);
        let known = |operator: &str| match holds(operator) {
            Ok(()) => Some(true),
            Err(RequirementError::Unsatisfied { .. }) => Some(false),
            Err(_) => None,
        };
        let (Some(less), Some(equal), Some(greater)) = (known("<"), known("="), known(">")) else { continue };
        assert_eq!(
            [less, equal, greater].into_iter().filter(|holds| *holds).count(),
            1,
            "{property} {value} {facts:?}"
        );
        assert_eq!((known("<="), known(">="), known("!=")), (Some(!greater), Some(!less), Some(!equal)));
    }
}

fn requirement(text: &str) -> Requirement {
    Requirement { variable: "NVIDIA_REQUIRE_X".to_owned(), text: text.to_owned() }
}

fn facts(fact: &str) -> Facts {
    let said = || Ok(fact.to_owned());
    Facts { cuda: said(), driver: said(), arch: Some(said()), brand: Some(said()) }
}
