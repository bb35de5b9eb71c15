//! Containers that C programs configure (`tests/c/mount.c`): the mounts that the original makes, but for what it makes twice
//! or leaves open.

use crate::programs::{Library, compiled, difference, recorded, rootfs};
use std::path::Path;

fn mount(library: &Library, machine: &str, options: &str, words: &[&str]) -> String {
    let root = tempfile::tempdir().unwrap();
    rootfs("debian", root.path());
    mount_in(library, machine, root.path(), options, words)
}

fn mount_in(library: &Library, machine: &str, root: &Path, options: &str, words: &[&str]) -> String {
    let path = root.to_str().unwrap();
    let arguments = [&[path, options][..], words].concat();
    let said = library.run(machine, &compiled("mount", &[]), &arguments).replace(path, "ROOT");
    // What lies below is this machine's business.
    said.lines().map(|line| without_type(line).to_owned() + "\n").collect()
}

/// The type of the file system that a file lies on is another on other hosts.
fn without_type(line: &str) -> &str {
    match line.rsplit_once(' ') {
        Some((mount, kind)) if mount.contains("relatime") && kind != "tmpfs" => mount,
        _ => line,
    }
}

#[test]
fn a_container_gets_what_the_original_gives() {
    for (name, machine, options) in [
        ("utility", "two-gpus", "supervised no-cgroups utility"),
        ("compute", "two-gpus", "supervised no-cgroups compute utility"),
        ("all", "two-gpus", "supervised no-cgroups compute utility video graphics display ngx"),
        ("no-devbind", "two-gpus", "supervised no-cgroups no-devbind compute"),
    ] {
        let theirs = recorded(&format!("mounts-{name}"), |library| mount(library, machine, options, &[]));
        let ours = mount(&Library::ours(), machine, options, &[]);
        let mut left = difference(&theirs, &ours);
        left.retain(|line| !line.contains("libnvidia-tileiras.so"));
        assert!(left.is_empty(), "{name}: {left:#?}");
        assert!(ours.lines().count() > 10, "{name}");
    }
}
