//! A container, and what is put into it.

use crate::layout::{ContainerConfig, ContainerHead};
use legacy::{Error, Failed, Machine, Places, Work, options::ContainerOptions};

/// `struct nvc_container`.
#[repr(C)]
pub struct Container {
    head: ContainerHead,
    container: legacy::Container,
}

impl Container {
    /// Looks at it. `given` is what C has handed in, `config` what that says.
    pub fn new(
        given: ContainerConfig,
        config: &legacy::ContainerConfig,
        options: Option<&str>,
    ) -> Result<Container, Error> {
        let options = ContainerOptions::parse(options)?;
        let container = legacy::Container::new(config, options)?;
        // SAFETY: numbers and pointers, for all of which zeros mean something.
        let empty: ContainerHead = unsafe { std::mem::zeroed() };
        Ok(Container { head: ContainerHead { config: given, ..empty }, container })
    }

    /// Finds out what is to be done, and does it.
    pub fn put(&self, machine: &Machine, work: impl FnOnce(&Places) -> Result<Work, Error>) -> Result<(), Error> {
        let work = work(self.container.places())?;
        self.container.carry_out(machine, &work).map_err(|failed| match failed {
            Failed::Mount(error) | Failed::Loader(error) => error,
        })
    }
}
