//! The two files of ours that `/etc/ld.so.conf` may include. Their names are fixed, so that a container that starts a
//! hundred times has one of each (Q32); they begin as the original's do, and sort in its order.

use crate::{ContainerRoot, RootError, Step};
use oci::ContainerPath;

/// A folder name for each line of a file; a longer file is not ours.
const MAX_FILE: usize = 64 << 10;

/// Such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropIn {
    /// The folder of the image's forward compatibility libraries, which come before all others.
    Compat,
    /// Folders of the driver in which the container's own ldconfig would not look: it may run at any time, and what it
    /// does not find vanishes from the cache.
    Driver,
}

impl DropIn {
    /// Where it lies.
    pub(crate) fn file(self) -> ContainerPath {
        let name = match self {
            DropIn::Compat => "00-compat-corten.conf",
            DropIn::Driver => "00-nvcr-corten.conf",
        };
        ContainerPath::root().join("etc/ld.so.conf.d").join(name)
    }

    /// The folders that it names now.
    pub(crate) fn read(self, root: &ContainerRoot) -> Result<Vec<ContainerPath>, RootError> {
        match root.read_if_any(&self.file(), MAX_FILE) {
            Ok(text) => Ok(text.map(|text| super::conf::named_in(&text)).unwrap_or_default()),
            Err(error) if error.is_unusable() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What makes it name just these; without folders there is no file.
    pub(crate) fn with(self, root: &ContainerRoot, folders: &[ContainerPath]) -> Result<Option<Step>, RootError> {
        let path = self.file();
        let content: Vec<u8> = folders.iter().flat_map(|folder| format!("{folder}\n").into_bytes()).collect();
        match root.read_if_any(&path, MAX_FILE) {
            Ok(None) if folders.is_empty() => return Ok(None),
            Ok(Some(found)) if found == content && !folders.is_empty() => return Ok(None),
            Err(error) if !error.is_unusable() => return Err(error),
            _ => {}
        }
        Ok(Some(match folders {
            [] => Step::Remove(path),
            _ => Step::File { path, content, mode: 0o644, folder_mode: 0o755 },
        }))
    }
}
