//! Device cgroups (section 17).

use crate::{Container, Error};
use root::cgroup::{self, CgroupError, Granted, Rule, Version};

/// Rules that were added.
pub(crate) struct Grant(Granted);

impl Grant {
    /// Puts back what was there.
    pub(crate) fn take_back(self) {
        if let Err(error) = self.0.undo() {
            log::error!("{error}");
        }
    }
}

impl Container {
    /// Lets the container's processes read and write the character devices of these numbers, all in one step.
    pub(crate) fn grant(&self, rules: &[(u32, u32)]) -> Result<Grant, Error> {
        let no_cgroups = self.places.options.no_cgroups;
        let Some(pid) = u32::try_from(self.pid).ok().filter(|_| !no_cgroups && !rules.is_empty()) else {
            return Ok(Grant(Granted::default()));
        };
        let failed = |error: CgroupError| Error::new(error.to_string());
        let groups = cgroup::of_process(pid).map_err(failed)?;
        for group in &groups {
            let version = match group.version {
                Version::V1 => 1,
                Version::V2 => 2,
            };
            log::info!("detected cgroupv{version}");
            log::info!("setting devices cgroup to {}", group.path);
        }
        let rules: Vec<_> = rules.iter().map(|(major, minor)| Rule::character(*major, *minor)).collect();
        let granted = cgroup::allow(&groups, &rules).map_err(failed)?;
        for id in granted.inherited() {
            log::info!("BPF program {id} of a group further up may refuse devices nevertheless");
        }
        Ok(Grant(granted))
    }
}
