//! Writing into a folder by paths relative to it: every part of the machine is built with this, so that the same code
//! fills a scratch folder in a test and the lab's private `/usr`.

use crate::{Error, Result};
use rustix::fs::{CWD, FileType, Gid, Mode, Uid};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, symlink},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

/// A folder that is being filled. What stands in the way of an entry is replaced; missing parents are made with 0755.
#[derive(Clone, Debug)]
pub struct Tree {
    at: PathBuf,
}

/// A character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Kernel's number of the driver.
    pub major: u32,
    /// Number within the driver.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owning group; the owner is always root.
    pub gid: u32,
}

impl Tree {
    /// A tree rooted at `at`, which need not exist yet.
    pub fn new(at: impl Into<PathBuf>) -> Tree {
        Tree { at: at.into() }
    }

    /// Where an entry lies.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.at.join(inside.trim_start_matches('/'))
    }

    /// Makes a folder.
    pub fn folder(&self, inside: &str) -> Result<()> {
        let path = self.path(inside);
        fs::create_dir_all(&path).map_err(Error::file("make the folder", path))
    }

    /// Writes a file.
    pub fn file(&self, inside: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let path = self.place(inside)?;
        fs::write(&path, content).map_err(Error::file("write", &path))?;
        set_mode(&path, mode)
    }

    /// Copies a file from outside.
    pub fn copy(&self, from: &Path, inside: &str, mode: u32) -> Result<()> {
        let path = self.place(inside)?;
        fs::copy(from, &path).map_err(Error::file("copy to", &path))?;
        set_mode(&path, mode)
    }

    /// Makes a symbolic link with the text `text`.
    pub fn link(&self, inside: &str, text: impl AsRef<Path>) -> Result<()> {
        let path = self.place(inside)?;
        symlink(text, &path).map_err(Error::file("make the link", path))
    }

    /// Makes a character device.
    pub fn node(&self, inside: &str, node: Node) -> Result<()> {
        let path = self.place(inside)?;
        let number = rustix::fs::makedev(node.major, node.minor);
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(node.mode), number)
            .map_err(Error::file("make the device node", &path))?;
        set_mode(&path, node.mode)?;
        rustix::fs::chown(&path, Some(Uid::ROOT), Some(Gid::from_raw(node.gid)))
            .map_err(Error::file("set the owner of", path))
    }

    /// Makes a Unix socket that nobody listens on, as a stopped daemon leaves it.
    pub fn socket(&self, inside: &str) -> Result<()> {
        let path = self.place(inside)?;
        UnixListener::bind(&path).map(drop).map_err(Error::file("make the socket", &path))?;
        set_mode(&path, 0o777)
    }

    /// Makes the parents of an entry and removes what is in its place.
    fn place(&self, inside: &str) -> Result<PathBuf> {
        let path = self.path(inside);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::file("make the folder", parent))?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("replace", path)(error)),
            _ => Ok(path),
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file("set the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileTypeExt;

    #[test]
    fn entries_replace_what_was_there_and_get_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::new(folder.path());
        tree.link("a/b", "/nowhere").unwrap();
        tree.file("/a/b", "text", 0o640).unwrap();
        let found = fs::symlink_metadata(folder.path().join("a/b")).unwrap();
        assert!(found.is_file());
        assert_eq!(found.permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_socket_is_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        Tree::new(folder.path()).socket("s/socket").unwrap();
        assert!(fs::metadata(folder.path().join("s/socket")).unwrap().file_type().is_socket());
    }
}
