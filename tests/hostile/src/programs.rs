//! Which programs are attacked.

use engines::place::folder;
use root::Defence;
use std::path::PathBuf;

/// A build, and what is switched off in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// What people install.
    Shipped,
    /// The build with switches, these defences being off. It is linked dynamically.
    Without(&'static [Defence]),
}

impl Build {
    /// The folder of its programs.
    ///
    /// # Errors
    /// A sentence that says what to run, where nobody has built it.
    pub fn folder(self) -> Result<PathBuf, String> {
        match self {
            Build::Shipped => folder("CORTEN_BIN"),
            Build::Without(_) => folder("CORTEN_UNDEFENDED_BIN"),
        }
    }

    /// What the variable that switches defences off says.
    pub fn switched_off(self) -> String {
        match self {
            Build::Shipped => String::new(),
            Build::Without(defences) => defences.iter().map(|defence| defence.name()).collect::<Vec<_>>().join(","),
        }
    }
}
