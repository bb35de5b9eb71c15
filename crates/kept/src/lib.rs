//! What is kept between container starts, so that a machine which has not changed is not examined again.
//!
//! Each thing that is kept is one file, `NAME.json`, in a folder under `/run` or `$XDG_RUNTIME_DIR`. File, folder and the
//! folder above must belong to root or the caller and be writable by nobody else, and no link is followed from the
//! folder on; whatever is not so, or is too long, is as good as absent, with a remark in the log. Only the holder of a
//! name's lock writes it, and replaces the whole file at once. What the content means, and whether it still holds, is
//! for the caller to say.
#![forbid(unsafe_code)]

mod folder;

pub use folder::{Folder, Lock};

use oci::HostPath;

/// Folders to keep things in, in the order in which they are tried. Each is made where the folder above it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePlace(pub Vec<HostPath>);

impl CachePlace {
    /// Nothing is kept.
    pub const NONE: CachePlace = CachePlace(Vec::new());

    /// `/run/corten`, and for callers who may not write there (rootless engines) `$XDG_RUNTIME_DIR/corten`.
    pub fn of_caller(xdg_runtime_dir: Option<&str>) -> CachePlace {
        let own = xdg_runtime_dir.and_then(|folder| HostPath::new(folder).ok());
        let folders = HostPath::new("/run").into_iter().chain(own);
        CachePlace(folders.map(|folder| folder.join("corten")).collect())
    }

    /// The folders that are there and safe.
    pub fn folders_to_read(&self) -> impl Iterator<Item = Folder> {
        self.0.iter().filter_map(Folder::open)
    }

    /// The first folder that the caller can write, made if need be.
    pub fn folder_to_write(&self) -> Option<Folder> {
        self.0.iter().filter_map(Folder::open_or_make).find(Folder::is_writable)
    }
}
