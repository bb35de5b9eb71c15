//! musl's path file, `/etc/ld-musl-ARCH.path`. Where it exists it *replaces* the built-in list, so a new one repeats
//! that (Q34); folders are separated by newlines or colons.

use crate::{ContainerRoot, RootError, Step};
use host::LibraryClass;
use oci::ContainerPath;
use plan::{Because, LoaderEntry};

/// What musl searches without the file.
const BUILT_IN: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];
const MAX_FILE: usize = 64 << 10;

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
    let content = with_folders(existing.as_deref(), folders);
    Ok(content.map(|content| Step::File { path, content, mode: 0o644, folder_mode: 0o755 }))
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
fn with_folders(existing: Option<&[u8]>, folders: &[String]) -> Option<Vec<u8>> {
    let mut list = match existing {
        Some(list) => list.to_vec(),
        None => format!("{}\n", BUILT_IN.join("\n")).into_bytes(),
    };
    let known: Vec<Vec<u8>> = list.split(|byte| matches!(byte, b'\n' | b':')).map(<[u8]>::to_vec).collect();
    let new: Vec<_> = folders.iter().filter(|folder| !known.iter().any(|known| known == folder.as_bytes())).collect();
    if new.is_empty() {
        return None;
    }
    if !matches!(list.last(), None | Some(b'\n' | b':')) {
        list.push(b'\n');
    }
    for folder in new {
        list.extend(folder.as_bytes());
        list.push(b'\n');
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_added_once() {
        let cases: [(Option<&str>, &[&str], Option<&str>); 7] = [
            (None, &["/usr/lib"], None),
            (None, &["/opt/nv"], Some("/lib\n/usr/local/lib\n/usr/lib\n/opt/nv\n")),
            (Some("/lib:/usr/local/lib:/usr/lib"), &["/usr/lib"], None),
            (Some("/lib"), &["/usr/lib"], Some("/lib\n/usr/lib\n")),
            (Some("/lib\n/usr/lib\n"), &["/usr/lib", "/x"], Some("/lib\n/usr/lib\n/x\n")),
            (Some("/usr/library"), &["/usr/lib"], Some("/usr/library\n/usr/lib\n")),
            (Some(""), &["/usr/lib"], Some("/usr/lib\n")),
        ];
        for (existing, folders, want) in cases {
            let folders: Vec<String> = folders.iter().map(|folder| folder.to_string()).collect();
            let got = with_folders(existing.map(str::as_bytes), &folders);
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{existing:?} {folders:?}");
            if let Some(list) = got {
                assert_eq!(with_folders(Some(&list), &folders), None, "again: {existing:?}");
            }
        }
    }
}
