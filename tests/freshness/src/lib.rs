//! A simulated machine that changes while CDI specs are refreshed and containers start on it.
//!
//! [`change`] takes changes of a machine apart into the steps by which they happen, half-written files included,
//! [`running`] is the machine on which they are taken, [`truth`] says whether a container that was started was given what is
//! there, and [`dice`] decides what comes next, alike in every run.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

pub mod change;
pub mod dice;
pub mod running;
pub mod truth;
