//! The Container Device Interface: the edits a device makes to a container.
//!
//! Reading and writing spec files and the registry over spec directories belong here too and are to come.
#![forbid(unsafe_code)]

mod edits;

pub use edits::{ContainerEdits, DeviceNode, Hook, Mount};
