//! Moving roots: total, and once is enough.

use crate::parts;
use cdi::{Format, RelativeTo, Spec};

/// An input of three parts: the old root, the new root, a spec.
pub fn transform(input: &[u8]) {
    let (from, rest) = parts(input);
    let (to, spec) = parts(rest);
    let (Ok(from), Ok(to)) = (std::str::from_utf8(from), std::str::from_utf8(to)) else { return };
    let Ok(given) = Spec::parse(spec) else { return };
    for side in [RelativeTo::Host, RelativeTo::Container] {
        let mut same = given.clone();
        same.transform_root(from, from, side);
        assert_eq!(same, given, "the same root twice changes something");
        let mut once = given.clone();
        once.transform_root(from, to, side);
        assert_eq!(shape(&once), shape(&given), "only paths may change");
        let mut twice = once.clone();
        twice.transform_root(from, to, side);
        if !is_below(to, from) {
            assert_eq!(twice.to_text(Format::Json), once.to_text(Format::Json), "twice is not once");
        }
        // Moving roots breaks no rule of CDI; only the version may have become too low.
        once.cdi_version = once.minimum_version().to_owned();
        let mut valid = given.clone();
        valid.cdi_version = valid.minimum_version().to_owned();
        if valid.validate().is_ok() {
            assert_eq!(once.validate(), Ok(()));
        }
    }
}

/// How much there is of everything that has a path.
fn shape(spec: &Spec) -> Vec<(usize, usize, usize, usize)> {
    let edits = spec.all_edits().map(|edits| {
        let arguments = edits.hooks.iter().map(|hook| hook.args.len()).sum();
        (edits.device_nodes.len(), edits.mounts.len(), edits.hooks.len(), arguments)
    });
    edits.collect()
}

/// Whether a new root could itself have an old one in front, so that moving again moves further.
fn is_below(to: &str, from: &str) -> bool {
    let clean = |path: &str| oci::HostPath::new(format!("/{path}")).map(|path| path.to_string()).unwrap_or_default();
    let (to, from) = (clean(to), clean(from));
    from == "/" || to == from || to.starts_with(&format!("{from}/"))
}
