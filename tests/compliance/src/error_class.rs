//! Classes of errors: the two programs word theirs differently, so that only what went wrong is compared.

/// A class, our code for it, and texts of which one occurs in every message of the original's of that class (in lower
/// case).
type Class = (&'static str, &'static [&'static str], &'static [&'static str]);

/// The first class that matches is taken, so that the more telling ones stand first.
const CLASSES: [Class; 16] = [
    ("hook-refused", &[], &["invoking the nvidia container runtime hook directly"]),
    ("requirement-unmet", &["e034"], &["unsatisfied condition", "requirements not met", "not met"]),
    ("requirement-malformed", &["e033"], &["invalid constraint", "invalid version string"]),
    ("request-invalid", &["e036"], &["is not supported when requesting other cdi devices", "invalid channel id"]),
    ("node-missing", &["e048"], &["failed to stat cdi host device"]),
    (
        "unknown-device",
        &["e030", "e037"],
        &[
            "is not a valid uuid or index",
            "unsupported device id",
            "unresolvable cdi",
            "unknown device",
            "imex channel",
            "invalid argument",
            "error_invalid",
            "failed to get device",
            "error_not_found",
        ],
    ),
    ("capability", &["e032"], &["unsupported capabilities"]),
    (
        "no-driver",
        &["e040", "e042"],
        &["error_library_not_found", "failed to get driver version", "error_driver_not_loaded"],
    ),
    ("nvml", &["e043", "e044", "e045"], &["failed to initialize nvml", "sigsegv"]),
    ("environment-entry", &[], &["invalid environment variable"]),
    ("mode", &["e020"], &["invalid mode", "a mode must be specified"]),
    ("config", &["e001", "e002"], &["error loading config"]),
    ("no-runtime", &["e060"], &["no runtime binary found", "at least one runtime candidate"]),
    ("spec-unreadable", &["e011", "e012"], &["error reading oci specification", "failed to load oci spec"]),
    ("privilege", &["e035"], &["in non privileged container"]),
    ("not-yet", &["e021"], &[]),
];

/// The class of a message; `None` when there is no message, `other` when none matches.
pub fn of(stderr: &str) -> Option<&'static str> {
    let text = stderr.to_lowercase();
    if text.trim().is_empty() {
        return None;
    }
    let coded = |code: &&str| text.contains(&format!("corten-{code}"));
    let ours = CLASSES.iter().find(|class| class.1.iter().any(coded));
    let theirs = || CLASSES.iter().find(|class| class.2.iter().any(|part| text.contains(part)));
    Some(ours.or_else(theirs).map_or("other", |class| class.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_from_the_message() {
        assert_eq!(of(""), None);
        assert_eq!(of("panic: slice bounds out of range"), Some("other"));
        assert_eq!(of("… identifier is not a valid UUID or index: \"9\""), Some("unknown-device"));
        assert_eq!(of("nvidia-container-runtime: GPU 9: no such device [CORTEN-E030]"), Some("unknown-device"));
        assert_eq!(of("requirements not met: unsatisfied condition: cuda>=13.0"), Some("requirement-unmet"));
    }
}
