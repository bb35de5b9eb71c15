//! What the hook `update-ldcache` does, without ldconfig: the container's loader finds the libraries that lie in given
//! folders now, in the container's mount namespace (reference: runtime-and-hook.md, 8.5).
//!
//! As ldconfig would, it makes the links of their sonames. Unlike ldconfig it leaves the rest of the image's cache as it
//! is: a folder may hold a thousand libraries of the image beside twenty of the driver's, and only these, which lie on
//! mounts of their own, are to come before others.

use super::{
    collect, conf,
    drop_in::DropIn,
    existing as existing_cache,
    library::{Folder, Library, Occupant, Reader, existing, is_library},
    musl,
};
use crate::{ContainerRoot, Defence, Done, RootError, Step, folders::Folders, place};
use host::{
    LibraryClass,
    ldcache::{self, Cache, Entry},
};
use oci::ContainerPath;
use plan::{Layout, Link, Loader};
use std::collections::{HashMap, HashSet};

/// Folders of a cache that are compared with those that were scanned. Real caches name fewer than a hundred; one that is
/// made for it names as many as it has entries, each worth a way through forty links.
const MAX_FOLDERS: usize = 4096;

/// Which folder with a libcuda of the image's is to come before the driver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat<'a> {
    /// The one that [`ContainerRoot::prefer_compat`] has named, if it has.
    AsItIs,
    /// This one, or none: what an earlier start put first goes.
    Now(Option<&'a ContainerPath>),
}

impl ContainerRoot {
    /// Makes the loader find the libraries in `folders`, and before them those in the folder of `compat`. Doing it again
    /// changes nothing. Where the loader's files cannot be written, [`Done::needed`] has the one that is missing; there
    /// nothing new can come first, and a remark says so.
    ///
    /// # Errors
    /// [`RootError`]; whatever this call had changed until then is undone.
    pub fn refresh_loader(
        &self,
        compat: Compat,
        folders: &[ContainerPath],
        layout: &Layout,
    ) -> Result<Done, RootError> {
        self.refresh_loader_then(compat, folders, layout, |_| Ok(()))
    }

    /// As [`ContainerRoot::refresh_loader`], with one more step, `last`, that belongs to the whole: when it fails,
    /// everything is undone. It is where to see to what is needed.
    ///
    /// # Errors
    /// [`RootError`], or what `last` returned.
    pub fn refresh_loader_then<E: From<RootError>>(
        &self,
        compat: Compat,
        folders: &[ContainerPath],
        layout: &Layout,
        last: impl FnOnce(&mut Done) -> Result<(), E>,
    ) -> Result<Done, E> {
        self.patience().renew();
        let mut done = Done::default();
        let preferred = self.preferred(compat, &mut done.remarks)?;
        let mut reader = Reader::new(self);
        reader.mount = self.mount();
        // The driver's libraries first: whatever else the image holds, they are to be found.
        let driver = Scan::of(&mut reader, existing(self, folders.iter().cloned()), Chosen::ByCaller);
        let compat = Scan::of(&mut reader, existing(self, preferred.folders.iter().cloned()), Chosen::ByImage);

        let drop_in = preferred.step.iter().cloned();
        let links = compat.links.iter().chain(&driver.links).cloned();
        let mut steps: Vec<Step> = drop_in.chain(links).collect();
        let loader = match layout.loader {
            Loader::Musl => musl::missing(self, &driver.native_folders(), &mut done.remarks)?,
            Loader::Glibc | Loader::Unknown => cache(self, &preferred, [&compat, &driver], layout, &mut done.remarks)?,
        };
        if self.is_read_only(&ContainerPath::root().join("etc")) {
            done.needed.extend(loader.filter(|step| !driver.is_found_without(self, step, layout)));
        } else {
            steps.extend(loader);
            if layout.loader != Loader::Musl && self.exists(&conf::file()) {
                steps.extend(DropIn::Driver.with(self, &unknown(self, &driver, layout, &mut done.remarks))?);
            }
        }
        done.changed = steps.iter().map(|step| step.path().clone()).collect();
        done.remarks.extend(self.patience().remark());
        let not_made = self.make_what_can_be(&steps, || last(&mut done))?;
        done.without(not_made);
        driver.clear_up(self, layout, reader.litter);
        Ok(done)
    }

    /// A file that cannot be written says nothing new, but it is not believed for that.
    fn preferred(&self, compat: Compat, remarks: &mut Vec<String>) -> Result<Preferred, RootError> {
        let former = DropIn::Compat.read(self)?;
        let Compat::Now(wanted) = compat else {
            return Ok(Preferred { folders: former, left: Vec::new(), step: None });
        };
        let mut preferred = Preferred { folders: wanted.cloned().into_iter().collect(), left: Vec::new(), step: None };
        preferred.step = DropIn::Compat.with(self, &preferred.folders)?;
        if self.is_read_only(&DropIn::Compat.file())
            && let Some(step) = preferred.step.take()
        {
            remarks.push(format!("{} cannot be written; the driver's own libcuda is used", step.path()));
            preferred.folders.clear();
        }
        preferred.left = former.into_iter().filter(|former| !preferred.folders.contains(former)).collect();
        Ok(preferred)
    }
}

/// What the loader is to find before everything else.
struct Preferred {
    /// Folders with it.
    folders: Vec<ContainerPath>,
    /// Folders that were preferred before.
    left: Vec<ContainerPath>,
    /// What makes it known to the container's own ldconfig, if it is not.
    step: Option<Step>,
}

/// What lies in some folders.
pub(super) struct Scan {
    folders: Vec<Folder>,
    /// Entries for the cache, and whether each was put into the container.
    pub(super) entries: Vec<(Entry, bool)>,
    /// Links of sonames that are missing or lead to something else.
    pub(super) links: Vec<Step>,
}

/// Who says which folders are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Whoever starts the container: there links are made, a volume or not.
    ByCaller,
    /// Its image. On a volume no link is made for it ([`ContainerRoot::enter`]).
    ByImage,
}

impl Scan {
    pub(super) fn of(reader: &mut Reader, folders: Vec<Folder>, chosen: Chosen) -> Scan {
        let (mut entries, mut links) = (Vec::new(), Vec::new());
        for folder in &folders {
            let may = folder.is_images || chosen == Chosen::ByCaller || !Defence::ByName.stands();
            let writable = may && !reader.root.is_read_only(&folder.path);
            for mut library in reader.libraries(folder) {
                if writable && needs_link(&library) {
                    let link = Link { at: folder.path.join(&library.soname), target: library.file.clone() };
                    links.push(if library.mounted { Step::Link(link) } else { Step::OwnLink(link) });
                    library.at_soname = Occupant::Link { leads_to: Some(library.identity), is_library: true };
                }
                let mounted = library.mounted;
                entries.push((library.in_folder(&folder.path), mounted));
            }
        }
        Scan { folders, entries, links }
    }

    /// The folder is one of these, under whatever name.
    fn has_folder(&self, root: &ContainerRoot, path: &str) -> bool {
        let identity = |path| existing(root, ContainerPath::new(path).into_iter()).first().map(|found| found.identity);
        identity(path).is_some_and(|identity| self.folders.iter().any(|folder| folder.identity == identity))
    }

    /// Folders with libraries for musl, which has no 32-bit companion.
    fn native_folders(&self) -> Vec<String> {
        let native = ldcache::flags(LibraryClass::Native);
        let has_native = |folder: &&Folder| {
            self.entries.iter().any(|(entry, _)| Some(entry.flags) == native && entry.folder() == folder.path.as_str())
        };
        self.folders.iter().filter(has_native).map(|folder| folder.path.to_string()).collect()
    }

    /// A loader without a cache finds what was put into the container all the same: in the folders that it searches
    /// anyway, under the names that programs ask for.
    fn is_found_without(&self, root: &ContainerRoot, step: &Step, layout: &Layout) -> bool {
        if root.is_file(step.path()) || layout.loader == Loader::Musl {
            return false;
        }
        let native = ldcache::flags(LibraryClass::Native);
        let searched = existing(root, collect::built_in(layout).into_iter());
        self.entries.iter().filter(|(entry, mounted)| *mounted && Some(entry.flags) == native).all(|(entry, _)| {
            let folder = self.folders.iter().find(|folder| folder.path.as_str() == entry.folder());
            let is_searched =
                folder.is_some_and(|folder| searched.iter().any(|known| known.identity == folder.identity));
            is_searched && entry.path.ends_with(&format!("/{}", entry.name))
        })
    }

    /// Removes what a hook that was killed may have left beside what it was about to replace.
    /// `litter` says whether the folders hold anything of that kind: a name that is absent costs an overlay more to look
    /// up than it is worth.
    fn clear_up(&self, root: &ContainerRoot, layout: &Layout, litter: bool) {
        let mut folders = Folders::new(root);
        let ours = self.entries.iter().filter(|(_, mounted)| litter && *mounted).filter_map(|(entry, _)| {
            let folder = ContainerPath::new(entry.folder()).ok()?;
            Some(folder.join(&entry.name))
        });
        let files = [super::file(layout), DropIn::Driver.file()];
        ours.chain(files).for_each(|path| place::clear_spare(&mut folders, &path));
    }
}

/// The soname of a library has no link, or one that leads to something else than what was put into the container. A
/// file of that name stays, unless it is empty.
fn needs_link(library: &Library) -> bool {
    if library.file == library.soname {
        return false;
    }
    match library.at_soname {
        Occupant::Nobody => true,
        Occupant::File { is_empty } => is_empty,
        Occupant::Link { leads_to, is_library } => {
            leads_to != Some(library.identity) && (library.mounted || !is_library)
        }
        Occupant::Other => false,
    }
}

/// The cache as it should be, if it is not.
fn cache(
    root: &ContainerRoot,
    preferred: &Preferred,
    [compat, driver]: [&Scan; 2],
    layout: &Layout,
    remarks: &mut Vec<String>,
) -> Result<Option<Step>, RootError> {
    let gone = match &*preferred.left {
        [] => None,
        left => Some(super::goes_with(root, left, remarks)),
    };
    if compat.entries.is_empty() && driver.entries.is_empty() {
        return gone.map_or(Ok(None), |gone| super::without(root, layout, gone, remarks));
    }
    let path = super::file(layout);
    let existing = existing_cache(root, &path, remarks)?;
    let mut cache = existing.clone().unwrap_or_else(|| collect::collect(root, layout, remarks));
    if let Some(gone) = gone {
        cache.entries.retain(|entry| !gone(entry));
    }
    let ours = replace_stale(root, &mut cache, driver);
    cache.put_first(compat.entries.iter().map(|(entry, _)| entry.clone()).chain(ours).collect());
    if existing.is_some_and(|existing| existing == cache) {
        return Ok(None);
    }
    Ok(Some(Step::File { path, content: ldcache::write(&cache), mode: 0o644, folder_mode: 0o755 }))
}

/// Takes out of the cache what it says wrongly about the scanned folders, and returns the entries that are to come first:
/// what was put into the container, and what the cache does not list under any name of the folder (`/lib/…` is often
/// `/usr/lib/…`).
fn replace_stale(root: &ContainerRoot, cache: &mut Cache, scan: &Scan) -> Vec<Entry> {
    let mut folders: Vec<&str> = cache.entries.iter().map(Entry::folder).collect();
    folders.sort_unstable();
    folders.dedup();
    folders.truncate(MAX_FOLDERS);
    let aliases: HashSet<String> =
        folders.into_iter().filter(|folder| scan.has_folder(root, folder)).map(str::to_owned).collect();
    let key = |entry: &Entry| (entry.name.clone(), entry.flags);
    let mounted: HashSet<_> =
        scan.entries.iter().filter(|(_, mounted)| *mounted).map(|(entry, _)| key(entry)).collect();
    let present: HashSet<_> = scan.entries.iter().map(|(entry, _)| key(entry)).collect();
    // Many entries may name one path.
    let mut gone = HashMap::new();
    cache.entries.retain(|entry| {
        let is_stale = entry.hwcap == 0
            && aliases.contains(entry.folder())
            && (mounted.contains(&key(entry))
                || (!present.contains(&key(entry))
                    && *gone.entry(entry.path.clone()).or_insert_with(|| is_gone(root, entry))));
        !is_stale
    });
    let listed: HashSet<_> = cache.entries.iter().filter(|entry| aliases.contains(entry.folder())).map(key).collect();
    scan.entries
        .iter()
        .filter(|(entry, mounted)| *mounted || !listed.contains(&key(entry)))
        .map(|(entry, _)| entry.clone())
        .collect()
}

fn is_gone(root: &ContainerRoot, entry: &Entry) -> bool {
    ContainerPath::new(&entry.path).is_ok_and(|path| !root.patience().is_over(&path) && !is_library(root, &path))
}

/// Folders with libraries that the container's own ldconfig would not search.
fn unknown(root: &ContainerRoot, scan: &Scan, layout: &Layout, remarks: &mut Vec<String>) -> Vec<ContainerPath> {
    let known = conf::folders(root, Some(DropIn::Driver), remarks).into_iter().chain(collect::built_in(layout));
    let known = existing(root, known);
    let holds_any = |folder: &&Folder| scan.entries.iter().any(|(entry, _)| entry.folder() == folder.path.as_str());
    let new = scan.folders.iter().filter(|folder| known.iter().all(|known| known.identity != folder.identity));
    new.filter(holds_any).map(|folder| folder.path.clone()).collect()
}
