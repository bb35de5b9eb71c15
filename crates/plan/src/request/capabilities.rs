//! `NVIDIA_DRIVER_CAPABILITIES` (reference: runtime-and-hook.md 4.7).

use host::{Capabilities, Capability};

pub(super) const VARIABLE: &str = "NVIDIA_DRIVER_CAPABILITIES";

/// What a container gets that does not say.
pub(super) const USUAL: Capabilities = Capabilities::of(&[Capability::Compute, Capability::Utility]);

/// A container asks for a capability that there is not, or that the administrator does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unsupported capabilities found in '{asked}' (allowed '{supported}'): correct NVIDIA_DRIVER_CAPABILITIES, or \
     supported-driver-capabilities in config.toml"
)]
pub struct CapabilityError {
    /// The words asked for, sorted, each once.
    pub asked: String,
    /// What may be asked for.
    pub supported: Capabilities,
}

/// The capabilities for a variable's value, bounded by what is supported. `legacy`: see
/// [`ContainerView::is_legacy_image`](super::ContainerView::is_legacy_image).
pub(super) fn parse(
    value: Option<&str>,
    legacy: bool,
    supported: Capabilities,
) -> Result<Capabilities, CapabilityError> {
    let value = match value {
        None if legacy => return Ok(supported),
        None | Some("") => return Ok(supported.intersection(USUAL)),
        Some(value) => value,
    };
    let words = || value.split(',').map(str::trim).filter(|word| !word.is_empty());
    if words().any(|word| word == "all") {
        return Ok(supported);
    }
    let allowed = |word| Capability::from_name(word).filter(|capability| supported.contains(*capability));
    words().try_fold(Capabilities::NONE, |set, word| {
        let capability = allowed(word).ok_or_else(|| CapabilityError { asked: sorted(words()), supported })?;
        Ok(set.union(Capabilities::of(&[capability])))
    })
}

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: std::collections::BTreeSet<_> = words.collect();
    words.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "compat32,compute,display,graphics,ngx,utility,video";

    #[test]
    fn the_table() {
        for (value, legacy, want) in [
            (None, false, "compute,utility"),
            (None, true, ALL),
            (Some(""), true, "compute,utility"),
            (Some(""), false, "compute,utility"),
            (Some("all"), false, ALL),
            (Some("compute,all,nonsense"), false, ALL),
            (Some(" video , compute,,video"), false, "compute,video"),
            (Some(","), false, ""),
        ] {
            let got = parse(value, legacy, Capabilities::ALL).map(|set| set.to_string());
            assert_eq!(got.as_deref(), Ok(want), "{value:?}");
        }
    }

    #[test]
    fn the_supported_set_is_a_bound() {
        let supported = Capabilities::of(&[Capability::Compute, Capability::Video]);
        assert_eq!(parse(None, false, supported), Ok(Capabilities::of(&[Capability::Compute])));
        assert_eq!(parse(Some("all"), false, supported), Ok(supported));
        let error = parse(Some("utility,compute,compute"), false, supported).expect_err("utility").to_string();
        assert!(error.starts_with("unsupported capabilities found in 'compute,utility' (allowed 'compute,video')"));
        for word in ["none", "COMPUTE", "fabric"] {
            let error = parse(Some(word), false, Capabilities::ALL).expect_err(word).to_string();
            assert!(error.contains(&format!("found in '{word}' (allowed '{ALL}')")), "{error}");
        }
    }
}
