//! A machine with NVIDIA GPUs made out of nothing: a driver's files, device nodes, and the faces that its kernel modules
//! show in `/proc` and `/sys`, in private namespaces.
//!
//! [`machine_file`] says what the machine is, [`driver`], [`proc`], [`sys`] and [`dev`] write its parts into any folder,
//! and [`namespace`] puts those parts where programs look for them. [`wrapper`] and [`hook`] carry the machine's procfs
//! into the containers started there; [`rootfs`] makes container roots without a network.

pub mod companions;
pub mod dev;
pub mod driver;
pub mod elf;
pub mod error;
pub mod hook;
pub mod kernel;
pub mod machine_file;
pub mod mounts;
pub mod namespace;
pub mod proc;
pub mod repartition;
pub mod rootfs;
pub mod sys;
pub mod tree;
pub mod wrapper;

pub use error::{Error, Result};
