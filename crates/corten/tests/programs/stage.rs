//! A folder with everything that one call of a program needs, and nothing of the machine that the test runs on.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A container that asks for nothing.
pub const PLAIN: &str = r#"{"ociVersion":"1.0.2","process":{"args":["/bin/sh"],"env":["PATH=/bin"],"cwd":"/"},"root":{"path":"rootfs"},"x":1e9}"#;

/// The same container, asking for GPUs by these variables.
pub fn asking(variables: &[&str]) -> String {
    let env: String = variables.iter().map(|variable| format!(",{variable:?}")).collect();
    PLAIN.replace("\"PATH=/bin\"", &format!("\"PATH=/bin\"{env}"))
}

/// See the module.
pub struct Stage {
    dir: TempDir,
}

impl Stage {
    /// A bundle that asks for nothing, and a configuration that names the runtime.
    pub fn new() -> Stage {
        let stage = Stage { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(stage.path("bundle/rootfs/usr/lib")).unwrap();
        for folder in ["bin", "driver"] {
            fs::create_dir(stage.path(folder)).unwrap();
        }
        stage.write("bundle/config.json", PLAIN);
        stage.program(
            "runc",
            &format!(
                "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >{0}/started\nenv >{0}/environment\necho runc version 1.2.3\n",
                stage.dir.path().display()
            ),
        );
        stage.configure("");
        stage
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path in the folder, as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// What a file holds; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// An executable file in the folder.
    pub fn program(&self, name: &str, content: &str) {
        self.write(name, content);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Replaces config.toml: these lines at its top, then the runtime and the debug log.
    pub fn configure(&self, lines: &str) {
        let (runc, debug) = (self.text("runc"), self.text("debug.log"));
        let cli = format!("[nvidia-container-cli]\nroot = {:?}\n", self.text("driver"));
        let runtime = format!("[nvidia-container-runtime]\nruntimes = [{runc:?}]\ndebug = {debug:?}\n");
        self.write("config.toml", &format!("{cli}{runtime}{lines}"));
    }

    /// The executable under the name `program`, ready to be given arguments.
    pub fn command(&self, program: &str) -> Command {
        let link = self.path("bin").join(program);
        if !link.exists() {
            symlink(env!("CARGO_BIN_EXE_corten"), &link).unwrap();
        }
        let mut command = Command::new(link);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("NVIDIA_CTK_CONFIG_FILE_PATH", self.path("config.toml"))
            .current_dir(self.path("bundle"));
        command
    }

    /// Runs the executable under the name `program`.
    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        self.command(program).args(args).output().unwrap()
    }

    /// How the low-level runtime was started, one word a line; empty when it was not.
    pub fn started(&self) -> Vec<String> {
        self.read("started").lines().map(str::to_owned).collect()
    }
}

/// What a program printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a program complained about.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
