//! What libnvidia-container does, as values and functions: what `nvidia-container-cli` prints and configures, and what
//! the C library answers (reference: libnvidia-container.md, whose sections the comments here cite).
//!
//! - [`Machine::init`] is the library's init: the driver root, kernel modules, and whether NVML could work at all.
//! - [`Machine::driver`] and [`Machine::devices`] say what there is; [`select`] which of it is meant.
//! - [`Container`] is the container object. What a step does to it is a [`Work`], such as [`Machine::driver_work`];
//!   [`Container::carry_out`] does it, all of it or nothing.
//!
//! Facts come from `host`; NVML is asked (through `nvml`, which keeps its answers) only for what the kernel does not say.
//! What is done in a container's root goes through `root` alone. Every failure is an [`Error`] whose text is the
//! original's, because scripts match on it.
#![forbid(unsafe_code)]

mod act;
pub mod caps;
mod container;
mod device;
mod driver;
mod error;
mod grant;
pub mod imex;
pub mod kmods;
pub mod log_file;
mod machine;
mod nvml_answer;
pub mod options;
pub mod requirement;
pub mod select;
#[cfg(feature = "undefended")]
mod undefended;
pub mod version;
mod work;

pub use act::Failed;
pub use container::{Container, ContainerConfig, Places};
pub use device::{Detail, DeviceInfo, DeviceNode, Gpu, MigDevice};
pub use driver::DriverInfo;
pub use error::Error;
pub use machine::{Machine, Settings};
pub use nvml::User;
pub use work::Work;
