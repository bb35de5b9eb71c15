//! The driver's files that are not libraries: executables, configuration, firmware, sockets.

use super::{Search, container_path};
use crate::{
    Capabilities, DriverFile, FileKind, Roots,
    catalogue::{self, ConfigRow, FileRow},
    folder,
    inside::{Inside, Owner},
    kernel::optional,
};
use oci::HostPath;
use rustix::fs::{FileType, Mode};
use std::collections::HashSet;

impl Search<'_> {
    /// The wanted executables: the first of each name on the search path. A container gets each where it was found,
    /// though it may be a link to somewhere else here.
    pub(super) fn binaries(&self) -> Vec<DriverFile> {
        let mut seen = HashSet::new();
        let folders = self.roots.executable_dirs.iter().filter_map(|dir| self.inside.resolve(dir).ok());
        let folders: Vec<_> = folders.filter(|real| seen.insert(real.clone())).collect();
        let rows = self.wanted_rows(catalogue::BINARIES);
        rows.filter_map(|row| folders.iter().find_map(|folder| self.binary(row, folder))).collect()
    }

    fn binary(&self, row: &FileRow, folder: &HostPath) -> Option<DriverFile> {
        let path = self.inside.strip(folder).trim_end_matches('/').to_owned() + "/" + row.name;
        let (host, stat) = self.inside.find(&path)?;
        let executable = Mode::from_raw_mode(stat.st_mode).intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH);
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        (regular && executable).then(|| file(host, &path, FileKind::Binary, row.capabilities))
    }

    /// The wanted configuration files, each from the first folder that has it.
    pub(super) fn configs(&self) -> Vec<DriverFile> {
        let wanted = |row: &&ConfigRow| row.capabilities.meets(self.wanted.capabilities);
        let places = self.config_places();
        catalogue::CONFIGS.iter().filter(wanted).filter_map(|row| self.config(row, &places)).collect()
    }

    fn config(&self, row: &ConfigRow, places: &[(&Inside, String)]) -> Option<DriverFile> {
        let name = row.name.replace("{arch}", self.roots.machine.name());
        let in_root = row.in_root.then(|| (self.inside, String::new()));
        let host = places
            .iter()
            .chain(&in_root)
            .find_map(|(inside, folder)| inside.find_kind(&format!("{folder}/{name}"), FileType::RegularFile))?;
        Some(file(host, &format!("{}/{name}", row.base), FileKind::Config, row.capabilities))
    }

    fn config_places(&self) -> Vec<(&Inside, String)> {
        if self.roots.config_search.is_empty() {
            let folders = ["/etc"].into_iter().chain(self.roots.data_dirs.iter().map(String::as_str));
            return folders.map(|folder| (self.inside, folder.to_owned())).collect();
        }
        self.roots.config_search.iter().map(|path| self.below_or_outside(path)).collect()
    }

    /// The firmware of the GPUs' system processors for driver `version`, which every container gets. A name counts
    /// where the kernel would find it first.
    pub(super) fn firmware(&self, version: &str) -> Vec<DriverFile> {
        let mut seen = HashSet::new();
        let mut files = Vec::new();
        for folder in firmware_folders(self.roots) {
            let folder = format!("{folder}/nvidia/{version}");
            let Ok(real) = self.inside.resolve(&folder) else { continue };
            self.inside.note_reading(&real);
            for name in folder::names(&real, |name| name.starts_with("gsp") && name.ends_with(".bin")) {
                let path = format!("{folder}/{name}");
                let Some(host) = self.inside.find_kind(&path, FileType::RegularFile) else { continue };
                if seen.insert(name) {
                    files.push(file(host, &path, FileKind::Firmware, Capabilities::ALWAYS));
                }
            }
        }
        files
    }

    /// Sockets of the driver's daemons, and the folder that MPS uses.
    pub(super) fn sockets(&self) -> Vec<DriverFile> {
        let socket = |row: &FileRow| {
            ["/run", "/var/run"].iter().find_map(|base| self.socket(&format!("{base}/{}", row.name), row))
        };
        let folder = self.wanted_rows(&[catalogue::MPS_FOLDER]).find_map(|row| self.meeting_place(row));
        self.wanted_rows(catalogue::SOCKETS).filter_map(socket).chain(folder).collect()
    }

    fn socket(&self, path: &str, row: &FileRow) -> Option<DriverFile> {
        let host = self.inside.find_kind(path, FileType::Socket)?;
        Some(file(host, path, FileKind::Socket, row.capabilities))
    }

    fn meeting_place(&self, row: &FileRow) -> Option<DriverFile> {
        let host = self.inside.steady_folder(row.name, Owner::Trusted)?;
        Some(file(host, row.name, FileKind::MeetingPlace, row.capabilities))
    }

    fn wanted_rows(&self, rows: &'static [FileRow]) -> impl Iterator<Item = &'static FileRow> {
        let wanted = self.wanted.capabilities;
        rows.iter().filter(move |row| row.capabilities.meets(wanted))
    }
}

/// Where the kernel looks for firmware, in its order.
pub(super) fn firmware_folders(roots: &Roots) -> Vec<String> {
    let text = |path: HostPath| optional(&path).ok().flatten().unwrap_or_default().trim().to_owned();
    let custom = text(roots.sys.join("module/firmware_class/parameters/path"));
    let release = text(roots.proc.join("sys/kernel/osrelease"));
    let mut folders = vec![custom];
    for base in ["/lib/firmware/updates", "/lib/firmware"] {
        if !release.is_empty() && !release.contains('/') {
            folders.push(format!("{base}/{release}"));
        }
        folders.push(base.to_owned());
    }
    folders.retain(|folder| folder.starts_with('/'));
    folders
}

fn file(host: HostPath, path: &str, kind: FileKind, capabilities: Capabilities) -> DriverFile {
    DriverFile { host, path: container_path(path), kind, capabilities }
}
