//! The error for names that no CDI spec has: everything that one needs to see why, in one line.
//!
//! The original says which names, and leaves the reasons to a log that nobody keeps (Q27).

use crate::{codes::Code, fault::Fault};
use cdi::{Registry, Unused};
use std::fmt::Write as _;

/// How many files and names are listed before the rest is only counted.
const LISTED: usize = 6;
/// Names may come from an image, which may make them long.
const LONG: usize = 80;

/// Where the names were looked for, and what was seen there.
#[derive(Debug, Default)]
pub struct Searched {
    /// The spec folders.
    pub folders: Vec<String>,
    /// Specs that could not be used: file and reason.
    pub failed: Vec<String>,
    /// Those of the names that several files of one folder describe: name and files.
    pub conflicts: Vec<String>,
    /// One of those specs was right once, and something keeps it from being made again.
    pub out_of_date: bool,
    /// Every name that could have been asked for.
    pub known: Vec<String>,
}

impl Searched {
    /// What `registry` has to say about `missing`.
    pub fn of(registry: &Registry, missing: &[String]) -> Searched {
        let conflicts = registry.conflicts().filter(|conflict| missing.contains(&conflict.name.to_string()));
        Searched {
            folders: registry.folders().iter().map(|folder| folder.display().to_string()).collect(),
            failed: registry.failures().iter().map(ToString::to_string).collect(),
            conflicts: conflicts.map(|conflict| conflict.to_string()).collect(),
            out_of_date: registry.failures().iter().any(|failure| matches!(failure.reason, Unused::OutOfDate(_))),
            known: registry.names().map(ToString::to_string).collect(),
        }
    }

    /// The fault for `names`, of which there is at least one.
    pub fn fault(&self, names: &[String]) -> Fault {
        let mut message = format!("unresolvable CDI devices {}", list(names));
        // Writing to a String cannot fail.
        let _ = write!(message, ": searched {}", folders(&self.folders));
        for (what, lines) in [("not used", &self.failed), ("in conflict", &self.conflicts)] {
            if !lines.is_empty() {
                let _ = write!(message, "; {what}: {}", list(lines));
            }
        }
        match nearest(names, &self.known)[..] {
            [] => message.push_str("; the specs describe no device"),
            ref near => drop(write!(message, "; nearest: {}", near.join(", "))),
        }
        let fault = Fault::new(Code::CdiUnresolved, message).within(super::STAGE);
        if self.out_of_date {
            return fault.next("Mend what keeps the spec from being made again: `nvidia-ctk cdi generate` says what it is, and when it is gone");
        }
        match (self.conflicts.is_empty(), self.failed.is_empty()) {
            (false, _) => fault.next("Remove all but one of the files that describe the same device"),
            (_, false) => {
                fault.next("Correct or remove the file that is not used; `nvidia-ctk cdi list` shows what counts")
            }
            _ => fault,
        }
    }
}

fn folders(folders: &[String]) -> String {
    if folders.is_empty() { "no folder (spec-dirs is empty)".to_owned() } else { folders.join(", ") }
}

/// The first few, each cut to a readable length, and how many more there are.
fn list(items: &[String]) -> String {
    let short = |item: &String| match item.char_indices().nth(LONG * 3) {
        Some((end, _)) => format!("{}…", &item[..end]),
        None => item.clone(),
    };
    let shown: Vec<_> = items.iter().take(LISTED).map(short).collect();
    let more = items.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}

/// The known names that look most like the first few of `names`, the likeliest first.
fn nearest(names: &[String], known: &[String]) -> Vec<String> {
    let short = |text: &str| text.chars().take(LONG).collect::<Vec<_>>();
    let wanted: Vec<_> = names.iter().take(LISTED).map(|name| short(name)).collect();
    let far = |name: &str| wanted.iter().map(|wanted| distance(wanted, &short(name))).min().unwrap_or(usize::MAX);
    let mut ranked: Vec<(usize, &String)> = known.iter().map(|name| (far(name), name)).collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(LISTED).map(|(_, name)| name.clone()).collect()
}

/// How many characters must be inserted, removed or replaced to make one of the other (Levenshtein's distance).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn says_where_what_and_what_next() {
        let searched = Searched {
            folders: texts(&["/etc/cdi", "/var/run/cdi"]),
            failed: texts(&["/etc/cdi/x.yaml: line 3: surprise is no field"]),
            conflicts: Vec::new(),
            out_of_date: false,
            known: texts(&["vendor.com/net=eth0", "nvidia.com/gpu=0", "nvidia.com/gpu=all"]),
        };
        assert_eq!(
            searched.fault(&texts(&["nvidia.com/gpu=7"])).to_string(),
            "error modifying OCI spec: failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=7: searched \
             /etc/cdi, /var/run/cdi; not used: /etc/cdi/x.yaml: line 3: surprise is no field; nearest: nvidia.com/gpu=0, \
             nvidia.com/gpu=all, vendor.com/net=eth0. Correct or remove the file that is not used; `nvidia-ctk cdi list` \
             shows what counts [CORTEN-E037]"
        );
        let nothing = Searched::default().fault(&texts(&["a/b=c", "a/b=d"])).to_string();
        assert!(nothing.contains("unresolvable CDI devices a/b=c, a/b=d: searched no folder"), "{nothing}");
        assert!(nothing.contains("the specs describe no device. `nvidia-ctk cdi list`"), "{nothing}");
    }

    #[test]
    fn what_an_image_makes_long_is_cut() {
        let names: Vec<String> = (0..1000).map(|i| format!("nvidia.com/gpu={i}{}", "x".repeat(100_000))).collect();
        let text = Searched::default().fault(&names).to_string();
        assert!(text.len() < 4000, "{}", text.len());
        assert!(text.contains("… and 994 more: "), "{text}");
    }

    #[test]
    fn distances() {
        for (left, right, want) in [("", "", 0), ("", "abc", 3), ("gpu=0", "gpu=7", 1), ("kitten", "sitting", 3)] {
            let (left, right): (Vec<_>, Vec<_>) = (left.chars().collect(), right.chars().collect());
            assert_eq!(distance(&left, &right), want);
            assert_eq!(distance(&right, &left), want);
        }
    }
}
