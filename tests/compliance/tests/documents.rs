//! What the cases claim must stand in the documents: every difference they allow is an entry of `docs/differences.md`.

use compliance::{case, facts::Recorded};
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_allowed_difference_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
    let text = fs::read_to_string(path).unwrap();
    let documented: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("### ")?.split(' ').next()).collect();
    for topic in case::topics().unwrap() {
        for case in &topic.cases {
            for id in case.differs.keys().chain(case.may_differ.keys()) {
                assert!(documented.contains(id.as_str()), "{}/{} names {id}", topic.name, case.name);
            }
        }
    }
}

#[test]
fn the_originals_facts_of_every_case_are_in_the_tree() {
    for topic in case::topics().unwrap() {
        let recorded = Recorded::load(&topic.name).unwrap();
        for case in topic.cases.iter().filter(|case| case.theirs) {
            assert!(recorded.theirs(&case.name).is_some(), "{}/{} is not recorded", topic.name, case.name);
        }
    }
}
