//! Whether a spec is valid, and whether it is any good: every rule of CDI that a text breaks, and a lint of what is allowed
//! and goes wrong all the same. Nothing here looks at the machine; a [`Host`] is asked.
//!
//! Names of findings are stable, since people filter by them, and stand in one table (`catalogue.rs`).

mod against_host;
mod between_files;
mod catalogue;
mod content;
mod lines;
mod versions;

use crate::apply::HostNode;
use crate::place::Place;
use crate::read::{ReadError, read_regular};
use crate::spec::Spec;
use crate::validate::{InvalidDevice, InvalidEdits, InvalidSpec};
pub use between_files::same_names;
pub use catalogue::FINDINGS;
use lines::Lines;
use std::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No engine takes the spec.
    Error,
    /// Engines take it, and containers may fail or be unsafe.
    Warning,
}

/// Something to be said about a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, as a word that does not change.
    pub name: &'static str,
    /// What is wrong, for people.
    pub text: String,
    /// Where in the spec, if it is about one place of it.
    pub place: Option<Place>,
    /// The line of that place, counted from 1, where it could be told.
    pub line: Option<usize>,
}

/// All that is to be said about one file.
#[derive(Debug, Default)]
pub struct Report {
    /// The spec, if the text has the form of one; it may break rules all the same.
    pub spec: Option<Spec>,
    /// In the order of lines.
    pub findings: Vec<Finding>,
    lines: Lines,
}

/// What lies at a path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A regular file, or a link that leads to one.
    File {
        /// Somebody may execute it.
        executable: bool,
    },
    /// A device node or FIFO itself; to engines a link to one is none.
    Node(HostNode),
    /// Something else that exists: a folder, a socket, a link to a node.
    Other,
}

/// The machine that a spec is for.
pub trait Host {
    /// What lies at a path; `None` if nothing does, or a link leads nowhere.
    fn look(&self, path: &str) -> Option<Seen>;
    /// The version of the loaded NVIDIA kernel module.
    fn driver_version(&self) -> Option<&str>;
}

impl Finding {
    pub(crate) fn warning(name: &'static str, place: Place, text: String) -> Finding {
        Finding { severity: Severity::Warning, name, text, place: Some(place), line: None }
    }

    /// A finding about a file or folder as a whole.
    pub fn of_file(severity: Severity, name: &'static str, text: String) -> Finding {
        Finding { severity, name, text, place: None, line: None }
    }
}

impl Report {
    /// Looks at a file.
    pub fn of_file(path: &Path, host: &dyn Host) -> Report {
        match read_regular(path) {
            Ok(bytes) => Report::of_bytes(&bytes, host),
            Err(error) => Report { findings: vec![unreadable(&error, None)], ..Report::default() },
        }
    }

    /// Looks at the text of a spec.
    pub fn of_bytes(bytes: &[u8], host: &dyn Host) -> Report {
        let lines = std::str::from_utf8(bytes).map(Lines::of).unwrap_or_default();
        let (spec, findings) = match Spec::parse_strictly(bytes) {
            Err(problems) => (None, problems.iter().map(|problem| unreadable(problem, Some(&lines))).collect()),
            Ok(spec) => {
                let mut findings: Vec<Finding> =
                    spec.broken_rules().map(|(place, rule)| broken(&rule, place)).collect();
                findings.extend(versions::newer_fields(&spec, &lines));
                findings.extend(content::findings(&spec));
                findings.extend(against_host::findings(&spec, host));
                (Some(spec), findings)
            }
        };
        let mut report = Report { spec, findings: Vec::new(), lines };
        report.add(findings);
        report
    }

    /// Adds findings, each with the line of its place.
    pub fn add(&mut self, findings: Vec<Finding>) {
        for mut finding in findings {
            debug_assert!(catalogue::has(finding.name, finding.severity), "{} is not in the table", finding.name);
            let place = finding.place.as_ref();
            finding.line = finding.line.or_else(|| place.and_then(|place| self.lines.line(place)));
            self.findings.push(finding);
        }
        self.findings.sort_by_key(|finding| finding.line);
    }
}

/// Why there is no spec to look at.
fn unreadable(error: &ReadError, lines: Option<&Lines>) -> Finding {
    let (name, place, line) = match error {
        ReadError::Io(_) | ReadError::NotRegular | ReadError::TooLarge => ("unreadable", None, None),
        ReadError::UnknownField { at, .. } => ("unknown-field", Some(at), None),
        ReadError::SameField { at, .. } => ("duplicate-field", Some(at), None),
        ReadError::WrongType { at, .. } => ("wrong-type", Some(at), None),
        ReadError::DuplicateKey { line, .. } => ("duplicate-field", None, Some(*line)),
        ReadError::BadName { line, .. } | ReadError::BadMerge { line, .. } | ReadError::BadTag { line, .. } => {
            ("wrong-type", None, Some(*line))
        }
        ReadError::BadAlias { line } | ReadError::Syntax { line, .. } => ("syntax", None, Some(*line)),
        ReadError::Invalid(_) | ReadError::Form(_) => ("invalid", None, None),
        ReadError::NotUtf8 { .. } | ReadError::TooDeep(_) | ReadError::TooMany(_) | ReadError::Empty => {
            ("syntax", None, None)
        }
    };
    // The line of the member itself, not of the map that it does not belong to.
    let at_name = |lines: &Lines| match error {
        ReadError::UnknownField { name, at } => lines.line_of_member(at, name),
        ReadError::SameField { field, at } => lines.line_of_member(at, field),
        _ => place.and_then(|place| lines.line(place)),
    };
    let line = line.or_else(|| lines.and_then(at_name));
    let text = error.to_string();
    Finding { severity: Severity::Error, name, text, place: place.cloned(), line }
}

fn broken(rule: &InvalidSpec, place: Place) -> Finding {
    let name = match rule {
        InvalidSpec::UnknownVersion { .. } => "unknown-version",
        InvalidSpec::VersionTooOld { .. } => "version-too-old",
        InvalidSpec::Kind(_) => "bad-name",
        InvalidSpec::NoDevices => "no-devices",
        InvalidSpec::DuplicateDevice { .. } => "duplicate-device",
        InvalidSpec::Device { reason: InvalidDevice::Name(_), .. } => "bad-name",
        InvalidSpec::Device { reason: InvalidDevice::Empty, .. } => "empty-device",
        InvalidSpec::Device { reason: InvalidDevice::Edits(edits), .. } | InvalidSpec::Edits(edits) => name_of(edits),
    };
    Finding {
        severity: Severity::Error,
        name,
        text: format!("is an invalid CDI Spec: {rule}"),
        place: Some(place),
        line: None,
    }
}

fn name_of(rule: &InvalidEdits) -> &'static str {
    match rule {
        InvalidEdits::Variable { .. } => "bad-variable",
        InvalidEdits::NodePath | InvalidEdits::NodeType { .. } | InvalidEdits::Permissions { .. } => "bad-device-node",
        InvalidEdits::NetDevice { .. } | InvalidEdits::DuplicateNetDevice { .. } => "bad-net-device",
        InvalidEdits::HookName { .. } | InvalidEdits::HookPath { .. } => "bad-hook",
        InvalidEdits::MountPath { .. } => "bad-mount",
        InvalidEdits::ClosId { .. } => "bad-clos-id",
    }
}

#[cfg(test)]
mod tests;
