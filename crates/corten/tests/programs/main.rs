//! The built executable under its names, with a low-level runtime that only writes down how it was started. What needs a
//! GPU machine is tested on the lab's (tests/compliance, tests/engines).
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod by_spec;
mod configure;
mod ctk;
mod failures;
mod forwarding;
mod hook;
mod hooks;
mod nvidia_docker;
mod prestart;
mod stage;
mod tools;
mod udev_rules;
mod units;
mod validate;
