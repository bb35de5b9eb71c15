//! What a hook learns from the low-level runtime: which container it is run for, and where its root is.

use super::Run;
use crate::{
    codes::Code,
    container::Container,
    fault::{Fault, Result},
};
use host::procfs;
use oci::{HostPath, State, StateError};
use root::{ContainerRoot, Owner};
use std::{fs, io, path::Path};

/// The original's words for a root that cannot be found.
const NO_ROOT: &str = "failed to determined container root";

/// The content of the file that `--container-spec` names. It is read before a hook leaves its folder.
pub fn given(container_spec: Option<&str>) -> Result<Option<Vec<u8>>> {
    container_spec.map(fs::read).transpose().map_err(|error| hook_input("failed to load container state", &error))
}

impl Run {
    /// Opens the container's root, to make something in it. What is made is there for the container also if config.json
    /// makes the root read-only for that, and the low-level runtime has done so already.
    pub fn root_to_write(&self) -> Result<ContainerRoot> {
        self.open().map(|(root, read_only)| if read_only { root.writable() } else { root })
    }

    /// Opens the container's root as it is. The state comes from `--container-spec`, else from stdin.
    pub fn root(&self) -> Result<ContainerRoot> {
        self.open().map(|(root, _)| root)
    }

    fn open(&self) -> Result<(ContainerRoot, bool)> {
        let state = match &self.state {
            Some(bytes) => State::parse(bytes),
            None => State::read(io::stdin().lock()),
        };
        open_root(&state.map_err(|error| state_fault(&error))?).map_err(|fault| fault.within(NO_ROOT))
    }
}

/// The root that the runtime names (crun does), else the bundle's; and whether config.json makes it read-only. A relative
/// root is config.json's own, and counts from the bundle as that does.
fn open_root(state: &State) -> Result<(ContainerRoot, bool)> {
    let folder = state.bundle.as_deref().filter(|bundle| !bundle.is_empty());
    let container = folder.map(|bundle| Container::open(Path::new(bundle), Path::new("config.json")));
    let named = state.root.as_deref().filter(|root| root.starts_with('/'));
    let read_only = |container: &Container| container.document.root().ok().flatten().is_some_and(|root| root.readonly);
    let (path, owner, read_only) = match (named, container) {
        (Some(root), container) => {
            let path = HostPath::new(root).map_err(|error| Fault::from_error(Code::HookInput, &error))?;
            let container = container.and_then(std::result::Result::ok);
            let owner = container.as_ref().and_then(|container| container.owner().ok());
            (path, owner.unwrap_or(Owner { uid: 0, gid: 0 }), container.as_ref().is_some_and(read_only))
        }
        (None, Some(container)) => {
            let container = container?;
            (container.root_path()?, container.owner()?, read_only(&container))
        }
        (None, None) => return Err(Fault::new(Code::HookInput, "the container's state names no bundle")),
    };
    let map = |file| fs::read_to_string(file).unwrap_or_default();
    let owner = Owner {
        uid: procfs::seen_through(&map("/proc/self/uid_map"), owner.uid),
        gid: procfs::seen_through(&map("/proc/self/gid_map"), owner.gid),
    };
    Ok((ContainerRoot::open(&path, owner)?, read_only))
}

fn hook_input(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::from_error(Code::HookInput, error).within(what)
}

/// The original's words for a state that is none.
fn state_fault(error: &StateError) -> Fault {
    hook_input("failed to load container state: failed to decode container state", error)
}
