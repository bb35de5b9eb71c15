//! C programs, compiled once, and run on the simulated machine with one library or the other.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// A library to run them with.
#[derive(Clone, Debug)]
pub struct Library {
    /// The folder that holds it.
    pub folder: PathBuf,
}

impl Library {
    /// What `cargo xtask dist` has built.
    pub fn ours() -> Library {
        Library { folder: dist().join("lib") }
    }

    /// The original's, where there is one.
    pub fn theirs() -> Option<Library> {
        match env::var_os("CORTEN_THEIRS_NVC") {
            Some(folder) => Some(Library { folder: Path::new(&folder).join("lib") }),
            None => {
                let why = "CORTEN_THEIRS_NVC is not set; what was recorded of it stands for it";
                left_out::say("the original's C library", why);
                None
            }
        }
    }

    /// The library itself.
    pub fn file(&self) -> PathBuf {
        self.folder.join("libnvidia-container.so.1")
    }

    /// Runs a program on a machine of the lab; gives what it printed.
    pub fn run(&self, machine: &str, program: &Path, arguments: &[&str]) -> String {
        self.run_with(machine, &[], program, arguments)
    }

    /// The same with variables (`NAME=VALUE`).
    pub fn run_with(&self, machine: &str, variables: &[&str], program: &Path, arguments: &[&str]) -> String {
        let output = lab(machine)
            .arg("env")
            .args(variables)
            .arg(format!("LD_LIBRARY_PATH={}", self.folder.display()))
            .arg(program)
            .args(arguments)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {}\n{printed}{complaint}", program.display(), output.status);
        printed
    }
}

/// `lab run` on a machine; the command follows. The machine's folders are open to all, as on real ones, whatever the umask of
/// whoever runs the tests.
pub fn lab(machine: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask 022; exec "$0" "$@""#]).arg(folder("CORTEN_LAB", "target/lab/bin").join("lab"));
    let machines = folder("CORTEN_MACHINES", "lab/machines");
    command.args(["run", "--machine"]).arg(machines.join(format!("{machine}.toml"))).arg("--");
    command
}

/// Makes a container's root there.
pub fn rootfs(kind: &str, to: &Path) {
    let mut command = Command::new(folder("CORTEN_LAB", "target/lab/bin").join("lab"));
    let output = command.args(["rootfs", "--kind", kind, "--to"]).arg(to).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn folder(variable: &str, default: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| workspace().join(default), PathBuf::from)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The folder that holds `bin`, `lib` and `include`.
pub fn dist() -> PathBuf {
    folder("CORTEN_BIN", "target/dist/bin").parent().unwrap().to_owned()
}

/// Compiles `tests/c/NAME.c` against our header and library; each once.
pub fn compiled(name: &str, flags: &[&str]) -> PathBuf {
    compiled_from(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/c/{name}.c")), flags)
}

/// The same for a file of any name.
pub fn compiled_from(source: &Path, flags: &[&str]) -> PathBuf {
    static DONE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let key = format!("{} {}", source.display(), flags.join(" "));
    if let Some(program) = done.get(&key) {
        return program.clone();
    }
    let letters: String = flags.concat().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("{}-{letters}", source.file_stem().unwrap().display());
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror"]).args(flags).arg("-I").arg(dist().join("include"));
    command
        .arg("-o")
        .arg(&beside)
        .arg(source)
        .arg("-L")
        .arg(dist().join("lib"))
        .args(["-lnvidia-container", "-pthread"]);
    let output = command.output().expect("these tests need cc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Put in place whole, since other tests may be running the one that is there.
    fs::rename(&beside, &to).unwrap();
    done.insert(key, to.clone());
    to
}

/// What was recorded of the original under this name. Where the original is given it must say the same still, or is
/// recorded.
pub fn recorded(name: &str, theirs: impl FnOnce(&Library) -> String) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/facts/{name}.txt"));
    let Some(library) = Library::theirs() else { return fs::read_to_string(&file).unwrap() };
    let said = theirs(&library);
    if env::var_os("CORTEN_RECORD").is_some() {
        fs::write(&file, &said).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), said, "the original says something else than was recorded: {name}");
    said
}

/// The lines that only one of both has, `-` before those of the first and `+` before those of the second, sorted.
pub fn difference(theirs: &str, ours: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    theirs.lines().for_each(|line| *counts.entry(line).or_default() -= 1);
    ours.lines().for_each(|line| *counts.entry(line).or_default() += 1);
    let signed = counts.into_iter().flat_map(|(line, count)| {
        let sign = if count < 0 { '-' } else { '+' };
        std::iter::repeat_n(format!("{sign}{line}"), count.unsigned_abs() as usize)
    });
    let mut signed: Vec<_> = signed.collect();
    signed.sort();
    signed
}
