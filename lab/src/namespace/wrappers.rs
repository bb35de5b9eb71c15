//! Puts [`crate::wrapper`] in the place of each low-level runtime, and the real one where the wrapper finds it.

use crate::{Error, Result, mounts, tree::Tree, wrapper};
use rustix::fd::OwnedFd;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// First in the usual search path, so that a wrapper is found there before anything else.
pub(super) const FOLDER: &str = "/usr/local/sbin";

/// Searched besides `PATH`, because engines look there too.
const USUAL: [&str; 4] = ["/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// Real runtimes, held open while the folders that have them are overlaid.
pub(super) struct Wrappers {
    program: PathBuf,
    runtimes: Vec<Runtime>,
}

struct Runtime {
    name: &'static str,
    real: OwnedFd,
    /// Every path by which it can be started.
    paths: Vec<PathBuf>,
}

impl Wrappers {
    /// Finds them, for `program` (this one) to stand in; to be called before anything is laid over them.
    pub(super) fn prepare(program: PathBuf) -> Result<Wrappers> {
        let found = wrapper::RUNTIMES.iter().filter_map(|name| Runtime::find(name).transpose());
        Ok(Wrappers { program, runtimes: found.collect::<Result<_>>()? })
    }

    /// Moves each aside and puts a link to our program in its place.
    pub(super) fn install(self) -> Result<()> {
        let tree = Tree::new("/");
        for runtime in self.runtimes {
            let aside = wrapper::real_path(runtime.name);
            tree.file(&aside, [], 0o755)?;
            mounts::put(&runtime.real, &aside)?;
            let own = Path::new(FOLDER).join(runtime.name);
            for path in runtime.paths.iter().chain([&own]) {
                tree.link(&path.to_string_lossy(), &self.program)?;
            }
        }
        Ok(())
    }
}

impl Runtime {
    fn find(name: &'static str) -> Result<Option<Runtime>> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(USUAL.iter().map(PathBuf::from));
        let mut paths: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let Ok(folder) = fs::canonicalize(folder) else { continue };
            let candidate = folder.join(name);
            if folder.starts_with("/usr") && candidate.is_file() && !paths.contains(&candidate) {
                paths.push(candidate);
            }
        }
        let Some(first) = paths.first() else { return Ok(None) };
        let first = fs::canonicalize(first).map_err(Error::file("find", first))?;
        Ok(Some(Runtime { name, real: mounts::grab(&first)?, paths }))
    }
}
