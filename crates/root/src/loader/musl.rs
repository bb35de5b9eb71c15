//! musl's path file, `/etc/ld-musl-ARCH.path`. Where it exists it *replaces* the built-in list, so a new one repeats
//! that (Q34); folders are separated by newlines or colons.
//!
//! Of the image's list only folders are taken over, and never its bytes: what an image has under that name may be any text,
//! and must not get from there into a file of ours.

use crate::{ContainerRoot, RootError, Step, resolve::Last};
use host::LibraryClass;
use oci::ContainerPath;
use plan::{Because, LoaderEntry};
use rustix::fs::FileType;

/// What musl searches without the file.
const BUILT_IN: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];
const MAX_FILE: usize = 64 << 10;
/// Folders taken from a list, and bytes in one's name.
const MAX_FOLDERS: usize = 1024;
const MAX_NAME: usize = 4096;

/// The file with our folders, if musl does not look there already.
pub(super) fn missing(
    root: &ContainerRoot,
    folders: &[String],
    remarks: &mut Vec<String>,
) -> Result<Option<Step>, RootError> {
    let path = file();
    let existing = match root.read_if_any(&path, MAX_FILE) {
        Ok(existing) => existing,
        Err(error) if error.is_unusable() => {
            remarks.push(format!("{error}; a new list takes its place"));
            None
        }
        Err(error) => return Err(error),
    };
    let Some(content) = with_folders(existing.as_deref(), folders) else { return Ok(None) };
    // A list that only some may read stays so.
    let mode =
        root.look(&path, Last::Keep).ok().filter(|found| existing.is_some() && found.kind == FileType::RegularFile);
    let mode = mode.map_or(0o644, |found| found.mode & 0o666);
    Ok(Some(Step::File { path, content: content.into_bytes(), mode, folder_mode: 0o755 }))
}

/// Where the list lies.
pub(super) fn file() -> ContainerPath {
    ContainerPath::root().join(&format!("etc/ld-musl-{}.path", std::env::consts::ARCH))
}

/// Folders of the native libraries, each once, in order of appearance. musl has no 32-bit companion.
pub(super) fn folders(libraries: &[Because<LoaderEntry>]) -> Vec<String> {
    let mut folders = Vec::new();
    for library in libraries.iter().filter(|library| library.what.class == LibraryClass::Native) {
        let folder = String::from(library.what.path.parent());
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The list with `folders` at its end; `None` when they are in it.
fn with_folders(existing: Option<&[u8]>, folders: &[String]) -> Option<String> {
    let mut list = existing.map_or_else(|| BUILT_IN.map(str::to_owned).to_vec(), named_in);
    let known = list.len();
    for folder in folders {
        if !list.contains(folder) {
            list.push(folder.clone());
        }
    }
    (list.len() > known).then(|| list.into_iter().map(|folder| folder + "\n").collect())
}

/// The folders of a list. musl would take anything for a name; a folder that a container can mean begins with a slash.
fn named_in(list: &[u8]) -> Vec<String> {
    let names = list.split(|byte| matches!(byte, b'\n' | b':')).filter_map(|name| std::str::from_utf8(name).ok());
    let is_folder =
        |name: &&str| name.starts_with('/') && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    names.filter(is_folder).take(MAX_FOLDERS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_added_once() {
        let cases: [(Option<&str>, &[&str], Option<&str>); 10] = [
            (None, &["/usr/lib"], None),
            (None, &["/opt/nv"], Some("/lib\n/usr/local/lib\n/usr/lib\n/opt/nv\n")),
            (Some("/lib:/usr/local/lib:/usr/lib"), &["/usr/lib"], None),
            (Some("/lib"), &["/usr/lib"], Some("/lib\n/usr/lib\n")),
            (Some("/lib\n/usr/lib\n"), &["/usr/lib", "/x"], Some("/lib\n/usr/lib\n/x\n")),
            (Some("/usr/library"), &["/usr/lib"], Some("/usr/library\n/usr/lib\n")),
            (Some(""), &["/usr/lib"], Some("/usr/lib\n")),
            (Some("/lib:/opt/a:/usr/lib"), &["/x"], Some("/lib\n/opt/a\n/usr/lib\n/x\n")),
            // What is no folder, as in a file that is something else.
            (Some("root:$6$hash:/root:/bin/sh\nlib\n"), &["/usr/lib"], Some("/root\n/bin/sh\n/usr/lib\n")),
            (Some("00100000-bfff : System RAM\n/a\tb\n \n"), &["/usr/lib"], Some("/usr/lib\n")),
        ];
        for (existing, folders, want) in cases {
            let folders: Vec<String> = folders.iter().map(|folder| folder.to_string()).collect();
            let got = with_folders(existing.map(str::as_bytes), &folders);
            assert_eq!(got.as_deref(), want, "{existing:?} {folders:?}");
            if let Some(list) = got {
                assert_eq!(with_folders(Some(list.as_bytes()), &folders), None, "again: {existing:?}");
            }
        }
    }
}
