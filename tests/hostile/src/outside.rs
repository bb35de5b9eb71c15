//! A tree beside the image that stands for the host: files where an escape would lead, and a record of how they were.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What stands in every file here, and must come into no file of the image.
pub const SECRET: &str = "outside-secret";

/// How everything was: inode, mode, owner, time of change of the content, content.
pub type Record = BTreeMap<PathBuf, (u64, u32, u32, u32, i64, i64, Vec<u8>)>;

/// Makes the tree at `folder`. `library` is an ELF file of this machine's.
///
/// # Errors
/// What the file system says.
pub fn make(folder: &Path, library: &[u8]) -> io::Result<()> {
    let folders = ["etc/ld.so.conf.d", "etc/nvidia", "lib", "compat", "dev", "bin", "private", "proc/driver/nvidia"];
    folders.iter().try_for_each(|name| fs::create_dir_all(folder.join(name)))?;
    for (name, content) in [
        ("etc/ld.so.conf", format!("/{SECRET}\n").as_bytes()),
        ("etc/ld.so.conf.d/secret.conf", format!("/{SECRET}\n").as_bytes()),
        ("etc/ld.so.cache", SECRET.as_bytes()),
        ("etc/victim", SECRET.as_bytes()),
        ("etc/linked", b"of the host"),
        ("lib/libvictim.so.1", SECRET.as_bytes()),
        (&format!("lib/lib{SECRET}.so.1"), library),
        (&format!("compat/libcuda.so.999.{SECRET}"), library),
        ("dev/nvidia0", b""),
        ("proc/driver/nvidia/params", b"ModifyDeviceFiles: 1\n"),
    ] {
        fs::write(folder.join(name), content)?;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600))?;
    }
    fs::set_permissions(folder.join("private"), fs::Permissions::from_mode(0o700))
}

/// How the tree is now.
///
/// # Errors
/// What the file system says.
pub fn record(folder: &Path) -> io::Result<Record> {
    let mut record = Record::new();
    add(folder, &mut record)?;
    Ok(record)
}

fn add(path: &Path, record: &mut Record) -> io::Result<()> {
    let status = fs::symlink_metadata(path)?;
    let content = match status.file_type() {
        kind if kind.is_file() => fs::read(path)?,
        kind if kind.is_symlink() => fs::read_link(path)?.into_os_string().into_encoded_bytes(),
        _ => Vec::new(),
    };
    let times = (status.mtime(), status.mtime_nsec());
    let entry = (status.ino(), status.mode(), status.uid(), status.gid(), times.0, times.1, content);
    record.insert(path.to_owned(), entry);
    if status.is_dir() {
        for entry in fs::read_dir(path)? {
            add(&entry?.path(), record)?;
        }
    }
    Ok(())
}

/// Paths that are not as they were.
pub fn differences(before: &Record, after: &Record) -> Vec<String> {
    let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    paths.filter(|path| before.get(*path) != after.get(*path)).map(|path| path.display().to_string()).collect()
}
