//! Grants in a group of the `devices` hierarchy of cgroups version 1 (the kernel's `cgroup-v1/devices.rst`).

use super::{
    CgroupError, Step,
    rule::{Access, Kind, Rule},
};
use oci::HostPath;
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, fstatfs, open, openat},
    io::{Errno, write},
};
use std::{fs::File, io::Read};

/// `CGROUP_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP: i64 = 0x0027_e0eb;
/// A list has a line of about twenty bytes for each rule.
const LONGEST_LIST: u64 = 1 << 20;

/// Rules that were added, with just the access that was missing.
#[derive(Debug)]
pub(super) struct Change {
    group: OwnedFd,
    path: HostPath,
    added: Vec<Rule>,
}

/// What a group allows.
enum List {
    /// Everything, or everything but what it does not tell.
    Everything,
    /// These lines.
    Lines(Vec<Line>),
}

/// A line of `devices.list`; `None` stands for `*`.
struct Line {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
}

/// Adds those rules that the group does not have. Each write is one rule, as the kernel wants it.
pub(super) fn allow(path: &HostPath, rules: &[Rule], steps: &mut Vec<Step>) -> Result<(), CgroupError> {
    let group = open_group(path)?;
    let list = read_list(&group, path)?;
    let mut added = Vec::new();
    let mut outcome = Ok(());
    for rule in rules {
        let missing = Rule { access: list.missing(rule), ..*rule };
        if missing.access.is_none() {
            continue;
        }
        // The whole rule, so that the list reads as after the original's.
        if let Err(source) = write_rule(&group, "devices.allow", rule) {
            outcome = Err(match source {
                Errno::PERM => CgroupError::Parent { group: path.clone(), rule: rule.to_string() },
                source => failed("write", path, "devices.allow")(source),
            });
            break;
        }
        if matches!(list, List::Lines(_)) {
            added.push(missing);
        }
    }
    // What was written before a failure is to be taken back as well.
    if !added.is_empty() {
        steps.push(Step::First(Change { group, path: path.clone(), added }));
    }
    outcome
}

impl Change {
    /// Takes away just what was missing before.
    pub(super) fn undo(self) -> Result<(), CgroupError> {
        for rule in self.added.iter().rev() {
            match write_rule(&self.group, "devices.deny", rule) {
                Ok(()) | Err(Errno::NODEV) => {}
                Err(source) => return Err(failed("write", &self.path, "devices.deny")(source)),
            }
        }
        Ok(())
    }
}

impl List {
    fn from_text(text: &str) -> List {
        let lines = text.lines().filter_map(Line::from_text);
        match text.lines().any(|line| line.starts_with("a ")) {
            true => List::Everything,
            false => List::Lines(lines.collect()),
        }
    }

    /// What of the rule is not allowed by one line: the kernel wants a line that allows all that is asked for. A group
    /// that allows everything does not say what it excepts, so everything may be missing there.
    fn missing(&self, rule: &Rule) -> Access {
        let List::Lines(lines) = self else { return rule.access };
        let fits = |line: &&Line| {
            let is = |pattern: Option<u32>, number| pattern.is_none_or(|pattern| pattern == number);
            line.kind == rule.kind && is(line.major, rule.major) && is(line.minor, rule.minor)
        };
        if lines.iter().filter(fits).any(|line| rule.access.without(line.access).is_none()) {
            return Access::NONE;
        }
        let exact = |line: &&Line| fits(line) && line.major.is_some() && line.minor.is_some();
        let known = lines.iter().filter(exact).fold(Access::NONE, |known, line| known.or(line.access));
        rule.access.without(known)
    }
}

impl Line {
    /// `c 195:* rwm`.
    fn from_text(line: &str) -> Option<Line> {
        let mut words = line.split(' ');
        let kind = match words.next()? {
            "b" => Kind::Block,
            "c" => Kind::Char,
            _ => return None,
        };
        let number = |text: &str| match text {
            "*" => Some(None),
            text => text.parse().ok().map(Some),
        };
        let (major, minor) = words.next()?.split_once(':')?;
        Some(Line { kind, major: number(major)?, minor: number(minor)?, access: Access::from_text(words.next()?) })
    }
}

fn open_group(path: &HostPath) -> Result<OwnedFd, CgroupError> {
    let unusable = |source| CgroupError::Group { action: "open", path: path.to_string(), source };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let group = open(path.as_path(), flags, Mode::empty()).map_err(unusable)?;
    match fstatfs(&group).map_err(unusable)?.f_type as i64 {
        CGROUP => Ok(group),
        _ => Err(CgroupError::NotCgroup(path.clone())),
    }
}

fn read_list(group: &OwnedFd, path: &HostPath) -> Result<List, CgroupError> {
    let list = openat(group, "devices.list", OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .map_err(failed("read", path, "devices.list"))?;
    let mut text = String::new();
    let read = File::from(list).take(LONGEST_LIST).read_to_string(&mut text);
    read.map_err(|error| failed("read", path, "devices.list")(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    Ok(List::from_text(&text))
}

fn write_rule(group: &OwnedFd, file: &str, rule: &Rule) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(group, file, flags, Mode::empty())?;
    write(&file, rule.to_string().as_bytes()).map(|_| ())
}

fn failed(action: &'static str, group: &HostPath, file: &str) -> impl FnOnce(Errno) -> CgroupError {
    let path = group.join(file).to_string();
    move |source| CgroupError::Group { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(list: &str, rule: Rule) -> String {
        List::from_text(list).missing(&rule).to_string()
    }

    #[test]
    fn what_a_list_allows_is_not_written_again() {
        let gpu = Rule::character(195, 0);
        for (list, want) in [
            ("", "rw"),
            ("c *:* m\nc 195:1 rwm\nb 195:0 rwm\n", "rw"),
            ("c 195:0 rw\n", ""),
            ("c 195:0 rwm\n", ""),
            ("c 195:* rw\n", ""),
            ("c *:* rwm\n", ""),
            ("c 195:0 r\n", "w"),
            // No single line allows both, and only what stands for just this device can be taken back.
            ("c *:* r\nc 195:0 wm\n", "r"),
            ("c *:* r\nc *:* w\n", "rw"),
            // It may except this very device.
            ("a *:* rwm\n", "rw"),
        ] {
            assert_eq!(missing(list, gpu), want, "{list:?}");
        }
    }

    #[test]
    fn odd_lists_are_read_as_far_as_they_go() {
        for list in
            ["c", "c 195", "c 195:", "c 195:x rw", "x 195:0 rw", "c 195:0", "c 99999999999:0 rw", "\n\n", "c  195:0 rw"]
        {
            assert_eq!(missing(list, Rule::character(195, 0)), "rw", "{list:?}");
        }
    }
}
