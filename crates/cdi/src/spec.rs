//! A CDI spec: what one file says about the devices of one kind (CDI specification 1.1; cdi-and-ctk.md 3.1).

use crate::edits::ContainerEdits;
use crate::names::{Kind, NameError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The content of a spec file. Field order is the order of serialisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The version of the CDI specification that it needs; [`Spec::minimum_version`](crate::Spec::minimum_version) tells.
    pub cdi_version: String,
    /// `vendor/class`, such as `nvidia.com/gpu`.
    pub kind: String,
    /// Notes for whoever reads the spec; they do not reach containers (CDI 0.6).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The devices. A spec without any is not valid.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// What is done once for every container that gets one of the devices.
    #[serde(default)]
    pub container_edits: ContainerEdits,
}

impl Spec {
    /// `kind` in its two parts.
    ///
    /// # Errors
    /// [`NameError`] if it is no kind.
    pub fn parsed_kind(&self) -> Result<Kind, NameError> {
        Kind::parse(&self.kind)
    }

    /// All sets of edits: those of the spec, then those of each device.
    pub fn all_edits(&self) -> impl Iterator<Item = &ContainerEdits> {
        std::iter::once(&self.container_edits).chain(self.devices.iter().map(|device| &device.container_edits))
    }
}

/// One device, by the name that a container asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its name, such as `0`, `GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c` or `all`.
    pub name: String,
    /// Notes, as in [`Spec::annotations`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it changes about a container, besides what the spec does for all.
    #[serde(default)]
    pub container_edits: ContainerEdits,
}
