//! `config.toml`: total, and what it says about a file is about that file.

use plan::{
    Config,
    config::{ConfigError, Warning},
};

/// The text of a `config.toml`.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lengths: Vec<_> = text.split('\n').map(|line| line.chars().count()).collect();
    let inside = |line: usize, column: usize| {
        let there = lengths.get(line - 1).is_some_and(|length| (1..=length + 1).contains(&column));
        assert!(there, "{line}, {column} is nowhere");
    };
    match Config::parse(text) {
        Ok((config, warnings)) => {
            for warning in &warnings {
                assert!(!warning.to_string().contains('\n'), "a warning of several lines: {warning}");
                if let Warning::Unknown { line, column, .. } | Warning::Twice { line, column, .. } = warning {
                    inside(*line, *column);
                }
            }
            // What no program reads changes nothing.
            assert_eq!(Config::parse(&format!("{text}\n# a comment")).map(|(config, _)| config), Ok(config.clone()));
            // Mode and capabilities are judged when they are needed, whatever they say.
            let _ = (config.supported_capabilities(), config.swarm_variables().count());
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "an error of several lines: {error}");
            let (ConfigError::Syntax { line, column, .. } | ConfigError::Type { line, column, .. }) = error;
            inside(line, column);
        }
    }
}
