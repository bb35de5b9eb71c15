//! The devices that the specs in some folders describe (runtime-and-hook.md 3.9).
//!
//! A device in a later folder hides those of its name in earlier ones. A name that two files of one folder describe is
//! nobody's: which of them is meant cannot be told. A file that is no spec hurts only itself, and is remembered.

use crate::edits::ContainerEdits;
use crate::names::QualifiedName;
use crate::origin::Origin;
use crate::read::ReadError;
use crate::spec::Spec;
use crate::write::Format;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io, thread};

/// The specs of some folders, read once.
#[derive(Debug, Default)]
pub struct Registry {
    folders: Vec<PathBuf>,
    specs: Vec<Loaded>,
    /// Where each name is described, in the order of the folders and their files; never empty.
    devices: BTreeMap<QualifiedName, Vec<Place>>,
    failures: Vec<Failure>,
}

#[derive(Debug)]
struct Loaded {
    path: PathBuf,
    /// Index of its folder.
    folder: usize,
    spec: Spec,
    /// What the file says of itself.
    origin: Option<Origin>,
    /// A review has found that it fits this machine.
    reviewed: bool,
}

/// A device: which spec, and which of its devices.
#[derive(Clone, Copy, Debug)]
struct Place {
    spec: usize,
    device: usize,
}

/// Edits that were asked for, and the file that they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The spec's file.
    pub file: &'a Path,
    /// What a device does, or what the spec does for all its devices.
    pub edits: &'a ContainerEdits,
    /// A review has found that the spec fits this machine.
    pub reviewed: bool,
}

/// What became of a spec in [`Registry::review`].
#[derive(Debug)]
pub enum Review {
    /// Nothing can be said of it; it stays.
    Unknown,
    /// It still holds.
    Holds,
    /// This is what it would say if it were made now.
    Replaced(Box<Spec>),
    /// It does not hold any more, and there is no other; the text says why.
    Unusable(String),
}

/// A file or folder that could not be used.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: Unused,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unused {
    /// It is no spec.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// It was right once.
    #[error("is out of date, and cannot be made again: {0}")]
    OutOfDate(String),
}

/// A name that several files of one folder describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<'a> {
    /// The name, which cannot be resolved.
    pub name: &'a QualifiedName,
    /// The files, all in one folder.
    pub files: Vec<&'a Path>,
}

/// A name that can be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described<'a> {
    /// The name.
    pub name: &'a QualifiedName,
    /// The file that describes the device.
    pub file: &'a Path,
    /// Files of earlier folders that describe one of the same name, which does not count.
    pub hides: Vec<&'a Path>,
}

/// Some names are no device's. The text begins as the original's, which tools look for; what follows is what one needs to
/// see why.
#[derive(Debug, thiserror::Error)]
#[error("unresolvable CDI devices {}; searched {}{}", list(names), list(folders), remarks(failed, conflicts))]
pub struct Unresolved {
    /// The names, in the order of the request.
    pub names: Vec<QualifiedName>,
    /// The folders that were searched.
    pub folders: Vec<String>,
    /// The files that could not be used, each with its reason.
    pub failed: Vec<String>,
    /// Those of the names that are in conflict, each with its files.
    pub conflicts: Vec<String>,
}

impl Registry {
    /// Reads all `*.json` and `*.yaml` directly in these folders. One that does not exist is as good as an empty one.
    pub fn load<P: AsRef<Path>>(folders: &[P]) -> Registry {
        let mut registry = Registry::default();
        for (index, folder) in folders.iter().enumerate() {
            registry.folders.push(folder.as_ref().to_owned());
            registry.load_folder(folder.as_ref(), index);
        }
        registry
    }

    fn load_folder(&mut self, folder: &Path, index: usize) {
        let files = spec_files(folder).unwrap_or_else(|error| {
            self.fail(folder.to_owned(), error.into());
            Vec::new()
        });
        let read = read_all(&files);
        for (path, found) in files.into_iter().zip(read) {
            match found {
                Ok((spec, origin)) => self.add(Loaded { path, folder: index, spec, origin, reviewed: false }),
                Err(reason) => self.fail(path, reason),
            }
        }
    }

    /// What is gone was removed since the folder was listed, or never there.
    fn fail(&mut self, path: PathBuf, reason: ReadError) {
        let is_gone = matches!(&reason, ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound);
        if !is_gone || path.is_symlink() {
            self.failures.push(Failure { path, reason: reason.into() });
        }
    }

    fn add(&mut self, loaded: Loaded) {
        let index = self.specs.len();
        for (device, name) in loaded.spec.qualified_names().enumerate() {
            self.devices.entry(name).or_default().push(Place { spec: index, device });
        }
        self.specs.push(loaded);
    }

    /// Shows `judge` every spec of these kinds whose origin is known and that nobody has edited since. It says whether the spec
    /// holds, is to be replaced by another, or not to be used, and why.
    pub fn review(&mut self, kinds: &HashSet<&str>, mut judge: impl FnMut(&Path, &Spec, &Origin) -> Review) {
        let specs = std::mem::take(&mut self.specs);
        self.devices.clear();
        for mut loaded in specs {
            let wanted = loaded.origin.as_ref().filter(|_| kinds.contains(loaded.spec.kind.as_str()));
            let origin = wanted.filter(|origin| origin.is_of(&loaded.spec));
            let review = origin.map_or(Review::Unknown, |origin| judge(&loaded.path, &loaded.spec, origin));
            loaded.reviewed = !matches!(review, Review::Unknown);
            match review {
                Review::Unknown | Review::Holds => {}
                Review::Replaced(spec) => loaded.spec = *spec,
                Review::Unusable(why) => {
                    self.failures.push(Failure { path: loaded.path, reason: Unused::OutOfDate(why) });
                    continue;
                }
            }
            self.add(loaded);
        }
    }

    /// The names of all devices that can be resolved, in the order of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &QualifiedName> {
        self.devices.keys().filter(|name| self.find(name).is_some())
    }

    /// The devices that can be resolved, each with the file that counts and those that it hides, which lie in earlier folders.
    pub fn devices(&self) -> impl Iterator<Item = Described<'_>> {
        self.devices.iter().filter(|(name, places)| self.conflict(name, places).is_none()).filter_map(
            |(name, places)| {
                let (file, hidden) = places.split_last()?;
                let path = |place: &Place| self.specs[place.spec].path.as_path();
                Some(Described { name, file: path(file), hides: hidden.iter().map(path).collect() })
            },
        )
    }

    /// The folders, in rising order of precedence.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The specs that could be read, with their files, in rising order of precedence.
    pub fn specs(&self) -> impl Iterator<Item = (&Path, &Spec)> {
        self.specs.iter().map(|loaded| (loaded.path.as_path(), &loaded.spec))
    }

    /// What could not be used, and why.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The names that cannot be resolved because files contradict each other.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict<'_>> {
        self.devices.iter().filter_map(|(name, places)| self.conflict(name, places))
    }

    /// The edits for these devices, in the order of application: before the first device of a spec what the spec does for
    /// all, then each device's own.
    ///
    /// # Errors
    /// [`Unresolved`], with all names that are no device's.
    pub fn resolve(&self, names: &[QualifiedName]) -> Result<Vec<Found<'_>>, Unresolved> {
        let places: Vec<Option<Place>> = names.iter().map(|name| self.find(name)).collect();
        if places.iter().any(Option::is_none) {
            return Err(self.unresolved(names));
        }
        let (mut found, mut used) = (Vec::new(), HashSet::new());
        for place in places.into_iter().flatten() {
            let Loaded { path, spec, reviewed, .. } = &self.specs[place.spec];
            let mut add = |edits| found.push(Found { file: path, edits, reviewed: *reviewed });
            if used.insert(place.spec) {
                add(&spec.container_edits);
            }
            add(&spec.devices[place.device].container_edits);
        }
        Ok(found)
    }

    /// The place that counts for a name: the last one, unless any folder has two.
    fn find(&self, name: &QualifiedName) -> Option<Place> {
        let places = self.devices.get(name)?;
        match self.conflict(name, places) {
            Some(_) => None,
            None => places.last().copied(),
        }
    }

    /// A conflict that a later folder hides is one all the same, as in the original: somebody relied on a file that does not
    /// count.
    fn conflict<'a>(&'a self, name: &'a QualifiedName, places: &[Place]) -> Option<Conflict<'a>> {
        let same_folder = |pair: &&[Place]| self.specs[pair[0].spec].folder == self.specs[pair[1].spec].folder;
        let first = places.windows(2).find(same_folder)?[0];
        let folder = self.specs[first.spec].folder;
        let loaded = places.iter().map(|place| &self.specs[place.spec]);
        let files = loaded.filter(|loaded| loaded.folder == folder).map(|loaded| loaded.path.as_path()).collect();
        Some(Conflict { name, files })
    }

    fn unresolved(&self, names: &[QualifiedName]) -> Unresolved {
        let missing: Vec<_> = names.iter().filter(|name| self.find(name).is_none()).cloned().collect();
        let in_conflict = missing.iter().filter_map(|name| self.conflict(name, self.devices.get(name)?));
        Unresolved {
            folders: self.folders.iter().map(|folder| folder.display().to_string()).collect(),
            failed: self.failures.iter().map(Failure::to_string).collect(),
            conflicts: in_conflict.map(|conflict| conflict.to_string()).collect(),
            names: missing,
        }
    }
}

impl Spec {
    /// The full names of its devices, in their order. A spec that is not valid may have none.
    pub fn qualified_names(&self) -> impl Iterator<Item = QualifiedName> {
        let kind = &self.kind;
        self.devices.iter().filter_map(move |device| QualifiedName::parse(&format!("{kind}={}", device.name)).ok())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path.display(), self.reason)
    }
}

impl fmt::Display for Conflict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        write!(f, "{} is in {}", self.name, files.join(" and in "))
    }
}

/// The files of a folder that are named like specs, in the order of their names.
fn spec_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if Format::of_path(&path).is_some() && !entry.file_type()?.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// From how many files on several threads read them. A machine has a handful of specs, and a thread costs more than those.
const MANY: usize = 256;

/// Reads files, in their order. A thread that cannot be started is no failure.
fn read_all(files: &[PathBuf]) -> Vec<Result<(Spec, Option<Origin>), ReadError>> {
    let read = |files: &[PathBuf]| files.iter().map(|path| Spec::read_file_with_origin(path)).collect::<Vec<_>>();
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(8));
    if files.len() < MANY || threads == 1 {
        return read(files);
    }
    let parts: Vec<_> = files.chunks(files.len().div_ceil(threads)).collect();
    thread::scope(|scope| {
        let start = |part| thread::Builder::new().spawn_scoped(scope, move || read(part)).ok();
        let started: Vec<_> = parts.iter().map(|part| start(*part)).collect();
        let ended = started.into_iter().map(|handle| handle.and_then(|handle| handle.join().ok()));
        ended.zip(&parts).flat_map(|(done, part)| done.unwrap_or_else(|| read(part))).collect()
    })
}

/// How much of a list is shown before the rest is only counted: an error is one line, and a folder may be full of bad files.
const SHOWN: usize = 8;

fn list<T: fmt::Display>(items: &[T]) -> String {
    let shown: Vec<_> = items.iter().take(SHOWN).map(T::to_string).collect();
    match items.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

fn remarks(failed: &[String], conflicts: &[String]) -> String {
    let remark = |what, lines: &[String]| match lines {
        [] => String::new(),
        lines => format!("; {what}: {}", list(lines)),
    };
    remark("not used", failed) + &remark("in conflict", conflicts)
}

#[cfg(test)]
mod tests;
