//! Where the programs are: ours, the original's and the lab's.
//!
//! | variable | what | without it |
//! |---|---|---|
//! | `CORTEN_BIN` | folder of our programs | `target/dist/bin` |
//! | `CORTEN_LAB` | folder of the lab's programs | `target/lab/bin` |
//! | `CORTEN_THEIRS` | folder of the original's v1.20.0 programs, and a `nvidia-container-cli` | their recorded facts are used |

use serde::{Deserialize, Serialize};
use std::{
    env,
    path::{Path, PathBuf},
};

/// Whose programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The original's.
    Theirs,
    /// Ours.
    Ours,
}

/// A program that a test needs and has not.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// Tests make namespaces and device nodes.
    #[error(
        "the differential suite must run as root: `sudo -E cargo test -p corten-compliance`, or `cargo xtask test`"
    )]
    Root,
    /// Nothing there.
    #[error("there is no {0}: build it with `cargo xtask dist`, or name its folder in {1}")]
    Program(PathBuf, &'static str),
    /// Not UTF-8.
    #[error("the path {0:?} is not UTF-8, which config.json must be")]
    NotText(PathBuf),
}

/// Refuses to go on where no container can be started.
///
/// # Errors
/// [`Missing::Root`].
pub fn need_root() -> Result<(), Missing> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Missing::Root) }
}

/// The folder of our programs.
///
/// # Errors
/// The shim is not there.
pub fn ours() -> Result<String, Missing> {
    folder("CORTEN_BIN", "target/dist/bin", "nvidia-container-runtime")
}

/// The folder of the original's programs; `None` where they are not to be run.
///
/// # Errors
/// The folder is named and has no shim.
pub fn theirs() -> Result<Option<String>, Missing> {
    match env::var_os("CORTEN_THEIRS") {
        None => Ok(None),
        Some(_) => folder("CORTEN_THEIRS", "", "nvidia-container-runtime").map(Some),
    }
}

/// The lab's program of that name.
///
/// # Errors
/// It is not there.
pub fn lab(name: &'static str) -> Result<String, Missing> {
    folder("CORTEN_LAB", "target/lab/bin", name).map(|folder| format!("{folder}/{name}"))
}

/// The machine file of that name.
///
/// # Errors
/// It is not there.
pub fn machine(name: &str) -> Result<PathBuf, Missing> {
    let path = workspace().join(format!("lab/machines/{name}.toml"));
    if path.is_file() { Ok(path) } else { Err(Missing::Program(path, "CORTEN_MACHINES")) }
}

fn folder(variable: &'static str, default: &str, program: &str) -> Result<String, Missing> {
    let folder = env::var_os(variable).map_or_else(|| workspace().join(default), PathBuf::from);
    if !folder.join(program).exists() {
        return Err(Missing::Program(folder.join(program), variable));
    }
    folder.into_os_string().into_string().map_err(|folder| Missing::NotText(folder.into()))
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
