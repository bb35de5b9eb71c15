//! Which files are checked, and what is said about them as files.

use cdi::{Finding, Format, Host, Report, Severity, same_names};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Everything that was looked at.
#[derive(Default)]
pub struct Checked {
    /// Folders of which something is to be said.
    pub folders: Vec<(PathBuf, Vec<Finding>)>,
    pub files: Vec<(PathBuf, Report)>,
}

impl Checked {
    /// All findings with their files or folders.
    pub fn findings(&self) -> impl Iterator<Item = (&PathBuf, &Finding)> {
        let folders = self.folders.iter().flat_map(|(path, found)| found.iter().map(move |finding| (path, finding)));
        let files =
            self.files.iter().flat_map(|(path, report)| report.findings.iter().map(move |finding| (path, finding)));
        folders.chain(files)
    }

    /// Checks a folder's specs, and what they say about each other.
    fn folder(&mut self, folder: &Path, host: &dyn Host) {
        let first = self.files.len();
        match names(folder) {
            Ok(names) => names.into_iter().for_each(|path| self.file(path, true, host)),
            Err(error) => self.about_folder(folder, Severity::Error, "unreadable", format!("cannot be read: {error}")),
        }
        let specs = self.files[first..].iter().enumerate();
        let specs: Vec<_> = specs.filter_map(|(at, (path, report))| Some((at, path, report.spec.as_ref()?))).collect();
        // A file that no engine reads is in nobody's way.
        let specs: Vec<_> = specs.into_iter().filter(|(_, path, _)| Format::of_path(path).is_some()).collect();
        let pairs: Vec<_> = specs.iter().map(|(_, path, spec)| (path.as_path(), *spec)).collect();
        let found: Vec<_> = same_names(&pairs).into_iter().map(|(index, finding)| (specs[index].0, finding)).collect();
        for (at, finding) in found {
            self.files[first + at].1.add(vec![finding]);
        }
        self.permissions_of_folder(folder);
    }

    /// Checks a file. One of a folder that is gone was removed since the folder was listed.
    fn file(&mut self, path: PathBuf, is_listed: bool, host: &dyn Host) {
        let mut report = Report::of_file(&path, host);
        if is_listed && path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return;
        }
        if Format::of_path(&path).is_none() {
            let text = "engines read *.yaml and *.json only, so that nobody uses this file".to_owned();
            report.add(vec![Finding::of_file(Severity::Warning, "file-not-read", text)]);
        }
        report.add(writable_by_others(&path).into_iter().collect());
        self.files.push((path, report));
    }

    fn permissions_of_folder(&mut self, folder: &Path) {
        if let Some(finding) = writable_by_others(folder) {
            self.folders.push((folder.to_owned(), vec![finding]));
        }
    }

    fn about_folder(&mut self, folder: &Path, severity: Severity, name: &'static str, text: String) {
        self.folders.push((folder.to_owned(), vec![Finding::of_file(severity, name, text)]));
    }
}

/// The folders that engines look in. One that does not exist holds nothing.
pub fn check_folders(folders: &[PathBuf], host: &dyn Host) -> Checked {
    let mut checked = Checked::default();
    folders.iter().filter(|folder| folder.symlink_metadata().is_ok()).for_each(|folder| checked.folder(folder, host));
    checked
}

/// Files and folders that the user names. Of a file's folder only the permissions matter.
pub fn check_named(paths: impl Iterator<Item = PathBuf>, host: &dyn Host) -> Checked {
    let (mut checked, mut parents) = (Checked::default(), BTreeSet::new());
    for path in paths {
        if path.is_dir() {
            checked.folder(&path, host);
            continue;
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        parents.insert(parent.to_owned());
        checked.file(path, false, host);
    }
    parents.iter().for_each(|folder| checked.permissions_of_folder(folder));
    checked
}

/// Files that are named like specs, or nearly so, in the order of their names.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let is_meant = extension.is_some_and(|extension| ["json", "yaml", "yml"].contains(&extension.as_str()));
        if is_meant && !entry.file_type()?.is_dir() {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

/// Whoever can write a spec decides what runs as root in the next container, and on the host through its hooks.
fn writable_by_others(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    let who = match mode & 0o022 {
        0 => return None,
        0o020 => "its group",
        _ => "everybody",
    };
    let text = format!("can be written by {who} (mode {mode:04o}), who so decides what engines run as root");
    Some(Finding::of_file(Severity::Warning, "writable-by-others", text))
}
