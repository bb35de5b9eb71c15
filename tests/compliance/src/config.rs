//! The config.toml of a case.

use crate::case::{Case, merged};
use serde_json::{Map, Value, json};

/// What a configuration needs to know about the run it is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The original's `nvidia-ctk` or ours: their hooks are found by this key, ours lie beside the shim.
    pub ctk: String,
    /// The prestart hook of the same side.
    pub hook: String,
    /// Folder with the case's CDI files.
    pub cdi: String,
    /// `nvidia-container-cli`, or a program that writes its arguments down in its place.
    pub cli: String,
}

/// The text of config.toml: the least that makes a shim find its own side's programs, then what the case says.
///
/// # Errors
/// The case holds a value that TOML has not (null).
pub fn text(case: &Case, surroundings: &Surroundings) -> Result<String, toml_edit::ser::Error> {
    if let Some(text) = &case.config_text {
        return Ok(text.clone());
    }
    toml_edit::ser::to_string_pretty(&merged(&least(case, surroundings), &case.config))
}

fn least(case: &Case, surroundings: &Surroundings) -> Map<String, Value> {
    let table = json!({
        "nvidia-container-runtime": {
            "runtimes": [case.engine.program()],
            "modes": {"cdi": {"spec-dirs": [surroundings.cdi]}},
        },
        "nvidia-container-runtime-hook": {"path": surroundings.hook},
        "nvidia-container-cli": {"path": surroundings.cli},
        "nvidia-ctk": {"path": surroundings.ctk},
    });
    match table {
        Value::Object(table) => table,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_wins_over_the_least() {
        let case: Case = serde_json::from_value(json!({
            "name": "x", "engine": "crun", "config": {"nvidia-ctk": {"path": "/x"}, "disable-require": true},
        }))
        .unwrap();
        let [ctk, hook, cdi, cli] = ["/ctk", "/hook", "/cdi", "/cli"].map(str::to_owned);
        let surroundings = Surroundings { ctk, hook, cdi, cli };
        let text = text(&case, &surroundings).unwrap();
        let back: Value = toml_edit::de::from_str(&text).unwrap();
        assert_eq!(back["nvidia-ctk"]["path"], "/x");
        assert_eq!(back["nvidia-container-runtime"]["runtimes"], json!(["crun"]));
        assert_eq!(back["disable-require"], true);
    }
}
