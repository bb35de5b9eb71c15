//! Carries out a [`Work`]: all of it, or nothing stays (section 14, but for what fails).
//!
//! Sources are opened and cloned in the host's mount namespace, where nobody of the container can change what their names
//! mean. Then a thread enters the container's namespace and attaches them by descriptor. Nothing is attached before
//! everything has been found.

use crate::{Container, Error, Machine, Work, work::invalid_node};
use host::Capability;
use oci::ContainerPath;
use plan::{
    Because, Layout, Link, Reason, RootWork,
    compat::{CompatLibrary, HostVersions},
};
use root::{
    Compat, ContainerRoot, Done, RootError, Step,
    mount::{Prepared, Technique},
};
use rustix::io::Errno;

/// A step that failed, and at which stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Before or while mounting.
    Mount(Error),
    /// When everything was mounted, while the loader's cache was brought up to date.
    Loader(Error),
}

impl Container {
    /// Does it. What is done already is not done again.
    ///
    /// # Errors
    /// [`Failed`]; of this call nothing stays then.
    pub fn carry_out(&self, machine: &Machine, work: &Work) -> Result<(), Failed> {
        let mount_failed = |error: RootError| Failed::Mount(failed(&error, self.rootfs()));
        let mounts = work.all_mounts();
        work.announce(&mounts, &self.places);
        #[cfg(feature = "undefended")]
        let mounts = crate::undefended::with_libraries_of_image(mounts, &self.root, &self.places);
        let mounts = mounts
            .into_iter()
            .map(|mount| Prepared::new(mount, Technique::Detached))
            .collect::<Result<Vec<_>, _>>()
            .map_err(mount_failed)?;
        let granted = self.grant(&work.rules).map_err(Failed::Mount)?;
        let version = machine.driver_version();
        let done = self.within(|| self.in_namespace(mounts, work, version));
        if done.is_err() {
            granted.take_back();
        }
        done
    }

    /// In the container's mount namespace, unless that is the caller's own.
    fn within(&self, act: impl FnOnce() -> Result<(), Failed> + Send) -> Result<(), Failed> {
        if self.namespace.is_ours() {
            return act();
        }
        self.namespace.within(act).map_err(|error| Failed::Mount(Error::new(error.to_string())))?
    }

    fn in_namespace(&self, mounts: Vec<Prepared>, work: &Work, version: &str) -> Result<(), Failed> {
        let mount_failed = |error: RootError| Failed::Mount(failed(&error, self.rootfs()));
        let root = ContainerRoot::open(&self.root, self.owner).map_err(mount_failed)?;
        let attached = root.attach_all(mounts).map_err(mount_failed)?;
        let links = links_to_make(&root, work);
        // With the links, so that a cache that cannot be written takes them back. Whether there is a place for them has been
        // looked at one by one: a volume over /etc alone is none of theirs.
        let layout = &Layout { read_only: false, ..self.places.layout.clone() };
        let finish = || match work.loader {
            true => self.loader(&root, version).map_err(|error| LoaderOr::Loader(failed(&error, self.rootfs()))),
            false => Ok(()),
        };
        let link = || root.apply_then(&links, layout, |_| finish()).map(drop);
        root.add_to_profile_then(work.profile.unwrap_or(0), link).map_err(|error| match error {
            LoaderOr::Loader(error) => Failed::Loader(error),
            LoaderOr::Root(error) => mount_failed(error),
        })?;
        attached.keep();
        Ok(())
    }

    /// The loader finds what was mounted; before it the image's own libcuda, where that is of a later driver (18, 19). Where
    /// it is not looked for, none is: what an earlier start of the same root put first goes.
    fn loader(&self, root: &ContainerRoot, version: &str) -> Result<(), RootError> {
        let layout = &self.places.layout;
        let preferred = match &self.places.compat {
            Some(folder) => later_libcuda(root, folder, version)?,
            None => None,
        };
        let folders = self.folders(layout);
        let compat = Compat::Now(preferred.as_ref());
        let cover_all = |done: &mut Done| done.needed.iter().try_for_each(|step| cover(root, step));
        let done = root.refresh_loader_then(compat, &folders, layout, cover_all)?;
        done.remarks.iter().for_each(|remark| log::warn!("{remark}"));
        Ok(())
    }

    fn folders(&self, layout: &Layout) -> Vec<ContainerPath> {
        let compat32 = self.places.has(Capability::Compat32).then(|| layout.compat32.clone());
        [layout.native.clone()].into_iter().chain(compat32).collect()
    }
}

/// The links that are missing, and can be made.
fn links_to_make(root: &ContainerRoot, work: &Work) -> RootWork {
    let sonames = work.sonames.iter().filter(|link| !root.is_file(&link.at));
    let missing = sonames.chain(work.links.iter().filter(|link| is_missing(root, link)));
    let (without_place, links): (Vec<_>, Vec<_>) = missing.partition(|link| root.is_read_only(&link.at.parent()));
    for Link { at, target } in without_place {
        log::warn!("{at} -> {target} cannot be made: its folder lies on a file system that cannot be written");
    }
    let links = links.into_iter().map(|link| Because::new(link.clone(), reason()));
    RootWork { links: links.collect(), ..RootWork::default() }
}

/// Nothing lies there, or a link that an earlier driver's file of the same name left, and which leads nowhere now. A link
/// of the image's own stays, wherever it leads.
fn is_missing(root: &ContainerRoot, link: &Link) -> bool {
    let same_library = |text: &str| text.split(".so").next() == link.target.split(".so").next();
    match root.link_text(&link.at) {
        Err(_) => true,
        Ok(None) => false,
        Ok(Some(text)) => same_library(&text) && !root.is_file(&link.at),
    }
}

/// The folder of the image's libcuda, if it is of a later driver than the host's and works with it.
fn later_libcuda(
    root: &ContainerRoot,
    folder: &ContainerPath,
    version: &str,
) -> Result<Option<ContainerPath>, RootError> {
    let mut remarks = Vec::new();
    let found = root.find_compat(folder, &mut remarks)?;
    remarks.iter().for_each(|remark| log::warn!("{remark}"));
    let Some(found) = found else { return Ok(None) };
    let library = CompatLibrary { version: &found.version, note: found.note.as_deref() };
    let verdict = plan::compat::judge(&library, &HostVersions { driver: Some(version), cuda: None });
    log::info!(
        "{} of libcuda.so.{} in the container: {}",
        if verdict.prefer { "use" } else { "no use" },
        found.version,
        verdict.why
    );
    Ok(verdict.prefer.then_some(found.folder))
}

/// In a root that cannot be written the loader's file gets its content as a mount over it, if there is such a file.
fn cover(root: &ContainerRoot, step: &Step) -> Result<(), RootError> {
    match step {
        Step::File { path, content, .. } if root.is_file(path) => root.cover(path, content),
        step => Err(RootError::Failed { action: "create", path: step.path().clone(), source: Errno::ROFS }),
    }
}

enum LoaderOr {
    Root(RootError),
    Loader(Error),
}

impl From<RootError> for LoaderOr {
    fn from(error: RootError) -> Self {
        LoaderOr::Root(error)
    }
}

fn reason() -> Reason {
    Reason { request: "configure".to_owned(), rule: "a link that programs need".to_owned() }
}

/// A failure in the root, in the original's words. `rootfs` is for the text only.
pub(crate) fn failed(error: &RootError, rootfs: &str) -> Error {
    let full = |path: &ContainerPath| format!("{}{path}", rootfs.trim_end_matches('/'));
    match error {
        RootError::Open { source, .. } => Error::os(format!("open failed: {rootfs}"), *source),
        RootError::Failed { action: "mount over", path, source } => {
            Error::os(format!("mount operation failed: {}", full(path)), *source)
        }
        RootError::Failed { path, source, .. } => Error::os(format!("file creation failed: {}", full(path)), *source),
        RootError::Source { path, source } => Error::os(format!("mount operation failed: {path}"), *source),
        RootError::Unexpected { path, expected } if expected.starts_with("the character device") => {
            invalid_node(path.as_str())
        }
        RootError::Unexpected { path, .. } => {
            let mode = rustix::fs::stat(path.as_path()).map_or(0, |stat| stat.st_mode);
            Error::new(format!("unexpected source file mode {mode:o} for {path}"))
        }
        RootError::Link(path) | RootError::Directory(path) => {
            Error::os(format!("file creation failed: {}", full(path)), Errno::EXIST)
        }
        other => Error::new(other.to_string()),
    }
}
