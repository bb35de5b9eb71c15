//! X.Org modules: a display driver and a GLX module, each from the first folder that has it.

use super::{Search, folders::Folder, libraries::Candidate};
use crate::catalogue;
use std::collections::HashSet;

/// A place where a module may be, below a library folder or apart from it.
struct Place<'a> {
    folder: Folder<'a>,
    subfolder: String,
}

impl Search<'_> {
    /// Offers each module that is found to `take`, which says whether it took it.
    pub(super) fn xorg_modules(&self, homes: &[&Folder], version: &str, mut take: impl FnMut(Candidate) -> bool) {
        let [driver, glx] = [catalogue::XORG_DRIVER, catalogue::XORG_GLX].map(catalogue::library);
        if !driver.is_some_and(|(_, row)| row.capabilities.meets(self.wanted.capabilities)) {
            return;
        }
        let names = [
            (format!("{}.so", catalogue::XORG_DRIVER), driver),
            (format!("{}.so.{version}", catalogue::XORG_GLX), glx),
        ];
        let mut taken = HashSet::new();
        for Place { folder, subfolder } in self.xorg_places(homes) {
            for (name, row) in &names {
                let candidate = Candidate { folder: &folder, name, regular: false, row: *row, subfolder: &subfolder };
                if !taken.contains(name) && take(candidate) {
                    taken.insert(name);
                }
            }
        }
    }

    fn xorg_places<'a>(&'a self, homes: &[&Folder<'a>]) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        for home in homes {
            for subfolder in catalogue::XORG_FOLDERS {
                let path = home.real.join(subfolder);
                let folder = Folder::list(home.within, home.within.strip(&path));
                places.extend(folder.map(|folder| Place { folder, subfolder: (*subfolder).to_owned() }));
            }
        }
        for base in catalogue::XORG_BASES {
            for subfolder in catalogue::XORG_FOLDERS.iter().filter_map(|folder| folder.strip_prefix("xorg/")) {
                let folder = Folder::list(self.inside, &format!("{base}/{subfolder}"));
                places.extend(folder.map(|folder| Place { folder, subfolder: format!("xorg/{subfolder}") }));
            }
        }
        places
    }
}
