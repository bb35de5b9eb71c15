//! Acts in a container's root, from outside and through one descriptor.
//!
//! The root's content is an enemy's: links that point to the host, FIFOs, endless files. So [`ContainerRoot`] is the
//! only way in. It resolves every path inside the root (`openat2` with `RESOLVE_IN_ROOT`, or a walk of our own on kernels
//! without it), opens nothing but regular files, and reads nothing without a bound. Nothing of the image is executed.
//!
//! - [`ContainerRoot::survey`] finds out which distribution's layout the container has.
//! - [`ContainerRoot::apply`] makes the links, the loader cache and the application profile that `plan` asked for:
//!   in place, as the container's root user, again and again with the same result; or, if a step fails, not at all.
//! - Hooks run inside the container's mount namespace: [`privileges`] is what each does first, [`params`] what the one of
//!   our own runtime does. The others, which CDI specs name, use [`ContainerRoot::apply`],
//!   [`ContainerRoot::refresh_loader`], [`ContainerRoot::prefer_compat`], [`ContainerRoot::write_profile`] and
//!   [`ContainerRoot::set_permissions`]; [`ContainerRoot::writable`] and [`ContainerRoot::cover`] are for roots that are
//!   read-only.
//! - [`cgroup`] grants devices to a container that runs already.
//! - [`Defence`] names what protects the host meanwhile, for whoever wants to see that it does.
//! - [`mount`] is for whoever mounts the host's files from outside, as `nvidia-container-cli` does: in the mount namespace of
//!   a process that [`namespace`] leads to.
//! - [`child`] and [`signals`] are what running programs and services need of the system that takes `unsafe`.
#![deny(unsafe_op_in_unsafe_fn)]

mod apply;
pub mod cgroup;
pub mod child;
mod compat;
mod container;
mod cover;
mod defence;
mod enter;
mod error;
pub mod exec;
mod folders;
mod loader;
pub mod mount;
pub mod namespace;
pub mod own_mounts;
pub mod params;
mod patience;
mod permissions;
mod place;
pub mod privileges;
mod profile;
mod resolve;
pub mod signals;
mod survey;
#[cfg(feature = "undefended")]
mod undefended;
mod writable;

pub use apply::{Done, Step};
pub use compat::CompatFound;
pub use container::{ContainerRoot, Owner};
pub use defence::Defence;
pub use error::RootError;
pub use loader::Compat;
pub use permissions::Permissions;
pub use profile::PROFILES;
pub use resolve::Resolver;
