//! `config.json` as a document: what we do not touch keeps its bytes and its order.
//!
//! Also home of [`HostPath`] and [`ContainerPath`], because every crate speaks of paths and this one depends on none.
#![forbid(unsafe_code)]

mod path;

pub use path::{ContainerPath, HostPath, NotAbsolute};
