//! A container root that cannot be written: a read-only file system, as an image may be mounted from squashfs or EROFS.
//!
//! Low-level runtimes mount over what exists and make mount points where they can; in such a root they cannot. So
//! libraries and programs go to a [`Shelf`], a folder on a tmpfs that the container has anyway (`/dev` as a rule). A
//! library is mounted there once under every name that it is loaded by, since there is no place for links either. The
//! loader finds them through a cache of ours that is mounted over the image's (see [`loader_file`]), or, where the image
//! has none, through `LD_LIBRARY_PATH`; programs are found through `PATH`. Whatever has a place in the image already, or
//! lies on another mount, is mounted where it belongs; the rest is left out, by name.

mod loader_file;

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use cdi::Mount;
use oci::ContainerPath;
use plan::{Because, Edits, Layout, Reason};
use root::{ContainerRoot, Done, Step};
use std::fs;

/// Where a tmpfs is looked for, the best first: every engine mounts one at `/dev`.
const PLACES: [&str; 3] = ["/dev", "/run", "/tmp"];
/// The folder on it.
const FOLDER: &str = "nvidia-driver";
/// What shells search without a `PATH`.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folder for libraries and programs.
pub struct Shelf(ContainerPath);

impl Shelf {
    /// The folder in a container with these mounts.
    pub fn find(mounts: &[oci::Mount]) -> Result<Shelf> {
        let root = ContainerPath::root();
        let place = PLACES.into_iter().map(|place| root.join(place)).find(|place| is_writable_tmpfs(mounts, place));
        place.map(|place| Shelf(place.join(FOLDER))).ok_or_else(|| {
            Fault::new(
                Code::RootNotPrepared,
                "the container's root is read-only, and no tmpfs is mounted at /dev, /run or /tmp that could hold the driver",
            )
            .next("Mount a tmpfs at one of them, or use a root that can be written (an overlay)")
        })
    }

    /// The same layout with libraries on the shelf.
    pub fn layout(&self, layout: Layout) -> Layout {
        Layout { native: self.0.join("lib"), compat32: self.0.join("lib32"), ..layout }
    }

    fn programs(&self) -> ContainerPath {
        self.0.join("bin")
    }

    /// Moves programs that have no place in the root to the shelf, and leaves out what has none and is no program.
    pub fn fit(&self, edits: &mut Edits, root: &ContainerRoot, mounts: &[oci::Mount]) {
        let mut left_out = Vec::new();
        edits.spec.mounts.retain_mut(|mount| {
            let Ok(path) = ContainerPath::new(&mount.what.container_path) else { return false };
            if has_place(&path, &mount.what.host_path, root, mounts) {
                return true;
            }
            if is_program(&path) {
                mount.what.container_path = self.programs().join(path.file_name()).to_string();
                return true;
            }
            left_out.push(path.to_string());
            false
        });
        if !left_out.is_empty() {
            let list = left_out.join(", ");
            edits.remarks.push(format!("the container's root is read-only and has no place for {list}"));
        }
    }

    /// Adds what makes loader and shell find what is on the shelf. `done` says which files the loader lacks; only for a
    /// start are they made.
    pub fn signposts(
        &self,
        edits: &mut Edits,
        done: Done,
        root: &ContainerRoot,
        env: &[String],
        start: bool,
    ) -> Result<()> {
        for step in &done.needed {
            match step {
                Step::File { path, content, .. } if root.is_file(path) => {
                    let mount = loader_file::mount(path, content, start)?;
                    edits.spec.mounts.push(because(mount, "the image's own, with the driver's libraries"));
                }
                Step::File { .. } | Step::Link(_) | Step::OwnLink(_) | Step::Remove(_) => {
                    let first = edits.root.compat.iter().map(|folder| folder.what.clone());
                    let folders: Vec<_> = first.chain([self.0.join("lib"), self.0.join("lib32")]).collect();
                    point_to(edits, "LD_LIBRARY_PATH", "", &folders, env);
                }
            }
        }
        point_to(edits, "PATH", STANDARD_PATH, &[self.programs()], env);
        edits.remarks.extend(done.remarks);
        Ok(())
    }
}

/// Adds those folders to a list in the environment that hold something of ours, or what the image is to use of its own.
fn point_to(edits: &mut Edits, name: &str, otherwise: &str, folders: &[ContainerPath], env: &[String]) {
    let is_compat = |folder: &ContainerPath| edits.root.compat.iter().any(|compat| compat.what == *folder);
    let used = folders.iter().filter(|folder| is_compat(folder) || holds_something(edits, folder));
    if let Some(entry) = with_folders(name, otherwise, used, env) {
        edits.spec.env.push(because(entry, "the image has no place for the driver's files, which lie there"));
    }
}

fn because<T>(what: T, rule: &str) -> Because<T> {
    Because::new(what, Reason { request: "a root that cannot be written".to_owned(), rule: rule.to_owned() })
}

fn holds_something(edits: &Edits, folder: &ContainerPath) -> bool {
    edits.spec.mounts.iter().any(|mount| mount.what.container_path.starts_with(&format!("{folder}/")))
}

/// The variable with these folders at its end; `None` when they are in it, or there are none. Without the variable
/// `otherwise` is what programs take it for.
fn with_folders<'a>(
    name: &str,
    otherwise: &str,
    folders: impl Iterator<Item = &'a ContainerPath>,
    env: &[String],
) -> Option<String> {
    // Of a variable that is set twice, programs see the first.
    let value = env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=')).unwrap_or(otherwise);
    let mut list: Vec<&str> = value.split(':').filter(|folder| !value.is_empty() || !folder.is_empty()).collect();
    let before = list.len();
    for folder in folders {
        if !list.contains(&folder.as_str()) {
            list.push(folder.as_str());
        }
    }
    (list.len() > before).then(|| format!("{name}={}", list.join(":")))
}

/// A mount point for the host's file is there or can be made: something of its kind exists, or the deepest mount above is
/// not the root's own file system.
fn has_place(path: &ContainerPath, source: &str, root: &ContainerRoot, mounts: &[oci::Mount]) -> bool {
    if covering(mounts, path).is_some_and(|mount| *path != ContainerPath::root().join(&mount.destination)) {
        return true;
    }
    let folder = fs::metadata(source).is_ok_and(|found| found.is_dir());
    if folder { root.is_folder(path) } else { root.is_file(path) }
}

/// A name in a folder of programs, wherever the host has it.
fn is_program(path: &ContainerPath) -> bool {
    matches!(path.parent().file_name(), "bin" | "sbin")
}

/// The mount that `path` lies on: the deepest, and of equals the last.
fn covering<'a>(mounts: &'a [oci::Mount], path: &ContainerPath) -> Option<&'a oci::Mount> {
    let depth = |mount: &oci::Mount| {
        let at = ContainerPath::root().join(&mount.destination);
        (*path == at || path.strip_prefix(&at).is_some()).then(|| at.as_str().len())
    };
    let covering = mounts.iter().filter_map(|mount| Some((depth(mount)?, mount)));
    covering.max_by_key(|(depth, _)| *depth).map(|(_, mount)| mount)
}

/// A tmpfs lies just here, and mount points can be made on it.
fn is_writable_tmpfs(mounts: &[oci::Mount], place: &ContainerPath) -> bool {
    let exactly = |mount: &&oci::Mount| ContainerPath::root().join(&mount.destination) == *place;
    covering(mounts, place).filter(exactly).is_some_and(|mount| {
        mount.kind.as_deref() == Some("tmpfs") && !mount.options.iter().any(|option| option == "ro")
    })
}

/// A mount of one file, read-only.
fn file_mount(host: &str, container: &ContainerPath) -> Mount {
    let options = ["ro", "nosuid", "nodev", "noexec", "rbind", "rprivate"].map(str::to_owned).to_vec();
    Mount { host_path: host.to_owned(), container_path: container.to_string(), options, kind: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(destination: &str, kind: &str, options: &[&str]) -> oci::Mount {
        oci::Mount {
            destination: destination.into(),
            kind: Some(kind.into()),
            source: Some(kind.into()),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        }
    }

    #[test]
    fn the_shelf_lies_on_a_tmpfs_that_can_be_written() {
        let find = |mounts: &[oci::Mount]| Shelf::find(mounts).map(|shelf| shelf.0.to_string()).ok();
        let dev = mount("/dev", "tmpfs", &["nosuid"]);
        let run = mount("/run/", "tmpfs", &[]);
        assert_eq!(find(&[run.clone(), dev.clone()]).as_deref(), Some("/dev/nvidia-driver"));
        assert_eq!(find(&[mount("/dev", "bind", &["rbind"]), run.clone()]).as_deref(), Some("/run/nvidia-driver"));
        assert_eq!(find(&[dev, mount("/dev", "bind", &[])]), None, "covered by a folder of the host's");
        assert_eq!(find(&[mount("/tmp", "tmpfs", &["ro"]), mount("/proc", "proc", &[])]), None);
        assert_eq!(find(&[]), None);
    }

    #[test]
    fn folders_are_added_to_lists_once() {
        let folder = ContainerPath::new("/dev/n/bin").unwrap();
        let add = |env: &[&str]| {
            let env: Vec<String> = env.iter().map(|&entry| entry.to_owned()).collect();
            with_folders("PATH", "/bin", [&folder].into_iter(), &env)
        };
        assert_eq!(add(&["X=1", "PATH=/a:/b"]).as_deref(), Some("PATH=/a:/b:/dev/n/bin"));
        assert_eq!(add(&["PATHS=/a"]).as_deref(), Some("PATH=/bin:/dev/n/bin"));
        assert_eq!(add(&["PATH="]).as_deref(), Some("PATH=/dev/n/bin"));
        assert_eq!(add(&["PATH=/a:/dev/n/bin"]), None);
        assert_eq!(with_folders("PATH", "/bin", [].into_iter(), &[]), None);
    }

    #[test]
    fn the_deepest_mount_covers() {
        let mounts = [mount("/run", "tmpfs", &[]), mount("/run/a", "bind", &[]), mount("/runner", "bind", &[])];
        let at = |path: &str| covering(&mounts, &ContainerPath::new(path).unwrap()).map(|mount| &*mount.destination);
        assert_eq!(at("/run/x"), Some("/run"));
        assert_eq!(at("/run/a/b"), Some("/run/a"));
        assert_eq!(at("/etc"), None);
    }
}
