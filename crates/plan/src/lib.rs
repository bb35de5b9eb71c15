//! What a container asks for, and what that means on a given machine.
//!
//! Everything here is a pure function of its arguments: no file, no clock, no environment. So every decision can be
//! tested as text in, text out, and explained.
#![forbid(unsafe_code)]

pub mod compat;
pub mod config;
mod edits;
pub mod hook_values;
mod layout;
pub mod mode;
mod plan;
pub mod prestart;
pub mod request;
pub mod requirement;
pub mod spec;

pub use config::Config;
pub use edits::{Because, Edits, Link, LoaderEntry, Reason, RootWork, SpecEdits};
pub use layout::{Layout, Loader};
pub use mode::Mode;
pub use plan::{PlanError, legacy, legacy_needs_root, missing_modules, needs_nvml, plan};
pub use request::Request;
