//! Cases: what is started, on which machine, and how far the two programs may differ. Read from `cases/TOPIC.toml`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// One file of cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Topic {
    /// The file's stem; the facts have the same.
    #[serde(skip)]
    pub name: String,
    /// One sentence for people.
    pub about: String,
    /// Machine of the cases that name none.
    pub machine: String,
    /// Configuration of all cases, under that of each.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Differences that any case of the topic may show, and need not.
    #[serde(default)]
    pub may_differ: BTreeMap<String, Vec<String>>,
    /// The cases, in the order in which they run.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// One container start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// Unique in its topic; letters, digits and dashes.
    pub name: String,
    /// File stem in `lab/machines`; the topic's when empty.
    #[serde(default)]
    pub machine: String,
    /// Which of the lab's root file systems.
    #[serde(default = "debian")]
    pub rootfs: String,
    /// What is done to that root first.
    #[serde(default)]
    pub prepare: Vec<Prepare>,
    /// Program name of the shim; a name that is not theirs nor ours is the low-level runtime itself.
    #[serde(default = "shim")]
    pub program: String,
    /// `create`, then `start`; or `run`.
    #[serde(default)]
    pub command: Command,
    /// Low-level runtime.
    #[serde(default)]
    pub engine: Engine,
    /// Keys of config.toml, over those of the topic.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// The whole text of config.toml instead, for files that are not TOML.
    pub config_text: Option<String>,
    /// Variables of the container, after PATH.
    #[serde(default)]
    pub env: Vec<String>,
    /// `/dev/null` is mounted on each of these.
    #[serde(default)]
    pub null_mounts: Vec<String>,
    /// Annotations of the container.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// CAP_SYS_ADMIN is in every capability set.
    #[serde(default)]
    pub privileged: bool,
    /// The container's user and group.
    #[serde(default)]
    pub user: (u32, u32),
    /// Container root is this id of the host (a user namespace of 65536 ids).
    pub mapped_root: Option<u32>,
    /// `root.readonly` of the container.
    #[serde(default)]
    pub read_only: bool,
    /// Docker's `--gpus`: its prestart hook is in the bundle already.
    #[serde(default)]
    pub docker_gpus: bool,
    /// The prestart hook starts the real `nvidia-container-cli` of its side, and not a program that only takes notes.
    #[serde(default)]
    pub whole: bool,
    /// The bundle names its root by an absolute path.
    #[serde(default)]
    pub absolute_root: bool,
    /// Members merged into config.json last (a JSON merge patch, written as TOML).
    #[serde(default)]
    pub patch: Map<String, Value>,
    /// Files in a CDI folder that config.toml names: name and text.
    #[serde(default)]
    pub cdi: BTreeMap<String, String>,
    /// The same container is started this many times in the same root.
    #[serde(default = "once")]
    pub starts: u32,
    /// Differences that `docs/differences.md` explains: its id, and the facets it touches.
    #[serde(default)]
    pub differs: BTreeMap<String, Vec<String>>,
    /// Like `differs`, but a facet that is the same after all is no fault.
    #[serde(default)]
    pub may_differ: BTreeMap<String, Vec<String>>,
    /// Run with the original too (no for what it cannot survive, such as looping for ever).
    #[serde(default = "yes")]
    pub theirs: bool,
}

/// What is done to a root file system before the container starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prepare {
    /// Makes a symbolic link; what lay there is removed first.
    Link {
        /// Path in the root, without a leading slash.
        at: String,
        /// Text of the link.
        to: String,
    },
    /// Writes a file.
    File {
        /// Path in the root, without a leading slash.
        at: String,
        /// Its text.
        text: String,
    },
    /// Copies a file of the machine, such as a library of the driver that stands for one of the image's.
    Copy {
        /// Path in the root, without a leading slash.
        at: String,
        /// Path on the machine.
        from: String,
    },
    /// Removes a file, a link or a folder with all below.
    Remove {
        /// Path in the root, without a leading slash.
        at: String,
    },
}

/// Shape of the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `create --bundle B ID`, `start ID`, `delete --force ID`.
    #[default]
    Create,
    /// `create -b=B ID` from another folder, then the same.
    CreateShort,
    /// `create ID` in the bundle's folder.
    CreateHere,
    /// `run --bundle B ID`.
    Run,
}

/// The low-level runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// runc.
    #[default]
    Runc,
    /// crun.
    Crun,
}

impl Case {
    /// No shim takes part, as with Docker's `--gpus` alone.
    pub fn is_bare(&self) -> bool {
        self.program == self.engine.program()
    }

    /// The prestart hook has work: what it starts, if anything, is a fact.
    pub fn is_for_hook(&self) -> bool {
        let mode = self.config.get("nvidia-container-runtime").and_then(|table| table.get("mode"));
        self.is_bare() || self.program.ends_with(".legacy") || mode.and_then(Value::as_str) == Some("legacy")
    }
}

impl Engine {
    /// Name of its program.
    pub fn program(self) -> &'static str {
        match self {
            Engine::Runc => "runc",
            Engine::Crun => "crun",
        }
    }
}

/// A file of cases that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// The file is not what a [`Topic`] is.
    #[error("{0} is not a file of cases: {1}")]
    Parse(PathBuf, toml_edit::de::Error),
    /// Two cases of one topic have the same name.
    #[error("{topic}: two cases are called {name:?}")]
    Twice {
        /// The topic.
        topic: String,
        /// The name.
        name: String,
    },
}

/// Every topic, by name.
///
/// # Errors
/// [`CaseError`] names the file and what is wrong with it.
pub fn topics() -> Result<Vec<Topic>, CaseError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let unreadable = |error| CaseError::Read(folder.clone(), error);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(unreadable)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files.iter().map(|file| topic(file)).collect()
}

fn topic(file: &Path) -> Result<Topic, CaseError> {
    let text = fs::read_to_string(file).map_err(|error| CaseError::Read(file.to_owned(), error))?;
    let mut topic: Topic = toml_edit::de::from_str(&text).map_err(|error| CaseError::Parse(file.to_owned(), error))?;
    topic.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    topic.fill_in();
    topic.check()?;
    Ok(topic)
}

impl Topic {
    fn fill_in(&mut self) {
        for case in &mut self.cases {
            if case.machine.is_empty() {
                case.machine.clone_from(&self.machine);
            }
            for (id, facets) in &self.may_differ {
                case.may_differ.entry(id.clone()).or_default().extend(facets.iter().cloned());
            }
            let own = std::mem::take(&mut case.config);
            case.config = merged(&self.config, &own);
        }
    }

    fn check(&self) -> Result<(), CaseError> {
        let mut seen = BTreeSet::new();
        for case in &self.cases {
            if !seen.insert(&case.name) {
                return Err(CaseError::Twice { topic: self.name.clone(), name: case.name.clone() });
            }
        }
        Ok(())
    }
}

/// `over` laid over `under`: tables are merged, everything else replaced.
pub fn merged(under: &Map<String, Value>, over: &Map<String, Value>) -> Map<String, Value> {
    let mut result = under.clone();
    for (key, value) in over {
        let value = match (result.get(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => Value::Object(merged(below, above)),
            _ => value.clone(),
        };
        result.insert(key.clone(), value);
    }
    result
}

fn debian() -> String {
    "debian".into()
}
fn shim() -> String {
    "nvidia-container-runtime".into()
}
fn once() -> u32 {
    1
}
fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_file_of_cases_is_well_formed() {
        let topics = topics().unwrap();
        assert!(topics.iter().map(|topic| topic.cases.len()).sum::<usize>() >= 80);
        for case in topics.iter().flat_map(|topic| &topic.cases) {
            assert!(case.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{:?}", case.name);
        }
    }

    #[test]
    fn tables_merge_and_values_replace() {
        let (under, over) = (json!({"a": {"x": 1, "y": 2}, "b": [1]}), json!({"a": {"y": 3}, "b": [2]}));
        let result = merged(under.as_object().unwrap(), over.as_object().unwrap());
        assert_eq!(Value::Object(result), json!({"a": {"x": 1, "y": 3}, "b": [2]}));
    }
}
