//! The client as its callers use it: against bad helpers, with good and bad caches, and on a simulated machine.

#![allow(clippy::unwrap_used, reason = "a test fails by it, also in the functions that tests share")]

mod behaviour;
mod cache;
mod simulated;
mod stage;
