//! `/etc/ld.so.conf` and what it includes: which folders a container's own ldconfig would search (`ldconfig(8)`).

use super::{DropIn, glob};
use crate::{ContainerRoot, RootError, resolve::Last};
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

/// The folders that ld.so.conf names, in order; they need not exist. What that file of ours says does not count.
pub(super) fn folders(root: &ContainerRoot, but: Option<DropIn>, remarks: &mut Vec<String>) -> Vec<ContainerPath> {
    let but = but.map(DropIn::file);
    let mut search = Search { root, but, remarks, files: 0, folders: Vec::new() };
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
    but: Option<ContainerPath>,
    remarks: &'a mut Vec<String>,
    files: usize,
    folders: Vec<ContainerPath>,
}

impl Search<'_> {
    fn file(&mut self, path: &ContainerPath, depth: usize) {
        if self.but.as_ref() == Some(path) {
            return;
        }
        if depth > MAX_DEPTH || self.files >= MAX_FILES {
            return self.remark(format!("{path} in the container is included too deeply or too often"));
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

    /// A relative pattern counts from the folder of the file that holds it.
    fn include(&mut self, from: &ContainerPath, pattern: &str, depth: usize) {
        let base = if pattern.starts_with('/') { ContainerPath::root() } else { from.parent() };
        let components: Vec<&str> = pattern.split('/').filter(|component| !component.is_empty()).collect();
        let mut found = vec![base];
        for component in components {
            found = found.iter().flat_map(|folder| self.expand(folder, component)).take(MAX_FILES).collect();
        }
        for path in found {
            self.file(&path, depth);
            if self.files >= MAX_FILES {
                return;
            }
        }
    }

    /// What `component` stands for in `folder`, sorted.
    fn expand(&self, folder: &ContainerPath, component: &str) -> Vec<ContainerPath> {
        match component {
            "." => return vec![folder.clone()],
            ".." => return vec![folder.parent()],
            name if !glob::is_pattern(name) => return vec![folder.join(name)],
            _ => {}
        }
        let listing = self.root.find(folder, Last::Follow).and_then(|found| self.root.list(found.as_fd(), MAX_NAMES));
        let names = listing.unwrap_or_default();
        names.iter().filter(|(name, _)| glob::matches(component, name)).map(|(name, _)| folder.join(name)).collect()
    }

    fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
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
