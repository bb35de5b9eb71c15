//! Kernel modules of the driver that a request needs and that are not loaded yet.
//!
//! `nvidia-uvm` and `nvidia-modeset` are loaded by the first program that wants them, through the driver's set-uid
//! `nvidia-modprobe`; in a container there is none. So it is run on the host before the container starts, where
//! `load-kmods` allows that. It is the host's own, from the standard folders and nowhere else: not from `$PATH`, which
//! belongs to whoever called the engine, and not from a driver root, whose programs need that root's libraries (a driver
//! container loads its modules itself).

use host::Inventory;
use plan::{Config, Request};
use root::child;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const PROGRAM: &str = "nvidia-modprobe";
/// How long it may take: some seconds on a machine with many GPUs that nobody has used yet.
const LIMIT: Duration = Duration::from_secs(5);

/// Tries to load what `request` needs and `inventory` lacks. Says whether anything was loaded: then the machine is to be
/// looked at again. A failure goes to the log and is no reason to stop: the plan names what is missing, and a container
/// may get along without.
pub fn load_missing(request: &Request, inventory: &Inventory, config: &Config) -> bool {
    // Without the driver's first module the others cannot be loaded, and the plan fails with better words.
    inventory.nodes.ctl.is_some() && load(&plan::missing_modules(request, inventory, config), config)
}

/// Tries to load these modules, where `load-kmods` allows it. Says whether anything was loaded.
pub fn load(missing: &[&str], config: &Config) -> bool {
    if !config.cli.load_kmods || missing.is_empty() {
        return false;
    }
    let Some(program) = find(host::Roots::default().executable_dirs.iter().map(Path::new)) else {
        log::warn!("{PROGRAM} is not installed, so {} cannot be loaded", missing.join(" and "));
        return false;
    };
    // All of them, whatever becomes of the first.
    missing.iter().filter(|module| load_one(&program, module)).count() > 0
}

fn find<'a>(mut folders: impl Iterator<Item = &'a Path>) -> Option<PathBuf> {
    folders.find_map(|folder| Some(folder.join(PROGRAM)).filter(|file| file.is_file()))
}

fn load_one(program: &Path, module: &str) -> bool {
    let Some(args) = arguments(module) else { return false };
    match child::run(program, args, LIMIT) {
        Ok(()) => {
            log::info!("Loaded the kernel module {module} with {} {}", program.display(), args.join(" "));
            true
        }
        Err(error) => {
            log::warn!("{} {} did not load {module}: {error}", program.display(), args.join(" "));
            false
        }
    }
}

/// What makes nvidia-modprobe load a module, and make its nodes where the driver's parameters want that.
fn arguments(module: &str) -> Option<&'static [&'static str]> {
    match module {
        "nvidia-uvm" => Some(&["-u", "-c=0"]),
        "nvidia-modeset" => Some(&["-m"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_first_folder_that_has_it() {
        let (empty, first, second) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(empty.path().join(PROGRAM)).unwrap();
        for folder in [&first, &second] {
            fs::write(folder.path().join(PROGRAM), "").unwrap();
        }
        let folders = [empty.path(), first.path(), second.path()];
        assert_eq!(find(folders.into_iter()), Some(first.path().join(PROGRAM)));
        assert_eq!(find([empty.path()].into_iter()), None);
    }

    #[test]
    fn nothing_is_run_where_that_is_not_allowed_or_of_no_use() {
        assert!(!load(&[], &Config::default()));
        let mut config = Config::default();
        config.cli.load_kmods = false;
        assert!(!load(&["nvidia-uvm"], &config));
    }
}
