//! The state that a low-level runtime gives to a hook: total, and what follows the object does not count.

use oci::State;
use serde_json::json;

/// The bytes of a state.
pub fn state(input: &[u8]) {
    let state = State::parse(input);
    assert_eq!(State::read(input).ok(), state.as_ref().ok().cloned());
    let Ok(state) = state else { return };
    let text = json!({
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": state.pid,
        "bundle": state.bundle,
        "root": state.root,
        "annotations": {"pid": "0", "bundle": "/elsewhere"},
    });
    let text = format!(" \n{text} rest");
    match State::parse(text.as_bytes()) {
        Ok(again) => {
            // Of two members the one that says something counts, so an empty text may stand for an absent one.
            let plain = |bundle: &Option<String>| bundle.clone().filter(|bundle| !bundle.is_empty());
            assert_eq!(plain(&again.bundle), plain(&state.bundle));
            assert_eq!(State { bundle: None, ..again }, State { bundle: None, ..state });
        }
        Err(error) => panic!("what was a state is none: {error}\n{text}"),
    }
}
