//! Makes the container's loader find our libraries.

mod collect;
mod conf;
mod drop_in;
mod library;
mod musl;
mod refresh;

pub(crate) use drop_in::DropIn;

use crate::{ContainerRoot, RootError, Step};
use host::ldcache::{self, Cache, Entry};
use oci::ContainerPath;
use plan::{Because, Layout, Loader, LoaderEntry};

/// The loader's file as it should be, if it is not.
pub(crate) fn missing(
    root: &ContainerRoot,
    libraries: &[Because<LoaderEntry>],
    layout: &Layout,
    remarks: &mut Vec<String>,
) -> Result<Option<Step>, RootError> {
    match (libraries, layout.loader) {
        ([], _) => Ok(None),
        (_, Loader::Musl) => musl::missing(root, &musl::folders(libraries), remarks),
        (_, Loader::Glibc | Loader::Unknown) => glibc(root, libraries, layout, remarks),
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
/// rule). A container without a cache gets the one that ldconfig would make, with ours.
fn glibc(
    root: &ContainerRoot,
    libraries: &[Because<LoaderEntry>],
    layout: &Layout,
    remarks: &mut Vec<String>,
) -> Result<Option<Step>, RootError> {
    let path = ContainerPath::root().join(ldcache::PATH);
    let existing = existing(root, &path, remarks)?;
    let mut cache = existing.clone().unwrap_or_else(|| collect::collect(root, layout, remarks));
    cache.put_first(entries(libraries));
    if existing.is_some_and(|existing| existing == cache) {
        return Ok(None);
    }
    Ok(Some(Step::File { path, content: ldcache::write(&cache), mode: 0o644, folder_mode: 0o755 }))
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

/// The folders that ld.so.conf names without the help of that file of ours.
pub(crate) fn folders_but(root: &ContainerRoot, but: DropIn, remarks: &mut Vec<String>) -> Vec<ContainerPath> {
    conf::folders(root, Some(&but.file()), remarks)
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
