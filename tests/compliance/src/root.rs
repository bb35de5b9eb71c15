//! Root file systems for cases: each kind is made once, and every case writes to an overlay of its own above it.

use crate::case::{Case, Prepare};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    collections::BTreeMap,
    ffi::CString,
    fs, io,
    os::unix::fs::{lchown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// A root that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// `lab rootfs` failed.
    #[error("`lab rootfs --kind {0}` failed: {1}")]
    Lab(String, String),
    /// The operating system refuses.
    #[error("cannot make the root {0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Roots made so far, by kind and owner.
pub struct Roots {
    lab: String,
    folder: PathBuf,
    made: BTreeMap<(String, u32), PathBuf>,
}

/// One case's root: an overlay, unmounted when dropped.
pub struct Overlay {
    /// The bundle, which holds `rootfs`.
    pub bundle: PathBuf,
    /// What was written above the shared root.
    pub upper: PathBuf,
}

impl Roots {
    /// Roots that are made by the program `lab` in `folder`.
    pub fn new(lab: &str, folder: &Path) -> Roots {
        Roots { lab: lab.to_owned(), folder: folder.to_owned(), made: BTreeMap::new() }
    }

    /// A root of its own for that case, in `folder`.
    ///
    /// # Errors
    /// [`RootError`] says what failed.
    pub fn overlay(&mut self, case: &Case, folder: &Path) -> Result<Overlay, RootError> {
        let owner = case.mapped_root.unwrap_or(0);
        let lower = self.kind(&case.rootfs, owner)?;
        let fail = |error: io::Error| RootError::Io(folder.to_owned(), error);
        let overlay = Overlay { bundle: folder.join("bundle"), upper: folder.join("upper") };
        let (root, work) = (overlay.root(), folder.join("work"));
        for made in [&root, &overlay.upper, &work] {
            fs::create_dir_all(made).map_err(fail)?;
        }
        lchown(&overlay.upper, Some(owner), Some(owner)).map_err(fail)?;
        let parts = [lower.display(), overlay.upper.display(), work.display()];
        let options = format!("lowerdir={},upperdir={},workdir={}", parts[0], parts[1], parts[2]);
        let options = CString::new(options).map_err(|error| fail(error.into()))?;
        mount("overlay", &root, "overlay", MountFlags::empty(), options.as_c_str()).map_err(|e| fail(e.into()))?;
        prepare(&root, &case.prepare).map_err(fail)?;
        Ok(overlay)
    }

    fn kind(&mut self, kind: &str, owner: u32) -> Result<PathBuf, RootError> {
        let key = (kind.to_owned(), owner);
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let to = self.folder.join(format!("{kind}-{owner}"));
        self.make(kind, &to)?;
        give(&to, owner).map_err(|error| RootError::Io(to.clone(), error))?;
        self.made.insert(key, to.clone());
        Ok(to)
    }

    fn make(&self, kind: &str, to: &Path) -> Result<(), RootError> {
        let output = Command::new(&self.lab).args(["rootfs", "--kind", kind, "--to"]).arg(to).output();
        let output = output.map_err(|error| RootError::Io(self.lab.clone().into(), error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(RootError::Lab(kind.to_owned(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

impl Overlay {
    /// Where the root is mounted.
    pub fn root(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // The lab's mount namespace ends soon; a mount that stays busy until then does no harm.
        let _ = unmount(self.root(), UnmountFlags::DETACH);
    }
}

fn prepare(root: &Path, steps: &[Prepare]) -> io::Result<()> {
    for step in steps {
        match step {
            Prepare::Remove { at } => remove(&root.join(at))?,
            Prepare::Link { at, to } => {
                let at = clear(root, at)?;
                symlink(to, at)?;
            }
            Prepare::Copy { at, from } => {
                let at = clear(root, at)?;
                fs::copy(from, at)?;
            }
            Prepare::File { at, text } => {
                let at = clear(root, at)?;
                fs::write(at, text)?;
            }
        }
    }
    Ok(())
}

/// Makes way for something new at `at`, with the folders above it.
fn clear(root: &Path, at: &str) -> io::Result<PathBuf> {
    let path = root.join(at);
    remove(&path)?;
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    Ok(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes `owner` the owner of everything in `folder`.
fn give(folder: &Path, owner: u32) -> io::Result<()> {
    if owner == 0 {
        return Ok(());
    }
    lchown(folder, Some(owner), Some(owner))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => give(&entry.path(), owner)?,
            false => lchown(entry.path(), Some(owner), Some(owner))?,
        }
    }
    Ok(())
}
