//! The Container Device Interface: the edits a device makes to a container.
//!
//! Reading and writing spec files and the registry over spec directories belong here too and are to come.
#![forbid(unsafe_code)]

mod apply;
mod edits;

pub use apply::{ApplyError, HostNode, Lookup, apply, apply_with};
pub use edits::{ContainerEdits, DeviceNode, Hook, Mount};
