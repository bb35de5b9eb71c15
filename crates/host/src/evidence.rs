//! What a look at a tree of files rests on, so that its result can be believed again as long as that has not changed.
//!
//! Every name that is looked up and every folder and file that is read is noted, before it is looked at, with its
//! identity. What is found is a function of these, so while each of them is as noted, looking again would find the same.
//! A folder that was only passed through may gain and lose names that nobody asked for; one that was listed may not.

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

/// How old a change must be for times to tell it from a later one. File systems note times in steps, of 4 ms mostly and
/// of 2 s at worst (FAT).
const STEP_NS: i64 = 2_000_000_000;

/// What was noted. Made by [`Notes`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// Nothing lay there.
    absent: Vec<String>,
    /// Folders passed through: device and inode.
    passed: Vec<(String, u64, u64)>,
    /// Everything else.
    things: Vec<(String, Identity)>,
}

impl Evidence {
    /// All of it is still so.
    pub(crate) fn holds(&self) -> bool {
        let passed = |(place, dev, ino): &(String, u64, u64)| {
            look(place).is_some_and(|stat| is_folder(&stat) && stat.st_dev == *dev && stat.st_ino == *ino)
        };
        let same = |(place, then): &(String, Identity)| look(place).is_some_and(|now| Identity::of(&now) == *then);
        self.things.iter().all(same)
            && self.passed.iter().all(passed)
            && self.absent.iter().all(|it| look(it).is_none())
    }
}

/// Device, inode, size, and times of the last modification and the last change of status in nanoseconds since 1970.
/// The kernel sets the last one at every change, a replacement's too, and no program can choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity(u64, u64, i64, i64, i64);

impl Identity {
    /// The identity of the program that runs.
    pub(crate) fn of_this_program() -> Option<Self> {
        Some(Self::of(&statat(CWD, "/proc/self/exe", AtFlags::empty()).ok()?))
    }

    fn of(stat: &Stat) -> Self {
        Identity(stat.st_dev, stat.st_ino, stat.st_size, modified(stat), changed(stat))
    }
}

/// So many names that are absent from one folder are not noted, but that the folder is the same: most are programs that
/// lie in none but the last folder of the search path. Few names are not worth it, as other names may come and go there.
const MANY: usize = 8;

/// Collects evidence during one look.
#[derive(Debug)]
pub(crate) struct Notes {
    started: i64,
    seen: HashMap<String, Seen>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    Absent,
    Passed(Stat),
    Thing(Stat),
}

impl Notes {
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Notes { started: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX), seen: HashMap::new() }
    }

    /// Notes what lies at `place` (empty for `/`), as something that is about to be looked at.
    pub(crate) fn pass(&mut self, place: &str) {
        if !self.seen.contains_key(place) {
            self.seen.insert(place.to_owned(), seen(place));
        }
    }

    /// Notes the folder or file at `place`, as one that is about to be read.
    pub(crate) fn read(&mut self, place: &str) {
        let now = match seen(place) {
            Seen::Passed(stat) => Seen::Thing(stat),
            other => other,
        };
        self.seen.insert(place.to_owned(), now);
    }

    /// What was noted; `None` when something changed so shortly before that another change might not show.
    pub(crate) fn evidence(mut self) -> Option<Evidence> {
        self.fold_absent();
        let mut evidence = Evidence::default();
        for (place, &seen) in &self.seen {
            let place = place.clone();
            match seen {
                Seen::Absent => evidence.absent.push(place),
                Seen::Passed(stat) => evidence.passed.push((place, stat.st_dev, stat.st_ino)),
                Seen::Thing(stat) if self.is_fresh(&stat) => return None,
                Seen::Thing(stat) => evidence.things.push((place, Identity::of(&stat))),
            }
        }
        Some(evidence)
    }

    fn fold_absent(&mut self) {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (place, _) in self.seen.iter().filter(|(_, seen)| matches!(seen, Seen::Absent)) {
            *counts.entry(folder_of(place).to_owned()).or_default() += 1;
        }
        counts.retain(|folder, count| *count >= MANY && self.keeps_its_names(folder));
        self.seen.retain(|place, seen| !matches!(seen, Seen::Absent) || !counts.contains_key(folder_of(place)));
        for folder in counts.into_keys() {
            self.seen.entry(folder).and_modify(|seen| {
                if let Seen::Passed(stat) = *seen {
                    *seen = Seen::Thing(stat);
                }
            });
        }
    }

    /// The folder was noted before any name in it, and has not changed shortly before.
    fn keeps_its_names(&self, folder: &str) -> bool {
        match self.seen.get(folder) {
            Some(Seen::Passed(stat) | Seen::Thing(stat)) => is_folder(stat) && !self.is_fresh(stat),
            _ => false,
        }
    }

    /// Changed so shortly before that another change might not show.
    fn is_fresh(&self, stat: &Stat) -> bool {
        modified(stat).max(changed(stat)) >= self.started - STEP_NS
    }
}

fn folder_of(place: &str) -> &str {
    place.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn seen(place: &str) -> Seen {
    match look(place) {
        None => Seen::Absent,
        Some(stat) if is_folder(&stat) => Seen::Passed(stat),
        Some(stat) => Seen::Thing(stat),
    }
}

fn look(place: &str) -> Option<Stat> {
    statat(CWD, if place.is_empty() { "/" } else { place }, AtFlags::SYMLINK_NOFOLLOW).ok()
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn modified(stat: &Stat) -> i64 {
    nanoseconds(stat.st_mtime, stat.st_mtime_nsec)
}

fn changed(stat: &Stat) -> i64 {
    nanoseconds(stat.st_ctime, stat.st_ctime_nsec)
}

/// Saturates in the year 2262.
fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add_unsigned(rest)
}
