//! Where the programs are that specs name: they must be absolute, because the low-level runtime runs them.

use super::lowlevel;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The hook program of legacy mode: `nvidia-container-runtime-hook.path` (reference: runtime-and-hook.md 7.1).
pub fn prestart_hook(configured: &str, path: &OsStr) -> String {
    resolve(configured, "nvidia-container-runtime-hook", path)
}

/// The program that runs our one hook. Beside our own executable lies a link of the right name and the same version;
/// else it is what `nvidia-ctk.path` means (7.2), else where packages put it.
pub fn cdi_hook(own_folder: Option<&Path>, configured: &str, path: &OsStr) -> String {
    let beside = own_folder.map(|folder| folder.join("nvidia-cdi-hook")).filter(|file| file.exists());
    match beside.and_then(|file| file.into_os_string().into_string().ok()) {
        Some(file) => file,
        None if configured.is_empty() || configured == "nvidia-ctk" => resolve("", "nvidia-cdi-hook", path),
        None => resolve(configured, "nvidia-cdi-hook", path),
    }
}

/// The folder of our own executable, links resolved.
pub fn own_folder() -> Option<PathBuf> {
    std::env::current_exe().ok()?.parent().map(Path::to_path_buf)
}

/// An absolute path is taken as it is; a name is looked up; one that is not found is expected in `/usr/bin`, under its
/// standard name, as in the original.
fn resolve(configured: &str, standard: &str, path: &OsStr) -> String {
    let name = if configured.is_empty() { standard } else { configured };
    if name.starts_with('/') {
        return name.to_owned();
    }
    lowlevel::executable(name, path)
        .and_then(|file| std::path::absolute(file).ok())
        .and_then(|file| file.into_os_string().into_string().ok())
        .unwrap_or_else(|| format!("/usr/bin/{standard}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn programs_are_absolute() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().as_os_str();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        for name in ["my-hook", "nvidia-cdi-hook"] {
            fs::write(at(name), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let nowhere = OsStr::new("/nope");
        assert_eq!(prestart_hook("my-hook", here), at("my-hook"));
        assert_eq!(prestart_hook("/any/thing", here), "/any/thing");
        assert_eq!(prestart_hook("no-such-hook", nowhere), "/usr/bin/nvidia-container-runtime-hook");
        assert_eq!(cdi_hook(Some(dir.path()), "/x/nvidia-ctk", nowhere), at("nvidia-cdi-hook"));
        assert_eq!(cdi_hook(Some(Path::new("/nope")), "/x/nvidia-ctk", nowhere), "/x/nvidia-ctk");
        assert_eq!(cdi_hook(None, "nvidia-ctk", here), at("nvidia-cdi-hook"));
        assert_eq!(cdi_hook(None, "no-such-hook", nowhere), "/usr/bin/nvidia-cdi-hook");
    }
}
