//! What a container start left in its root: the upper folder of the overlay that the root was.

use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

/// One thing that came to lie in the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Written {
    /// Path in the container.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Owner on the host.
    pub uid: u32,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A regular file of so many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link and its text.
    Link(String),
    /// Something that was there is gone (an overlay's whiteout).
    Gone,
    /// A socket, a FIFO, a device.
    Other,
}

/// Everything below the upper folder `upper`, sorted by path.
///
/// # Errors
/// The operating system's.
pub fn written(upper: &Path) -> io::Result<Vec<Written>> {
    let mut all = Vec::new();
    collect(upper, "", &mut all)?;
    all.sort();
    Ok(all)
}

fn collect(folder: &Path, at: &str, all: &mut Vec<Written>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{at}/{}", entry.file_name().to_string_lossy());
        let data = entry.metadata()?;
        let kind = kind(&entry.path(), &data)?;
        let below = kind == Kind::Folder;
        all.push(Written { path: path.clone(), kind, uid: data.uid() });
        if below {
            collect(&entry.path(), &path, all)?;
        }
    }
    Ok(())
}

fn kind(path: &Path, data: &fs::Metadata) -> io::Result<Kind> {
    let kind = data.file_type();
    Ok(if kind.is_symlink() {
        Kind::Link(fs::read_link(path)?.to_string_lossy().into_owned())
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_file() {
        Kind::File(data.len())
    } else if kind.is_char_device() && data.rdev() == 0 {
        Kind::Gone
    } else {
        Kind::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_lies_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/f"), "abc").unwrap();
        std::os::unix::fs::symlink("f", folder.path().join("etc/l")).unwrap();
        let all: Vec<(String, Kind)> =
            written(folder.path()).unwrap().into_iter().map(|entry| (entry.path, entry.kind)).collect();
        let want = [("/etc", Kind::Folder), ("/etc/f", Kind::File(3)), ("/etc/l", Kind::Link("f".into()))];
        assert_eq!(all, want.map(|(path, kind)| (path.to_owned(), kind)));
    }
}
