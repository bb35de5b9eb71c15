//! The decision: what is to be changed, in `config.json` and in the container's root, and why each part is there.

use cdi::{ContainerEdits, DeviceNode, Hook, IntelRdt, Mount, NetDevice};
use host::LibraryClass;
use oci::{ContainerPath, DeviceRule};
use serde::Serialize;
use std::fmt;

/// Everything one container start needs. Data only: `crates/cdi` puts [`Edits::spec`] into `config.json`, `crates/root`
/// carries out [`Edits::root`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Edits {
    /// For `config.json`.
    pub spec: SpecEdits,
    /// For the container's root file system, done from outside before the low-level runtime starts.
    pub root: RootWork,
    /// What the container does not get although it asked, and what the administrator should know: one sentence each.
    pub remarks: Vec<String>,
}

/// What goes into `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpecEdits {
    /// `NAME=value`; replaces a variable of that name.
    pub env: Vec<Because<String>>,
    /// Device nodes, with the cgroup rule each implies.
    pub devices: Vec<Because<DeviceNode>>,
    /// Rules of the device cgroup for nodes that somebody else brings; legacy mode has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Because<DeviceRule>>,
    /// Mounts from the host.
    pub mounts: Vec<Because<Mount>>,
    /// Supplementary groups.
    pub gids: Vec<Because<u32>>,
    /// Hooks. At most one is ours.
    pub hooks: Vec<Because<Hook>>,
    /// Network interfaces of the host; only CDI specs of others have them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub net_devices: Vec<Because<NetDevice>>,
    /// Cache and memory bandwidth; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<Because<IntelRdt>>,
}

impl SpecEdits {
    /// The edits of CDI specs, all for the same reason.
    pub fn because(edits: ContainerEdits, reason: &Reason) -> Self {
        fn each<T>(list: Vec<T>, reason: &Reason) -> Vec<Because<T>> {
            list.into_iter().map(|what| Because::new(what, reason.clone())).collect()
        }
        let ContainerEdits { env, device_nodes, net_devices, hooks, mounts, intel_rdt, additional_gids } = edits;
        SpecEdits {
            env: each(env, reason),
            devices: each(device_nodes, reason),
            rules: Vec::new(),
            mounts: each(mounts, reason),
            gids: each(additional_gids, reason),
            hooks: each(hooks, reason),
            net_devices: each(net_devices, reason),
            intel_rdt: intel_rdt.map(|what| Because::new(what, reason.clone())),
        }
    }

    /// The same edits without their reasons, in CDI's form, which knows no rules without nodes.
    pub fn into_container_edits(self) -> ContainerEdits {
        fn bare<T>(list: Vec<Because<T>>) -> Vec<T> {
            list.into_iter().map(|entry| entry.what).collect()
        }
        ContainerEdits {
            env: bare(self.env),
            device_nodes: bare(self.devices),
            hooks: bare(self.hooks),
            mounts: bare(self.mounts),
            additional_gids: bare(self.gids),
            net_devices: bare(self.net_devices),
            intel_rdt: self.intel_rdt.map(|entry| entry.what),
        }
    }
}

/// What is done in the container's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RootWork {
    /// Symbolic links.
    pub links: Vec<Because<Link>>,
    /// Libraries that the container's loader must find, for `/etc/ld.so.cache` or musl's path file.
    pub libraries: Vec<Because<LoaderEntry>>,
    /// A folder of the image's whose libraries the loader must find before [`RootWork::libraries`]: its own libcuda, for
    /// forward compatibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compat: Option<Because<ContainerPath>>,
    /// Bit N set: the container has `/dev/nvidiaN`, and an application profile says so to EGL. `None`: no profile.
    pub application_profile: Option<Because<u64>>,
}

impl RootWork {
    /// Nothing to do: the root need not even be opened.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.libraries.is_empty() && self.application_profile.is_none()
    }
}

/// A symbolic link in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Where the link lies. Its parents are resolved inside the container's root.
    pub at: ContainerPath,
    /// What it says; never followed by us.
    pub target: String,
}

/// A library as a loader cache lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoaderEntry {
    /// The name programs ask for: the library's soname.
    pub soname: String,
    /// The path the loader opens: the soname's link (or the library itself) in the container.
    pub path: ContainerPath,
    /// Native or 32-bit.
    pub class: LibraryClass,
}

/// A thing together with why it is there. Reasons never change what is done; they are for `explain`, logs and errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Because<T> {
    /// The thing.
    pub what: T,
    /// Why.
    pub reason: Reason,
}

impl<T> Because<T> {
    /// `what`, for `reason`.
    pub fn new(what: T, reason: Reason) -> Self {
        Because { what, reason }
    }
}

/// Why something is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What the container said: `NVIDIA_VISIBLE_DEVICES=0`, or `any GPU` for what every GPU container gets.
    pub request: String,
    /// The rule that follows from it, a sentence.
    pub rule: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.rule, self.request)
    }
}
