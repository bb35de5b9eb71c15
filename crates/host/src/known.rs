//! The driver as an earlier look found it, for callers who keep that between container starts.

use crate::{
    Capabilities, Capability, Driver, Roots, Wanted,
    evidence::{Evidence, Identity},
};
use oci::HostPath;
use serde::{Deserialize, Serialize};

/// The driver as an earlier look found it, with all that this rests on. It is believed only while every folder, link and
/// file that was looked at is the same, which costs one call of the kernel for each; the sockets of daemons, which come
/// and go, are not part of it. See [`discover_again`](crate::discover_again).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDriver {
    question: Question,
    evidence: Evidence,
    pub(crate) driver: Option<Driver>,
    pub(crate) remarks: Vec<String>,
}

impl KnownDriver {
    /// A name for what is known about what `wanted` asks for, of letters and hyphens. There are 256.
    pub fn name(wanted: Wanted) -> String {
        let words = Capability::ALL.into_iter().filter(|one| wanted.capabilities.contains(*one)).map(Capability::name);
        let all = ["driver"].into_iter().chain(words).chain(wanted.explicit_libraries.then_some("explicit"));
        all.collect::<Vec<_>>().join("-")
    }

    pub(crate) fn new(
        question: Question,
        evidence: Evidence,
        driver: Option<Driver>,
        remarks: Vec<String>,
    ) -> KnownDriver {
        KnownDriver { question, evidence, driver, remarks }
    }

    /// Answers this question, and still does.
    pub(crate) fn holds(&self, question: &Question) -> bool {
        self.question == *question && self.evidence.holds()
    }
}

/// All that a search for the driver depends on besides the files that it looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The program that searched: another version may search otherwise.
    program: Identity,
    /// Who searched: others may see less.
    user: u32,
    roots: Roots,
    /// The driver root's real path.
    root: HostPath,
    capabilities: Capabilities,
    explicit_libraries: bool,
    /// Version of the loaded kernel module.
    kernel: Option<String>,
    /// Where the kernel looks for firmware: parameters of its own, which have no times that could be noted.
    firmware: Vec<String>,
}

impl Question {
    /// `None` where this program cannot be told from others.
    pub(crate) fn new(
        roots: &Roots,
        root: &HostPath,
        wanted: Wanted,
        kernel: Option<&str>,
        firmware: Vec<String>,
    ) -> Option<Question> {
        Some(Question {
            program: Identity::of_this_program()?,
            user: rustix::process::geteuid().as_raw(),
            roots: roots.clone(),
            root: root.clone(),
            capabilities: wanted.capabilities,
            explicit_libraries: wanted.explicit_libraries,
            kernel: kernel.map(str::to_owned),
            firmware,
        })
    }
}

#[cfg(test)]
mod tests;
