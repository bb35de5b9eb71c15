//! The folders that may hold the driver's libraries, each listed once.
//!
//! Standard folders and those of the loader cache are both searched, always: a driver may be split over them. A folder
//! that is reached in two ways (`/lib` is a link to `/usr/lib` on most systems) counts once.

use super::Search;
use crate::{Roots, catalogue, elf::Machine, folder, folder::EntryKind, inside::Inside, ldcache, version};
use oci::HostPath;
use rustix::fs::FileType;
use std::{collections::HashSet, fs::File, io::Read};

/// Libraries whose links lead to the folder of the real files, wherever a distribution's alternatives put it.
const SIGNPOSTS: [&str; 3] = ["libcuda", "libnvidia-ml", "libGLX_nvidia"];

/// A folder that holds libraries, and those of its entries that may be the driver's.
pub(super) struct Folder<'a> {
    /// The root that its links are resolved in.
    pub(super) within: &'a Inside,
    /// Its real path.
    pub(super) real: HostPath,
    /// Files and links `NAME.so.VERSION`, sorted by name.
    pub(super) entries: Vec<Entry>,
    /// Links `NAME.so`.
    pub(super) unversioned_links: HashSet<String>,
    /// Links of [`SIGNPOSTS`].
    signposts: Vec<String>,
}

/// An entry `NAME.so.VERSION`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: String,
    stem: usize,
    pub(super) regular: bool,
}

impl Entry {
    /// The name before `.so`.
    pub(super) fn stem(&self) -> &str {
        &self.name[..self.stem]
    }

    /// The name after `.so.`.
    pub(super) fn version(&self) -> &str {
        &self.name[self.stem + ".so.".len()..]
    }
}

impl<'a> Folder<'a> {
    /// Lists the folder at `path` below `within`; `None` if there is none or it cannot be read.
    pub(super) fn list(within: &'a Inside, path: &str) -> Option<Self> {
        Folder::list_real(within, within.resolve(path).ok()?)
    }

    fn list_real(within: &'a Inside, real: HostPath) -> Option<Self> {
        let (entries, unversioned_links) = (Vec::new(), HashSet::new());
        let mut listed = Folder { within, real: real.clone(), entries, unversioned_links, signposts: Vec::new() };
        within.note_reading(&real);
        folder::for_each(&real, |name, kind| listed.add(name, kind)).ok()?;
        listed.entries.sort_unstable();
        Some(listed)
    }

    fn add(&mut self, name: &str, kind: EntryKind) {
        let Some((stem, rest)) = catalogue::split_stem(name) else { return };
        if kind == EntryKind::Folder {
            return;
        }
        if rest.is_empty() {
            if kind == EntryKind::Link {
                self.unversioned_links.insert(name.to_owned());
            }
            return;
        }
        if kind == EntryKind::Link && SIGNPOSTS.contains(&stem) {
            self.signposts.push(name.to_owned());
        }
        let Some(number) = rest.strip_prefix('.') else { return };
        if version::is_driver(number) || version::is_numeric(number) && catalogue::has_own_version(stem) {
            self.entries.push(Entry { name: name.to_owned(), stem: stem.len(), regular: kind == EntryKind::File });
        }
    }

    /// The real file behind one of the folder's entries.
    pub(super) fn resolve(&self, name: &str) -> Option<HostPath> {
        let path = self.real.join(name);
        self.within.find_kind(self.within.strip(&path), FileType::RegularFile)
    }
}

impl Search<'_> {
    /// Every folder that may hold parts of the driver, in order of precedence.
    pub(super) fn folders(&self, remarks: &mut Vec<String>) -> Vec<Folder<'_>> {
        let mut found = Found { folders: Vec::new(), seen: HashSet::new() };
        for (within, path) in self.library_places(remarks) {
            found.add(within, &path);
        }
        found.folders
    }

    fn library_places(&self, remarks: &mut Vec<String>) -> Vec<(&Inside, String)> {
        if self.roots.library_search.is_empty() {
            let places = standard_places(self.roots.machine).into_iter();
            return places
                .chain(cached_places(self.roots, self.inside, remarks))
                .map(|path| (self.inside, path))
                .collect();
        }
        self.roots.library_search.iter().map(|path| self.below_or_outside(path)).collect()
    }

    /// The root that `path` of this machine belongs to, and what it is called there.
    pub(super) fn below_or_outside(&self, path: &HostPath) -> (&Inside, String) {
        match path.strip_prefix(self.inside.root()).or_else(|| path.strip_prefix(&self.roots.driver)) {
            Some(below) => (self.inside, format!("/{below}")),
            None => (&self.outside, path.as_str().to_owned()),
        }
    }
}

/// Folders found so far.
struct Found<'a> {
    folders: Vec<Folder<'a>>,
    seen: HashSet<HostPath>,
}

impl<'a> Found<'a> {
    /// Adds the folder at `path`, and those that its signposts point to.
    fn add(&mut self, within: &'a Inside, path: &str) {
        let Ok(real) = within.resolve(path) else { return };
        if !self.seen.insert(real.clone()) {
            return;
        }
        let Some(folder) = Folder::list_real(within, real) else { return };
        let resolved = folder.signposts.iter().filter_map(|name| folder.resolve(name));
        let parents: Vec<_> = resolved.map(|real| real.parent()).filter(|parent| *parent != folder.real).collect();
        self.folders.push(folder);
        for parent in parents {
            self.add(within, within.strip(&parent));
        }
    }
}

/// Folders below the driver root where loaders look, in the order in which the original searches; then 32-bit folders, then those of distributions that it does not know.
pub(crate) fn standard_places(machine: Machine) -> Vec<String> {
    let mut places = vec!["/usr/lib64".to_owned()];
    for triplet in [Some(machine), machine.compat32()].into_iter().flatten().map(Machine::triplet) {
        places.extend([format!("/usr/lib/{triplet}"), format!("/usr/lib/{triplet}/nvidia/current")]);
        places.extend([format!("/lib/{triplet}"), format!("/lib/{triplet}/nvidia/current")]);
    }
    let rest = [
        "/lib64",
        "/usr/lib32",
        "/lib32",
        "/usr/lib",
        "/lib",
        "/run/opengl-driver/lib",
        "/run/opengl-driver-32/lib",
        "/",
    ];
    places.extend(rest.map(str::to_owned));
    places
}

/// Folders of the driver's libraries according to the loader cache. CUDA's forward-compatibility packages and stubs
/// are not the driver, though they have its names.
pub(crate) fn cached_places(roots: &Roots, inside: &Inside, remarks: &mut Vec<String>) -> Vec<String> {
    let path = match &roots.ldcache {
        Some(path) => Some(path.clone()),
        None => inside.find_kind(ldcache::PATH, FileType::RegularFile),
    };
    let Some(path) = path else { return Vec::new() };
    inside.note_reading(&path);
    let mut bytes = Vec::new();
    // One byte more than the reader takes, so that it refuses what has been cut off.
    let read = File::open(&path).and_then(|file| file.take(ldcache::MAX_FILE as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        remarks.push(format!("The loader cache {path} is left out of account: {error}."));
        return Vec::new();
    }
    let cache = match ldcache::parse(&bytes) {
        Ok(cache) => cache,
        Err(error) => {
            remarks.push(format!("The loader cache {path} is left out of account: {error}."));
            return Vec::new();
        }
    };
    let entries = cache.entries.iter().filter(|entry| catalogue::is_sign_of_driver(&entry.name));
    let mut folders = Vec::new();
    for (folder, _) in entries.filter_map(|entry| entry.path.rsplit_once('/')) {
        if !folders.iter().any(|known| known == folder)
            && !folder.split('/').any(|part| matches!(part, "compat" | "stubs"))
        {
            folders.push(folder.to_owned());
        }
    }
    folders
}
