//! The kinds of machine that a driver is built for, and how each is named.

use serde::{Deserialize, Serialize};

/// Word size and instruction set of a library: `e_machine`, told apart where one number serves both sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm.
    Arm,
    /// 64-bit POWER, either byte order.
    Ppc64,
    /// Any other.
    Other,
}

impl Machine {
    /// What this program was built for.
    pub const HOST: Machine = if cfg!(target_arch = "x86_64") {
        Machine::X86_64
    } else if cfg!(target_arch = "aarch64") {
        Machine::Aarch64
    } else if cfg!(target_arch = "powerpc64") {
        Machine::Ppc64
    } else {
        Machine::Other
    };

    /// The machine whose programs this one also runs as 32-bit programs.
    pub const fn compat32(self) -> Option<Machine> {
        match self {
            Machine::X86_64 => Some(Machine::I386),
            Machine::Aarch64 => Some(Machine::Arm),
            _ => None,
        }
    }

    /// Name in file names: `nvidia_icd.x86_64.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64",
            Machine::I386 => "i386",
            Machine::Aarch64 => "aarch64",
            Machine::Arm => "arm",
            Machine::Ppc64 => "ppc64le",
            Machine::Other => "unknown",
        }
    }

    /// Debian's multiarch folder of native libraries.
    pub const fn triplet(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64-linux-gnu",
            Machine::I386 => "i386-linux-gnu",
            Machine::Aarch64 => "aarch64-linux-gnu",
            Machine::Arm => "arm-linux-gnueabihf",
            Machine::Ppc64 => "powerpc64le-linux-gnu",
            Machine::Other => "unknown-linux-gnu",
        }
    }

    /// From the file header: word size and `e_machine`.
    pub(super) fn from_header(wide: bool, number: u16) -> Machine {
        match (wide, number) {
            (true, 62) => Machine::X86_64,
            (false, 3) => Machine::I386,
            (true, 183) => Machine::Aarch64,
            (false, 40) => Machine::Arm,
            (true, 21) => Machine::Ppc64,
            _ => Machine::Other,
        }
    }
}
