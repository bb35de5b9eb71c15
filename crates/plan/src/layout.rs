//! What a container's root looks like, as far as a decision depends on it. `crates/root` finds it out; here it is data.

use host::LibraryClass;
use oci::ContainerPath;
use serde::{Deserialize, Serialize};

/// Where a container's distribution keeps and looks for libraries, and what of ours it can take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Which loader it has.
    pub loader: Loader,
    /// Folder for native libraries.
    pub native: ContainerPath,
    /// Folder for 32-bit libraries.
    pub compat32: ContainerPath,
    /// Nothing can be created in the root (a read-only file system), so links and caches must come as mounts.
    pub read_only: bool,
    /// A mount of the container's own lies over the folder for libraries: of what is made in the root, the container will
    /// see nothing there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub covered: bool,
}

/// The program loader of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// glibc: finds libraries through `/etc/ld.so.cache`.
    Glibc,
    /// musl: finds libraries through `/etc/ld-musl-ARCH.path`, else `/lib:/usr/local/lib:/usr/lib`.
    Musl,
    /// None that we know (a static image); treated as glibc without a cache.
    Unknown,
}

impl Layout {
    /// The folder for libraries of that class.
    pub fn folder(&self, class: LibraryClass) -> &ContainerPath {
        match class {
            LibraryClass::Native => &self.native,
            LibraryClass::Compat32 => &self.compat32,
        }
    }
}
