//! Descriptions of machines: total, and a machine that was described is described by its own JSON.

use host::{Described, Inventory, Wanted};
use serde_json::Value;

/// The JSON of a description.
pub fn machine(input: &[u8]) {
    if names_a_root(input) {
        return;
    }
    let Some(Ok(found)) = complete(input) else { return };
    let text = serde_json::to_vec(&found).unwrap_or_default();
    match complete(&text) {
        Some(Ok(again)) => assert_eq!(again, found),
        other => panic!("what we write is no machine: {other:?}"),
    }
    assert_eq!(found.digest().len(), 16, "a digest is sixteen digits");
}

fn complete(text: &[u8]) -> Option<Result<Inventory, String>> {
    let described: Described = serde_json::from_slice(text).ok()?;
    Some(described.complete(None, Wanted::ALL).map_err(|error| error.to_string()))
}

/// A driver root without a list of its files would be looked into, on the machine that this runs on.
fn names_a_root(text: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return true };
    let driver = &value["driver"];
    !driver["root"].is_null() && driver["files"].is_null()
}
