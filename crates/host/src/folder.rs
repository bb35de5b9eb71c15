//! Lists a folder in one pass: names and kinds, no further call per entry.

use oci::HostPath;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, RawDir, openat},
    io::Errno,
};
use std::mem::MaybeUninit;

/// What a folder's entry is, as far as the listing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// Some other kind, or a file system that does not say.
    Other,
}

impl From<FileType> for EntryKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => EntryKind::File,
            FileType::Symlink => EntryKind::Link,
            FileType::Directory => EntryKind::Folder,
            _ => EntryKind::Other,
        }
    }
}

/// Calls `each` with every entry of `folder` but `.` and `..`, in the file system's order. Names that are not UTF-8 are
/// none of ours and are left out.
pub(crate) fn for_each(folder: &HostPath, mut each: impl FnMut(&str, EntryKind)) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let descriptor = openat(CWD, folder.as_path(), flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(descriptor, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => each(name, entry.file_type().into()),
        }
    }
    Ok(())
}

/// The sorted names in `folder` that `keep` accepts; a folder that cannot be read has none.
pub(crate) fn names(folder: &HostPath, keep: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    // A listing that fails half-way still names what exists, and every name is looked at again.
    let _ = for_each(folder, |name, _| {
        if keep(name) {
            names.push(name.to_owned());
        }
    });
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Tree;

    #[test]
    fn lists_many_entries_with_their_kinds() {
        let tree = Tree::new();
        for i in 0..2000 {
            tree.file(&format!("d/a-rather-long-name-{i:04}"), "");
        }
        tree.link("d/link", "x").folder("d/sub");
        let (mut files, mut rest) = (0, Vec::new());
        for_each(&tree.root().join("d"), |name, kind| match kind {
            EntryKind::File => files += 1,
            kind => rest.push((name.to_owned(), kind)),
        })
        .unwrap();
        rest.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(files, 2000);
        assert_eq!(rest, [("link".to_owned(), EntryKind::Link), ("sub".to_owned(), EntryKind::Folder)]);
    }

    #[test]
    fn a_missing_folder_is_empty() {
        assert!(names(&Tree::new().root().join("none"), |_| true).is_empty());
    }
}
