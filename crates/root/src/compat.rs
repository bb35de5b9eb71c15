//! The forward compatibility libraries that an image may bring (reference: runtime-and-hook.md, 8.4): found and read as
//! an enemy's, and put before the driver's if `plan::compat` says so.

use crate::{
    ContainerRoot, Done, RootError, Step,
    container::open_regular,
    loader::{self, DropIn},
    resolve::Last,
};
use host::{elf, ldconf::glob};
use oci::ContainerPath;
use plan::{
    Layout, Loader,
    compat::{NOTE_OWNER, NOTE_SECTION},
};
use rustix::{
    fs::{AtFlags, FileType, statat},
    io::Errno,
};

const PREFIX: &str = "libcuda.so.";
const PATTERN: &str = "libcuda.so.*.*";
/// Names looked at in the folder; NVIDIA's has ten.
const MAX_NAMES: usize = 4096;

/// The libcuda of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompatFound {
    /// Its folder, without links.
    pub folder: ContainerPath,
    /// What follows `libcuda.so.` in its name.
    pub version: String,
    /// The content of its compatibility note.
    pub note: Option<Vec<u8>>,
}

impl ContainerRoot {
    /// The one libcuda in `folder`; `None` where there is no such folder (or a link leads from it to another mount), no
    /// libcuda with a version in its name, or more than one. Links do not count. What is odd goes to `remarks`.
    ///
    /// # Errors
    /// [`RootError::Failed`] if the folder cannot be read.
    pub fn find_compat(
        &self,
        folder: &ContainerPath,
        remarks: &mut Vec<String>,
    ) -> Result<Option<CompatFound>, RootError> {
        let listed = self.enter(folder).and_then(|found| Ok((self.list(found.fd(), MAX_NAMES)?, found)));
        let (names, found) = match listed {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error @ Errno::XDEV) => {
                remarks.push(format!("{}; what lies there is not used", self.failed("list", folder)(error)));
                return Ok(None);
            }
            result => result.map_err(RootError::failed("list", folder))?,
        };
        let is_file = |kind: FileType, name: &str| {
            match kind {
                FileType::Unknown => statat(found.fd(), name, AtFlags::SYMLINK_NOFOLLOW).map(|status| status.st_mode),
                kind => Ok(kind.as_raw_mode()),
            }
            .is_ok_and(|mode| FileType::from_raw_mode(mode) == FileType::RegularFile)
        };
        let mut found: Vec<_> = names
            .into_iter()
            .filter(|(name, kind)| glob::matches(PATTERN, name) && is_file(*kind, name))
            .map(|(name, _)| name)
            .collect();
        let (Some(name), true) = (found.pop(), found.is_empty()) else {
            if !found.is_empty() {
                remarks.push(format!("{folder} in the container has more than one libcuda; none of them is used"));
            }
            return Ok(None);
        };
        let note = self.note(&folder.join(&name), remarks)?;
        let folder = self.without_links(folder).map_err(RootError::failed("follow", folder))?;
        Ok(Some(CompatFound { folder, version: name[PREFIX.len()..].to_owned(), note }))
    }

    fn note(&self, path: &ContainerPath, remarks: &mut Vec<String>) -> Result<Option<Vec<u8>>, RootError> {
        let found = self.find(path, Last::Keep).map_err(RootError::failed("open", path))?;
        let file = open_regular(found, path)?;
        match elf::note(&file, NOTE_SECTION) {
            Ok(note) => Ok(note.filter(|note| note.name == NOTE_OWNER).map(|note| note.description)),
            Err(error) => {
                remarks.push(format!("{path} in the container: {error}; it is taken for one without a note"));
                Ok(None)
            }
        }
    }

    /// Puts the libraries of this folder before all others, from the next [`ContainerRoot::refresh_loader`] on; with
    /// `None`, takes back what an earlier start put there. Doing it again changes nothing. In a root that cannot be
    /// written nothing is done, and [`Done::needed`] says what is missing.
    ///
    /// # Errors
    /// [`RootError`]; nothing was changed then.
    pub fn prefer_compat(&self, folder: Option<&ContainerPath>, layout: &Layout) -> Result<Done, RootError> {
        let mut done = Done::default();
        self.patience().renew();
        let former = DropIn::Compat.read(self)?;
        let mut steps: Vec<Step> =
            DropIn::Compat.with(self, folder.map(std::slice::from_ref).unwrap_or_default())?.into_iter().collect();
        let left: Vec<_> = former.into_iter().filter(|former| Some(former) != folder).collect();
        steps.extend(self.forget(&left, layout, &mut done.remarks)?);
        done.remarks.extend(self.patience().remark());
        if self.is_read_only(&DropIn::Compat.file()) {
            done.needed = steps;
            return Ok(done);
        }
        done.changed = steps.iter().map(|step| step.path().clone()).collect();
        self.make(&steps, || Ok::<_, RootError>(()))?;
        Ok(done)
    }

    /// The cache without the libraries of these folders, unless the image's own ld.so.conf names them too.
    fn forget(
        &self,
        folders: &[ContainerPath],
        layout: &Layout,
        remarks: &mut Vec<String>,
    ) -> Result<Option<Step>, RootError> {
        if folders.is_empty() || layout.loader == Loader::Musl {
            return Ok(None);
        }
        let gone = loader::goes_with(self, folders, remarks);
        loader::without(self, layout, gone, remarks)
    }
}
