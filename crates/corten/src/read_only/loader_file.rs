//! Files that are mounted over a loader's own in a root that cannot be written: the image's cache with our entries.
//!
//! They are kept where answers of NVML are kept, in a folder that nobody else can write, so that every start of one image
//! uses one file. An image decides what is in its cache, and can choose two contents of one digest; so a digest only says
//! where to look, and what is found is compared, not believed. Nor is a file ever written again, or its name given to another:
//! some container's config.json may name it and not have mounted it yet. A file may be removed while containers use it, as a
//! mount holds on to it; but not between its being named and mounted, so young files stay.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use cdi::Mount;
use kept::CachePlace;
use oci::{ContainerPath, HostPath, digest};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const PREFIX: &str = "loader-";
/// How many are kept, and how long, once they are no longer young.
const MOST: usize = 32;
const OLD: Duration = Duration::from_secs(24 * 3600);
const YOUNG: Duration = Duration::from_secs(60);

/// A mount of this content over the file at `path`. Unless it is for a start, the file is named and not made.
pub fn mount(path: &ContainerPath, content: &[u8], start: bool) -> Result<Mount> {
    let places = CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref());
    let file = match places.0.first() {
        Some(folder) if !start => find(folder, content).unwrap_or_else(|| folder.join(&beginning(content))),
        _ => keep(places.folder_to_write().ok_or_else(no_folder)?.path(), content)?,
    };
    Ok(super::file_mount(file.as_str(), path))
}

/// What names of files with this content begin with, among others.
fn beginning(content: &[u8]) -> String {
    format!("{PREFIX}{:016x}", digest(content))
}

fn no_folder() -> Fault {
    Fault::new(
        Code::RootNotPrepared,
        "the container's root is read-only, and there is no folder for the loader cache to mount over its own",
    )
    .next("Make /run/corten (or $XDG_RUNTIME_DIR/corten) a folder that belongs to the caller and nobody else can write")
}

/// The file in `folder` that has this content, made if need be.
fn keep(folder: &HostPath, content: &[u8]) -> Result<HostPath> {
    if let Some(file) = find(folder, content) {
        // Young again. Failing that, the worst is that it is removed too early and this start fails.
        let _ = File::open(&file).and_then(|file| file.set_modified(SystemTime::now()));
        return Ok(file);
    }
    // A name that nobody had or will have.
    let file = folder.join(&format!("{}-{:016x}", beginning(content), RandomState::new().hash_one(SystemTime::now())));
    make(file.as_path(), content).map_err(|error| {
        Fault::new(Code::RootNotPrepared, format!("cannot write {file}: {error}"))
            .next("Check that its file system is writable for the caller and not full")
    })?;
    forget_old(folder.as_path());
    Ok(file)
}

/// One that is there.
fn find(folder: &HostPath, content: &[u8]) -> Option<HostPath> {
    let beginning = beginning(content);
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let files = names.filter(|name| name.starts_with(&beginning)).map(|name| folder.join(&name));
    // Others are still being written.
    let has_size = |file: &HostPath| {
        fs::symlink_metadata(file).is_ok_and(|found| found.is_file() && found.len() == content.len() as u64)
    };
    files.into_iter().find(|file| has_size(file) && fs::read(file).is_ok_and(|found| found == content))
}

/// Makes a file that is not there, to be read by everybody when it is complete.
fn make(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let made = file.write_all(content).and_then(|()| file.set_permissions(Permissions::from_mode(0o644)));
    if made.is_err() {
        let _ = fs::remove_file(path);
    }
    made
}

/// Removes files that are old, or too many.
fn forget_old(folder: &Path) {
    let mut files: Vec<(Duration, PathBuf)> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| age(&entry.ok()?)).collect();
    files.sort();
    for (place, (age, file)) in files.into_iter().enumerate() {
        if age > OLD || (place >= MOST && age > YOUNG) {
            // One that cannot be removed does no harm.
            let _ = fs::remove_file(file);
        }
    }
}

fn age(entry: &fs::DirEntry) -> Option<(Duration, PathBuf)> {
    let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
    let modified = entry.metadata().ok().filter(|_| ours)?.modified().ok()?;
    Some((modified.elapsed().unwrap_or_default(), entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, HostPath) {
        let dir = tempfile::tempdir().unwrap();
        let path = HostPath::new(dir.path().to_str().unwrap()).unwrap();
        (dir, path)
    }

    #[test]
    fn one_content_is_one_file_and_another_another() {
        let (dir, path) = place();
        let first = keep(&path, b"a").unwrap();
        assert_eq!(keep(&path, b"a").unwrap(), first);
        assert_ne!(keep(&path, b"b").unwrap(), first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_of_another_content_stays_whatever_its_name() {
        let (dir, path) = place();
        let mut others = Vec::new();
        // As contents of one digest would be kept, and what an older version made.
        for number in 0..40 {
            let name = if number == 0 { beginning(b"a") } else { format!("{}-{number:016x}", beginning(b"a")) };
            fs::write(dir.path().join(&name), format!("another {number}")).unwrap();
            others.push(name);
        }
        let file = keep(&path, b"a").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"a");
        assert_eq!(keep(&path, b"a").unwrap(), file);
        for (number, name) in others.iter().enumerate() {
            let found = fs::read_to_string(dir.path().join(name)).unwrap();
            assert_eq!(found, format!("another {number}"), "a container may be about to mount it");
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o644);
    }

    #[test]
    fn a_name_does_not_come_back() {
        let (_dir, path) = place();
        let first = keep(&path, b"a").unwrap();
        fs::remove_file(&first).unwrap();
        let second = keep(&path, b"a").unwrap();
        assert_ne!(first, second, "whoever was to mount the first must not get something else");
        fs::write(&second, "b").unwrap();
        assert_ne!(keep(&path, b"a").unwrap(), second);
    }

    #[test]
    fn old_files_go_and_young_ones_stay() {
        let (dir, path) = place();
        let at = |age: u64| SystemTime::now() - Duration::from_secs(age);
        for (number, age) in [(0, 2 * 24 * 3600), (1, 3600), (2, 1)] {
            let file = File::create(dir.path().join(format!("{PREFIX}{number}"))).unwrap();
            file.set_modified(at(age)).unwrap();
        }
        let other = File::create(dir.path().join("nvml.json")).unwrap();
        other.set_modified(at(9 * 24 * 3600)).unwrap();
        keep(&path, b"new").unwrap();
        let left = |name: &str| dir.path().join(name).exists();
        assert_eq!(
            [left("loader-0"), left("loader-1"), left("loader-2"), left("nvml.json")],
            [false, true, true, true]
        );
        for number in 0..2 * MOST {
            let file = File::create(dir.path().join(format!("{PREFIX}many{number}"))).unwrap();
            file.set_modified(at(3600)).unwrap();
        }
        keep(&path, b"newer").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MOST + 1, "and what is not ours");
    }
}
