//! The names of findings, in one table; docs/cdi-validate.md is it, for people.

use super::Severity::{self, Error, Warning};

/// Name, how bad it is, and what it means.
pub const FINDINGS: &[(&str, Severity, &str)] = &[
    ("unreadable", Error, "the file cannot be read, is no regular file, or is too large"),
    (
        "syntax",
        Error,
        "the file is neither JSON nor YAML, is empty, is nested too deep, or its aliases grow beyond bounds",
    ),
    ("unknown-field", Error, "a field that CDI does not have"),
    ("duplicate-field", Error, "a field twice in one map, perhaps in different case"),
    ("wrong-type", Error, "a value of another type than the field's"),
    ("invalid", Error, "the form of a spec is broken in another way"),
    ("unknown-version", Error, "a version of CDI that nobody released"),
    ("version-too-old", Error, "the content needs a newer version than the spec names"),
    ("bad-name", Error, "a vendor, class or device name with characters that it may not have"),
    ("no-devices", Error, "no devices"),
    ("duplicate-device", Error, "two devices of one name in the file"),
    ("empty-device", Error, "a device that does nothing"),
    ("bad-variable", Error, "a variable that is not NAME=value"),
    ("bad-device-node", Error, "a device node without a path, or with a type or permissions that there are not"),
    ("bad-net-device", Error, "a network device without a name, or two with the same"),
    ("bad-hook", Error, "a hook without a program, or for a list that the OCI does not have"),
    ("bad-mount", Error, "a mount without a source or destination"),
    ("bad-clos-id", Error, "a class of service that cannot be a folder's name"),
    ("hook-without-env", Warning, "a hook that runs with the image's environment (CVE-2025-23266)"),
    ("hook-missing", Warning, "the program of a hook does not exist, or is not named by an absolute path"),
    ("hook-not-executable", Warning, "the program of a hook is not an executable file"),
    ("mount-source-missing", Warning, "the source of a mount does not exist"),
    ("shadowed-mount", Warning, "a mount hides one that comes before it"),
    ("device-missing", Warning, "a device node does not exist, and the spec does not say its type and numbers"),
    ("device-changed", Warning, "a device node has another type or other numbers than the spec says"),
    ("net-device-missing", Warning, "a network interface does not exist"),
    ("newer-field", Warning, "a field that the version which the spec names does not have, even where it is empty"),
    ("several-driver-versions", Warning, "libraries of more than one version of NVIDIA's driver"),
    ("other-driver-version", Warning, "libraries of another version than the loaded kernel module's"),
    ("conflicting-device", Warning, "a device that another file of the folder describes too, so that nobody gets it"),
    ("file-not-read", Warning, "a file whose name engines do not look at, such as *.yml"),
    ("writable-by-others", Warning, "a file or folder that its group or everybody may write"),
];

/// Whether the table has a finding of that name, and it is that bad.
pub(super) fn has(name: &str, severity: Severity) -> bool {
    FINDINGS.iter().any(|(own, own_severity, _)| *own == name && *own_severity == severity)
}
