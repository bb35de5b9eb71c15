//! Writing specs, byte for byte as the original does (cdi-and-ctk.md 3.3, crates.md 1.5): YAML for people and engines, JSON on
//! one line.

mod yaml;

use crate::edits::{ContainerEdits, DeviceNode};
use crate::origin::Origin;
use crate::spec::Spec;
use crate::tree::Node;
use crate::validate::InvalidSpec;
use oci::{ReplaceError, create_or_replace_file};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// How a spec is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `---`, and four blanks for each level.
    Yaml,
    /// One line without a newline.
    Json,
}

impl Format {
    /// What a file's extension says; `None` is a file that engines do not look at.
    pub fn of_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "yaml" => Some(Format::Yaml),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

/// Why a spec was not written. Whatever stood at the path still stands there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nobody could use it.
    #[error("failed to write spec {path}: invalid CDI Spec: {reason}")]
    Invalid {
        /// Where it was to go.
        path: PathBuf,
        /// What is wrong with it.
        reason: InvalidSpec,
    },
    /// The folder cannot be made.
    #[error("cannot make the folder {path} for the spec: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file cannot be replaced.
    #[error("cannot write the spec: {0}")]
    File(#[from] ReplaceError),
    /// The file cannot be opened for others.
    #[error("cannot let everybody read {path}, so that engines could not use the spec: {source}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Spec {
    /// The spec as text, under the version that it names: [`Spec::minimum_version`] is the one to give it before.
    pub fn to_text(&self, format: Format) -> String {
        // Serialising plain structures to memory has no way to fail.
        let json = serde_json::to_string(&bare(self)).unwrap_or_default();
        match format {
            Format::Json => escape_for_go(&json),
            Format::Yaml => yaml::document(&members(&json, self)),
        }
    }

    /// Writes the spec to a file, which everybody may read afterwards: it is checked, then put in the place of an older one
    /// at once, so that a reader sees either whole. The folder is made if need be. The format follows the extension, and is
    /// YAML where that says nothing. The origin goes with it, if there is one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write_file(&self, path: &Path, origin: Option<&Origin>) -> Result<(), WriteError> {
        self.validate().map_err(|reason| WriteError::Invalid { path: path.to_owned(), reason })?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| WriteError::Folder { path: folder.to_owned(), source })?;
        }
        let format = Format::of_path(path).unwrap_or(Format::Yaml);
        let text = origin.map_or_else(|| self.to_text(format), |origin| self.to_text_from(origin, format));
        create_or_replace_file(path, text.as_bytes(), 0o644)?;
        open_to_everybody(path).map_err(|source| WriteError::Mode { path: path.to_owned(), source })
    }
}

/// Replacing keeps the permissions of the file that was there, and making one heeds the umask; a spec must be readable for
/// rootless engines.
fn open_to_everybody(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path)?.permissions().mode() & 0o7777 {
        0o644 => Ok(()),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(0o644)),
    }
}

/// The spec without what is not written: the original leaves out numbers that are 0 and texts that are empty.
fn bare(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    bare_edits(&mut spec.container_edits);
    spec.devices.iter_mut().for_each(|device| bare_edits(&mut device.container_edits));
    spec
}

fn bare_edits(edits: &mut ContainerEdits) {
    edits.device_nodes.iter_mut().for_each(bare_node);
    for mount in &mut edits.mounts {
        mount.kind.take_if(|kind| kind.is_empty());
    }
}

fn bare_node(node: &mut DeviceNode) {
    for text in [&mut node.host_path, &mut node.kind, &mut node.permissions] {
        text.take_if(|text| text.is_empty());
    }
    for number in [&mut node.major, &mut node.minor] {
        number.take_if(|number| *number == 0);
    }
}

/// The members of the spec in the order of its fields. YAML has none for common edits that do nothing; JSON does.
fn members(json: &str, spec: &Spec) -> Node {
    let mut node = serde_json::from_str(json).unwrap_or(Node::Null);
    if let Node::Map(members) = &mut node {
        members.retain(|(name, _)| name != "containerEdits" || !spec.container_edits.is_empty());
    }
    node
}

/// Go escapes what could end a script in a page, and the two line separators of Unicode. They stand in strings only.
fn escape_for_go(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
