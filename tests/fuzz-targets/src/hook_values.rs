//! Values of hooks' options: total, and what specs say in them is what hooks do.

use plan::hook_values::{links, paths};
use std::collections::HashSet;

/// Values of `--link`, `--folder` or `--path`, one a line.
pub fn hook_values(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(found) = links(text.lines()) {
        let mut seen = HashSet::new();
        for link in &found {
            assert!(seen.insert(&link.at), "two links at {}", link.at);
            assert!(!link.target.is_empty() && link.at.as_str() != "/");
            // The form of specs, which is read as it was meant unless a path itself has two colons.
            let value = format!("{}::{}", link.target, link.at);
            if value.matches("::").count() == 1 {
                assert_eq!(links([value.as_str()].into_iter()).as_deref(), Ok(&[link.clone()][..]), "{value}");
            }
        }
        assert_eq!(
            links(text.lines().chain(text.lines())).as_deref(),
            Ok(&found[..]),
            "the same again changes something"
        );
    }
    if let Ok(found) = paths(text.lines()) {
        assert!(found.len() <= text.len());
        for path in &found {
            assert_eq!(paths([path.as_str()].into_iter()).as_deref(), Ok(&[path.clone()][..]));
        }
    }
}
