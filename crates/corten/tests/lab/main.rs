//! Container starts on simulated machines, with real runc and crun, as an engine would make them. `cargo xtask test`
//! builds what is needed and says where it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod callers;
mod compat;
mod container_cli;
mod elsewhere;
mod failures;
mod fresh;
mod generate;
mod hookless;
mod hooks;
mod interrupted;
mod legacy;
mod litter;
mod machine_state;
mod mig;
mod mig_mode;
mod modules;
mod mps;
mod nodes;
mod preload;
mod refresh;
mod roots;
mod spec_files;
mod stage;
mod watch;
