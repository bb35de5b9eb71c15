//! Edits, applied to any document: total, the same twice as once, and what they do not concern stays byte for byte.

use crate::parts;
use cdi::{HostNode, Spec, apply_with};
use oci::Document;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An input of two parts: a `config.json`, a spec whose edits are all applied to it.
pub fn edits(input: &[u8]) {
    let (document, spec) = parts(input);
    let (Ok(mut edited), Ok(spec)) = (Document::parse(document), Spec::parse(spec)) else { return };
    let unedited = edited.to_bytes();
    assert!(!edited.is_changed());
    assert_eq!(unedited, document, "a document that nobody touched is another one");
    if apply_all(&spec, &mut edited).is_err() {
        return;
    }
    let once = edited.to_bytes();
    assert_eq!(edited.is_changed(), once != document);
    untouched(document, &once);
    let mut again = match Document::parse(&once) {
        Ok(document) => document,
        Err(error) => panic!("what we write is no document: {error}\n{}", String::from_utf8_lossy(&once)),
    };
    assert!(apply_all(&spec, &mut again).is_ok(), "what could be applied once cannot be applied again");
    assert_eq!(
        String::from_utf8_lossy(&again.to_bytes()),
        String::from_utf8_lossy(&once),
        "applying twice is not applying once"
    );
}

fn apply_all(spec: &Spec, document: &mut Document) -> Result<(), cdi::ApplyError> {
    let lookup = |_: &str| Ok(HostNode { kind: 'c', major: 195, minor: 7, file_mode: 0o666 });
    spec.all_edits().try_for_each(|edits| apply_with(edits.clone(), document, Some(&lookup)))
}

/// What each object that edits reach into must keep.
const KEPT: [(&[&str], &[&str]); 3] = [
    (&[], &["process", "mounts", "hooks", "linux"]),
    (&["process"], &["env", "user"]),
    (&["linux"], &["devices", "resources", "netDevices", "intelRdt"]),
];

fn untouched(before: &[u8], after: &[u8]) {
    for (path, edited) in KEPT {
        let (Some(before), Some(after)) = (members(before, path), members(after, path)) else { continue };
        // A member whose name differs in case alone answers to it too, where none has the very name (`oci::tree`, `choose`).
        let reached = |name: &str| edited.iter().any(|edited| edited.eq_ignore_ascii_case(name));
        for (name, value) in before.iter().filter(|(name, _)| !reached(name)) {
            let found = after.get(name).map(|value| value.get());
            assert_eq!(found, Some(value.get()), "{name} in {path:?} was not to be touched");
        }
        let new = after.keys().find(|name| !before.contains_key(*name) && !reached(name));
        assert_eq!(new, None, "a member that nobody asked for in {path:?}");
    }
}

fn members<'a>(text: &'a [u8], path: &[&str]) -> Option<BTreeMap<String, &'a RawValue>> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(text).ok()?;
    for name in path {
        members = serde_json::from_str(members.get(*name)?.get()).ok()?;
    }
    Some(members)
}
