//! A folder for one test: a copy of the fake helper that anybody may run, a place for the cache, and a count of runs.

use nvml::{Ask, CachePlace, Expected};
use oci::HostPath;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// One test's folder.
pub struct Stage(TempDir);

impl Stage {
    pub fn new() -> Stage {
        let folder = open_folder();
        fs::write(folder.path().join("runs"), "").unwrap();
        fs::set_permissions(folder.path().join("runs"), fs::Permissions::from_mode(0o666)).unwrap();
        Stage(folder)
    }

    /// A question to a helper that behaves like this.
    pub fn ask(&self, behaviour: &str) -> Ask<String> {
        Ask {
            wanted: "the UUIDs of MIG devices".into(),
            helper: fake_helper().to_owned(),
            library: Some(host_path(&self.0.path().join(behaviour))),
            fingerprint: "this boot".into(),
            user: None,
            expected: Expected::default(),
            anew: false,
            timeout: Duration::from_secs(30),
            cache: CachePlace(vec![host_path(&self.folder())]),
        }
    }

    /// The folder of the cache.
    pub fn folder(&self) -> PathBuf {
        self.0.path().join("corten")
    }

    /// The file of the cache.
    pub fn file(&self) -> PathBuf {
        self.folder().join("nvml.json")
    }

    /// How often the helper was run.
    pub fn runs(&self) -> usize {
        fs::read(self.0.path().join("runs")).unwrap().len()
    }
}

/// A folder that everybody can enter.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

pub fn host_path(path: &Path) -> HostPath {
    HostPath::new(path.to_str().unwrap()).unwrap()
}

/// A program where nobody may run it: build folders are often closed. To be called once for each, before anything is
/// started: a file that some fork still holds open for writing cannot be executed.
pub fn runnable_by_all(program: &str) -> PathBuf {
    let is_open = |folder: &Path| fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o1 != 0);
    if !rustix::process::geteuid().is_root() || Path::new(program).ancestors().all(is_open) {
        return program.into();
    }
    let copy = open_folder().keep().join("program");
    fs::copy(program, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

fn fake_helper() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| runnable_by_all(env!("CARGO_BIN_EXE_fake-nvml-helper")))
}

/// Waits for something that happens soon, and fails if it does not.
pub fn wait_until(happened: impl Fn() -> bool) {
    for _ in 0..1000 {
        if happened() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("it never happened");
}
