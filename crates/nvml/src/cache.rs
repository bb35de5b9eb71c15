//! Where NVML's answer is kept between container starts, and when it is believed.
//!
//! The file is `nvml.json` in a folder under `/run` or `$XDG_RUNTIME_DIR`. File, folder and the folder above must belong
//! to root or the caller and be writable by nobody else, and no link is followed from the folder on; whatever is not so,
//! is too long or makes no sense is as good as absent, with a remark in the log. Only the holder of the lock writes, and
//! replaces the whole file at once.

mod folder;

pub use folder::{Folder, Lock};

use oci::HostPath;
use serde::{Deserialize, Serialize};

/// Raised whenever [`Kept`] changes its meaning.
pub const FORMAT: u32 = 1;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept<F, N> {
    /// [`FORMAT`].
    pub format: u32,
    /// Nobody saw too little: next time root asks at once.
    pub asked_as_root: bool,
    /// The machine that the answer is about.
    pub fingerprint: F,
    /// The answer.
    pub facts: N,
}

/// Folders for the cache, in the order in which they are tried. Each is made where the folder above it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePlace(pub Vec<HostPath>);

impl CachePlace {
    /// No cache: NVML is asked every time.
    pub const NONE: CachePlace = CachePlace(Vec::new());

    /// `/run/corten`, and for callers who may not write there (rootless engines) `$XDG_RUNTIME_DIR/corten`.
    pub fn of_caller(xdg_runtime_dir: Option<&str>) -> CachePlace {
        let own = xdg_runtime_dir.and_then(|folder| HostPath::new(folder).ok());
        let folders = HostPath::new("/run").into_iter().chain(own);
        CachePlace(folders.map(|folder| folder.join("corten")).collect())
    }

    pub(crate) fn folders_to_read(&self) -> Vec<Folder> {
        self.0.iter().filter_map(Folder::open).collect()
    }

    pub(crate) fn folder_to_write(&self) -> Option<Folder> {
        self.0.iter().filter_map(Folder::open_or_make).find(Folder::is_writable)
    }
}
