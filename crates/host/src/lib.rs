//! This machine, read only: what driver it has, which GPUs, which device nodes. Nothing here changes anything, loads a
//! driver library or runs a program.
#![forbid(unsafe_code)]

mod capability;
mod facts;
mod inventory;
pub mod ldcache;

pub use capability::{Capabilities, Capability};
pub use facts::{GpuFacts, MigFacts, NvmlFacts};
pub use inventory::{
    Driver, DriverFile, DrmLink, FileKind, Gpu, ImexChannel, Inventory, Library, LibraryClass, LibraryLink, MigDevice,
    Node, Platform, SharedNodes,
};
