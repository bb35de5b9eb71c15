//! Which program does the real work: runc, crun or what the configuration names, and never this one.

use std::{
    env,
    ffi::OsStr,
    fmt, fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Folders that are searched after those of `$PATH`.
pub const SYSTEM_FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What is tried where the configuration does not choose: Docker's own copy of runc first, where a Docker brings one.
const DEFAULT: [&str; 3] = ["docker-runc", "runc", "crun"];

/// The list that config.toml has when nobody chose.
const UNCHOSEN: [&str; 2] = ["runc", "crun"];

/// The candidates in the order in which they are tried: `chosen` alone where the user named one program, else the list
/// of the configuration.
pub fn candidates(chosen: Option<String>, configured: &[String]) -> Vec<String> {
    match chosen.filter(|path| !path.is_empty()) {
        Some(path) => vec![path],
        None if configured == UNCHOSEN => DEFAULT.map(str::to_owned).to_vec(),
        None => configured.to_vec(),
    }
}

/// No candidate can be used.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The list is empty.
    #[error("at least one runtime candidate must be specified")]
    NoCandidates,
    /// Every candidate was refused, each for its reason.
    #[error("no runtime binary found from candidate list: [{names}]: {reasons}",
        names = .0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "),
        reasons = .0.iter().map(|(name, why)| format!("{name:?} {why}")).collect::<Vec<_>>().join(", "))]
    AllRefused(Vec<(String, Refusal)>),
}

/// Why a candidate is not used.
#[derive(Debug)]
pub enum Refusal {
    /// A bare name that no folder holds.
    NotInPath,
    /// A path that leads nowhere.
    Missing,
    /// It is a directory.
    Directory,
    /// No execute bit.
    NotExecutable,
    /// It is this very program.
    Ourselves,
    /// The kernel does not let us look.
    Unreadable(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotInPath => f.write_str("is not in $PATH"),
            Refusal::Missing => f.write_str("does not exist"),
            Refusal::Directory => f.write_str("is a directory"),
            Refusal::NotExecutable => f.write_str("is not executable"),
            Refusal::Ourselves => f.write_str("is this program itself"),
            Refusal::Unreadable(error) => write!(f, "cannot be examined ({error})"),
        }
    }
}

/// The first usable candidate, as the path to execute.
///
/// # Errors
/// [`NotFound`], with the reason for each candidate.
pub fn find(candidates: &[String], path: &OsStr) -> Result<PathBuf, NotFound> {
    if candidates.is_empty() {
        return Err(NotFound::NoCandidates);
    }
    let own = Identity::of(Path::new("/proc/self/exe")).ok();
    let mut refused = Vec::new();
    for name in candidates {
        match locate(name, path, own) {
            Ok(found) => return Ok(found),
            Err(why) => refused.push((name.clone(), why)),
        }
    }
    Err(NotFound::AllRefused(refused))
}

/// Looks up a program that may well be this one.
pub fn executable(name: &str, path: &OsStr) -> Option<PathBuf> {
    locate(name, path, None).ok()
}

/// A name with a slash is a path; one without is looked up. Names are exact, not patterns (Q24).
fn locate(name: &str, path: &OsStr, own: Option<Identity>) -> Result<PathBuf, Refusal> {
    if name.contains('/') {
        return check(Path::new(name), own).map(|()| PathBuf::from(name));
    }
    let mut best = Refusal::NotInPath;
    for folder in folders(path) {
        let file = folder.join(name);
        match check(&file, own) {
            Ok(()) => return Ok(file),
            Err(Refusal::Missing | Refusal::Directory) => {}
            Err(why) => best = why,
        }
    }
    Err(best)
}

/// The folders of `$PATH`, then the system's. Relative ones count from `/`: what runs must not depend on where.
fn folders(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let own: Vec<PathBuf> = env::split_paths(path)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| Path::new("/").join(folder))
        .collect();
    let more = SYSTEM_FOLDERS.map(PathBuf::from).into_iter().filter({
        let own = own.clone();
        move |folder| !own.contains(folder)
    });
    own.into_iter().chain(more)
}

/// Device and inode: the same file under any name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    fn of(path: &Path) -> io::Result<Identity> {
        fs::metadata(path).map(|file| Identity(file.dev(), file.ino()))
    }
}

fn check(path: &Path, own: Option<Identity>) -> Result<(), Refusal> {
    let file = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::Missing,
        _ => Refusal::Unreadable(error),
    })?;
    if file.is_dir() {
        Err(Refusal::Directory)
    } else if file.permissions().mode() & 0o111 == 0 {
        Err(Refusal::NotExecutable)
    } else if own == Some(Identity(file.dev(), file.ino())) {
        Err(Refusal::Ourselves)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn program(path: PathBuf, mode: u32) {
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn takes_the_first_usable_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("crun-x")).unwrap();
        program(at("plain"), 0o644);
        program(at("good-x"), 0o755);
        let list = names(&["crun-x", "plain", "good*", "good-x"]);
        assert_eq!(find(&list, dir.path().as_os_str()).unwrap(), at("good-x"));
        let by_path = names(&[at("nope").to_str().unwrap(), at("good-x").to_str().unwrap()]);
        assert_eq!(find(&by_path, OsStr::new("")).unwrap(), at("good-x"));
    }

    #[test]
    fn names_every_candidate_and_why() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path().join("plain-x"), 0o644);
        symlink(env::current_exe().unwrap(), dir.path().join("self-x")).unwrap();
        let list = names(&["nope-x", "plain-x", "self-x", "/nope/x", "/"]);
        assert_eq!(
            find(&list, dir.path().as_os_str()).unwrap_err().to_string(),
            "no runtime binary found from candidate list: [nope-x plain-x self-x /nope/x /]: \"nope-x\" is not in \
             $PATH, \"plain-x\" is not executable, \"self-x\" is this program itself, \"/nope/x\" does not exist, \
             \"/\" is a directory"
        );
        assert!(matches!(find(&[], OsStr::new("/bin")), Err(NotFound::NoCandidates)));
    }

    #[test]
    fn passes_itself_and_goes_on_to_the_next_folder() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(env::current_exe().unwrap(), first.path().join("runc-x")).unwrap();
        program(second.path().join("runc-x"), 0o755);
        let path = env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(find(&names(&["runc-x"]), &path).unwrap(), second.path().join("runc-x"));
    }

    #[test]
    fn an_unchosen_list_also_means_dockers_runc() {
        assert_eq!(candidates(None, &names(&["runc", "crun"])), names(&["docker-runc", "runc", "crun"]));
        assert_eq!(candidates(Some(String::new()), &names(&["crun"])), names(&["crun"]));
        assert_eq!(candidates(Some("/x/runc".into()), &names(&["crun"])), names(&["/x/runc"]));
    }

    #[test]
    fn relative_folders_count_from_the_top() {
        let list: Vec<_> = folders(OsStr::new("usr/bin::/sbin")).collect();
        assert_eq!(list[..2], [PathBuf::from("/usr/bin"), PathBuf::from("/sbin")]);
        assert_eq!(list.len(), 6, "{list:?}");
    }
}
