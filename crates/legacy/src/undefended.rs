//! A fault of the original that no defence of `crates/root` rules out, as small as it can be. Only in the build that the suite
//! `tests/hostile` attacks to see that its attacks can succeed.

use crate::Places;
use oci::{ContainerPath, HostPath};
use root::{
    Defence,
    mount::{Ground, Kind, Mount, Options, Source, What},
};
use std::fs;

/// Libraries that the image brings for forward compatibility become sources of mounts, whatever they are and wherever links
/// lead (CVE-2024-0132, CVE-2025-23359).
pub fn with_libraries_of_image(mut mounts: Vec<Mount>, root: &HostPath, places: &Places) -> Vec<Mount> {
    let folder = places.compat.as_ref().filter(|_| !Defence::HostSources.stands());
    let Some(folder) = folder.map(|folder| root.join(folder.as_str())) else { return mounts };
    for entry in fs::read_dir(folder.as_path()).into_iter().flatten().flatten() {
        let Ok(path) = fs::canonicalize(entry.path()) else { continue };
        let Ok(source) = HostPath::new(path.to_string_lossy()) else { continue };
        let kind = if path.is_dir() { Kind::Folder { with_mounts: true } } else { Kind::File };
        let at = ContainerPath::root().join("usr/lib").join(&entry.file_name().to_string_lossy());
        let what = What::Host(Source { path: source, kind });
        mounts.push(Mount { at, what, options: Options::LIBRARIES, ground: Ground::Any });
    }
    mounts
}
