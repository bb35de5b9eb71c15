//! The container that is about to be made: its `config.json`, what it asks for, and its root.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use oci::{Bundle, BundleError, Document, DocumentError, HostPath};
use plan::{
    Config, Request,
    request::{ContainerView, MountView, RequestError},
};
use root::Owner;
use std::path::{Path, PathBuf};

/// The original's prefixes for a file that cannot be opened, and for one that cannot be understood.
const OPEN: &str = "failed to load OCI spec: error opening OCI specification file";
const LOAD: &str =
    "failed to load OCI spec: error loading OCI specification from file: error reading OCI specification";

/// See the module.
pub struct Container {
    folder: PathBuf,
    bundle: Bundle,
    /// Its `config.json`; edits go here, and to disk with [`Container::save`].
    pub document: Document,
}

impl Container {
    /// Reads `file` of the bundle in `folder`.
    pub fn open(folder: &Path, file: &Path) -> Result<Container> {
        Container::read(folder, file).map_err(|error| unreadable(&error))
    }

    /// The same for whoever has words of his own for a failure.
    pub fn read(folder: &Path, file: &Path) -> std::result::Result<Container, BundleError> {
        let absolute = std::path::absolute(folder);
        let folder = absolute.map_err(|source| BundleError::Unreadable { path: folder.to_owned(), source })?;
        let bundle = Bundle::with_config(folder.join(file));
        let document = bundle.read()?;
        Ok(Container { folder, bundle, document })
    }

    /// Its `config.json`.
    pub fn file(&self) -> &Path {
        self.bundle.config_path()
    }

    /// Writes the document back, if it was changed.
    pub fn save(&self) -> Result<()> {
        self.bundle.write(&self.document).map(drop).map_err(|error| {
            Fault::from_error(Code::SpecNotWritten, &error)
                .within("error writing modified OCI specification: error opening OCI specification file")
        })
    }

    /// What the container asks for, if anything. What was ignored goes to the log.
    pub fn request(&self, config: &Config) -> Result<Option<Request>> {
        let view = View::read(&self.document).map_err(|error| self.invalid(&error))?;
        let reading = view.with(|view| Request::read(&view, config)).map_err(|error| request_fault(&error))?;
        for warning in &reading.warnings {
            log::warn!("{warning}");
        }
        Ok(reading.request)
    }

    /// The container's root folder. A relative `root.path` counts from the bundle (B-01), which may be given relative
    /// to the current folder.
    pub fn root_path(&self) -> Result<HostPath> {
        let root = self.document.root().map_err(|error| self.invalid(&error))?;
        let path = root
            .map(|root| root.path)
            .filter(|path| !path.is_empty())
            .ok_or_else(|| Fault::new(Code::RootUnusable, format!("{} names no root.path", self.file().display())))?;
        let path = self.folder.join(path);
        HostPath::new(path.to_string_lossy()).map_err(|error| Fault::from_error(Code::RootUnusable, &error))
    }

    /// Its mounts, in order.
    pub fn mounts(&self) -> Result<Vec<oci::Mount>> {
        self.document.mounts().map_err(|error| self.invalid(&error))
    }

    /// The environment of its process.
    pub fn env(&self) -> Result<Vec<String>> {
        self.document.env().map_err(|error| self.invalid(&error))
    }

    /// Who owns what is made in the root: the container's root user in this machine's numbers.
    pub fn owner(&self) -> Result<Owner> {
        let mappings = self.document.id_mappings().map_err(|error| self.invalid(&error))?;
        // A container without a root user has no better owner for the driver's links than the root's own.
        let (uid, gid) = mappings.root_owner().unwrap_or((0, 0));
        Ok(Owner { uid, gid })
    }

    /// A fault of `config.json`'s content.
    pub fn invalid(&self, error: &DocumentError) -> Fault {
        Fault::from_error(Code::SpecInvalid, error).within(&format!("{LOAD}: {}", self.file().display()))
    }
}

fn unreadable(error: &BundleError) -> Fault {
    match error {
        BundleError::Unreadable { .. } => Fault::from_error(Code::SpecUnreadable, error).within(OPEN),
        BundleError::NotRegular { .. } | BundleError::TooLarge { .. } | BundleError::NotADocument { .. } => {
            Fault::from_error(Code::SpecInvalid, error).within(LOAD)
        }
    }
}

/// What [`ContainerView`] borrows from.
struct View {
    env: Vec<String>,
    annotations: Vec<(String, String)>,
    mounts: Vec<oci::Mount>,
    privileged: bool,
}

impl View {
    fn read(document: &Document) -> std::result::Result<View, DocumentError> {
        Ok(View {
            env: document.env()?,
            annotations: document.annotations()?.into_iter().collect(),
            mounts: document.mounts()?,
            privileged: document.bounding_capabilities()?.iter().any(|name| name == "CAP_SYS_ADMIN"),
        })
    }

    fn with<T>(&self, read: impl FnOnce(ContainerView<'_>) -> T) -> T {
        let mounts: Vec<_> = self
            .mounts
            .iter()
            .map(|mount| MountView {
                destination: &mount.destination,
                source: mount.source.as_deref().unwrap_or_default(),
            })
            .collect();
        let Self { env, annotations, privileged, .. } = self;
        read(ContainerView { env, annotations, mounts: &mounts, privileged: *privileged })
    }
}

fn request_fault(error: &RequestError) -> Fault {
    let code = match error {
        RequestError::Unprivileged(_) => Code::PrivilegeNeeded,
        RequestError::Capabilities(_) | RequestError::Supported(_) => Code::CapabilityUnknown,
        RequestError::CudaVersion(_) => Code::RequirementInvalid,
    };
    Fault::from_error(code, error)
}
