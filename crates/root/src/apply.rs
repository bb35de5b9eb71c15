//! Carries out `plan::RootWork`: first looks what is missing, then makes just that.

use crate::{
    ContainerRoot, Defence, RootError,
    folders::Folders,
    loader::{self, DropIn},
    place::{self, Placer},
    profile,
};
use oci::ContainerPath;
use plan::{Layout, Link, RootWork};
use rustix::{
    fs::{AtFlags, FileType, readlinkat, statat},
    io::Errno,
};
use std::collections::HashSet;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A symbolic link.
    Link(Link),
    /// The link of a soname that ldconfig would make for a library of the image's own. That it cannot be made is no failure.
    OwnLink(Link),
    /// A whole file.
    File {
        /// Where.
        path: ContainerPath,
        /// All of it.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Permission bits of folders that are missing on the way.
        folder_mode: u32,
    },
    /// Something that should not be there.
    Remove(ContainerPath),
}

impl Step {
    /// Where the thing goes.
    pub fn path(&self) -> &ContainerPath {
        match self {
            Step::Link(link) | Step::OwnLink(link) => &link.at,
            Step::File { path, .. } | Step::Remove(path) => path,
        }
    }
}

/// Remarks on links that could not be made.
const MAX_REMARKS: usize = 8;

/// What [`ContainerRoot::apply`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What was made or replaced. Empty when everything was right already.
    pub changed: Vec<ContainerPath>,
    /// What could not be made because the root is read-only: mount these instead.
    pub needed: Vec<Step>,
    /// Odd things in the image that were passed over, a sentence each.
    pub remarks: Vec<String>,
}

impl ContainerRoot {
    /// Makes everything that `work` asks for and the root lacks. Doing it again changes nothing. In a read-only root
    /// nothing is made, and [`Done::needed`] says what is missing.
    ///
    /// # Errors
    /// [`RootError`]; whatever this call had changed until then is undone.
    pub fn apply(&self, work: &RootWork, layout: &Layout) -> Result<Done, RootError> {
        self.apply_then(work, layout, |_| Ok(()))
    }

    /// As [`ContainerRoot::apply`], with one more step, `last`, that belongs to the whole: when it fails, everything is
    /// undone.
    ///
    /// # Errors
    /// [`RootError`], or what `last` returned.
    pub fn apply_then<E: From<RootError>>(
        &self,
        work: &RootWork,
        layout: &Layout,
        last: impl FnOnce(&Done) -> Result<(), E>,
    ) -> Result<Done, E> {
        self.patience().renew();
        let mut done = Done::default();
        let mut folders = Folders::new(self);
        let steps = self.missing(&mut folders, work, layout, &mut done.remarks)?;
        if layout.read_only {
            done.needed = steps;
            last(&done)?;
            return Ok(done);
        }
        done.changed = steps.iter().map(|step| step.path().clone()).collect();
        let not_made = self.make_what_can_be(&steps, || last(&done))?;
        done.without(not_made);
        clear_up(&mut folders, work, &steps, layout);
        Ok(done)
    }

    /// What the root lacks. Only reads.
    fn missing(
        &self,
        folders: &mut Folders,
        work: &RootWork,
        layout: &Layout,
        remarks: &mut Vec<String>,
    ) -> Result<Vec<Step>, RootError> {
        let mut steps = Vec::new();
        let mut seen = HashSet::new();
        for link in work.links.iter().map(|entry| &entry.what) {
            if seen.insert(&link.at) && !has_link(folders, link)? {
                steps.push(Step::Link(link.clone()));
            }
        }
        steps.extend(loader::missing(self, work, layout, remarks)?);
        if let Some(minors) = &work.application_profile {
            steps.extend(profile::missing(self, minors.what)?);
        }
        remarks.extend(self.patience().remark());
        Ok(steps)
    }

    pub(crate) fn make<E: From<RootError>>(
        &self,
        steps: &[Step],
        last: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.make_what_can_be(steps, last).map(drop)
    }

    /// The same; returns why links were not made that need not be.
    pub(crate) fn make_what_can_be<E: From<RootError>>(
        &self,
        steps: &[Step],
        last: impl FnOnce() -> Result<(), E>,
    ) -> Result<Vec<(ContainerPath, RootError)>, E> {
        let mut placer = Placer::new(self);
        let mut not_made = Vec::new();
        let made = steps.iter().try_for_each(|step| match step {
            Step::Link(link) => placer.link(&link.at, &link.target),
            Step::OwnLink(link) => {
                let made = placer.link(&link.at, &link.target);
                not_made.extend(made.err().map(|error| (link.at.clone(), error)));
                Ok(())
            }
            Step::File { path, content, mode, folder_mode } => placer.file(path, content, *mode, *folder_mode),
            Step::Remove(path) => placer.remove(path),
        });
        match made.map_err(E::from).and_then(|()| last()) {
            Ok(()) => placer.commit(),
            Err(error) => {
                if Defence::Undo.stands() {
                    placer.undo();
                }
                return Err(error);
            }
        }
        Ok(not_made)
    }
}

impl Done {
    /// Some things were not made after all.
    pub(crate) fn without(&mut self, not_made: Vec<(ContainerPath, RootError)>) {
        self.changed.retain(|path| not_made.iter().all(|(missing, _)| missing != path));
        let remark = |(_, error): (_, RootError)| format!("{error}; the link of a library's soname is left out");
        self.remarks.extend(not_made.into_iter().take(MAX_REMARKS).map(remark));
    }
}

/// Removes what a start that was killed may have left beside what it was about to replace. Beside what this one made there is
/// nothing: a name that was free needed no spare one, and whoever replaces something clears the way for it. Names that a
/// fresh overlay lacks cost more to look up than links to make.
fn clear_up(folders: &mut Folders, work: &RootWork, made: &[Step], layout: &Layout) {
    let made: HashSet<&ContainerPath> = made.iter().map(Step::path).collect();
    let loaders = [loader::file(layout), DropIn::Compat.file()];
    let loaders = loaders.iter().filter(|_| !work.libraries.is_empty() || work.compat.is_some());
    let profile = work.application_profile.as_ref().map(|_| profile::file());
    let links = work.links.iter().map(|link| &link.what.at);
    for path in links.chain(loaders).chain(&profile).filter(|path| !made.contains(path)) {
        place::clear_spare(folders, path);
    }
}

/// The link exists and says the same.
fn has_link(folders: &mut Folders, link: &Link) -> Result<bool, RootError> {
    let parent = link.at.parent();
    let folder = match folders.open(&parent) {
        Err(Errno::NOENT) => return Ok(false),
        result => result.map_err(folders.root.failed("open", &parent))?,
    };
    let name = link.at.file_name();
    match readlinkat(&folder, name, Vec::with_capacity(256)) {
        Ok(target) => Ok(target.as_bytes() == link.target.as_bytes()),
        Err(Errno::NOENT) => Ok(false),
        Err(Errno::INVAL) => {
            let status =
                statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(RootError::failed("look at", &link.at))?;
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Directory => Err(RootError::Directory(link.at.clone())),
                _ => Ok(false),
            }
        }
        Err(error) => Err(RootError::failed("read the link", &link.at)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;
    use oci::HostPath;
    use plan::{Because, Loader, Reason};
    use rustix::process::{getegid, geteuid};
    use std::fs;

    #[test]
    fn a_last_step_that_fails_undoes_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
        let root = ContainerRoot::open(&HostPath::new(dir.path().to_str().unwrap()).unwrap(), owner).unwrap();
        let path = |text: &str| ContainerPath::new(text).unwrap();
        let link = Link { at: path("/usr/lib/libcuda.so"), target: "libcuda.so.1".into() };
        let reason = Reason { request: String::new(), rule: String::new() };
        let work = RootWork { links: vec![Because::new(link, reason)], ..RootWork::default() };
        let layout = Layout {
            loader: Loader::Unknown,
            native: path("/usr/lib"),
            compat32: path("/usr/lib32"),
            read_only: false,
            covered: false,
        };
        let failed = root.apply_then(&work, &layout, |done| {
            assert_eq!(done.changed, [path("/usr/lib/libcuda.so")]);
            assert!(dir.path().join("usr/lib/libcuda.so").is_symlink());
            Err(RootError::Contended(path("/")))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(root.apply(&work, &layout).unwrap().changed.len(), 1);
        assert_eq!(root.apply(&work, &layout).unwrap().changed.len(), 0);
    }

    #[test]
    fn a_link_of_the_images_own_that_cannot_be_made_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
        let root = ContainerRoot::open(&HostPath::new(dir.path().to_str().unwrap()).unwrap(), owner).unwrap();
        fs::create_dir_all(dir.path().join("lib/libfolder.so.1")).unwrap();
        let link = |name: &str| Link { at: ContainerPath::root().join("lib").join(name), target: "x".into() };
        let steps = [Step::OwnLink(link("libfolder.so.1")), Step::OwnLink(link("libown.so.1")), Step::Link(link("y"))];
        let mut done = Done { changed: steps.iter().map(|step| step.path().clone()).collect(), ..Done::default() };
        done.without(root.make_what_can_be(&steps, || Ok::<_, RootError>(())).unwrap());
        assert_eq!(done.changed, [link("libown.so.1").at, link("y").at]);
        assert_eq!(done.remarks.len(), 1, "{done:?}");
        assert!(done.remarks[0].starts_with("/lib/libfolder.so.1 in the container is a directory"), "{done:?}");
        // What must be made is a failure, and takes the others back.
        let steps = [Step::OwnLink(link("libnew.so.1")), Step::Link(link("libfolder.so.1"))];
        assert!(root.make(&steps, || Ok::<_, RootError>(())).is_err());
        assert!(!dir.path().join("lib/libnew.so.1").is_symlink());
    }
}
