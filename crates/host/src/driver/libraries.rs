//! The driver's libraries in the folders that were listed: which of them are this driver's, for which loader they are,
//! and which links a container needs beside them (reference: cdi-and-ctk.md 2.6).

use super::{
    Search,
    folders::{Entry, Folder},
};
use crate::{
    Capabilities, Capability, DriverFile, FileKind, Library, LibraryClass, LibraryLink,
    catalogue::{self, LibraryRow, SpecialLink, Target, Version},
    elf, version,
};
use oci::HostPath;
use std::{cmp::Reverse, collections::HashMap};

/// Libraries chosen so far.
#[derive(Default)]
struct Chosen {
    files: Vec<(Rank, DriverFile)>,
    /// What was chosen under a name.
    names: HashMap<(LibraryClass, String), HostPath>,
}

/// Position in the catalogue; the inventory is sorted by it, then by path.
type Rank = usize;

/// Which of the entries of a folder is to be taken, and as what.
pub(super) struct Candidate<'a> {
    pub(super) folder: &'a Folder<'a>,
    pub(super) name: &'a str,
    pub(super) regular: bool,
    pub(super) row: Option<(Rank, &'static LibraryRow)>,
    /// [`Library::subfolder`].
    pub(super) subfolder: &'a str,
}

impl Search<'_> {
    /// Every wanted library of driver `version`, sorted.
    pub(super) fn libraries(&self, folders: &[Folder], version: &str, remarks: &mut Vec<String>) -> Vec<DriverFile> {
        let mut chosen = Chosen::default();
        for folder in folders {
            self.choose(&mut chosen, folder, version, "", remarks);
        }
        let homes = folders.iter().filter(|folder| folder.entries.iter().any(|entry| entry.version() == version));
        let homes: Vec<_> = homes.collect();
        for home in &homes {
            if let Some(folder) = Folder::list(home.within, home.within.strip(&home.real.join("vdpau"))) {
                self.choose(&mut chosen, &folder, version, "vdpau", remarks);
            }
        }
        self.xorg_modules(&homes, version, |candidate| self.take(&mut chosen, &candidate, remarks));
        chosen.files.sort_by(|(a, x), (b, y)| (a, &x.path).cmp(&(b, &y.path)));
        chosen.files.into_iter().map(|(_, file)| file).collect()
    }

    fn choose(&self, chosen: &mut Chosen, folder: &Folder, version: &str, subfolder: &str, remarks: &mut Vec<String>) {
        let mut entries: Vec<_> = folder.entries.iter().filter_map(|entry| self.suits(entry, version)).collect();
        // Of several versions of a library that has its own, the newest comes first, and the first is taken.
        entries
            .sort_by_cached_key(|(entry, _)| (entry.stem().to_owned(), Reverse(ByNumber(entry.version().to_owned()))));
        for (entry, row) in entries {
            let Entry { name, regular, .. } = entry;
            self.take(chosen, &Candidate { folder, name, regular: *regular, row, subfolder }, remarks);
        }
    }

    /// The entry may be part of driver `version`, and something that is wanted brings it.
    fn suits<'e>(&self, entry: &'e Entry, version: &str) -> Option<(&'e Entry, Option<(Rank, &'static LibraryRow)>)> {
        let row = catalogue::library(entry.stem());
        let suits = entry.version() == version
            || row.is_some_and(|(_, row)| match row.version {
                Version::Driver => false,
                Version::Own => true,
                Version::Explicit => self.wanted.explicit_libraries,
            });
        (suits && self.wants(row)).then_some((entry, row))
    }

    fn wants(&self, row: Option<(Rank, &'static LibraryRow)>) -> bool {
        capabilities(row).meets(self.wanted.capabilities)
    }

    /// Adds the candidate, unless it is for another machine or another one has its place. Says whether it has been added.
    fn take(&self, chosen: &mut Chosen, candidate: &Candidate, remarks: &mut Vec<String>) -> bool {
        let Candidate { folder, row, subfolder, .. } = candidate;
        let Some(host) = candidate.real() else { return false };
        folder.within.note_reading(&host);
        let Some((class, soname)) = self.read(&host, remarks) else { return false };
        if !self.claim(chosen, candidate, class, &host, remarks) {
            return false;
        }
        let soname = soname.unwrap_or_else(|| host.file_name().to_owned());
        let links = links(&host, &soname, row.and_then(|(_, row)| row.link), folder, subfolder);
        let library = Library { soname, class, subfolder: (*subfolder).to_owned(), links };
        let file = DriverFile {
            path: self.in_container(&host),
            host,
            kind: FileKind::Library(library),
            capabilities: capabilities(*row),
        };
        chosen.files.push((row.map_or(Rank::MAX, |(rank, _)| rank), file));
        true
    }

    /// Class and soname of the library at `host`; `None` when no program that is wanted could load it.
    fn read(&self, host: &HostPath, remarks: &mut Vec<String>) -> Option<(LibraryClass, Option<String>)> {
        let elf = match elf::read(host.as_path()) {
            Ok(elf) => elf,
            Err(error) => {
                remarks.push(format!("{host} has the name of a driver library, but {error}."));
                return Some((LibraryClass::Native, None));
            }
        };
        let plain = |name: &String| !name.contains('/') && !matches!(name.as_str(), "." | "..");
        let soname = elf.soname.filter(plain);
        if elf.machine == self.roots.machine {
            return Some((LibraryClass::Native, soname));
        }
        if Some(elf.machine) == self.roots.machine.compat32() {
            return self.wanted.capabilities.contains(Capability::Compat32).then_some((LibraryClass::Compat32, soname));
        }
        remarks.push(format!("{host} is for another kind of machine and is left out."));
        None
    }

    /// Takes the candidate's name, if it is still free.
    fn claim(
        &self,
        chosen: &mut Chosen,
        candidate: &Candidate,
        class: LibraryClass,
        host: &HostPath,
        remarks: &mut Vec<String>,
    ) -> bool {
        let own = candidate.row.filter(|(_, row)| row.version != Version::Driver);
        let name = own.map_or(host.file_name(), |(_, row)| row.stem);
        let key = (class, format!("{}/{name}", candidate.subfolder));
        let Some(earlier) = chosen.names.get(&key) else {
            chosen.names.insert(key, host.clone());
            return true;
        };
        if earlier != host {
            remarks.push(format!("{host} is left out: {earlier} comes first and takes its place."));
        }
        false
    }
}

impl Candidate<'_> {
    fn real(&self) -> Option<HostPath> {
        if self.regular { Some(self.folder.real.join(self.name)) } else { self.folder.resolve(self.name) }
    }
}

fn capabilities(row: Option<(Rank, &'static LibraryRow)>) -> Capabilities {
    row.map_or(catalogue::unlisted(), |(_, row)| row.capabilities)
}

/// The links that belong beside a library: a special one, that of its soname, and the one that compilers use where the
/// host has it.
fn links(
    host: &HostPath,
    soname: &str,
    special: Option<SpecialLink>,
    folder: &Folder,
    subfolder: &str,
) -> Vec<LibraryLink> {
    let file = host.file_name();
    let mut links: Vec<LibraryLink> = Vec::new();
    let mut add = |name: &str, target: &str| {
        let name = if subfolder.is_empty() { name.to_owned() } else { format!("{subfolder}/{name}") };
        if !links.iter().any(|link| link.name == name) {
            links.push(LibraryLink { name, target: target.to_owned() });
        }
    };
    if let Some(SpecialLink { name, target }) = special {
        add(
            name,
            match target {
                Target::File => file,
                Target::Text(text) => text,
            },
        );
    }
    if soname != file {
        add(soname, file);
    }
    if let Some(end) = soname.find(".so.") {
        let unversioned = &soname[..end + ".so".len()];
        if folder.unversioned_links.contains(unversioned) {
            add(unversioned, soname);
        }
    }
    links
}

/// A version that compares by its numbers.
struct ByNumber(String);

impl Ord for ByNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        version::compare(&self.0, &other.0)
    }
}

impl PartialOrd for ByNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByNumber {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByNumber {}
