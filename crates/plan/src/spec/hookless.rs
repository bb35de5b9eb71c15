//! Specifications without a hook: what the hooks `create-symlinks` and `update-ldcache` would do is said with mounts and
//! nodes, so that any engine and any low-level runtime can use them, and no program of ours has to be on the host.
//!
//! A link beside a library becomes a mount of the library under the link's name. Nothing writes a loader's cache, so
//! each library is also mounted, under the names by which programs ask for it, in folders where loaders look of
//! themselves: Debian's in its multiarch folder and then in `/usr/lib`, Fedora's and SUSE's in `/usr/lib64`, Arch's in
//! `/usr/lib`, musl's in `/usr/lib`. `LD_LIBRARY_PATH` would take the place of the image's, so it is not used.

use super::{Maker, driver::at};
use crate::edits::{Because, Reason, SpecEdits};
use cdi::Mount;
use host::{DriverFile, FileKind, Gpu, Library, Node};
use oci::ContainerPath;
use std::collections::HashSet;

impl Maker<'_> {
    /// Mounts of libraries under all their other names, where no hook is to link them. What lies at a path already stays.
    pub(super) fn more_names<'d>(
        &self,
        edits: &mut SpecEdits,
        files: impl Iterator<Item = &'d DriverFile>,
        options: &[String],
    ) {
        let Some(folders) = &self.options.hookless else { return };
        let mut taken: HashSet<String> = edits.mounts.iter().map(|mount| mount.what.container_path.clone()).collect();
        for file in files {
            let FileKind::Library(library) = &file.kind else { continue };
            for (path, rule) in names(file, library, folders) {
                if taken.insert(path.to_string()) {
                    let mount = Mount {
                        host_path: file.host.to_string(),
                        container_path: path.to_string(),
                        options: options.to_vec(),
                        kind: None,
                    };
                    let reason = Reason { request: "--hooks=none".to_owned(), rule: rule.to_owned() };
                    edits.mounts.push(Because::new(mount, reason));
                }
            }
        }
    }

    /// Links to DRM nodes as nodes: opening them is the same.
    pub(super) fn by_path_nodes(&self, edits: &mut SpecEdits, gpu: &Gpu, reason: &Reason) {
        let named = |name: &str| gpu.drm.iter().find(|node| node.path.file_name() == name);
        let links = gpu.drm_links.iter();
        let nodes: Vec<_> = links
            .filter_map(|link| {
                let node = named(link.target.rsplit('/').next().unwrap_or_default())?;
                Some(Node { path: link.path.clone(), ..node.clone() })
            })
            .collect();
        let rule = format!("name of a DRM node of GPU {} by its place", gpu.index);
        self.nodes(edits, &nodes, &Reason { rule, ..reason.clone() });
    }
}

/// Where a library lies besides under its own name, and why.
fn names(file: &DriverFile, library: &Library, folders: &[ContainerPath]) -> Vec<(ContainerPath, &'static str)> {
    let links = library.links.iter().map(|link| link.name.as_str());
    let beside = links.clone().map(|name| (at(file, library, name), "a name by which programs load it"));
    // X servers look for modules in their own folders, and not where loaders do.
    let elsewhere = if library.subfolder.contains("xorg") { &[] } else { folders };
    let soname = format!("{}/{}", library.subfolder, library.soname);
    let asked_for = [soname.as_str()].into_iter().chain(links);
    let there = |folder: &ContainerPath, name: &str| (folder.join(name), "where other distributions' loaders look");
    let elsewhere = elsewhere.iter().flat_map(|folder| asked_for.clone().map(move |name| there(folder, name)));
    beside.chain(elsewhere).collect()
}
