//! A simulated machine that stays, on which commands are run one after another and whose files can be changed from outside.

use lab::companions::Companions;
use machine::Machine;
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Runs what it reads, a line at a time, and says how each ended. Its first words are its process number: it is the process
/// through whose eyes we see the machine's files.
const SHELL: &str = r#"echo $$; while IFS= read -r line; do eval "$line"; echo "ended $?"; done"#;

/// See the module. It is gone when this is dropped.
pub struct Running {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    root: PathBuf,
    /// The lab's files.
    pub companions: Companions,
    /// What the machine is to be once all steps of its changes are taken.
    pub machine: Machine,
}

impl Running {
    /// Starts the machine that ships under this name.
    pub fn start(name: &str) -> Running {
        let file = folder("CORTEN_MACHINES").join(name);
        let machine = lab::machine_file::load(&file, &[]).unwrap();
        let companions = Companions::in_folder(folder("CORTEN_LAB"));
        let mut lab = Command::new(folder("CORTEN_LAB").join("lab"));
        lab.args(["run", "--machine"]).arg(file).args(["--", "/bin/sh", "-c", SHELL]);
        let mut shell = lab.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, mut output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        let root = PathBuf::from(format!("/proc/{}/root", line(&mut output)));
        Running { shell, input, output, root, companions, machine }
    }

    /// Runs a line of shell and gives its exit status.
    pub fn run(&mut self, script: &str) -> i32 {
        writeln!(self.input, "{script}").unwrap();
        let line = line(&mut self.output);
        line.strip_prefix("ended ")
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{script}: {line:?}"))
    }

    /// Where a file of the machine is for us. A link on the way would lead us astray, so there must be none.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Everything in a file of the machine; empty if there is none.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// Names in a folder of the machine, sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// A folder that `cargo xtask test` names.
pub fn folder(variable: &str) -> PathBuf {
    let folder = env::var_os(variable);
    let folder = folder.unwrap_or_else(|| panic!("{variable} is not set: run this through `cargo xtask test`"));
    Path::new(&folder).to_owned()
}
