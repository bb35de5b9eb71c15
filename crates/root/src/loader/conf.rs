//! `/etc/ld.so.conf` and what it includes: which folders a container's own ldconfig would search (`ldconfig(8)`).

use crate::{ContainerRoot, RootError, resolve::Last};
use host::ldconf::{Line, glob, lines};
use oci::ContainerPath;
use rustix::fd::AsFd;

const MAX_FILE: usize = 64 << 10;
/// Files read in all; also what ends an endless loop of includes.
const MAX_FILES: usize = 256;
/// Depth of includes; ldconfig gives up at 10 too.
const MAX_DEPTH: usize = 10;
/// Folders taken from all files.
const MAX_FOLDERS: usize = 1024;
/// Names looked at in one folder for an `include` with wildcards.
const MAX_NAMES: usize = 4096;
/// Components of includes that are looked up, and names that are compared with their wildcards (a long pattern counts
/// several times), in all. Without it a file of 64 KiB could have a full folder listed ten thousand times.
const MAX_STEPS: usize = 64 << 10;

/// The folders that ld.so.conf names, in order; they need not exist. What the file `but` says does not count.
pub(super) fn folders(
    root: &ContainerRoot,
    but: Option<&ContainerPath>,
    remarks: &mut Vec<String>,
) -> Vec<ContainerPath> {
    let mut search = Search { root, but, remarks, files: 0, steps: MAX_STEPS, folders: Vec::new(), gave_up: false };
    search.file(&file(), 0);
    search.folders
}

/// Where it lies.
pub(super) fn file() -> ContainerPath {
    ContainerPath::root().join("etc/ld.so.conf")
}

/// The folders that one file names by itself.
pub(super) fn named_in(text: &[u8]) -> Vec<ContainerPath> {
    let text = String::from_utf8_lossy(text);
    let named = lines(&text).filter_map(|line| match line {
        Line::Folder(folder) => Some(folder),
        Line::Include(_) => None,
    });
    named.take(MAX_FOLDERS).collect()
}

struct Search<'a> {
    root: &'a ContainerRoot,
    but: Option<&'a ContainerPath>,
    remarks: &'a mut Vec<String>,
    files: usize,
    /// How many more steps of includes are taken.
    steps: usize,
    folders: Vec<ContainerPath>,
    gave_up: bool,
}

impl Search<'_> {
    fn file(&mut self, path: &ContainerPath, depth: usize) {
        if self.but == Some(path) {
            return;
        }
        if depth > MAX_DEPTH || self.files >= MAX_FILES {
            return self.give_up(path);
        }
        self.files += 1;
        let text = match self.root.read(path, MAX_FILE) {
            Ok(text) => text,
            Err(error) if error.is_absent() => return,
            Err(error @ RootError::Failed { .. }) => return self.remarks.push(error.to_string()),
            Err(error) => return self.remarks.push(format!("{error}; it is passed over")),
        };
        for line in lines(&String::from_utf8_lossy(&text)) {
            match line {
                Line::Folder(folder) if self.folders.len() < MAX_FOLDERS => self.folders.push(folder),
                Line::Folder(_) => {}
                Line::Include(pattern) => self.include(path, &pattern, depth + 1),
            }
        }
    }

    /// A relative pattern counts from the folder of the file that holds it.
    fn include(&mut self, from: &ContainerPath, pattern: &str, depth: usize) {
        let base = if pattern.starts_with('/') { ContainerPath::root() } else { from.parent() };
        let mut found = vec![base];
        for component in pattern.split('/').filter(|component| !component.is_empty()) {
            let mut next = Vec::new();
            for folder in &found {
                next.extend(self.expand(folder, component));
                next.truncate(MAX_FILES);
                if !self.step(1) {
                    return self.give_up(from);
                }
            }
            found = next;
        }
        for path in found {
            self.file(&path, depth);
        }
    }

    /// What `component` stands for in `folder`, sorted.
    fn expand(&mut self, folder: &ContainerPath, component: &str) -> Vec<ContainerPath> {
        match component {
            "." => return vec![folder.clone()],
            ".." => return vec![folder.parent()],
            name if !glob::is_pattern(name) => return vec![folder.join(name)],
            _ => {}
        }
        if self.steps == 0 || component.len() > glob::LONGEST {
            return Vec::new();
        }
        let listing = self.root.find(folder, Last::Follow).and_then(|found| self.root.list(found.as_fd(), MAX_NAMES));
        let names = listing.unwrap_or_default();
        self.step(names.len() * (1 + component.len() / 8));
        names.iter().filter(|(name, _)| glob::matches(component, name)).map(|(name, _)| folder.join(name)).collect()
    }

    /// Takes that many steps; says whether there are more.
    fn step(&mut self, count: usize) -> bool {
        self.steps = self.steps.saturating_sub(count);
        self.steps > 0
    }

    /// Said once, however often it happens.
    fn give_up(&mut self, path: &ContainerPath) {
        let remark =
            format!("{path} in the container includes too much, too deeply or too often; the rest is passed over");
        if !std::mem::replace(&mut self.gave_up, true) {
            self.remarks.push(remark);
        }
    }
}
