//! The built C library, used by C programs on the simulated machine, beside the original where one is given. Needs root,
//! `cc`, `readelf` and what `cargo xtask dist` builds; without them the tests fail and say so.
//!
//! `CORTEN_THEIRS_NVC` names a folder with the original's `lib/libnvidia-container.so.1` and `bin/nvidia-container-cli`; what
//! is recorded in `facts` is compared with it then, or recorded anew with `CORTEN_RECORD=1`.

// The lint counts only functions marked as tests, and helpers of tests are not.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod container;
mod contract;
mod facts;
mod programs;
mod surface;
mod their_program;
