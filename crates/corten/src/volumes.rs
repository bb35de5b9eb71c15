//! Mounts of the container's own over folders in which the shim makes something: what is made in the root lies below them, and
//! the container does not see it.

use oci::{ContainerPath, Mount};

/// Whether mounts hide what the root has in each of these folders. `/lib` and the like are links into `/usr` in most images,
/// and low-level runtimes follow them.
pub fn are_covered<const N: usize>(mounts: &[Mount], folders: [&ContainerPath; N]) -> [bool; N] {
    let root = ContainerPath::root();
    let places: Vec<_> = mounts.iter().map(|mount| root.join(&mount.destination)).collect();
    let covers = |folder: &ContainerPath| places.iter().any(|place| folder.strip_prefix(place).is_some());
    folders.map(|folder| {
        let short = folder.strip_prefix(&root.join("usr")).map(|rest| root.join(rest));
        covers(folder) || short.is_some_and(|short| covers(&short))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_libraries_is_covered_by_a_volume_over_it() {
        let folder = ContainerPath::new("/usr/lib/x86_64-linux-gnu").unwrap();
        for (at, want) in [
            ("/usr/lib/x86_64-linux-gnu", true),
            ("/usr/lib/", true),
            ("/usr", true),
            ("/lib/x86_64-linux-gnu", true),
            ("lib", true),
            ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", false),
            ("/usr/lib/x86_64", false),
            ("/usr/local", false),
            ("/etc", false),
        ] {
            let mount = Mount { destination: at.to_owned(), kind: None, source: None, options: Vec::new() };
            assert_eq!(are_covered(&[mount], [&folder]), [want], "{at}");
        }
    }
}
