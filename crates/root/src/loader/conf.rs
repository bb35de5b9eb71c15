//! `/etc/ld.so.conf` and what it includes: which folders a container's own ldconfig would search (`ldconfig(8)`).

use super::glob;
use crate::{ContainerRoot, Defence, RootError, resolve::Last};
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
/// Names looked at in all: a line of a few bytes can have a million looked at, and a file has room for thousands of lines.
const MAX_LOOKS: usize = 100_000;
/// Remarks of which each says something new.
const MAX_REMARKS: usize = 32;

/// The folders that ld.so.conf names, in order; they need not exist. What the file `but` says does not count.
pub(super) fn folders(
    root: &ContainerRoot,
    but: Option<&ContainerPath>,
    remarks: &mut Vec<String>,
) -> Vec<ContainerPath> {
    let mut search = Search { root, but, remarks, files: 0, looks: 0, gave_up: false, folders: Vec::new() };
    search.file(&file(), 0);
    search.folders
}

/// Where it lies.
pub(super) fn file() -> ContainerPath {
    ContainerPath::root().join("etc/ld.so.conf")
}

/// The folders that one file names by itself.
pub(super) fn named_in(text: &[u8]) -> Vec<ContainerPath> {
    let named = lines(&String::from_utf8_lossy(text)).into_iter().filter_map(|line| match line {
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
    looks: usize,
    gave_up: bool,
    folders: Vec<ContainerPath>,
}

impl Search<'_> {
    fn file(&mut self, path: &ContainerPath, depth: usize) {
        if self.but == Some(path) {
            return;
        }
        if self.is_over() || (depth > MAX_DEPTH && Defence::BoundedIncludes.stands()) {
            return self.give_up(format!("{path} in the container is included too deeply or too often"));
        }
        self.files += 1;
        let text = match self.root.read(path, MAX_FILE) {
            Ok(text) => text,
            Err(error) if error.is_absent() => return,
            Err(error @ RootError::Failed { .. }) => return self.remark(error.to_string()),
            Err(error) => return self.remark(format!("{error}; it is passed over")),
        };
        for line in lines(&String::from_utf8_lossy(&text)) {
            match line {
                Line::Folder(folder) if self.folders.len() < MAX_FOLDERS => self.folders.push(folder),
                Line::Folder(_) => {}
                Line::Include(pattern) => self.include(path, &pattern, depth + 1),
            }
        }
    }

    /// Enough was read and looked at; nothing more is included.
    fn is_over(&self) -> bool {
        (self.files >= MAX_FILES || self.looks >= MAX_LOOKS) && Defence::BoundedIncludes.stands()
    }

    /// A relative pattern counts from the folder of the file that holds it.
    fn include(&mut self, from: &ContainerPath, pattern: &str, depth: usize) {
        let base = if pattern.starts_with('/') { ContainerPath::root() } else { from.parent() };
        let mut found = vec![base];
        for component in pattern.split('/').filter(|component| !component.is_empty()) {
            let mut next = Vec::new();
            for folder in found {
                if self.is_over() {
                    return self
                        .give_up(format!("{from} in the container includes too much: {pattern} is passed over"));
                }
                next.extend(self.expand(&folder, component));
                if next.len() >= MAX_FILES {
                    break;
                }
            }
            next.truncate(MAX_FILES);
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
        let listing = self.root.find(folder, Last::Follow).and_then(|found| self.root.list(found.as_fd(), MAX_NAMES));
        let names = listing.unwrap_or_default();
        // A folder that is empty, or none, costs a look too.
        self.looks += 1 + names.len();
        names.iter().filter(|(name, _)| glob::matches(component, name)).map(|(name, _)| folder.join(name)).collect()
    }

    /// Said once: the image decides how often there would be something to say.
    fn give_up(&mut self, remark: String) {
        if !std::mem::replace(&mut self.gave_up, true) {
            self.remark(remark);
        }
    }

    fn remark(&mut self, remark: String) {
        if self.remarks.len() < MAX_REMARKS && !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Folder(ContainerPath),
    Include(String),
}

fn lines(text: &str) -> Vec<Line> {
    text.lines().flat_map(line).collect()
}

fn line(line: &str) -> Vec<Line> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if let Some(patterns) = line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
        return patterns.split_whitespace().map(|pattern| Line::Include(pattern.to_owned())).collect();
    }
    // `hwcap …` means nothing any more, and `folder=libc6` said once which C library a folder was for.
    let folder = line.split('=').next().unwrap_or_default().trim_end();
    ContainerPath::new(folder).map(Line::Folder).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_as_ldconfig_does() {
        let folder = |path| Line::Folder(ContainerPath::new(path).unwrap());
        let include = |pattern: &str| Line::Include(pattern.to_owned());
        for (text, want) in [
            ("include /etc/ld.so.conf.d/*.conf\n", vec![include("/etc/ld.so.conf.d/*.conf")]),
            ("include\ta  b", vec![include("a"), include("b")]),
            ("include", vec![]),
            ("includes/x", vec![]),
            ("  /usr/local/lib/  # ours\r\n#/x\n", vec![folder("/usr/local/lib")]),
            ("/usr/lib=libc6", vec![folder("/usr/lib")]),
            ("hwcap 0 nosegneg\nrelative/path\n", vec![]),
        ] {
            assert_eq!(lines(text), want, "{text:?}");
        }
    }
}
