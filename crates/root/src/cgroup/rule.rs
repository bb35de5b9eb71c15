//! One grant: a device, and what may be done with it.

use std::fmt;

/// The type of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// What may be done with a device: any of reading, writing and making a node of it. Bits as in `linux/bpf.h`
/// (`BPF_DEVCG_ACC_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Nothing.
    pub const NONE: Access = Access(0);
    /// Making nodes.
    pub const MKNOD: Access = Access(1);
    /// Opening for reading.
    pub const READ: Access = Access(2);
    /// Opening for writing.
    pub const WRITE: Access = Access(4);
    /// Reading and writing: what GPUs are granted (reference: 17).
    pub const READ_WRITE: Access = Access(6);
    /// All three.
    pub const ALL: Access = Access(7);

    /// What a text like `rw` says; other characters than `rwm` are ignored.
    pub(super) fn from_text(text: &str) -> Access {
        text.chars().fold(Access::NONE, |access, letter| match letter {
            'm' => access.or(Access::MKNOD),
            'r' => access.or(Access::READ),
            'w' => access.or(Access::WRITE),
            _ => access,
        })
    }

    pub(super) fn from_bits(bits: u8) -> Option<Access> {
        (bits <= Access::ALL.0).then_some(Access(bits))
    }

    /// The kernel's number.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both together.
    pub fn or(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    /// What `other` does not have.
    pub fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    /// Nothing is allowed.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (bit, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")] {
            f.write_str(if self.0 & bit.0 != 0 { letter } else { "" })?;
        }
        Ok(())
    }
}

/// Allows one device. Unlike those of `config.json` it has no wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Type.
    pub kind: Kind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// What is allowed.
    pub access: Access,
}

impl Rule {
    /// Reading and writing of a character device.
    pub fn character(major: u32, minor: u32) -> Rule {
        Rule { kind: Kind::Char, major, minor, access: Access::READ_WRITE }
    }

    /// Whether both are about the same device.
    pub(super) fn same_device(&self, other: &Rule) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }
}

/// As `devices.allow` takes it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = match self.kind {
            Kind::Block => 'b',
            Kind::Char => 'c',
        };
        write!(f, "{kind} {}:{} {}", self.major, self.minor, self.access)
    }
}

/// One rule for each device, in the order of their first mention; those that allow nothing are left out.
pub(super) fn merged(rules: &[Rule]) -> Vec<Rule> {
    let mut merged: Vec<Rule> = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.access.is_none()) {
        match merged.iter_mut().find(|known| known.same_device(rule)) {
            Some(known) => known.access = known.access.or(rule.access),
            None => merged.push(*rule),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_the_kernel_writes_it() {
        assert_eq!(Rule::character(195, 255).to_string(), "c 195:255 rw");
        let rule = Rule { kind: Kind::Block, major: 8, minor: 0, access: Access::ALL };
        assert_eq!(rule.to_string(), "b 8:0 rwm");
        for text in ["", "r", "w", "m", "rw", "rm", "wm", "rwm"] {
            assert_eq!(Access::from_text(text).to_string(), text);
        }
    }

    #[test]
    fn rules_for_one_device_become_one() {
        let read = Rule { access: Access::READ, ..Rule::character(195, 0) };
        let write = Rule { access: Access::WRITE, ..Rule::character(195, 0) };
        let nothing = Rule { access: Access::NONE, ..Rule::character(195, 7) };
        let other = Rule::character(195, 1);
        assert_eq!(merged(&[read, other, nothing, write]), [Rule::character(195, 0), other]);
    }
}
