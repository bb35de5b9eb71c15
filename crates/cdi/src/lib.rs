//! The Container Device Interface: specs of devices, and the edits that a device makes to a container.
#![forbid(unsafe_code)]

mod apply;
mod edits;
mod lint;
mod names;
mod normalise;
mod origin;
mod place;
mod read;
mod registry;
mod scalar;
mod spec;
mod transform;
mod tree;
mod validate;
mod version;
mod write;

pub use apply::{ApplyError, HostNode, Lookup, apply, apply_with};
pub use edits::{ContainerEdits, DeviceNode, Hook, IntelRdt, Mount, NetDevice};
pub use lint::{FINDINGS, Finding, Host, Report, Seen, Severity, same_names};
pub use names::{Kind, NameError, QualifiedName, is_qualified};
pub use origin::Origin;
pub use place::Place;
pub use read::{ReadError, SPEC_LIMIT};
pub use registry::{Conflict, Described, Failure, Found, Registry, Review, Unresolved, Unused};
pub use spec::{Device, Spec};
pub use transform::RelativeTo;
pub use validate::InvalidSpec;
pub use version::NEWEST as NEWEST_VERSION;
pub use write::{Format, WriteError};
