//! What a container asks for, read from its environment, mounts and annotations (reference: runtime-and-hook.md
//! section 4), before anything is known about the machine.
//!
//! Whoever wrote the image wrote these texts, so nothing here trusts them: every list is taken once, every name is
//! parsed once, and nothing is granted that a text does not say.

mod capabilities;
mod device;
mod devices;
mod imex;
mod view;

pub use capabilities::CapabilityError;
pub use device::{CdiName, DeviceId, DeviceName, MIN_UUID_PREFIX};
pub use imex::{ImexName, ImexRequest};
pub use view::{ContainerView, MountView};

use crate::config::{Config, UnsupportedCapability};
use host::Capabilities;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

const MIG_CONFIG: &str = "NVIDIA_MIG_CONFIG_DEVICES";
const MIG_MONITOR: &str = "NVIDIA_MIG_MONITOR_DEVICES";

/// A container that asks for GPUs, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Which devices.
    pub devices: DeviceRequest,
    /// The words that asked, for reasons and errors: `NVIDIA_VISIBLE_DEVICES=all`.
    pub asked: String,
    /// Every name was given as `runtime.nvidia.com/gpu=…`: handled by the machine itself also in cdi mode.
    pub automatic: bool,
    /// Which IMEX channels.
    pub imex: ImexRequest,
    /// Which groups of special devices, in the order of [`Gated::ALL`].
    pub gated: Vec<Gated>,
    /// Which parts of the driver. None where CDI specs say what the container gets.
    pub capabilities: Capabilities,
    /// What must be true of the machine, by variable name; unparsed, as the hook hands them on. None likewise: no machine
    /// is looked at for CDI specs, and their devices may be of any vendor.
    pub requirements: Vec<Requirement>,
    /// `NVIDIA_MIG_CONFIG_DEVICES`, verbatim. Only privileged containers get this far with it. None where CDI specs say what
    /// the container gets.
    pub mig_config: Option<String>,
    /// `NVIDIA_MIG_MONITOR_DEVICES`, likewise.
    pub mig_monitor: Option<String>,
    /// Those of the two variables that are set and left out because of CDI specs, for whoever wonders.
    pub mig_left_out: Vec<&'static str>,
    /// `NVIDIA_REQUIRE_JETPACK` is `csv-mounts=all`: all CSV files count, not only the base ones.
    pub all_csv_mounts: bool,
}

/// Which devices a container asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum DeviceRequest {
    /// Every GPU and MIG device.
    All,
    /// The driver's files, but no device.
    None,
    /// These, each once, in the order given.
    Ids(Vec<DeviceName>),
}

/// A group of special devices that a variable with the value `enabled` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub enum Gated {
    Gds,
    Mofed,
    GdrCopy,
    NvSwitch,
}

/// One requirement expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// `NVIDIA_REQUIRE_CUDA`.
    pub variable: String,
    /// `cuda>=12.4 brand=tesla,driver>=470`.
    pub text: String,
}

/// What [`Request::read`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// `None`: no GPU is asked for, or none that counts.
    pub request: Option<Request>,
    /// What was ignored and why, one line each, in the original's words.
    pub warnings: Vec<String>,
}

/// A request that no machine can fulfil.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RequestError {
    /// Partitioning a GPU is for privileged containers. The original leaves out the variable's first word.
    #[error(
        "cannot set {short} in non privileged container; run the container privileged, or unset {0}",
        short = .0.trim_start_matches("NVIDIA_")
    )]
    Unprivileged(&'static str),
    #[error(transparent)]
    Capabilities(#[from] CapabilityError),
    #[error(transparent)]
    Supported(#[from] UnsupportedCapability),
    /// An image without `NVIDIA_REQUIRE_CUDA` whose `CUDA_VERSION` is no version.
    #[error(
        "failed to get version: invalid CUDA version {0}: invalid version string: CUDA_VERSION must begin with \
         numbers, as in 12.4; correct it, or set NVIDIA_DISABLE_REQUIRE=true"
    )]
    CudaVersion(String),
}

impl Gated {
    /// All groups, in the original's order.
    pub const ALL: [Gated; 4] = [Gated::Gds, Gated::Mofed, Gated::GdrCopy, Gated::NvSwitch];

    /// The variable that asks for it.
    pub const fn variable(self) -> &'static str {
        match self {
            Gated::Gds => "NVIDIA_GDS",
            Gated::Mofed => "NVIDIA_MOFED",
            Gated::GdrCopy => "NVIDIA_GDRCOPY",
            Gated::NvSwitch => "NVIDIA_NVSWITCH",
        }
    }
}

impl Request {
    /// Reads a container's request. A container that asks for nothing costs a look at its annotations, mounts and
    /// variables, and nothing else is read or judged.
    ///
    /// # Errors
    /// [`RequestError`], only for containers that ask for a GPU.
    pub fn read(view: &ContainerView, config: &Config) -> Result<Reading, RequestError> {
        let mut warnings = Vec::new();
        let Some(found) = devices::find(view, config, &mut warnings) else {
            return Ok(Reading { request: None, warnings });
        };
        let by_spec = found.is_for_specs(config);
        let request = Request {
            imex: imex::find(view, config, &mut warnings),
            gated: gated(view, config, &mut warnings),
            capabilities: if by_spec { Capabilities::NONE } else { capabilities(view, config, &mut warnings)? },
            requirements: if by_spec { Vec::new() } else { requirements(view, config)? },
            devices: found.devices,
            asked: found.asked,
            automatic: found.automatic,
            mig_config: if by_spec { None } else { mig(view, MIG_CONFIG)? },
            mig_monitor: if by_spec { None } else { mig(view, MIG_MONITOR)? },
            mig_left_out: if by_spec { set(view, [MIG_CONFIG, MIG_MONITOR]) } else { Vec::new() },
            all_csv_mounts: view.variable("NVIDIA_REQUIRE_JETPACK") == Some("csv-mounts=all"),
        };
        Ok(Reading { request: Some(request), warnings })
    }

    /// The devices as CDI names, for cdi mode, each once: an unqualified one gets `default_kind`, and may be no valid name
    /// then.
    pub fn cdi_names(&self, default_kind: &str) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut names = match &self.devices {
            DeviceRequest::All => vec![format!("{default_kind}=all")],
            DeviceRequest::None => vec![format!("{default_kind}=none")],
            DeviceRequest::Ids(names) => names.iter().map(|name| name.qualified(default_kind)).collect(),
        };
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// It wants to partition GPUs, or to watch all their MIG devices.
    pub fn partitions(&self) -> bool {
        self.mig_config.is_some() || self.mig_monitor.is_some()
    }

    /// All names are qualified CDI names, which only a CDI spec can resolve.
    pub fn only_cdi_names(&self) -> bool {
        self.devices.are_cdi_names()
    }
}

impl DeviceRequest {
    fn are_cdi_names(&self) -> bool {
        let qualified = |name: &DeviceName| matches!(name.id, DeviceId::Cdi(_));
        matches!(self, DeviceRequest::Ids(names) if names.iter().all(qualified))
    }
}

/// The environment's requests count: the policy of `accept-nvidia-visible-devices-envvar-when-unprivileged`.
fn environment_counts(view: &ContainerView, config: &Config) -> bool {
    view.privileged || config.accept_envvar_when_unprivileged
}

/// Gated groups. Unlike the original's, they obey the policy for unprivileged containers.
fn gated(view: &ContainerView, config: &Config, warnings: &mut Vec<String>) -> Vec<Gated> {
    let asked: Vec<Gated> =
        Gated::ALL.into_iter().filter(|group| view.variable(group.variable()) == Some("enabled")).collect();
    if asked.is_empty() || environment_counts(view, config) {
        return asked;
    }
    let variables: Vec<_> = asked.iter().map(|group| group.variable()).collect();
    warnings.push(ignored(&variables));
    Vec::new()
}

fn ignored(variables: &[&str]) -> String {
    format!("Ignoring request by environment variable(s) in unprivileged container: [{}]", variables.join(" "))
}

/// Driver capabilities. Where the administrator has them ignored, a word that is none is only worth a warning.
fn capabilities(
    view: &ContainerView,
    config: &Config,
    warnings: &mut Vec<String>,
) -> Result<Capabilities, RequestError> {
    let supported = config.supported_capabilities()?;
    let value = view.variable(capabilities::VARIABLE);
    match capabilities::parse(value, view.is_legacy_image(), supported) {
        Err(error) if config.runtime.jit_ignore_driver_capabilities => {
            warnings.push(error.to_string());
            Ok(supported.intersection(capabilities::USUAL))
        }
        result => Ok(result?),
    }
}

/// The requirement expressions, sorted by variable; none where they are disabled.
fn requirements(view: &ContainerView, config: &Config) -> Result<Vec<Requirement>, RequestError> {
    if config.disable_require || view.variable("NVIDIA_DISABLE_REQUIRE").is_some_and(is_go_true) {
        return Ok(Vec::new());
    }
    let expressions: BTreeMap<&str, &str> = view
        .variables()
        .filter(|(name, _)| name.starts_with("NVIDIA_REQUIRE_") && !name.starts_with("NVIDIA_REQUIRE_JETPACK"))
        .collect();
    let mut list: Vec<Requirement> = expressions
        .into_iter()
        .map(|(name, text)| Requirement { variable: name.to_owned(), text: text.to_owned() })
        .collect();
    if view.is_legacy_image() {
        let version = view.variable("CUDA_VERSION").unwrap_or_default();
        let (major, minor) = crate::requirement::leading_version(version)
            .ok_or_else(|| RequestError::CudaVersion(version.to_owned()))?;
        list.push(Requirement { variable: "CUDA_VERSION".into(), text: format!("cuda>={major}.{minor}") });
    }
    Ok(list)
}

/// What Go's `strconv.ParseBool` takes for true.
fn is_go_true(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True"].contains(&text)
}

/// A request about all MIG devices, which reaches beyond the container's own GPUs (reference: runtime-and-hook.md 4.8).
fn mig(view: &ContainerView, variable: &'static str) -> Result<Option<String>, RequestError> {
    match view.variable(variable) {
        None | Some("") => Ok(None),
        Some(_) if !view.privileged => Err(RequestError::Unprivileged(variable)),
        Some(value) => Ok(Some(value.to_owned())),
    }
}

/// Those of the variables that say something.
fn set(view: &ContainerView, variables: [&'static str; 2]) -> Vec<&'static str> {
    variables.into_iter().filter(|name| view.variable(name).is_some_and(|value| !value.is_empty())).collect()
}

#[cfg(test)]
mod tests;
