//! The loader cache of a container that has none: what ldconfig would write for the same tree (`ldconfig(8)`), found by
//! reading the libraries through the root's descriptor.
//!
//! Unlike ldconfig this makes no links: a library whose soname's link is missing is listed under its own file name.
//! Folders that only glibc before 2.37 knew (`tls`, `haswell`, `avx512_1`) are not searched.

use super::conf;
use crate::{ContainerRoot, container::open_regular, resolve::Last};
use host::{
    elf::{self, Machine},
    ldcache::{self, Cache, Entry, compare_names},
};
use oci::ContainerPath;
use plan::Layout;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FileType, fstat},
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashSet},
};

/// Names looked at in one folder.
const MAX_NAMES: usize = 20_000;
/// Libraries opened in all. A desktop has some thousands.
const MAX_LIBRARIES: usize = 20_000;

/// The cache of this tree.
pub(super) fn collect(root: &ContainerRoot, layout: &Layout, remarks: &mut Vec<String>) -> Cache {
    let folders = existing(root, conf::folders(root, remarks).into_iter().chain(built_in(layout)));
    let hwcaps = hwcaps_folders(root, &folders);
    let names: BTreeSet<String> = hwcaps.iter().map(|(name, _)| name.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();

    let mut opened = 0;
    let mut cache = Cache { generator: Some(concat!("corten ", env!("CARGO_PKG_VERSION")).into()), ..Cache::default() };
    for (name, folder) in &hwcaps {
        let index = names.iter().position(|known| known == name).unwrap_or_default();
        let libraries = libraries(root, folder, &mut opened);
        cache.entries.extend(libraries.into_iter().map(|library| library.in_hwcaps(&folder.path, index as u64)));
    }
    for folder in &folders {
        let libraries = libraries(root, folder, &mut opened);
        cache.entries.extend(libraries.into_iter().map(|library| library.in_folder(&folder.path)));
    }
    if opened >= MAX_LIBRARIES {
        remarks
            .push(format!("the container has more than {MAX_LIBRARIES} libraries; its loader cache lists only those"));
    }
    cache.hwcaps = names;
    cache.sort();
    cache
}

/// A folder that exists.
struct Folder {
    path: ContainerPath,
    fd: OwnedFd,
}

/// Folders that every ldconfig searches after those of ld.so.conf.
fn built_in(layout: &Layout) -> Vec<ContainerPath> {
    let triplet = Machine::HOST.triplet();
    let multiarch = layout.native.as_str().ends_with(triplet);
    let first = if multiarch { triplet } else { "" };
    let names = if multiarch {
        [format!("lib/{first}"), format!("usr/lib/{first}"), "lib".into(), "usr/lib".into()]
    } else {
        ["lib64".into(), "usr/lib64".into(), "lib".into(), "usr/lib".into()]
    };
    names.iter().map(|name| ContainerPath::root().join(name)).collect()
}

/// Those that exist, each folder once however many names it has; the first name counts.
fn existing(root: &ContainerRoot, paths: impl Iterator<Item = ContainerPath>) -> Vec<Folder> {
    let mut seen = HashSet::new();
    let mut folders = Vec::new();
    for path in paths {
        let Ok(fd) = root.find(&path, Last::Follow) else { continue };
        let Ok(status) = fstat(&fd) else { continue };
        let is_folder = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if is_folder && seen.insert((status.st_dev, status.st_ino)) {
            folders.push(Folder { path, fd });
        }
    }
    folders
}

/// Folders below `glibc-hwcaps` (`x86-64-v3`), with their names.
fn hwcaps_folders(root: &ContainerRoot, folders: &[Folder]) -> Vec<(String, Folder)> {
    const MAX: usize = 64;
    let mut found = Vec::new();
    for folder in folders {
        let path = folder.path.join("glibc-hwcaps");
        let Ok(parent) = root.find(&path, Last::Follow) else { continue };
        for (name, _) in root.list(parent.as_fd(), MAX).unwrap_or_default() {
            let inside = existing(root, std::iter::once(path.join(&name)));
            found.extend(inside.into_iter().map(|folder| (name.clone(), folder)));
        }
    }
    found.truncate(MAX);
    found
}

/// One library of a folder.
struct Library {
    soname: String,
    flags: u32,
    /// File name: of the library, or of the link that stands for it.
    file: String,
    is_link: bool,
    /// The folder has something of the soname's name.
    has_soname: bool,
}

impl Library {
    fn in_folder(self, folder: &ContainerPath) -> Entry {
        let file = if self.has_soname { &self.soname } else { &self.file };
        Entry::new(self.flags, &self.soname, folder.join(file).as_str())
    }

    /// There the file itself is listed, as ldconfig makes no links in such folders.
    fn in_hwcaps(self, folder: &ContainerPath, index: u64) -> Entry {
        let path = folder.join(&self.file);
        Entry { hwcap: ldcache::HWCAPS_EXTENSION | index, ..Entry::new(self.flags, self.soname, path.as_str()) }
    }

    /// Of two files with one soname, a real file before a link, then the higher version.
    fn is_better_than(&self, other: &Library) -> bool {
        match (self.is_link, other.is_link) {
            (false, true) => true,
            (true, false) => false,
            _ => compare_names(&self.file, &other.file) == Ordering::Greater,
        }
    }
}

/// The libraries of one folder, the best file of each soname.
fn libraries(root: &ContainerRoot, folder: &Folder, opened: &mut usize) -> Vec<Library> {
    let names = root.list(folder.fd.as_fd(), MAX_NAMES).unwrap_or_default();
    let mut best: BTreeMap<String, Library> = BTreeMap::new();
    for (name, kind) in names.iter().filter(|(name, _)| is_library_name(name)) {
        if *opened >= MAX_LIBRARIES {
            break;
        }
        *opened += 1;
        let Some(mut library) = read(root, &folder.path.join(name), *kind) else { continue };
        library.has_soname = names.binary_search_by(|(known, _)| known.as_str().cmp(&library.soname)).is_ok();
        match best.get(&library.soname) {
            Some(known) if !library.is_better_than(known) => {}
            _ => drop(best.insert(library.soname.clone(), library)),
        }
    }
    best.into_values().collect()
}

/// `lib*.so*` and `ld-*.so*`, but no debugger script and nothing that a package manager has half unpacked.
fn is_library_name(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-"))
        && name.contains(".so")
        && !name.contains(".#prelink#")
        && !name.contains(';')
        && ![".dpkg-new", ".dpkg-tmp", "-gdb.py"].iter().any(|suffix| name.ends_with(suffix))
}

/// Reads one candidate; `None` if it is not a library for this architecture.
fn read(root: &ContainerRoot, path: &ContainerPath, kind: FileType) -> Option<Library> {
    let is_link = match kind {
        FileType::Symlink => true,
        FileType::RegularFile => false,
        FileType::Unknown => is_link(root, path),
        _ => return None,
    };
    let file = open_regular(root.find(path, Last::Follow).ok()?, path).ok()?;
    let elf = elf::read_file(&file).ok()?;
    let flags = flags(elf.machine)?;
    let name = path.file_name();
    let soname = elf.soname.unwrap_or_else(|| name.to_owned());
    // A link of the soname's name stands for itself, and so does one for the linker (`libx.so` for `libx.so.1`). Any
    // other link is taken for a library of its own.
    let stands_for_itself = is_link && (name == soname || (name.ends_with(".so") && soname.starts_with(name)));
    let soname = if stands_for_itself { name.to_owned() } else { soname };
    Some(Library { soname, flags, file: name.to_owned(), is_link: stands_for_itself, has_soname: false })
}

fn is_link(root: &ContainerRoot, path: &ContainerPath) -> bool {
    let status = root.find(path, Last::Keep).and_then(fstat);
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Symlink)
}

/// The flags of an entry for such a library; `None` for one that no loader here wants.
fn flags(machine: Machine) -> Option<u32> {
    let wanted = machine == Machine::HOST || Some(machine) == Machine::HOST.compat32();
    let architecture = match machine {
        Machine::X86_64 => ldcache::X86_64,
        Machine::I386 => 0,
        Machine::Aarch64 => ldcache::AARCH64,
        Machine::Arm => ldcache::ARM_HARD_FLOAT,
        Machine::Ppc64 => ldcache::POWERPC64,
        Machine::Other => return None,
    };
    wanted.then_some(ldcache::ELF_LIBC6 | architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_library_names() {
        for (name, want) in [
            ("libc.so.6", true),
            ("ld-linux-x86-64.so.2", true),
            ("libfoo-1.2.so", true),
            ("foo.so", false),
            ("libfoo.a", false),
            ("libfoo.so.1-gdb.py", false),
            ("libfoo.so.1.dpkg-new", false),
            ("libfoo.so.1;5f3c", false),
        ] {
            assert_eq!(is_library_name(name), want, "{name}");
        }
    }
}
