//! Facts: what one case showed, and how the facts of a topic are kept in a file that people can read in a diff.
//!
//! Most cases of a topic show the same files and links. A file of facts therefore says once what most of its cases
//! agree on (`usual`), and for each case only what departs from that.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// What one case showed: facet (`devices`, `env`, …) and its lines. A facet without lines is present and empty.
pub type Facts = BTreeMap<String, Vec<String>>;

/// `facts/TOPIC.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// For each facet the lines that most cases with a container have.
    pub usual: Facts,
    /// The original's facts, by case that started a container, where they are not the usual ones.
    pub theirs: BTreeMap<String, Facts>,
    /// The original's facts, by case that it refused: all of them.
    pub refused: BTreeMap<String, Facts>,
    /// Ours, by case, where `docs/differences.md` says that they are not the original's, and not the usual ones either.
    pub ours: BTreeMap<String, Facts>,
}

/// A file of facts that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The operating system refuses.
    #[error("cannot read or write {0}: {1}")]
    Io(PathBuf, io::Error),
    /// Not JSON of this form.
    #[error("{0} is not a file of facts: {1}")]
    Parse(PathBuf, serde_json::Error),
}

impl Recorded {
    /// The original's facts of every case, in the shortest form.
    pub fn of(all: &BTreeMap<String, Facts>) -> Recorded {
        let (started, refused): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.iter().map(|(case, facts)| (case.clone(), facts.clone())).partition(|(_, facts)| started(facts));
        let usual = usual(&started);
        let theirs = started.iter().map(|(case, facts)| (case.clone(), departing(facts, &usual))).collect();
        Recorded { usual, theirs, refused, ours: BTreeMap::new() }
    }

    /// The original's facts of one case; `None` when it was never recorded.
    pub fn theirs(&self, case: &str) -> Option<Facts> {
        let departing = match self.refused.get(case) {
            Some(facts) => return Some(facts.clone()),
            None => self.theirs.get(case)?,
        };
        let mut facts = self.usual.clone();
        facts.extend(departing.clone());
        Some(facts)
    }

    /// What is recorded of ours for one case: facts that may differ from the original's.
    pub fn ours(&self, case: &str) -> Facts {
        let own = self.ours.get(case).cloned().unwrap_or_default();
        if refused(&own) {
            return own;
        }
        let mut facts = self.usual.clone();
        facts.extend(own);
        facts
    }

    /// Records ours for one case; what is usual need not be said.
    pub fn settle(&mut self, case: &str, facts: Facts) {
        let kept = if refused(&facts) { facts } else { departing(&facts, &self.usual) };
        if kept.is_empty() {
            self.ours.remove(case);
        } else {
            self.ours.insert(case.to_owned(), kept);
        }
    }

    /// What is recorded for that topic; nothing when there is no file.
    ///
    /// # Errors
    /// A file that is there and cannot be used.
    pub fn load(topic: &str) -> Result<Recorded, FactsError> {
        let path = file(topic);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| FactsError::Parse(path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Recorded::default()),
            Err(error) => Err(FactsError::Io(path, error)),
        }
    }

    /// Writes the file of that topic.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn save(&self, topic: &str) -> Result<(), FactsError> {
        let path = file(topic);
        let mut text = serde_json::to_string_pretty(self).map_err(|error| FactsError::Parse(path.clone(), error))?;
        text.push('\n');
        fs::write(&path, text).map_err(|error| FactsError::Io(path, error))
    }
}

fn file(topic: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("facts").join(format!("{topic}.json"))
}

/// A container ran and said what it sees.
pub fn started(facts: &Facts) -> bool {
    facts.contains_key("devices")
}

/// A call failed.
fn refused(facts: &Facts) -> bool {
    facts.get("exit").is_some_and(|calls| calls.iter().any(|call| !call.ends_with(" 0")))
}

/// For each facet the lines that the greatest number of cases have; among equals, the first in order.
fn usual(all: &BTreeMap<String, Facts>) -> Facts {
    let mut counts: BTreeMap<&str, BTreeMap<&[String], usize>> = BTreeMap::new();
    for (facet, lines) in all.values().flatten() {
        *counts.entry(facet).or_default().entry(lines).or_default() += 1;
    }
    let most = |lines: BTreeMap<&[String], usize>| {
        let best = lines.values().copied().max().unwrap_or(0);
        lines.into_iter().find(|(_, count)| *count == best).map(|(lines, _)| lines.to_vec()).unwrap_or_default()
    };
    counts.into_iter().map(|(facet, lines)| (facet.to_owned(), most(lines))).collect()
}

fn departing(facts: &Facts, usual: &Facts) -> Facts {
    let own = |facet: &String, lines: &Vec<String>| usual.get(facet) != Some(lines);
    facts.iter().filter(|(facet, lines)| own(facet, lines)).map(|(f, l)| (f.clone(), l.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pairs: &[(&str, &[&str])]) -> Facts {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        pairs.iter().map(|(facet, text)| ((*facet).to_owned(), lines(text))).collect()
    }

    #[test]
    fn what_is_kept_gives_back_what_was_seen() {
        let all = BTreeMap::from([
            ("a".to_owned(), facts(&[("devices", &["0"]), ("env", &["X=1"])])),
            ("b".to_owned(), facts(&[("devices", &["0"]), ("env", &[])])),
            ("c".to_owned(), facts(&[("devices", &[]), ("env", &["X=1"])])),
            ("d".to_owned(), facts(&[("exit", &["create 1"])])),
        ]);
        let recorded = Recorded::of(&all);
        assert_eq!(recorded.usual, all["a"]);
        assert!(recorded.theirs["a"].is_empty());
        for (case, facts) in &all {
            assert_eq!(recorded.theirs(case).as_ref(), Some(facts));
        }
        assert_eq!(recorded.theirs("unknown"), None);

        let mut recorded = recorded;
        let (other, refusal) = (facts(&[("devices", &["0"]), ("env", &["Y"])]), facts(&[("exit", &["create 1"])]));
        recorded.settle("a", other.clone());
        recorded.settle("b", refusal.clone());
        assert_eq!(recorded.ours["a"], facts(&[("env", &["Y"])]));
        assert_eq!((recorded.ours("a"), recorded.ours("b")), (other, refusal));
    }
}
