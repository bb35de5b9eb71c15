//! The hooks: what each is called, takes, may do and does.

use super::{Run, compat, links, loader, params, permissions, profile};
use crate::fault::Result;
use root::privileges::Capability::{self, Chown, DacOverride, Fowner, Fsetid, SysAdmin};
use std::fmt;

/// A hook.
pub struct Hook {
    /// Its name, the original's.
    pub name: &'static str,
    /// What it is for; nothing for one that is not listed in help, as in the original.
    pub about: &'static str,
    /// Its options.
    pub options: &'static [Opt],
    /// The capabilities that it works with; all others are given up first.
    pub keeps: &'static [Capability],
    /// What it does. `None`: nothing.
    pub work: Option<fn(&Run) -> Result<()>>,
}

/// An option, which takes a value.
pub struct Opt {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What its value is, in help.
    pub value: &'static str,
    /// What it is for.
    pub about: &'static str,
}

impl Opt {
    /// An option.
    pub const fn new(name: &'static str, value: &'static str, about: &'static str) -> Opt {
        Opt { name, value, about }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// To make things in a root that belong to the container's root user, whoever that is; or to get round a mount that is
/// read-only for the container, or to mount over a file where the file system is.
const MAKE: &[Capability] = &[DacOverride, Chown, Fowner, SysAdmin];

/// All hooks.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: loader::NAME,
        about: "make libraries known to the loader",
        options: &[
            Opt::new("folder", "DIR", "a folder of the container to look in; may be repeated"),
            Opt::new("ldconfig-path", "FILE", "accepted; no ldconfig is run"),
        ],
        keeps: MAKE,
        work: Some(loader::run),
    },
    Hook {
        name: links::NAME,
        about: "make symbolic links",
        options: &[Opt::new("link", "TARGET::LINK", "a link to make; may be repeated")],
        keeps: MAKE,
        work: Some(links::run),
    },
    Hook {
        name: permissions::NAME,
        about: "change permissions",
        options: &[
            Opt::new("mode", "OCTAL", "permissions"),
            Opt::new("path", "PATH", "what gets them in the container; may be repeated"),
        ],
        keeps: &[DacOverride, Fowner, Fsetid],
        work: Some(permissions::run),
    },
    Hook {
        name: compat::NAME,
        about: "prefer the image's forward compatibility libraries",
        options: &[
            Opt::new("host-driver-version", "VERSION", "the version of the host's driver"),
            Opt::new("host-cuda-version", "VERSION", "the version of CUDA that the host's driver has"),
            Opt::new("cuda-compat-container-root", "DIR", "the folder of the container that holds them"),
        ],
        keeps: MAKE,
        work: Some(compat::run),
    },
    Hook {
        name: params::NAME,
        about: "keep nvidia-smi from making device nodes",
        options: &[],
        keeps: &[SysAdmin, DacOverride],
        work: Some(params::run),
    },
    Hook {
        name: profile::NAME,
        about: "tell EGL which GPUs there are",
        options: &[],
        keeps: MAKE,
        work: Some(profile::run),
    },
    Hook { name: "noop", about: "", options: &[], keeps: &[], work: None },
];

/// The capabilities that these hooks need together.
pub fn keeps<'a>(hooks: impl Iterator<Item = &'a Hook>) -> Vec<Capability> {
    let mut keeps: Vec<_> = hooks.flat_map(|hook| hook.keeps).copied().collect();
    keeps.sort_unstable();
    keeps.dedup();
    keeps
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::spec::HookName;

    #[test]
    fn every_hook_that_a_spec_of_ours_names_does_something() {
        for name in HookName::ALL.map(HookName::name) {
            let hook = HOOKS.iter().find(|hook| hook.name == name);
            assert!(hook.is_some_and(|hook| hook.work.is_some() && !hook.about.is_empty()), "{name}");
        }
    }

    #[test]
    fn no_hook_keeps_more_than_four_capabilities() {
        for hook in HOOKS {
            assert!(hook.keeps.len() <= 4, "{hook:?}");
            assert_eq!(hook.keeps.is_empty(), hook.work.is_none(), "{hook:?}");
        }
        assert_eq!(keeps(HOOKS.iter().filter(|hook| hook.name != "chmod")).len(), 4, "nor do several together");
    }
}
