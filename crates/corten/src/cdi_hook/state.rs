//! What a hook learns from the low-level runtime: which container it is run for, and where its root is.

use super::{Run, compat, loader};
use crate::{
    codes::Code,
    container::Container,
    fault::{Fault, Result},
};
use host::procfs;
use oci::{Document, HookPoint, HostPath, State, StateError};
use root::{ContainerRoot, Owner};
use rustix::fs::OFlags;
use std::{
    borrow::Cow,
    cell::OnceCell,
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    rc::Rc,
};

/// The original's words for a root that cannot be found.
const NO_ROOT: &str = "failed to determined container root";

/// The container that a hook is run for. Its state is read when the first hook needs it, as some need none, and once.
pub struct Subject {
    /// The state, or why it is none, where it was given as a file.
    given: Option<std::result::Result<State, StateError>>,
    found: OnceCell<Found>,
}

/// What the state and config.json say.
struct Said {
    root: HostPath,
    owner: Owner,
    /// config.json makes the root read-only.
    read_only: bool,
    /// Of config.json's hooks none decides about the image's libcuda.
    without_compat: bool,
}

/// What that leads to.
struct Found {
    root: Rc<ContainerRoot>,
    /// The low-level runtime has made the root read-only because config.json says so.
    made_read_only: bool,
    without_compat: bool,
}

impl Subject {
    /// Reads the file that `--container-spec` names, before a hook leaves its folder.
    pub fn of(container_spec: Option<&str>) -> Result<Subject> {
        let given = container_spec.map(|path| open(path).map(State::read)).transpose();
        let given = given.map_err(|error| hook_input("failed to load container state", &error))?;
        Ok(Subject { given, found: OnceCell::new() })
    }

    fn find(&self) -> Result<&Found> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let state = match &self.given {
            Some(state) => state.as_ref().map_err(state_fault).map(Cow::Borrowed),
            None => State::read(io::stdin().lock()).map_err(|error| state_fault(&error)).map(Cow::Owned),
        };
        let said = find(&*state?).map_err(|fault| fault.within(NO_ROOT))?;
        let root = ContainerRoot::open(&said.root, said.owner).map_err(|error| Fault::from(error).within(NO_ROOT))?;
        let made_read_only = said.read_only && root.was_made_read_only();
        let without_compat = said.without_compat;
        Ok(self.found.get_or_init(|| Found { root: Rc::new(root), made_read_only, without_compat }))
    }
}

impl Run<'_> {
    /// The container's root, to make something in it. What is made is there for the container also if config.json makes
    /// the root read-only for that, and the low-level runtime has done so already.
    pub fn root_to_write(&self) -> Result<Rc<ContainerRoot>> {
        let found = self.subject.find()?;
        // A new copy for each hook: it shows what the ones before it have mounted.
        let copy = found.made_read_only.then(|| found.root.copy_to_write()).flatten();
        Ok(copy.map_or_else(|| found.root.clone(), Rc::new))
    }

    /// Nobody decides about the image's libcuda at this start: what an earlier one put first is not wanted any more.
    pub fn is_without_compat(&self) -> Result<bool> {
        Ok(self.subject.find()?.without_compat)
    }

    /// The container's root as it is. The state comes from `--container-spec`, else from stdin.
    pub fn root(&self) -> Result<&ContainerRoot> {
        Ok(&self.subject.find()?.root)
    }
}

/// The root that the runtime names (crun does), else the bundle's; and whether config.json makes it read-only. A relative
/// root is config.json's own, and counts from the bundle as that does.
fn find(state: &State) -> Result<Said> {
    let folder = state.bundle.as_deref().filter(|bundle| !bundle.is_empty());
    let container = folder.map(|bundle| Container::open(Path::new(bundle), Path::new("config.json")));
    let named = state.root.as_deref().filter(|root| root.starts_with('/'));
    let read_only = |container: &Container| container.document.root().ok().flatten().is_some_and(|root| root.readonly);
    let (path, owner, container) = match (named, container) {
        (Some(root), container) => {
            let path = HostPath::new(root).map_err(|error| Fault::from_error(Code::HookInput, &error))?;
            let container = container.and_then(std::result::Result::ok);
            let owner = container.as_ref().and_then(|container| container.owner().ok());
            (path, owner.unwrap_or(Owner { uid: 0, gid: 0 }), container)
        }
        (None, Some(container)) => {
            let container = container?;
            (container.root_path()?, container.owner()?, Some(container))
        }
        (None, None) => return Err(Fault::new(Code::HookInput, "the container's state names no bundle")),
    };
    let map = |file| fs::read_to_string(file).unwrap_or_default();
    let owner = Owner {
        uid: procfs::seen_through(&map("/proc/self/uid_map"), owner.uid),
        gid: procfs::seen_through(&map("/proc/self/gid_map"), owner.gid),
    };
    Ok(Said {
        root: path,
        owner,
        read_only: container.as_ref().is_some_and(read_only),
        without_compat: container.is_some_and(|container| is_without_compat(&container.document)),
    })
}

/// A spec may have been made anew without the hook ([`compat`]). That is only known where config.json lists the one that
/// asks ([`loader`]): who runs it by hand runs the other by hand, too.
fn is_without_compat(document: &Document) -> bool {
    let hooks: Vec<_> =
        HookPoint::ALL.into_iter().flat_map(|point| document.hooks(point).unwrap_or_default()).collect();
    let has = |name: &str| hooks.iter().any(|hook| hook.args.iter().any(|word| word == name));
    has(loader::NAME) && !has(compat::NAME)
}

/// A file that somebody names. A relative path counts from the working directory, which a low-level runtime may have set to
/// the image's root; so what lies there is not waited for, and is regular or nothing.
fn open(path: &str) -> io::Result<File> {
    let regular = |status: fs::Metadata| match status.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    };
    // Asked before opening, for opening a device may do things; and after it, for it may be another by then.
    regular(fs::metadata(path)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}

fn hook_input(what: &str, error: &dyn std::error::Error) -> Fault {
    Fault::from_error(Code::HookInput, error).within(what)
}

/// The original's words for a state that is none.
fn state_fault(error: &StateError) -> Fault {
    hook_input("failed to load container state: failed to decode container state", error)
}
