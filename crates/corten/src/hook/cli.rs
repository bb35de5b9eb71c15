//! Which `nvidia-container-cli` the hook becomes, and with what environment (reference: runtime-and-hook.md 6.3).

use crate::{
    codes::Code,
    fault::{Fault, Result},
    runtime::{lowlevel, programs},
};
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

const NAME: &str = "nvidia-container-cli";

/// What of the hook's own environment reaches the program: where its cache is, and where a CUDA MPS daemon listens.
/// Nothing that makes a loader or the program itself behave otherwise; the administrator may add what he wants by
/// `nvidia-container-cli.environment`.
const INHERITED: [&str; 2] = ["CUDA_MPS_PIPE_DIRECTORY", "XDG_RUNTIME_DIR"];

/// Where the program is looked for, and where it will look for the driver's: the folders of `inherited` and then the
/// usual ones, first below the driver root. Relative ones would mean a folder of whoever started the engine.
pub fn search_path(root: &str, inherited: &str) -> String {
    let mut folders: Vec<&str> = Vec::new();
    for folder in inherited.split(':').filter(|folder| folder.starts_with('/')).chain(lowlevel::SYSTEM_FOLDERS) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    let root = root.trim_end_matches('/');
    let below = folders.iter().filter(|_| !root.is_empty()).map(|folder| format!("{root}{folder}"));
    below.chain(folders.iter().map(|&folder| folder.to_owned())).collect::<Vec<_>>().join(":")
}

/// The program: as `nvidia-container-cli.path` says, else the first of its name in `path`, else the one beside ours. It is
/// the host's or the driver root's, never the image's.
pub fn locate(configured: &str, path: &str) -> Result<PathBuf> {
    if configured.contains('/') {
        return Ok(configured.into());
    }
    let name = if configured.is_empty() { NAME } else { configured };
    let beside = || programs::own_folder().map(|folder| folder.join(name)).filter(|file| file.is_file());
    lowlevel::executable(name, OsStr::new(path)).or_else(beside).ok_or_else(|| {
        let message =
            format!("couldn't find binary {name} in PATH: exec: {name:?}: executable file not found in $PATH: {path}");
        Fault::new(Code::CliUnusable, message)
    })
}

/// Its whole environment. Of several entries for one name the administrator's last counts.
pub fn environment(
    path: &str,
    inherited: impl Fn(&str) -> Option<OsString>,
    configured: &[String],
) -> Vec<(OsString, OsString)> {
    let mut entries = vec![(OsString::from("PATH"), OsString::from(path))];
    entries.extend(INHERITED.into_iter().filter_map(|name| Some((name.into(), inherited(name)?))));
    for (name, value) in configured.iter().filter_map(|entry| entry.split_once('=')) {
        entries.retain(|(known, _)| known != Path::new(name).as_os_str());
        entries.push((name.into(), value.into()));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    #[test]
    fn the_driver_root_is_searched_first() {
        assert_eq!(search_path("", ""), USUAL);
        assert_eq!(search_path("/", "/opt/bin:bin:.:"), format!("/opt/bin:{USUAL}"));
        let path = search_path("/run/nvidia/driver/", "/opt/bin:/usr/bin:/opt/bin");
        let own = "/opt/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin";
        let below = own.split(':').map(|folder| format!("/run/nvidia/driver{folder}")).collect::<Vec<_>>().join(":");
        assert_eq!(path, format!("{below}:{own}"));
    }

    #[test]
    fn a_bare_name_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        for name in [NAME, "my-cli"] {
            fs::write(folder.path().join(name), "").unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = folder.path().to_str().unwrap();
        assert_eq!(locate("", path).unwrap(), folder.path().join(NAME));
        assert_eq!(locate("my-cli", path).unwrap(), folder.path().join("my-cli"));
        assert_eq!(locate("/any/thing", path).unwrap(), Path::new("/any/thing"));
        let fault = locate("no-such-cli", path).unwrap_err().to_string();
        assert!(
            fault.starts_with("couldn't find binary no-such-cli in PATH: exec: \"no-such-cli\": executable file not")
        );
    }

    #[test]
    fn the_environment_is_a_list_of_what_is_needed() {
        let own = |name: &str| (name != "XDG_RUNTIME_DIR").then(|| OsString::from("inherited"));
        let configured = [
            "LD_LIBRARY_PATH=/x".to_owned(),
            "PATH=/y".to_owned(),
            "A=1".to_owned(),
            "A=2=3".to_owned(),
            "odd".to_owned(),
        ];
        let entries: Vec<String> = environment("/bin", own, &configured)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(entries, ["CUDA_MPS_PIPE_DIRECTORY=inherited", "LD_LIBRARY_PATH=/x", "PATH=/y", "A=2=3"]);
    }
}
