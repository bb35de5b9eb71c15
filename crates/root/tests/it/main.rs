//! `corten-root` on real trees, against the real ldconfig and loader, and inside mount namespaces. Needs root, `cc`,
//! `ldconfig`, `chroot`, `runc`, `strace` and `unshare`; without them the tests fail and say so.

// The lint counts only functions marked as tests, and helpers of tests are not.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod cgroups;
mod hook;
mod hostile;
mod ldconfig;
mod mounts;
mod prepare;
mod profile;
mod refresh;
mod tree;
mod trees;
mod volumes;
mod writable;
