//! Device cgroups (section 17): the container's group may use what was mounted.

use crate::{Container, Error};
use root::cgroup::{self, CgroupError, Granted, Rule, Version};

/// Rules that were added.
pub(crate) struct Grant(Option<Granted>);

impl Grant {
    /// Puts back what was there.
    pub(crate) fn take_back(self) {
        if let Some(Err(error)) = self.0.map(Granted::undo) {
            log::error!("{error}");
        }
    }
}

impl Container {
    /// Lets the container's group use these character devices; nothing where the caller looks after cgroups.
    pub(crate) fn grant(&self, devices: &[(u32, u32)]) -> Result<Grant, Error> {
        if self.places.options.no_cgroups || devices.is_empty() {
            return Ok(Grant(None));
        }
        let pid = u32::try_from(self.pid).unwrap_or_default();
        let groups = cgroup::of_process(pid).map_err(|error| failed(&error))?;
        for group in &groups {
            let version = if group.version == Version::V1 { 1 } else { 2 };
            log::info!("detected cgroupv{version}");
            log::info!("setting devices cgroup to {}", group.path);
        }
        let rules: Vec<Rule> = devices.iter().map(|(major, minor)| Rule::character(*major, *minor)).collect();
        let granted = cgroup::allow(&groups, &rules).map_err(|error| failed(&error))?;
        for id in granted.inherited() {
            log::warn!("BPF program {id} of a group further up may refuse devices nevertheless");
        }
        Ok(Grant(Some(granted)))
    }
}

fn failed(error: &CgroupError) -> Error {
    match error {
        CgroupError::Unreadable { path, source } => Error::io(format!("open failed: {path}"), source),
        other => Error::new(other.to_string()),
    }
}
