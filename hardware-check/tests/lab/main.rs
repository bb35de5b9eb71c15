//! The folder of `cargo xtask hardware-check` on simulated machines. What it says of a good machine must be that all is
//! well, and of a bad one what is wrong; and it must need nothing but what is in it, and leave nothing behind.
//!
//! `cargo xtask test` builds folder and lab, and says where they are in `CORTEN_HARDWARE_CHECK`, `CORTEN_LAB` and
//! `CORTEN_MACHINES`.
#![allow(clippy::unwrap_used)]

mod alone;
mod bad;
mod good;
mod stage;
