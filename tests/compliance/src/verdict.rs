//! The verdict on one case: whether ours showed what the original showed, apart from what the case says may differ.

use crate::{case::Case, facts::Facts};
use std::collections::{BTreeMap, BTreeSet};

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every facet is the original's.
    Same,
    /// Only what these entries of `docs/differences.md` explain differs.
    Documented(Vec<String>),
    /// Something is not as it should be: one block of lines for each facet.
    Wrong(Vec<String>),
}

/// In place of a facet's name: every facet. For cases that only one of the two programs starts.
pub const ANY: &str = "*";

/// A facet's lines, where the facet was seen.
type Lines<'a> = Option<&'a Vec<String>>;

/// Compares the facts of both, `ours` with what is recorded of ours (`settled`) where they may differ.
///
/// A facet that a case lets differ and that does not differ is wrong too: the list would otherwise rot. So is one that
/// differs in another way than was recorded, since being allowed to differ is not being allowed to do anything.
pub fn judge(case: &Case, theirs: &Facts, ours: &Facts, settled: &Facts) -> Verdict {
    let required = facets_of(&case.differs);
    let named = facets_of(&case.may_differ);
    let shown = theirs.keys().chain(ours.keys()).chain(settled.keys()).map(String::as_str);
    let facets: BTreeSet<&str> = shown.chain(required.iter().copied()).chain(named).filter(|f| *f != ANY).collect();
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for facet in &facets {
        let (their, our) = (theirs.get(*facet), ours.get(*facet));
        match (may_differ(case, facet), their == our) {
            (false, true) => {}
            (false, false) => wrong.push(difference(facet, "theirs", their, "ours", our)),
            (true, true) if required.contains(facet) => {
                wrong.push(format!("{facet}: no longer differs; take it out of the case's `differs`"));
            }
            (true, true) => {}
            (true, false) if settled.get(*facet) != our => {
                wrong.push(difference(facet, "recorded", settled.get(*facet), "ours", our));
            }
            (true, false) => used.extend(entries(case, facet)),
        }
    }
    if required.contains(ANY) && theirs == ours {
        wrong.push("no longer differs; take it out of the case's `differs`".to_owned());
    }
    match (wrong.is_empty(), used.is_empty()) {
        (false, _) => Verdict::Wrong(wrong),
        (true, true) => Verdict::Same,
        (true, false) => Verdict::Documented(used.into_iter().collect()),
    }
}

fn facets_of(differs: &BTreeMap<String, Vec<String>>) -> BTreeSet<&str> {
    differs.values().flatten().map(String::as_str).collect()
}

fn may_differ(case: &Case, facet: &str) -> bool {
    !entries(case, facet).is_empty()
}

/// The entries of `docs/differences.md` that the case names for that facet.
fn entries(case: &Case, facet: &str) -> Vec<String> {
    let names = |(_, facets): &(&String, &Vec<String>)| facets.iter().any(|name| name == facet || name == ANY);
    case.differs.iter().chain(&case.may_differ).filter(names).map(|(id, _)| id.clone()).collect()
}

/// The facets of `facts` that the case lets differ: what is recorded of ours.
pub fn settled(case: &Case, facts: &Facts) -> Facts {
    facts.iter().filter(|(facet, _)| may_differ(case, facet)).map(|(f, l)| (f.clone(), l.clone())).collect()
}

/// The lines that only one side has, `-` before the first's and `+` before the second's.
fn difference(facet: &str, first: &str, left: Lines<'_>, second: &str, right: Lines<'_>) -> String {
    let (left, right) = (left.map_or(&[][..], Vec::as_slice), right.map_or(&[][..], Vec::as_slice));
    let only = |sign: char, here: &[String], there: &[String]| -> Vec<String> {
        here.iter().filter(|line| !there.contains(line)).map(|line| format!("      {sign} {line}")).collect()
    };
    let mut lines = vec![format!("{facet} (- {first}, + {second}):")];
    lines.extend(only('-', left, right));
    lines.extend(only('+', right, left));
    if lines.len() == 1 {
        lines.push(format!("      the lines agree, not their order or number or presence: {left:?} / {right:?}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn case(differs: serde_json::Value) -> Case {
        serde_json::from_value(json!({"name": "x", "differs": differs})).unwrap()
    }

    fn facts(lines: &[&str]) -> Facts {
        Facts::from([("env".to_owned(), lines.iter().map(|line| (*line).to_owned()).collect())])
    }

    #[test]
    fn judges_each_way_to_differ() {
        let (plain, excused) = (case(json!({})), case(json!({"D-1": ["env"]})));
        let none = Facts::new();
        assert_eq!(judge(&plain, &facts(&["A"]), &facts(&["A"]), &none), Verdict::Same);
        assert!(matches!(judge(&plain, &facts(&["A"]), &facts(&["B"]), &none), Verdict::Wrong(_)));
        assert!(matches!(judge(&plain, &facts(&["A"]), &none, &none), Verdict::Wrong(_)));
        let any = case(json!({"D-1": ["*"]}));
        assert_eq!(judge(&any, &facts(&["A"]), &none, &none), Verdict::Documented(vec!["D-1".into()]));
        assert!(matches!(judge(&any, &facts(&["A"]), &facts(&["A"]), &none), Verdict::Wrong(_)));
        let documented = Verdict::Documented(vec!["D-1".into()]);
        assert_eq!(judge(&excused, &facts(&["A"]), &facts(&["B"]), &facts(&["B"])), documented);
        assert!(matches!(judge(&excused, &facts(&["A"]), &facts(&["C"]), &facts(&["B"])), Verdict::Wrong(_)));
        assert!(matches!(judge(&excused, &facts(&["A"]), &facts(&["A"]), &facts(&["B"])), Verdict::Wrong(_)));
    }
}
