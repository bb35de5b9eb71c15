//! Settings, made in any file that people write: the value is there, twice is once, and everything else is what it was.

use oci::Document;
use serde_json::{Value, json};

/// What `nvidia-ctk runtime configure` sets.
const SETTINGS: [&[&str]; 3] = [&["default-runtime"], &["features", "cdi"], &["runtimes", "nvidia", "path"]];

/// An input is a `daemon.json`.
pub fn settings(input: &[u8]) {
    let Ok(document) = Document::parse(input) else { return };
    // What follows the object is kept, and no part of what is compared.
    let Ok(before) = serde_json::from_slice::<Value>(input) else { return };
    for path in SETTINGS {
        let (mut edited, value) = (document.clone(), json!({"set": [true]}));
        if edited.set_value(path, &value).is_err() {
            assert_eq!(edited.to_bytes(), input, "what was refused was edited");
            continue;
        }
        let once = edited.to_bytes();
        let Ok(after) = serde_json::Deserializer::from_slice(&once).into_iter::<Value>().next().transpose() else {
            panic!("what we write is not JSON: {}", String::from_utf8_lossy(&once));
        };
        let mut want = before.clone();
        set(&mut want, path, &value);
        assert_eq!(after, Some(want), "{path:?}: {}", String::from_utf8_lossy(&once));
        assert!(edited.set_value(path, &value).is_ok());
        assert_eq!(edited.to_bytes(), once, "setting twice is not setting once");
    }
}

/// The same by the plainest means.
fn set(document: &mut Value, path: &[&str], value: &Value) {
    let mut place = document;
    for name in path {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[*name];
    }
    *place = value.clone();
}
