//! This machine, read only: what driver it has, which GPUs, which device nodes. Nothing here changes anything, loads a
//! driver library or runs a program.
#![forbid(unsafe_code)]

mod capability;
mod catalogue;
mod described;
mod discover;
mod driver;
pub mod elf;
mod error;
mod evidence;
mod facts;
mod fingerprint;
mod folder;
mod inside;
mod inventory;
mod kernel;
mod known;
pub mod ldcache;
pub mod ldconf;
pub mod legacy;
mod nodes;
mod platform;
pub mod procfs;
mod roots;
#[cfg(test)]
mod sample;
pub mod tegra;
mod version;

pub use capability::{Capabilities, Capability};
pub use described::{Described, DescriptionError};
pub use discover::{Discovery, discover, discover_again, discover_as_nvml_does, look_again};
pub use error::HostError;
pub use facts::{Addressing, GpuFacts, MigFacts, NvmlFacts};
pub use fingerprint::{FileIdentity, Fingerprint, GpuFingerprint, Making, NVML_SONAME, locate_nvml, makings};
pub use inside::{Inside, Owner};
pub use inventory::{
    Driver, DriverFile, DrmLink, FileKind, Gpu, ImexChannel, Inventory, Library, LibraryClass, LibraryLink, MigDevice,
    Node, Platform, SharedNodes,
};
pub use kernel::{loaded_version, module_in_motion};
pub use known::KnownDriver;
pub use platform::is_wsl;
pub use roots::{Roots, Wanted};
