//! Files that are mounted over a loader's own in a root that cannot be written: the image's cache with our entries.
//!
//! They are kept where answers of NVML are kept, in a folder that nobody else can write, under a name that follows from
//! the content, so that every start of one image uses one file. An image decides what is in its cache and so may choose
//! two contents of one name: what is found under the name is compared, not believed. A file may be removed while
//! containers use it, as a mount holds on to it; but not between its being named in config.json and mounted, so young
//! files stay.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use cdi::Mount;
use kept::CachePlace;
use oci::{ContainerPath, HostPath, create_or_replace_file, digest};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const PREFIX: &str = "loader-";
/// Names that are tried for contents that want the same one.
const ATTEMPTS: u64 = 4;
/// How many are kept, and how long, once they are no longer young.
const MOST: usize = 32;
const OLD: Duration = Duration::from_secs(24 * 3600);
const YOUNG: Duration = Duration::from_secs(60);

/// A mount of this content over the file at `path`. Unless it is for a start, the file is named and not made.
pub fn mount(path: &ContainerPath, content: &[u8], start: bool) -> Result<Mount> {
    let places = CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref());
    let file = match places.0.first() {
        Some(folder) if !start => named(folder, content, 0),
        _ => keep(places.folder_to_write().ok_or_else(no_folder)?.path(), content)?,
    };
    Ok(super::file_mount(file.as_str(), path))
}

fn named(folder: &HostPath, content: &[u8], attempt: u64) -> HostPath {
    folder.join(&format!("{PREFIX}{:016x}", digest(content).wrapping_add(attempt)))
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
    let named = |attempt| named(folder, content, attempt);
    let free = |file: &HostPath| match fs::read(file) {
        Ok(found) => found == content,
        Err(_) => true,
    };
    // The last name is taken from whoever has it.
    let file = (0..ATTEMPTS).map(named).find(free).unwrap_or_else(|| named(ATTEMPTS));
    match File::open(&file) {
        // Young again. Failing that, the worst is that it is removed too early and this start fails.
        Ok(kept) if free(&file) => drop(kept.set_modified(SystemTime::now())),
        _ => {
            create_or_replace_file(file.as_path(), content, 0o644)
                .map_err(|error| Fault::from_error(Code::RootNotPrepared, &error))?;
            forget_old(folder.as_path());
        }
    }
    Ok(file)
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
    fn a_name_that_another_content_has_is_not_used() {
        let (_dir, path) = place();
        let first = keep(&path, b"a").unwrap();
        fs::write(&first, "something else").unwrap();
        let second = keep(&path, b"a").unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::read(&second).unwrap(), b"a");
        assert_eq!(fs::read(&first).unwrap(), b"something else", "a container may be using it");
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
