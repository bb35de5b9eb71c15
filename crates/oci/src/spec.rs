//! The parts of an OCI runtime configuration that this project reads or writes (runtime-spec 1.3.0), as plain values.
//!
//! Members are written in the order that Go's encoder gives them, which is what people know from other tools.

use serde::Serialize;

/// An entry of `mounts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it appears in the container, as written.
    pub destination: String,
    /// File system type; bind mounts often have none.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is mounted, on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Options as in `fstab`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// `root`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// The root file system; if relative, it is relative to the bundle.
    pub path: String,
    /// The container sees it read-only.
    pub readonly: bool,
}

/// `process.user`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User id inside the container.
    pub uid: u32,
    /// Group id inside the container.
    pub gid: u32,
    /// Supplementary groups inside the container.
    pub additional_gids: Vec<u32>,
}

/// An entry of `linux.uidMappings` or `linux.gidMappings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// First id inside the container.
    pub container_id: u32,
    /// First id on the host.
    pub host_id: u32,
    /// How many ids.
    pub size: u32,
}

/// `linux.uidMappings` and `linux.gidMappings`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMappings {
    /// User ids.
    pub uids: Vec<IdMapping>,
    /// Group ids.
    pub gids: Vec<IdMapping>,
}

impl IdMappings {
    /// The host's uid and gid of the container's root user, who owns what is made in the container's root.
    ///
    /// Without mappings that is 0:0. `None`: there are mappings, and they leave root out.
    pub fn root_owner(&self) -> Option<(u32, u32)> {
        Some((host_id_of_root(&self.uids)?, host_id_of_root(&self.gids)?))
    }
}

fn host_id_of_root(mappings: &[IdMapping]) -> Option<u32> {
    if mappings.is_empty() {
        return Some(0);
    }
    mappings.iter().find(|mapping| mapping.container_id == 0 && mapping.size > 0).map(|mapping| mapping.host_id)
}

/// An entry of `linux.namespaces`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// `mount`, `user`, `network` …
    pub kind: String,
    /// An existing namespace that is joined; a new one is made if absent.
    pub path: Option<String>,
}

/// An entry of `linux.devices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Where the node is made in the container.
    pub path: String,
    /// `c`, `b`, `u` or `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner inside the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group inside the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// An entry of `linux.resources.devices`: a rule of the device cgroup. Later rules override earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRule {
    /// Allows rather than denies.
    pub allow: bool,
    /// `c`, `b` or `a`; all if absent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Major number; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// Minor number; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// A subset of `rwm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// An entry of a list of hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// The program, absolute.
    pub path: String,
    /// Its arguments, its own name first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its whole environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Seconds after which the runtime kills it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// The lists of hooks, by when the runtime runs them (runtime-spec, `config.md`, "POSIX-platform Hooks").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// Before the user's program, in the runtime's namespaces. Deprecated and widely used.
    Prestart,
    /// When the runtime environment has been made, in the runtime's namespaces.
    CreateRuntime,
    /// Before `pivot_root`, in the container's namespaces.
    CreateContainer,
    /// Before the user's program, inside the container.
    StartContainer,
    /// After the user's program has been started.
    Poststart,
    /// After the container has been deleted.
    Poststop,
}

impl HookPoint {
    /// All of them, in the specification's order.
    pub const ALL: [HookPoint; 6] = [
        HookPoint::Prestart,
        HookPoint::CreateRuntime,
        HookPoint::CreateContainer,
        HookPoint::StartContainer,
        HookPoint::Poststart,
        HookPoint::Poststop,
    ];

    /// The name of the list, in `hooks` and in CDI's `hookName`.
    pub fn name(self) -> &'static str {
        match self {
            HookPoint::Prestart => "prestart",
            HookPoint::CreateRuntime => "createRuntime",
            HookPoint::CreateContainer => "createContainer",
            HookPoint::StartContainer => "startContainer",
            HookPoint::Poststart => "poststart",
            HookPoint::Poststop => "poststop",
        }
    }

    /// The point of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_owner_follows_the_mapping_of_id_zero() {
        let map = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let of = |uids: &[IdMapping], gids: &[IdMapping]| {
            IdMappings { uids: uids.to_vec(), gids: gids.to_vec() }.root_owner()
        };
        assert_eq!(of(&[], &[]), Some((0, 0)));
        assert_eq!(of(&[map(1, 100_001, 9), map(0, 1000, 1)], &[map(0, 50, 10)]), Some((1000, 50)));
        assert_eq!(of(&[map(1, 100_001, 9)], &[map(0, 50, 10)]), None);
        assert_eq!(of(&[map(0, 7, 0)], &[]), None);
    }

    #[test]
    fn hook_points_are_found_by_their_names() {
        for point in HookPoint::ALL {
            assert_eq!(HookPoint::from_name(point.name()), Some(point));
        }
        assert_eq!(HookPoint::from_name("Prestart"), None);
    }
}
