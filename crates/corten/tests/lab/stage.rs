//! A bundle with a real root, and simulated machines to start it on.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// What `nvidia-smi -L` prints in a container that was granted the first GPU of `small.toml`.
pub const GPU_0: &str = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c)\n";

/// The low-level runtimes that containers are started with.
pub const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// Starts the bundle: `run` makes the container, waits for its process and deletes it.
pub const RUN: &str = r#""$SHIM" --root "$D/state" --log "$D/log" run --bundle "$B" "$ID""#;

/// Does only our part of a start, since the low-level runtime is `true`.
pub const CREATE: &str = r#""$SHIM" --log "$D/log" create --bundle "$B" "$ID""#;

/// See the module.
pub struct Stage {
    dir: TempDir,
}

impl Stage {
    /// A bundle that asks for the first GPU and prints `nvidia-smi -L`. `root` are the words that `lab rootfs` takes.
    pub fn new(root: &[&str]) -> Stage {
        let stage = Stage { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(stage.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(stage.path("bundle")).unwrap();
        let mut lab = Command::new(folder("CORTEN_LAB").join("lab"));
        let done = lab.args(["rootfs", "--to"]).arg(stage.path("bundle/rootfs")).arg("--kind").args(root).output();
        let done = done.unwrap();
        assert!(done.status.success(), "lab rootfs {root:?}: {}", stderr(&done));
        stage.write("bundle/config.json", &specification().to_string());
        stage.configure("runc", "");
        stage
    }

    /// The same, with a low-level runtime that does nothing.
    pub fn without_runtime(root: &[&str]) -> Stage {
        let stage = Stage::new(root);
        stage.configure("/bin/true", "");
        stage
    }

    /// A path in the stage's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// What a file holds; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Replaces config.toml: this low-level runtime, and more lines of its table.
    pub fn configure(&self, runtime: &str, lines: &str) {
        self.write("config.toml", &format!("[nvidia-container-runtime]\nruntimes = [{runtime:?}]\n{lines}\n"));
    }

    /// Changes config.json.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut document = serde_json::from_str(&self.read("bundle/config.json")).unwrap();
        change(&mut document);
        self.write("bundle/config.json", &document.to_string());
    }

    /// Adds variables to those of the container's process.
    pub fn ask(&self, variables: &[&str]) {
        self.edit(|document| {
            let env = document["process"]["env"].as_array_mut().unwrap();
            for variable in variables {
                let name = variable.split('=').next().unwrap_or_default();
                env.retain(|entry| entry.as_str().is_none_or(|entry| entry.split('=').next() != Some(name)));
                env.push(json!(variable));
            }
        });
    }

    /// A shell script on the machine `small`, with these settings, ready to run. `$SHIM` is our runtime, `$CTK` our
    /// `nvidia-ctk`, `$D` the stage's folder, `$B` the bundle, `$ID` a container's name, `$LAB` the lab's folder, `$MACHINES`
    /// that of its machines.
    pub fn command(&self, machine: &[&str], script: &str) -> Command {
        self.command_on("small", machine, script)
    }

    /// The same on another machine.
    pub fn command_on(&self, machine: &str, settings: &[&str], script: &str) -> Command {
        let mut lab = Command::new(folder("CORTEN_LAB").join("lab"));
        lab.args(["run", "--machine"]).arg(folder("CORTEN_MACHINES").join(format!("{machine}.toml")));
        for setting in settings {
            lab.args(["--set", setting]);
        }
        lab.args(["--", "/bin/sh", "-c", script]).current_dir(self.dir.path());
        lab.env("SHIM", folder("CORTEN_BIN").join("nvidia-container-runtime")).env("D", self.dir.path());
        lab.env("B", self.path("bundle")).env("ID", self.id());
        lab.env("CTK", folder("CORTEN_BIN").join("nvidia-ctk")).env("MACHINES", folder("CORTEN_MACHINES"));
        lab.env("LAB", folder("CORTEN_LAB")).env("NVIDIA_CTK_CONFIG_FILE_PATH", self.path("config.toml"));
        lab
    }

    /// A name that no other test's container has. crun names a keyring after it, which must not begin with a dot.
    fn id(&self) -> String {
        let name = self.dir.path().file_name().unwrap().to_string_lossy().into_owned();
        format!("corten-{}", name.trim_start_matches('.'))
    }

    /// Runs such a script.
    pub fn on(&self, machine: &[&str], script: &str) -> Output {
        self.command(machine, script).output().unwrap()
    }

    /// Runs such a script on another machine.
    pub fn on_machine(&self, machine: &str, script: &str) -> Output {
        self.command_on(machine, &[], script).output().unwrap()
    }

    /// Everything in the container's root.
    pub fn tree(&self) -> Tree {
        tree(&self.path("bundle/rootfs"))
    }
}

/// A folder that `cargo xtask test` names.
pub fn folder(variable: &str) -> PathBuf {
    let folder = env::var_os(variable);
    PathBuf::from(folder.unwrap_or_else(|| panic!("{variable} is not set: run this through `cargo xtask test`")))
}

/// The container that all tests vary.
fn specification() -> Value {
    let capabilities = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["nvidia-smi", "-L"],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "NVIDIA_VISIBLE_DEVICES=0"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        },
    })
}

/// What lies under each path: mode with the type, owner, group, and content or target.
pub type Tree = BTreeMap<PathBuf, (u32, u32, u32, Vec<u8>)>;

/// Everything below a folder, itself included.
pub fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    add(folder, folder, &mut found);
    found
}

fn add(top: &Path, path: &Path, found: &mut Tree) {
    let status = fs::symlink_metadata(path).unwrap();
    let content = match status.file_type() {
        kind if kind.is_file() => fs::read(path).unwrap(),
        kind if kind.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_encoded_bytes(),
        _ => Vec::new(),
    };
    let name = path.strip_prefix(top).unwrap().to_owned();
    found.insert(name, (status.mode(), status.uid(), status.gid(), content));
    if status.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            add(top, &entry.unwrap().path(), found);
        }
    }
}

/// Asserts that two trees are equal, naming only what differs.
pub fn assert_same(what: &str, before: &Tree, after: &Tree) {
    let names: Vec<_> =
        before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(names.is_empty(), "{what}: these changed: {names:?}");
}

/// A spec without the comment that says where it comes from.
pub fn without_origin(spec: &str) -> String {
    spec.split_inclusive('\n').filter(|line| !line.starts_with("# ")).collect()
}

/// What a program printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program complained about.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that a script ended well and printed this.
pub fn assert_prints(what: &str, output: &Output, want: &str) {
    assert!(output.status.success(), "{what}: {}: {}{}", output.status, stdout(output), stderr(output));
    assert_eq!(stdout(output), want, "{what}: {}", stderr(output));
}

/// What a program that loads CUDA would find.
pub const LISTS: &str = "nvidia-smi -L && ldconfig -p";

/// The loader cache's entries for libcuda, in the loader's order, as `NAME PATH`.
fn libcuda(output: &Output) -> Vec<String> {
    let printed = stdout(output);
    let entries = printed.lines().filter_map(|line| line.trim_start().split_once(" => "));
    let ours = entries.filter(|(name, _)| name.starts_with("libcuda.so"));
    ours.map(|(name, path)| format!("{} {path}", name.split(' ').next().unwrap_or_default())).collect()
}

#[track_caller]
pub fn assert_lists(what: &str, output: &Output, want: &[String]) {
    let (printed, complaint) = (stdout(output), stderr(output));
    assert!(output.status.success() && printed.starts_with(GPU_0), "{what}: {printed}{complaint}");
    assert_eq!(libcuda(output), want, "{what}");
}
