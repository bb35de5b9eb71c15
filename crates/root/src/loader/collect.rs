//! The loader cache of a container that has none: what ldconfig would write for the same tree (`ldconfig(8)`), found by
//! reading the libraries through the root's descriptor.
//!
//! Unlike ldconfig this makes no links: a library whose soname's link is missing, or leads to no library, is listed under its
//! own file name (D-137).
//! Folders that only glibc before 2.37 knew (`tls`, `haswell`, `avx512_1`) are not searched.

use super::{
    DropIn, conf,
    library::{Folder, MAX_LIBRARIES, Reader, existing},
};
use crate::{ContainerRoot, resolve::Last};
use host::{elf::Machine, ldcache::Cache};
use oci::ContainerPath;
use plan::Layout;
use rustix::fd::AsFd;
use std::collections::BTreeSet;

/// The cache of this tree, without the folder that [`DropIn::Compat`] names: what comes first is put there afterwards, and
/// what did before may be about to go.
pub(super) fn collect(root: &ContainerRoot, layout: &Layout, remarks: &mut Vec<String>) -> Cache {
    let named = conf::folders(root, Some(DropIn::Compat), remarks);
    let folders = existing(root, named.into_iter().chain(built_in(layout)));
    let hwcaps = hwcaps_folders(root, &folders);
    let names: BTreeSet<String> = hwcaps.iter().map(|(name, _)| name.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();

    let mut reader = Reader::new(root);
    let mut cache = Cache { generator: Some(concat!("corten ", env!("CARGO_PKG_VERSION")).into()), ..Cache::default() };
    for (name, folder) in &hwcaps {
        let index = names.iter().position(|known| known == name).unwrap_or_default();
        let libraries = reader.libraries(folder);
        cache.entries.extend(libraries.into_iter().map(|library| library.in_hwcaps(&folder.path, index as u64)));
    }
    for folder in &folders {
        let libraries = reader.libraries(folder);
        cache.entries.extend(libraries.into_iter().map(|library| library.in_folder(&folder.path)));
    }
    if reader.opened >= MAX_LIBRARIES {
        remarks
            .push(format!("the container has more than {MAX_LIBRARIES} libraries; its loader cache lists only those"));
    }
    cache.hwcaps = names;
    cache.sort();
    cache
}

/// Folders that every ldconfig searches after those of ld.so.conf, in its order.
pub(super) fn built_in(layout: &Layout) -> Vec<ContainerPath> {
    let triplet = Machine::HOST.triplet();
    let names = if layout.native.as_str().ends_with(triplet) {
        [format!("lib/{triplet}"), format!("usr/lib/{triplet}"), "lib".into(), "usr/lib".into()]
    } else {
        ["lib".into(), "lib64".into(), "usr/lib".into(), "usr/lib64".into()]
    };
    names.iter().map(|name| ContainerPath::root().join(name)).collect()
}

/// Folders below `glibc-hwcaps` (`x86-64-v3`), with their names.
fn hwcaps_folders(root: &ContainerRoot, folders: &[Folder]) -> Vec<(String, Folder)> {
    const MAX: usize = 64;
    let mut found = Vec::new();
    for folder in folders {
        let path = folder.path.join("glibc-hwcaps");
        if root.patience().is_over(&path) {
            break;
        }
        let Ok(parent) = root.find(&path, Last::Follow) else { continue };
        for (name, _) in root.list(parent.as_fd(), MAX).unwrap_or_default() {
            let inside = existing(root, std::iter::once(path.join(&name)));
            found.extend(inside.into_iter().next().map(|folder| (name, folder)));
            if found.len() >= MAX {
                return found;
            }
        }
    }
    found
}
