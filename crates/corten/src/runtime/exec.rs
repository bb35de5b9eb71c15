//! The last step: this process becomes the low-level runtime.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// Counts how often this program has become a runtime on the way here. It is the one thing that the low-level runtime
/// finds in its environment that we were not given: without it, a wrapper that leads back to us would run for ever.
const DEPTH: &str = "CORTEN_RUNTIME_DEPTH";

/// Far more than any honest chain of wrappers.
const DEEPEST: u32 = 8;

/// The low-level runtime did not take over.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The kernel refused.
    #[error("could not exec '{path}': {source}", path = .path.display())]
    Refused {
        /// What was to run.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It starts us again.
    #[error("could not exec '{path}': it has led back to this program {DEEPEST} times", path = .0.display())]
    Loop(PathBuf),
}

/// Becomes `path` with `args`: same environment, folder, descriptors and process. `argv[0]` is the path, as in the
/// original. Returns only to say why not.
pub fn become_runtime(path: &Path, args: &[OsString]) -> ExecError {
    let depth = depth(env::var(DEPTH).ok().as_deref());
    if depth >= DEEPEST {
        return ExecError::Loop(path.to_owned());
    }
    let own = (OsString::from(DEPTH), OsString::from((depth + 1).to_string()));
    let environment = env::vars_os().filter(|(name, _)| name != DEPTH).chain([own]);
    let source = root::exec::become_program(path, args, environment);
    ExecError::Refused { path: path.to_owned(), source }
}

fn depth(text: Option<&str>) -> u32 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_of_nonsense_is_zero() {
        for (text, want) in [(None, 0), (Some("3"), 3), (Some("x"), 0), (Some("-1"), 0), (Some(""), 0)] {
            assert_eq!(depth(text), want);
        }
    }
}
