//! A bundle: the folder that a container engine hands to a runtime, with `config.json` in it.

use crate::document::{Document, DocumentError};
use crate::replace::{Keep, ReplaceError, replace};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No engine writes a larger `config.json` (common ones have 10 to 40 KB); without a limit a file could exhaust memory.
pub const CONFIG_LIMIT: u64 = 64 << 20;

/// A bundle's folder, by the way its `config.json` is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    config: PathBuf,
}

/// Why the `config.json` of a bundle cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder, device, FIFO or socket.
    #[error("{path} is not a regular file")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Larger than [`CONFIG_LIMIT`].
    #[error("{path} is larger than {} MiB, which no container configuration is", CONFIG_LIMIT >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Read, and no document.
    #[error("{path}: {source}")]
    NotADocument {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        source: DocumentError,
    },
}

impl Bundle {
    /// The bundle in that folder; the current folder if the path is empty, as runtimes have it.
    pub fn at(folder: impl AsRef<Path>) -> Self {
        Bundle { config: folder.as_ref().join("config.json") }
    }

    /// The bundle whose configuration is that file; crun can be told another name than `config.json`.
    pub fn with_config(path: impl Into<PathBuf>) -> Self {
        Bundle { config: path.into() }
    }

    /// The path of `config.json`.
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// Reads `config.json`, which must be a regular file or a link to one.
    ///
    /// # Errors
    /// All of [`BundleError`].
    pub fn read(&self) -> Result<Document, BundleError> {
        let bytes = self.read_bytes()?;
        Document::parse(&bytes).map_err(|source| BundleError::NotADocument { path: self.config.clone(), source })
    }

    /// Writes a changed document back, as [`replace_file`](crate::replace_file) does; an unchanged one is left alone.
    /// Returns whether it wrote.
    ///
    /// Nothing is forced to disk: a bundle is made anew for each start of a container and means nothing after a crash of the
    /// machine, and on a busy disk that would be the slowest part of the start.
    ///
    /// # Errors
    /// [`ReplaceError`].
    pub fn write(&self, document: &Document) -> Result<bool, ReplaceError> {
        if !document.is_changed() {
            return Ok(false);
        }
        replace(&self.config, &document.to_bytes(), Keep::UntilReboot)?;
        Ok(true)
    }

    fn read_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let unreadable = |source| BundleError::Unreadable { path: self.config.clone(), source };
        // Asked before opening, for opening a FIFO waits and opening a device may do things.
        self.accept(&std::fs::metadata(&self.config).map_err(unreadable)?)?;
        let file = File::open(&self.config).map_err(unreadable)?;
        let size = self.accept(&file.metadata().map_err(unreadable)?)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        file.take(CONFIG_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        self.limit(bytes.len() as u64)?;
        Ok(bytes)
    }

    /// The size of a file that may be read.
    fn accept(&self, metadata: &Metadata) -> Result<u64, BundleError> {
        match metadata.is_file() {
            true => self.limit(metadata.len()),
            false => Err(BundleError::NotRegular { path: self.config.clone() }),
        }
    }

    fn limit(&self, size: u64) -> Result<u64, BundleError> {
        match size > CONFIG_LIMIT {
            true => Err(BundleError::TooLarge { path: self.config.clone() }),
            false => Ok(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn changed_documents_are_written_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle::at(folder.path());
        fs::write(bundle.config_path(), "{ }\n").unwrap();
        let inode = || fs::metadata(bundle.config_path()).unwrap().ino();
        let before = inode();
        let mut document = bundle.read().unwrap();
        assert!(!bundle.write(&document).unwrap());
        assert_eq!(inode(), before);
        document.set_env(&[("A", "1")]).unwrap();
        assert!(bundle.write(&document).unwrap());
        assert_eq!(fs::read_to_string(bundle.config_path()).unwrap(), "{ \"process\":{\"env\":[\"A=1\"]}}\n");
    }

    #[test]
    fn a_link_to_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("elsewhere"), "{}").unwrap();
        symlink("elsewhere", folder.path().join("config.json")).unwrap();
        assert!(Bundle::at(folder.path()).read().is_ok());
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle::at(folder.path());
        let path = bundle.config_path().display().to_string();
        let message = || bundle.read().unwrap_err().to_string();
        assert_eq!(message(), format!("cannot read {path}: No such file or directory (os error 2)"));
        fs::write(&path, "[]").unwrap();
        assert_eq!(message(), format!("{path}: the document is an array, not an object"));
        File::create(&path).unwrap().set_len(CONFIG_LIMIT + 1).unwrap();
        assert_eq!(message(), format!("{path} is larger than 64 MiB, which no container configuration is"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(message(), format!("{path} is not a regular file"));
    }
}
