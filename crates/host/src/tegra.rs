//! What a Jetson says of its driver: CSV files that list what a container needs (reference: cdi-and-ctk.md 6.1).

pub mod csv;

use crate::folder;
use csv::{LARGEST, Sheet, TooLarge};
use oci::HostPath;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, openat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read},
};

/// Why a file of the folder says nothing.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// A folder, device or FIFO.
    #[error("it is not a regular file")]
    NotRegular,
    /// It is no list of files.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The folder's files whose names end in `.csv`, in any case, by name; a folder that cannot be read has none.
pub fn sheets(folder: &HostPath) -> Vec<(String, Result<Sheet, SheetError>)> {
    let names = folder::names(folder, is_sheet);
    names.into_iter().map(|name| (read(&folder.join(&name)), name)).map(|(sheet, name)| (name, sheet)).collect()
}

/// A file that is named just `.csv` is none.
fn is_sheet(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && end.eq_ignore_ascii_case("csv"))
}

/// The folder is the administrator's, and may hold links; nothing in it is waited for.
fn read(path: &HostPath) -> Result<Sheet, SheetError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(CWD, path.as_path(), flags, Mode::empty()).map_err(io::Error::from)?;
    let status = fstat(&file).map_err(|error: Errno| io::Error::from(error))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(SheetError::NotRegular);
    }
    let mut text = Vec::new();
    File::from(file).take(LARGEST as u64 + 1).read_to_end(&mut text)?;
    Ok(csv::parse(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Tree;

    #[test]
    fn reads_the_files_that_count() {
        let tree = Tree::new();
        let line = "dev, /dev/nvmap\n";
        for name in ["l4t.csv", "devices.CSV", ".csv", "notes.txt", "csv"] {
            tree.file(&format!("files/{name}"), line);
        }
        tree.folder("files/folder.csv").link("files/gone.csv", "/nowhere");
        tree.file("files/vast.csv", "x".repeat(LARGEST + 1));
        let found = sheets(&tree.root().join("files"));
        let shown = found.iter().map(|(name, sheet)| match sheet {
            Ok(sheet) => format!("{name}: {}", sheet.entries.len()),
            Err(error) => format!("{name}: {error}"),
        });
        let want = [
            "devices.CSV: 1",
            "folder.csv: it is not a regular file",
            "gone.csv: cannot read it: No such file or directory (os error 2)",
            "l4t.csv: 1",
            "vast.csv: it is larger than 1 MiB, which no list of a driver's files is",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), want);
        assert!(sheets(&tree.root().join("none")).is_empty());
    }
}
