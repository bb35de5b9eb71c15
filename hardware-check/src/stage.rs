//! The folder that everything happens in: in memory, in a mount namespace of our own where the machine lets us have one,
//! so that nothing is left behind however this ends.

use crate::{child, portable};
use rustix::{
    fs::{StatVfsMountFlags, statvfs},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// Where the folder may be, tried in this order. Their names are short, since the search path of `portable` must fit.
const PLACES: [&str; 5] = ["/run", "/tmp", "/var/tmp", "/dev/shm", "/"];

/// What Corten keeps between container starts. What is there stays as it is: our programs get an empty one.
const KEPT: &str = "/run/corten";

/// See the module. Dropping it removes it.
pub struct Stage {
    folder: PathBuf,
    root: PathBuf,
    /// There is a mount namespace of our own; or why there is none.
    pub isolated: Result<(), String>,
    /// How long one step may take.
    pub limit: Duration,
    made_kept: bool,
}

impl Stage {
    /// Makes the folder and fills it from the bundle that we are a part of.
    pub fn make(bundle: &Path, limit: Duration) -> Result<Stage, String> {
        let isolated = root::own_mounts::separate().map_err(|error| format!("a mount namespace of its own: {error}"));
        let folder = new_folder(isolated.is_ok())?;
        let made_kept = !Path::new(KEPT).exists();
        let stage = Stage { folder, root: bundle.join("root"), isolated, limit, made_kept };
        stage.cover()?;
        stage.fill(bundle).map_err(|error| format!("{}: {error}; is the folder complete?", bundle.display()))?;
        Ok(stage)
    }

    /// Lays file systems in memory over the folder and over what Corten keeps.
    fn cover(&self) -> Result<(), String> {
        if self.isolated.is_err() {
            return Ok(());
        }
        let in_memory = |at: &Path| {
            mount("corten-check", at, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
                .map_err(|error| format!("cannot mount a tmpfs on {}: {error}", at.display()))
        };
        in_memory(&self.folder)?;
        if Path::new("/run").is_dir() && (!self.made_kept || fs::create_dir(KEPT).is_ok()) {
            in_memory(Path::new(KEPT))?;
        }
        Ok(())
    }

    fn fill(&self, bundle: &Path) -> io::Result<()> {
        copy_tree(&bundle.join("lib"), &self.path("lib"))?;
        copy_tree(&bundle.join("bin"), &self.path("bin"))?;
        for program in ["runc", "corten-nvml"] {
            let path = self.path("bin").join(program);
            let changed = portable::with_loader(fs::read(&path)?, &self.text("lib/ld.so"), &self.text("lib"));
            let changed = changed.map_err(|why| io::Error::other(format!("{program}: {why}")))?;
            fs::write(&path, changed)?;
        }
        for folder in ["said", "cdi", "state"] {
            fs::create_dir(self.path(folder))?;
        }
        Ok(())
    }

    /// A path in the folder.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside)
    }

    /// The same as text.
    pub fn text(&self, inside: &str) -> String {
        self.path(inside).to_string_lossy().into_owned()
    }

    /// A program of ours, with no environment but a `PATH` and the name of its configuration.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.path("bin").join(name));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("NVIDIA_CTK_CONFIG_FILE_PATH", self.path("config.toml"));
        command
    }

    /// Runs it within the limit.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn run(&self, command: &mut Command) -> Result<child::Done, String> {
        child::run(command, &self.path("said"), self.limit)
            .map_err(|error| format!("{} does not start: {error}", command.get_program().to_string_lossy()))
    }

    /// A new copy of the container root that the bundle brings.
    pub fn new_root(&self, to: &Path) -> io::Result<()> {
        copy_tree(&self.root, to)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.isolated.is_ok() {
            let _ = unmount(&self.folder, UnmountFlags::DETACH);
            let _ = unmount(KEPT, UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.folder);
        if self.made_kept {
            // Isolated, only the empty folder is ours; what somebody else has put there since stays.
            let _ = if self.isolated.is_ok() { fs::remove_dir(KEPT) } else { fs::remove_dir_all(KEPT) };
        }
    }
}

/// A new folder that programs can be started from.
fn new_folder(isolated: bool) -> Result<PathBuf, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = format!("corten-{:06x}", (now.subsec_nanos() ^ std::process::id()) & 0xff_ffff);
    let mut why = Vec::new();
    for place in PLACES {
        let runs = statvfs(place).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::NOEXEC));
        if !isolated && !runs {
            why.push(format!("{place}: programs cannot be started there"));
            continue;
        }
        let folder = Path::new(place).join(&name);
        match fs::DirBuilder::new().mode(0o755).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) => why.push(format!("{place}: {error}")),
        }
    }
    Err(format!("there is no place for a temporary folder ({})", why.join(", ")))
}

/// Copies a folder with its files, links and rights.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&path)?, target)?;
        } else if kind.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            fs::copy(&path, target)?;
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(fs::metadata(from)?.permissions().mode() & 0o7777))
}
