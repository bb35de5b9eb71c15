//! The files of ours that a machine is made of besides what this crate writes itself: they lie beside the `lab` program.

use crate::{Error, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folder that has them.
#[derive(Clone, Debug)]
pub struct Companions {
    folder: PathBuf,
}

impl Companions {
    /// The folder named by `CORTEN_LAB_DIR`, else that of the running program.
    ///
    /// # Errors
    /// When neither can be resolved.
    pub fn find() -> Result<Companions> {
        let named = env::var_os("CORTEN_LAB_DIR").filter(|value| !value.is_empty());
        let folder = match named {
            Some(folder) => PathBuf::from(folder),
            None => own_program()?.parent().map(PathBuf::from).unwrap_or_default(),
        };
        let folder = fs::canonicalize(&folder).map_err(Error::file("find the lab's folder", folder))?;
        Ok(Companions { folder })
    }

    /// Those in `folder`.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Companions {
        Companions { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The mock `libnvidia-ml.so.1`.
    pub fn nvml(&self) -> Result<PathBuf> {
        self.file("libnvidia_ml_mock.so")
    }

    /// The mock `libcuda.so.1`.
    pub fn cuda(&self) -> Result<PathBuf> {
        self.file("libcuda_mock.so")
    }

    /// The `nvidia-smi` that asks NVML.
    pub fn nvidia_smi(&self) -> Result<PathBuf> {
        self.file("lab-nvidia-smi")
    }

    /// The program that tells what a container sees, linked dynamically.
    pub fn probe(&self) -> Result<PathBuf> {
        self.file("lab-probe")
    }

    /// The same, static, for roots without a C library.
    pub fn static_probe(&self) -> Result<PathBuf> {
        self.file("lab-probe-static")
    }

    fn file(&self, file: &'static str) -> Result<PathBuf> {
        let path = self.folder.join(file);
        if path.is_file() { Ok(path) } else { Err(Error::Companion { file, folder: self.folder.clone() }) }
    }
}

/// The file that this process runs.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn own_program() -> Result<PathBuf> {
    fs::read_link("/proc/self/exe").map_err(Error::file("read", "/proc/self/exe"))
}
