//! Makes the container's loader find our libraries.

mod collect;
mod conf;
mod drop_in;
mod library;
mod musl;
mod refresh;

pub(crate) use drop_in::DropIn;
pub use refresh::Compat;

use crate::{ContainerRoot, RootError, Step};
use host::ldcache::{self, Cache, Entry};
use library::Reader;
use oci::ContainerPath;
use plan::{Because, Layout, Loader, LoaderEntry, RootWork};
use refresh::{Chosen, Scan};

/// The loader's files as they should be, if they are not.
pub(crate) fn missing(
    root: &ContainerRoot,
    work: &RootWork,
    layout: &Layout,
    remarks: &mut Vec<String>,
) -> Result<Vec<Step>, RootError> {
    match (&*work.libraries, layout.loader) {
        ([], _) => Ok(Vec::new()),
        (libraries, Loader::Musl) => {
            let step = musl::missing(root, &musl::folders(libraries), remarks)?;
            Ok(step.into_iter().collect())
        }
        (_, Loader::Glibc | Loader::Unknown) => glibc(root, work, layout, remarks),
    }
}

/// The file that a container's loader reads.
pub(crate) fn file(layout: &Layout) -> ContainerPath {
    match layout.loader {
        Loader::Musl => musl::file(),
        Loader::Glibc | Loader::Unknown => ContainerPath::root().join(ldcache::PATH),
    }
}

/// Existing entries and their order stay; ours come first among those of their name ([`Cache::put_first`] has the
/// rule), and before them those of the folder that the image is to have used. What an earlier start put first and this one
/// does not goes. A container without a cache gets the one that ldconfig would make, with ours.
fn glibc(
    root: &ContainerRoot,
    work: &RootWork,
    layout: &Layout,
    remarks: &mut Vec<String>,
) -> Result<Vec<Step>, RootError> {
    let path = ContainerPath::root().join(ldcache::PATH);
    let former = DropIn::Compat.read(root)?;
    let wanted = work.compat.as_ref().map(|folder| &folder.what);
    let folders = library::existing(root, wanted.into_iter().cloned());
    let compat = Scan::of(&mut Reader::new(root), folders, Chosen::ByImage);
    let left: Vec<_> = former.into_iter().filter(|former| Some(former) != wanted).collect();

    let existing = existing(root, &path, remarks)?;
    let mut cache = existing.clone().unwrap_or_else(|| collect::collect(root, layout, remarks));
    if !left.is_empty() {
        let gone = goes_with(root, &left, remarks);
        cache.entries.retain(|entry| !gone(entry));
    }
    let compat_entries = compat.entries.into_iter().map(|(entry, _)| entry);
    cache.put_first(compat_entries.chain(entries(&work.libraries)).collect());

    let mut steps = compat.links;
    if !layout.read_only {
        steps.extend(DropIn::Compat.with(root, wanted.map(std::slice::from_ref).unwrap_or_default())?);
    }
    if existing.is_none_or(|existing| existing != cache) {
        steps.push(Step::File { path, content: ldcache::write(&cache), mode: 0o644, folder_mode: 0o755 });
    }
    Ok(steps)
}

/// The container's cache without such entries; `None` if it has no such entry, or there is no cache.
pub(crate) fn without(
    root: &ContainerRoot,
    layout: &Layout,
    gone: impl Fn(&Entry) -> bool,
    remarks: &mut Vec<String>,
) -> Result<Option<Step>, RootError> {
    let path = file(layout);
    let Some(mut cache) = existing(root, &path, remarks)? else { return Ok(None) };
    let before = cache.entries.len();
    cache.entries.retain(|entry| !gone(entry));
    let content = (cache.entries.len() < before).then(|| ldcache::write(&cache));
    Ok(content.map(|content| Step::File { path, content, mode: 0o644, folder_mode: 0o755 }))
}

/// Tells the entries that go when [`DropIn::Compat`] does not name these folders any more: all that lie in them, unless
/// the image's own ld.so.conf names the folder too.
pub(crate) fn goes_with<'f>(
    root: &ContainerRoot,
    folders: &'f [ContainerPath],
    remarks: &mut Vec<String>,
) -> impl Fn(&Entry) -> bool + use<'f> {
    let known = conf::folders(root, Some(DropIn::Compat), remarks);
    move |entry| folders.iter().any(|folder| folder.as_str() == entry.folder() && !known.contains(folder))
}

/// The container's cache; none if it is not one, which also a loader would pass over.
fn existing(root: &ContainerRoot, path: &ContainerPath, remarks: &mut Vec<String>) -> Result<Option<Cache>, RootError> {
    let content = match root.read_if_any(path, ldcache::MAX_FILE) {
        Ok(None) => return Ok(None),
        Ok(Some(content)) => content,
        Err(error) if error.is_unusable() => {
            remarks.push(format!("{error}; a new loader cache takes its place"));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match ldcache::parse(&content) {
        Ok(cache) => Ok(Some(cache)),
        Err(error) => {
            remarks.push(format!("{path} in the container is unusable: {error}; a new one takes its place"));
            Ok(None)
        }
    }
}

fn entries(libraries: &[Because<LoaderEntry>]) -> Vec<Entry> {
    libraries
        .iter()
        .filter_map(|library| {
            let LoaderEntry { soname, path, class } = &library.what;
            Some(Entry::new(ldcache::flags(*class)?, soname, path.as_str()))
        })
        .collect()
}
