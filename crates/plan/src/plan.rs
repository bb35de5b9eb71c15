//! From a request and a machine to the edits of one container: what jit-cdi mode does.
//!
//! What is granted: the devices that were named and no others; the control nodes, libraries, programs and sockets of the
//! driver capabilities that were asked for (the original ignores those here; `ignore-driver-capabilities` brings that
//! back); and what every GPU container gets. A fact that is needed and missing is an error, never a guess.

mod devices;
pub(crate) mod hooks;
mod legacy;
mod libraries;
mod nvml;
mod partition;
pub(crate) mod select;

pub use legacy::{legacy, legacy_needs_root};
pub use nvml::needs_nvml;

use crate::config::Config;
use crate::edits::{Because, Edits, Reason};
use crate::layout::Layout;
use crate::request::{DeviceRequest, Request};
use crate::requirement::{self, Facts, RequirementError};
use host::{Capabilities, Capability, Driver, Inventory, Platform};
use oci::HostPath;
use select::Grant;

/// Why a container cannot get what it asks for on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PlanError {
    /// Neither libcuda nor libnvidia-ml.
    #[error(
        "no NVIDIA driver was found under {root}{remarks}, which {asked} needs; install the driver, or set \
         nvidia-container-cli.root in config.toml to where it lies"
    )]
    NoDriver { root: String, remarks: String, asked: String },
    /// A kind of machine that is not understood yet. Nothing writes a spec for it either.
    #[error(
        "{asked} cannot be planned on {platform} in this version; write a CDI spec by hand, and set \
         nvidia-container-runtime.mode = \"cdi\" in config.toml"
    )]
    OtherPlatform { asked: String, platform: &'static str },
    /// GPUs are wanted where there are none.
    #[error(
        "{asked} asks for GPUs, but this machine has none{remarks}; check `lspci` and /proc/driver/nvidia/gpus, or ask \
         for none with NVIDIA_VISIBLE_DEVICES=none"
    )]
    NoGpus { asked: String, remarks: String },
    /// All GPUs are partitioned, into nothing.
    #[error(
        "{asked} asks for all devices, but every GPU is in MIG mode without a MIG device; create some with \
         `nvidia-smi mig -cgi … -C`, or name a GPU by its index"
    )]
    NothingToGrant { asked: String },
    /// No device has this name.
    #[error("{from} asks for {text:?}, which is {what}; name one that this machine has: {exist}")]
    UnknownDevice { text: String, from: String, what: String, exist: String },
    /// Several devices have it.
    #[error("{from} asks for {text:?}, which fits several devices: {matches}; write more of the UUID")]
    Ambiguous { text: String, from: String, matches: String },
    /// A name that only a CDI spec can resolve stands beside names of this machine.
    #[error(
        "requesting a CDI device with vendor 'runtime.nvidia.com' is not supported when requesting other CDI devices: \
         {from} holds {text:?}; write all names as vendor/class=name, or none"
    )]
    MixedNames { text: String, from: String },
    /// NVML was not asked, or did not answer.
    #[error("{fact} is unknown, which {asked} needs: {why}; check that nvidia-smi works on this machine")]
    UnknownFact { fact: String, asked: String, why: String },
    /// The text is no channel.
    #[error("invalid channel ID {text}: must be in the range [0, 1048575]; correct {from}")]
    InvalidChannel { text: String, from: String },
    /// The channel does not exist.
    #[error("IMEX channel {number} not found, which {from} asks for; this machine has {exist}: create its node first")]
    UnknownChannel { number: u32, from: String, exist: String },
    /// Partitioning is asked for by another word than `all`.
    #[error("{what} error: {text}: only 'all' devices are currently supported; set {variable}=all, or unset it")]
    MigDevices { what: &'static str, text: String, variable: &'static str },
    /// Partitioning is asked for beside single MIG devices.
    #[error(
        "{what} error: all: cannot enable {what} with specific MIG devices selected ({from}); name whole GPUs, or all"
    )]
    MigDeviceNamed { what: &'static str, from: String },
    #[error("requirements not met: {0}")]
    Requirement(#[from] RequirementError),
}

/// Everything that a container start needs, or why it cannot be had. `hook_path` is the program that an inserted hook
/// names (`nvidia-cdi-hook`, or `nvidia-ctk`).
///
/// # Errors
/// [`PlanError`].
pub fn plan(
    request: &Request,
    inventory: &Inventory,
    config: &Config,
    layout: &Layout,
    hook_path: &HostPath,
) -> Result<Edits, PlanError> {
    let driver = driver(request, inventory, config)?;
    let deeds = partition::deeds(request)?;
    let grants = select::grants(request, inventory)?;
    let facts = Facts::of_machine(inventory, grants.first().map(|grant| grant.gpu.uuid.as_str()));
    requirement::check(&request.requirements, &facts)?;
    let wanted = wanted(request, config);
    let by_capabilities = by_capabilities(wanted, config);
    let plan = Plan { request, inventory, driver, config, layout, wanted, by_capabilities, grants, deeds };
    let mut edits = Edits::default();
    plan.devices(&mut edits)?;
    plan.files(&mut edits);
    plan.environment(&mut edits);
    plan.hooks(&mut edits, hook_path);
    Ok(edits)
}

/// Kernel modules without which the container lacks a node that its capabilities need. The caller may load them and
/// discover the machine again; otherwise [`Edits::remarks`] names them.
pub fn missing_modules(request: &Request, inventory: &Inventory, config: &Config) -> Vec<&'static str> {
    let wanted = wanted(request, config);
    let mut missing = Vec::new();
    if UVM.meets(wanted) && inventory.nodes.uvm.is_none() {
        missing.push("nvidia-uvm");
    }
    if MODESET.meets(wanted) && inventory.nodes.modeset.is_none() {
        missing.push("nvidia-modeset");
    }
    missing
}

/// What brings `/dev/nvidia-uvm`: CUDA, which the video libraries are built on, too.
const UVM: Capabilities = Capabilities::of(&[Capability::Compute, Capability::Video]);
/// What brings `/dev/nvidia-modeset` and the application profile.
const MODESET: Capabilities = Capabilities::of(&[Capability::Display, Capability::Graphics]);
/// What brings a GPU's nodes under `/dev/dri`.
const DRM: Capabilities = Capabilities::of(&[Capability::Display, Capability::Graphics, Capability::Video]);

/// A plan in the making: what is known, nothing that is decided.
struct Plan<'a> {
    request: &'a Request,
    inventory: &'a Inventory,
    driver: &'a Driver,
    config: &'a Config,
    layout: &'a Layout,
    /// The capabilities in force.
    wanted: Capabilities,
    /// What asked for them.
    by_capabilities: String,
    grants: Vec<Grant<'a>>,
    /// What it may do with all MIG devices of a granted GPU.
    deeds: Vec<partition::Deed>,
}

/// The capabilities in force: the container's, or all but the 32-bit ones where they are to be ignored.
fn wanted(request: &Request, config: &Config) -> Capabilities {
    if config.runtime.jit_ignore_driver_capabilities {
        request.capabilities.union(Capabilities::NATIVE)
    } else {
        request.capabilities
    }
}

fn by_capabilities(wanted: Capabilities, config: &Config) -> String {
    let variable = "NVIDIA_DRIVER_CAPABILITIES";
    match config.runtime.jit_ignore_driver_capabilities {
        true => format!("{variable} ignored by configuration"),
        false => format!("{variable}={wanted}"),
    }
}

fn driver<'a>(request: &Request, inventory: &'a Inventory, config: &Config) -> Result<&'a Driver, PlanError> {
    let asked = request.asked.clone();
    match inventory.platform {
        Platform::Tegra => return Err(PlanError::OtherPlatform { asked, platform: "Tegra" }),
        Platform::Wsl => return Err(PlanError::OtherPlatform { asked, platform: "WSL" }),
        Platform::Discrete | Platform::None => {}
    }
    let root = || if config.cli.root.is_empty() { "/".to_owned() } else { config.cli.root.clone() };
    let missing = || PlanError::NoDriver { root: root(), remarks: remarks(inventory), asked };
    inventory.driver.as_ref().ok_or_else(missing)
}

/// What discovery had to say, in brackets after an error's text.
pub(crate) fn remarks(inventory: &Inventory) -> String {
    let remarks: Vec<_> = inventory.remarks.iter().map(|remark| remark.trim_end_matches('.')).collect();
    if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join("; ")) }
}

impl Plan<'_> {
    /// For the driver's parts: the capabilities in force asked for them.
    fn by_capabilities(&self, rule: String) -> Reason {
        Reason { request: self.by_capabilities.clone(), rule }
    }

    /// Variables that tell programs in the container, and other runtimes, what has been done.
    fn environment(&self, edits: &mut Edits) {
        let mut set = |value: String, rule: &str| {
            let reason = Reason { request: self.request.asked.clone(), rule: rule.to_owned() };
            edits.spec.env.push(Because::new(value, reason));
        };
        if self.request.devices == DeviceRequest::None {
            set("NVCT_EMPTY_DEVICE=".to_owned(), "`none` grants the driver without a device");
        }
        if edits.spec.mounts.iter().any(|mount| is_libcuda(&mount.what.container_path)) {
            let folder = &self.layout.native;
            set(format!("NVIDIA_CTK_LIBCUDA_DIR={folder}"), "says where libcuda lies in the container");
        }
        set("NVIDIA_VISIBLE_DEVICES=void".to_owned(), "the request is fulfilled; nobody need do it again");
    }
}

pub(crate) fn is_libcuda(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("libcuda.so."))
}

#[cfg(test)]
mod tests;
