//! The libraries of a folder, told apart as ldconfig tells them: by name, kind of file, and what their ELF headers say.

use crate::{ContainerRoot, container::Found, place::is_spare, resolve::Last};
use host::{
    elf::{self, Machine},
    ldcache::{self, Entry, compare_names},
};
use oci::ContainerPath;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::FileType,
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
};

/// Names looked at in one folder.
const MAX_NAMES: usize = 20_000;
/// Libraries opened in all. A desktop has some thousands.
pub(super) const MAX_LIBRARIES: usize = 20_000;

/// A folder that exists.
pub(super) struct Folder {
    pub(super) path: ContainerPath,
    pub(super) fd: OwnedFd,
    /// Device and inode: what makes two names one folder.
    pub(super) identity: (u64, u64),
    /// It lies on the root's own mount: it is the image's.
    pub(super) is_images: bool,
}

/// Those that exist, each folder once however many names it has; the first name counts. Where looking through the image takes too
/// long, the others do not exist.
pub(super) fn existing(root: &ContainerRoot, paths: impl Iterator<Item = ContainerPath>) -> Vec<Folder> {
    let mut seen = HashSet::new();
    let paths = paths.take_while(|path| !root.patience().is_over(path));
    paths.filter_map(|path| open(root, path)).filter(|folder| seen.insert(folder.identity)).collect()
}

fn open(root: &ContainerRoot, path: ContainerPath) -> Option<Folder> {
    let found = root.look(&path, Last::Follow).ok()?;
    let (identity, is_images) = (found.identity, !root.is_elsewhere(&found));
    (found.kind == FileType::Directory).then(|| Folder { path, fd: found.into_fd(), identity, is_images })
}

/// One library of a folder.
pub(super) struct Library {
    pub(super) soname: String,
    pub(super) flags: u32,
    /// File name: of the library, or of the link that stands for it.
    pub(super) file: String,
    is_link: bool,
    /// What the folder has under the soname.
    pub(super) at_soname: Occupant,
    /// It lies on another mount than the root: it was put into the container, and is not the image's. False where
    /// nobody asked.
    pub(super) mounted: bool,
    /// Device and inode of the file, links followed.
    pub(super) identity: (u64, u64),
}

/// What has a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nothing.
    Nobody,
    /// A regular file.
    File {
        /// Without content, as a mount point is that an earlier start left.
        is_empty: bool,
    },
    /// A link.
    Link {
        /// Device and inode of what it leads to, if that is anything.
        leads_to: Option<(u64, u64)>,
        /// That is something which a loader would take, here or on another machine.
        is_library: bool,
    },
    /// Neither, or not looked at.
    Other,
}

impl Occupant {
    /// A loader that opens the name gets what somebody put there for it. For the other names ldconfig makes a link, or makes one
    /// anew that leads to no library.
    fn may_open(self) -> bool {
        match self {
            Occupant::File { .. } | Occupant::Link { is_library: true, .. } => true,
            Occupant::Nobody | Occupant::Link { .. } | Occupant::Other => false,
        }
    }
}

impl Library {
    pub(super) fn in_folder(self, folder: &ContainerPath) -> Entry {
        let file = if self.at_soname.may_open() { &self.soname } else { &self.file };
        Entry::new(self.flags, &self.soname, folder.join(file).as_str())
    }

    /// There the file itself is listed, as ldconfig makes no links in such folders.
    pub(super) fn in_hwcaps(self, folder: &ContainerPath, index: u64) -> Entry {
        let path = folder.join(&self.file);
        Entry { hwcap: ldcache::HWCAPS_EXTENSION | index, ..Entry::new(self.flags, self.soname, path.as_str()) }
    }

    /// Of two files with one soname: what was put into the container before what the image has, whatever the versions,
    /// as a driver library fits its kernel module only; then a real file before a link; then the higher version.
    fn is_better_than(&self, other: &Library) -> bool {
        let rank = |library: &Library| (library.mounted && !library.is_link, !library.is_link);
        match rank(self).cmp(&rank(other)) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => compare_names(&self.file, &other.file) == Ordering::Greater,
        }
    }
}

/// Reads folders, and counts what that costs.
pub(super) struct Reader<'a> {
    pub(super) root: &'a ContainerRoot,
    /// The root's mount, if it is to be found out what lies on others.
    pub(super) mount: Option<u64>,
    /// Libraries opened so far, over all folders.
    pub(super) opened: usize,
    /// A folder holds what a process that was killed left there.
    pub(super) litter: bool,
    /// What files said that were read, by device and inode: most libraries have a link or two beside them.
    known: HashMap<(u64, u64), Option<Facts>>,
}

/// What counts of an ELF file.
#[derive(Clone)]
struct Facts {
    /// Of its entries in a cache; `None` if it is not for this architecture.
    flags: Option<u32>,
    /// `DT_SONAME`.
    soname: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a ContainerRoot) -> Self {
        Reader { root, mount: None, opened: 0, litter: false, known: HashMap::new() }
    }

    /// The libraries of one folder, the best file of each soname.
    pub(super) fn libraries(&mut self, folder: &Folder) -> Vec<Library> {
        let names = self.root.list(folder.fd.as_fd(), MAX_NAMES).unwrap_or_default();
        self.litter |= names.iter().any(|(name, _)| is_spare(name));
        let mut best: BTreeMap<String, Library> = BTreeMap::new();
        let mut occupants: HashMap<&str, Occupant> = HashMap::new();
        // Files before links: the driver's are files, and only the way through a link can be long.
        let (links, files): (Vec<_>, Vec<_>) = names
            .iter()
            .filter(|(name, _)| is_library_name(name))
            .partition(|(_, kind)| !matches!(kind, FileType::RegularFile));
        for (name, kind) in files.into_iter().chain(links) {
            let path = folder.path.join(name);
            if self.opened >= MAX_LIBRARIES || self.root.patience().is_over(&path) {
                break;
            }
            self.opened += 1;
            let (occupant, library) = self.read(&path, *kind);
            occupants.insert(name, occupant);
            let Some(library) = library else { continue };
            match best.get(&library.soname) {
                Some(known) if !library.is_better_than(known) => {}
                _ => drop(best.insert(library.soname.clone(), library)),
            }
        }
        let mut best: Vec<Library> = best.into_values().collect();
        // What was put into the container first, for the same reason.
        let (mounted, others): (Vec<_>, Vec<_>) = best.iter_mut().partition(|library| library.mounted);
        for library in mounted.into_iter().chain(others) {
            library.at_soname = self.at_soname(folder, &library.soname, &names, &occupants);
        }
        best
    }

    /// What the folder has under that name.
    fn at_soname(
        &mut self,
        folder: &Folder,
        soname: &str,
        names: &[(String, FileType)],
        occupants: &HashMap<&str, Occupant>,
    ) -> Occupant {
        let Ok(at) = names.binary_search_by(|(known, _)| known.as_str().cmp(soname)) else { return Occupant::Nobody };
        if let Some(known) = occupants.get(soname) {
            return *known;
        }
        // A soname need not be a library's name, as far as that goes.
        let path = folder.path.join(soname);
        if self.root.patience().is_over(&path) { Occupant::Other } else { self.read(&path, names[at].1).0 }
    }

    /// Reads one candidate; no library if it is none for this architecture.
    fn read(&mut self, path: &ContainerPath, kind: FileType) -> (Occupant, Option<Library>) {
        let is_link = match kind {
            FileType::Symlink => true,
            FileType::RegularFile => false,
            FileType::Unknown => is_link(self.root, path),
            _ => return (Occupant::Other, None),
        };
        let occupant = |leads_to, is_library, is_empty| match is_link {
            true => Occupant::Link { leads_to, is_library },
            false => Occupant::File { is_empty },
        };
        let Ok(found) = self.root.look(path, Last::Follow) else { return (occupant(None, false, false), None) };
        let mounted = self.mount.is_some_and(|mount| found.mount().is_some_and(|other| other != mount));
        let (identity, is_empty) = (found.identity, found.size == 0);
        let facts = self.known.entry(identity).or_insert_with(|| facts(self.root, found, path));
        let occupant = occupant(Some(identity), facts.is_some(), is_empty);
        let Some(Facts { flags: Some(flags), soname }) = facts.clone() else { return (occupant, None) };

        let name = path.file_name();
        let soname = soname.filter(|soname| is_file_name(soname)).unwrap_or_else(|| name.to_owned());
        // A link of the soname's name stands for itself, and so does one for the linker (`libx.so` for `libx.so.1`). Any
        // other link is taken for a library of its own.
        let stands_for_itself = is_link && (name == soname || (name.ends_with(".so") && soname.starts_with(name)));
        let soname = if stands_for_itself { name.to_owned() } else { soname };
        let file = name.to_owned();
        let at_soname = Occupant::Nobody;
        (occupant, Some(Library { soname, flags, file, is_link: stands_for_itself, at_soname, mounted, identity }))
    }
}

/// `None` if it is no ELF file, or one that a container may not read.
fn facts(root: &ContainerRoot, found: Found, path: &ContainerPath) -> Option<Facts> {
    if !root.may_be_read(&found) {
        return None;
    }
    let file = found.open(path).ok()?;
    #[cfg(feature = "undefended")]
    if !crate::Defence::BoundedElf.stands() {
        elf::parse(&crate::undefended::read_whole(&file).ok()?).ok()?;
    }
    let elf = elf::read_file(&file).ok()?;
    Some(Facts { flags: flags(elf.machine), soname: elf.soname })
}

/// `lib*.so*` and `ld-*.so*`, but no debugger script and nothing that a package manager has half unpacked.
fn is_library_name(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-"))
        && name.contains(".so")
        && !name.contains(".#prelink#")
        && !name.contains(';')
        && ![".dpkg-new", ".dpkg-tmp", "-gdb.py"].iter().any(|suffix| name.ends_with(suffix))
}

/// A file, or a link, can have that name (`path_resolution(7)`). A soname that is none is none for a loader either.
fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(['/', '\0'])
}

fn is_link(root: &ContainerRoot, path: &ContainerPath) -> bool {
    root.look(path, Last::Keep).is_ok_and(|found| found.kind == FileType::Symlink)
}

/// Something that a loader would take lies there.
pub(super) fn is_library(root: &ContainerRoot, path: &ContainerPath) -> bool {
    let found = root.look(path, Last::Follow).ok();
    found.and_then(|found| facts(root, found, path)).is_some()
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
