//! Driver capabilities: the words of `NVIDIA_DRIVER_CAPABILITIES`, and sets of them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One driver capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Capability {
    /// 32-bit libraries of everything else that is asked for.
    Compat32,
    /// CUDA, OpenCL.
    Compute,
    /// X11 display, modeset.
    Display,
    /// OpenGL, EGL, Vulkan.
    Graphics,
    /// NVIDIA NGX.
    Ngx,
    /// nvidia-smi, NVML.
    Utility,
    /// Video encode, decode, VDPAU.
    Video,
}

impl Capability {
    /// All of them, alphabetical, as flags and messages list them.
    pub const ALL: [Capability; 7] = [
        Capability::Compat32,
        Capability::Compute,
        Capability::Display,
        Capability::Graphics,
        Capability::Ngx,
        Capability::Utility,
        Capability::Video,
    ];

    /// The word in environment variables, flags and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Capability::Compat32 => "compat32",
            Capability::Compute => "compute",
            Capability::Display => "display",
            Capability::Graphics => "graphics",
            Capability::Ngx => "ngx",
            Capability::Utility => "utility",
            Capability::Video => "video",
        }
    }

    /// The capability of that name; the words are case-sensitive, as in the original.
    pub fn from_name(name: &str) -> Option<Capability> {
        Capability::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

/// A set of capabilities. [`Capabilities::ALWAYS`] marks what every GPU container gets.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(u8);

impl Capabilities {
    /// No capability.
    pub const NONE: Capabilities = Capabilities(0);
    /// The seven capabilities.
    pub const ALL: Capabilities = Capabilities(0x7f);
    /// All but 32-bit libraries.
    pub const NATIVE: Capabilities = Capabilities(Capabilities::ALL.0 & !(1 << Capability::Compat32 as u8));
    /// What comes without being asked for (firmware, for one): meets every set, also the empty one.
    pub const ALWAYS: Capabilities = Capabilities(0xff);

    /// The set of these.
    pub const fn of(list: &[Capability]) -> Capabilities {
        let (mut bits, mut i) = (0, 0);
        while i < list.len() {
            bits |= 1 << list[i] as u8;
            i += 1;
        }
        Capabilities(bits)
    }

    /// Holds this one.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Has a capability in common with `wanted`, or is [`Capabilities::ALWAYS`].
    pub const fn meets(self, wanted: Capabilities) -> bool {
        self.0 == Capabilities::ALWAYS.0 || self.0 & wanted.0 != 0
    }

    /// In both.
    pub const fn intersection(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    /// In either.
    pub const fn union(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// Holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, alphabetical.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.contains(*capability))
    }
}

impl fmt::Display for Capabilities {
    /// `compute,utility`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, capability) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(capability.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for capability in Capability::ALL {
            assert_eq!(Capability::from_name(capability.name()), Some(capability));
        }
        assert_eq!(Capability::from_name("COMPUTE"), None);
        assert_eq!(Capabilities::ALL.to_string(), "compat32,compute,display,graphics,ngx,utility,video");
        assert_eq!(Capabilities::NATIVE.to_string(), "compute,display,graphics,ngx,utility,video");
    }

    #[test]
    fn always_meets_even_nothing() {
        assert!(Capabilities::ALWAYS.meets(Capabilities::NONE));
        assert!(!Capabilities::ALL.meets(Capabilities::NONE));
    }
}
