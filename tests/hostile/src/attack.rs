//! An attack: what an image holds that means harm.

use crate::{image::Image, operation::OPERATIONS, trial::Trial};
use root::Defence;

/// See the module.
pub struct Attack {
    /// Its name: the incident that it repeats, or what it consists of.
    pub name: &'static str,
    /// Puts it into an ordinary image.
    pub image: fn(&Image),
    /// What is mounted into the container beforehand, by its engine.
    pub volumes: &'static [Volume],
    /// The operations that meet it; without any, all do.
    pub operations: &'static [&'static str],
    /// What stands first in `config.toml`: switches by which the original would open the door.
    pub configuration: &'static str,
    /// What must hold besides what always must.
    pub holds: fn(&Trial) -> Result<(), String>,
    /// Where it succeeds.
    pub bites: &'static [Bite],
}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Something that is mounted into the container.
#[derive(Debug)]
pub struct Volume {
    /// What: below the folder of the trial, so that `outside` is what stands for the host.
    pub from: &'static str,
    /// Where in the image. The image has something there.
    pub at: &'static str,
    /// How.
    pub how: How,
}

/// How a volume is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// To be written, too.
    Writable,
    /// Read-only.
    ReadOnly,
    /// To be written; and what is mounted on it is seen on the host.
    Shared,
}

impl How {
    /// The word for it in scripts.
    pub const fn word(self) -> &'static str {
        match self {
            How::Writable => "rw",
            How::ReadOnly => "ro",
            How::Shared => "shared",
        }
    }
}

/// An attack succeeds on this operation without these defences.
#[derive(Debug)]
pub struct Bite {
    /// What is switched off.
    pub off: &'static [Defence],
    /// What is attacked.
    pub operation: &'static str,
    /// How the oracle's complaint begins: it must fail for the right reason.
    pub sees: &'static str,
}

/// What tables start from.
pub const ATTACK: Attack =
    Attack { name: "", image: |_| {}, volumes: &[], operations: &[], configuration: "", holds: |_| Ok(()), bites: &[] };

impl Attack {
    /// The names of the operations that meet it.
    pub fn met_by(&self) -> Vec<&'static str> {
        match self.operations {
            [] => OPERATIONS.iter().map(|operation| operation.name).collect(),
            some => some.to_vec(),
        }
    }
}
