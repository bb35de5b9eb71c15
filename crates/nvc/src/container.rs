//! A container, and what is put into it.

use crate::{layout::ContainerHead, take};
use legacy::{DriverInfo, Error, Gpu, Machine, MigDevice, options::ContainerOptions};

/// `struct nvc_container`.
#[repr(C)]
pub struct Container {
    head: ContainerHead,
    options: ContainerOptions,
}

impl Container {
    /// Looks at it.
    pub fn new(_machine: &Machine, config: &take::Container, options: Option<&str>) -> Result<Container, Error> {
        let options = ContainerOptions::parse(options)?;
        // SAFETY: numbers and pointers, for all of which zeros mean something.
        let head = unsafe { std::mem::zeroed() };
        let _ = (config.pid, &config.rootfs, &config.folders);
        Ok(Container { head, options })
    }

    pub fn mount_driver(&self, _machine: &Machine, _info: &DriverInfo) -> Result<(), Error> {
        later()
    }

    pub fn mount_device(&self, _machine: &Machine, _gpu: &Gpu) -> Result<(), Error> {
        later()
    }

    pub fn mount_mig_access(&self, _machine: &Machine, _device: &MigDevice) -> Result<(), Error> {
        later()
    }

    pub fn mount_mig_config(&self, _machine: &Machine) -> Result<(), Error> {
        later()
    }

    pub fn mount_mig_monitor(&self, _machine: &Machine) -> Result<(), Error> {
        later()
    }

    pub fn mount_all_mig_caps(&self, _machine: &Machine, _gpu: &Gpu) -> Result<(), Error> {
        later()
    }

    pub fn mount_imex_channel(&self, _machine: &Machine, _channel: u32) -> Result<(), Error> {
        later()
    }

    pub fn update_ldcache(&self, _machine: &Machine) -> Result<(), Error> {
        later()
    }
}

fn later() -> Result<(), Error> {
    Err(Error::new("not in this version yet"))
}
