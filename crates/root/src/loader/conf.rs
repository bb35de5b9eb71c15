//! `/etc/ld.so.conf` and what it includes: which folders a container's own ldconfig would search (`ldconfig(8)`).

use super::DropIn;
use crate::{ContainerRoot, Defence, RootError, resolve::Last};
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

/// The folders that ld.so.conf names, in order; they need not exist. What that file of ours says does not count.
pub(super) fn folders(root: &ContainerRoot, but: Option<DropIn>, remarks: &mut Vec<String>) -> Vec<ContainerPath> {
    let but = but.map(DropIn::file);
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
    but: Option<ContainerPath>,
    remarks: &'a mut Vec<String>,
    files: usize,
    /// How many more steps of includes are taken.
    steps: usize,
    folders: Vec<ContainerPath>,
    gave_up: bool,
}

impl Search<'_> {
    fn file(&mut self, path: &ContainerPath, depth: usize) {
        if self.but.as_ref() == Some(path) {
            return;
        }
        if (depth > MAX_DEPTH || self.files >= MAX_FILES) && Defence::BoundedIncludes.stands() {
            return self.give_up(path);
        }
        if self.root.patience().is_over(path) {
            return;
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
                if self.root.patience().is_over(from) {
                    return;
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
        if Defence::BoundedIncludes.stands() {
            self.steps = self.steps.saturating_sub(count);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;
    use oci::HostPath;
    use std::fs;

    fn search(files: &[(&str, String)], names: usize) -> (Vec<ContainerPath>, Vec<String>) {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("etc/d")).unwrap();
        for name in 0..names {
            fs::write(tree.path().join(format!("etc/d/{name}")), "").unwrap();
        }
        for (name, text) in files {
            fs::write(tree.path().join("etc").join(name), text).unwrap();
        }
        let path = HostPath::new(tree.path().to_str().unwrap()).unwrap();
        let root = ContainerRoot::open(&path, Owner { uid: 0, gid: 0 }).unwrap();
        let mut remarks = Vec::new();
        let found = folders(&root, None, &mut remarks);
        (found, remarks)
    }

    #[test]
    fn a_small_file_cannot_ask_for_much() {
        let many = |line: &str| format!("/first\n{}", line.repeat((MAX_FILE - 10) / line.len()));
        for (text, names) in [
            // Each would list a folder, or compare its names with a long pattern; the files that match are read.
            (many("include d/x*\n"), 100),
            (format!("include {}*\n/first\n", "d/../*/../".repeat(4000)), 100),
            (many(&format!("include d/*{}\n", "[a-z]".repeat(50))), 100),
            (many("include ld.so.conf\n"), 0),
            (many("include a/b/c/d\n"), 0),
        ] {
            let (found, remarks) = search(&[("ld.so.conf", text.clone())], names);
            assert!(!found.is_empty(), "{}", &text[..40]);
            assert_eq!(remarks.len(), 1, "{} {remarks:?}", &text[..40]);
            assert!(remarks[0].contains("includes too much"), "{remarks:?}");
        }
    }

    #[test]
    fn what_is_usual_is_far_from_the_bounds() {
        let files: Vec<_> =
            (0..200).map(|number| (format!("d/{number:03}.conf"), format!("/opt/{number:03}\n"))).collect();
        let mut files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        files.push(("ld.so.conf", "include /etc/d/*.conf\n/last".to_owned()));
        let (found, remarks) = search(&files, 100);
        assert_eq!((found.len(), remarks.len()), (201, 0), "{remarks:?}");
        assert_eq!((found[0].as_str(), found[200].as_str()), ("/opt/000", "/last"));
    }
}
