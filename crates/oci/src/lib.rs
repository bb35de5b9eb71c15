//! `config.json` as a document: what we do not touch keeps its bytes and its order.
//!
//! Also home of [`HostPath`] and [`ContainerPath`], because every crate speaks of paths and this one depends on none.
#![forbid(unsafe_code)]

mod document;
mod path;
mod spec;
mod tree;

pub use document::{Document, DocumentError};
pub use path::{ContainerPath, HostPath, NotAbsolute};
pub use spec::{Device, DeviceRule, Hook, HookPoint, IdMapping, IdMappings, Mount, Namespace, Root, User};
