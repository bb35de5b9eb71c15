//! `config.json` as a document: what we do not touch keeps its bytes and its order.
//!
//! Also home of [`HostPath`] and [`ContainerPath`], because every crate speaks of paths and this one depends on none.
#![forbid(unsafe_code)]

mod bundle;
mod digest;
mod document;
mod path;
mod replace;
mod spec;
mod state;
mod tree;

pub use bundle::{Bundle, BundleError, CONFIG_LIMIT};
pub use digest::digest;
pub use document::{Document, DocumentError};
pub use path::{ContainerPath, HostPath, NotAbsolute};
pub use replace::{ReplaceError, create_or_replace_file, replace_file};
pub use spec::{Device, DeviceRule, Hook, HookPoint, IdMapping, IdMappings, Mount, Namespace, Root, User};
pub use state::{STATE_LIMIT, State, StateError};
