//! Docker's `daemon.json` (reference: cdi-and-ctk.md 1.5). nvidia-docker2 shipped the same file with just this runtime in it.

use super::Wanted;
use oci::{Document, DocumentError};
use serde_json::json;

/// The new text of the file, whose old one is `text`; a file that is not there, or is blank, has none.
///
/// Unlike the original this leaves other features and a runtime's other settings as they are, takes a blank file, and
/// changes no number.
///
/// # Errors
/// The file is no JSON object, or something in it has another type than Docker gives it.
pub fn configure(text: &[u8], wanted: &Wanted) -> Result<Vec<u8>, DocumentError> {
    let blank = text.trim_ascii().is_empty();
    let mut document = Document::parse(if blank { b"{}" } else { text })?;
    // In an empty file, in the order of the names, as the original writes it.
    if wanted.default {
        document.set_value(&["default-runtime"], &json!(wanted.name))?;
    }
    if wanted.cdi {
        document.set_value(&["features", "cdi"], &json!(true))?;
    }
    let runtime = ["runtimes", wanted.name.as_str()];
    match document.value(&runtime)?.filter(serde_json::Value::is_object) {
        Some(_) => document.set_value(&[runtime[0], runtime[1], "path"], &json!(wanted.path))?,
        None => document.set_value(&runtime, &json!({"args": [], "path": wanted.path}))?,
    }
    Ok(document.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(default: bool, cdi: bool) -> Wanted {
        Wanted { name: "nvidia".into(), path: "nvidia-container-runtime".into(), default, cdi }
    }

    fn configured(text: &str, default: bool, cdi: bool) -> String {
        let new = configure(text.as_bytes(), &wanted(default, cdi)).unwrap();
        assert_eq!(configure(&new, &wanted(default, cdi)).unwrap(), new, "twice is once");
        String::from_utf8(new).unwrap()
    }

    const NEW: &str = r#"{
    "runtimes": {
        "nvidia": {
            "args": [],
            "path": "nvidia-container-runtime"
        }
    }
}"#;

    #[test]
    fn from_nothing_it_is_the_originals_file() {
        for text in ["", " \n", "{}"] {
            assert_eq!(configured(text, false, false), NEW);
        }
        let all = NEW.replace(
            "{\n    \"runtimes\"",
            "{\n    \"default-runtime\": \"nvidia\",\n    \"features\": {\n        \"cdi\": true\n    },\n    \"runtimes\"",
        );
        assert_eq!(configured("", true, true), all);
    }

    #[test]
    fn what_is_there_stays() {
        let text = r#"{
  "registry-mirrors": ["https://mirror.example"],
  "features": { "buildkit": true },
  "max-download": 18446744073709551616,
  "runtimes": {
    "crun": { "path": "/usr/bin/crun", "runtimeArgs": ["--debug"] }
  },
  "log-driver": "journald"
}
"#;
        let want = text
            .replace("{ \"buildkit\": true }", "{ \"buildkit\": true, \"cdi\": true }")
            .replace(
                "[\"--debug\"] }\n  }",
                "[\"--debug\"] },\n    \"nvidia\": {\n      \"args\": [],\n      \"path\": \"nvidia-container-runtime\"\n    }\n  }",
            )
            .replace("\"journald\"\n", "\"journald\",\n  \"default-runtime\": \"nvidia\"\n");
        assert_eq!(configured(text, true, true), want);
    }

    #[test]
    fn a_runtime_that_is_known_keeps_its_settings() {
        let text = r#"{"runtimes":{"nvidia":{"path":"/old","runtimeArgs":["--x"]}},"default-runtime":"runc"}"#;
        let want = text.replace("/old", "nvidia-container-runtime");
        assert_eq!(configured(text, false, false), want);
        assert_eq!(configured(&want, true, false), want.replace("\"runc\"", "\"nvidia\""));
    }

    #[test]
    fn what_is_no_configuration_is_left_alone() {
        for (text, want) in [
            ("[]", "the document is an array, not an object"),
            ("{\"runtimes\":[]}", "runtimes is an array, not an object"),
            ("{\"features\":1}", "features is a number, not an object"),
        ] {
            assert_eq!(configure(text.as_bytes(), &wanted(false, true)).unwrap_err().to_string(), want);
        }
        assert!(configure(b"{", &wanted(false, false)).is_err());
    }
}
