//! Where a suite runs: on which simulated machine, and whether with this machine's own engines or with those of a newer
//! distribution, which `cargo xtask test` makes a folder of.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Set for the copy of us that runs in the simulated machine: the suite's name.
const INSIDE: &str = "CORTEN_TEST_INSIDE";

/// Where the lab shows this machine's files on a machine with a system of its own.
const HOST: &str = "/host";

/// Variables that name folders to us.
const FOLDERS: [&str; 3] = ["CORTEN_BIN", "CORTEN_LAB", "CORTEN_MACHINES"];

/// A machine, and whose engines run on it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its file in `lab/machines`, without the extension.
    pub machine: &'static str,
    /// The system.
    pub system: System,
}

/// Whose engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// This machine's distribution.
    Own,
    /// Debian trixie.
    Trixie,
}

/// The name of the suite that this process is to run, if it is on the machine already.
pub fn inside() -> Option<String> {
    env::var(INSIDE).ok()
}

/// A folder that `cargo xtask test` names for us.
pub fn folder(variable: &str) -> Result<PathBuf, String> {
    match env::var_os(variable) {
        Some(folder) => Ok(Path::new(&folder).to_owned()),
        None => Err(format!("{variable} is not set: run this through `cargo xtask test`")),
    }
}

impl Place {
    /// Runs this program again there; whether all went well. A place that this machine cannot have is said.
    ///
    /// # Errors
    /// What kept the program from being started there.
    pub fn enter(self, suite: &str) -> Result<bool, String> {
        let machine = folder("CORTEN_MACHINES")?.join(format!("{}.toml", self.machine));
        let ourselves = env::current_exe().map_err(|why| why.to_string())?;
        let mut lab = Command::new(folder("CORTEN_LAB")?.join("lab"));
        lab.args(["run", "--machine"]).arg(machine).env_remove("CORTEN_LAB_DIR").env(INSIDE, suite);
        match self.system {
            System::Own => lab.arg("--").arg(ourselves),
            System::Trixie => {
                if let Ok(why) = env::var("CORTEN_NO_TRIXIE") {
                    println!("test {suite} ... ignored");
                    left_out::say(suite, &format!("there is no Debian trixie here: {why}"));
                    return Ok(true);
                }
                for variable in FOLDERS {
                    lab.env(variable, on_host(&folder(variable)?));
                }
                if let Some(file) = env::var_os(left_out::VARIABLE) {
                    lab.env(left_out::VARIABLE, on_host(file.as_ref()));
                }
                lab.arg("--system").arg(folder("CORTEN_TRIXIE")?).arg("--").arg(on_host(&ourselves))
            }
        };
        lab.args(env::args().skip(1));
        let status = lab.status().map_err(|why| format!("could not start {lab:?}: {why}"))?;
        Ok(status.success())
    }
}

/// A path of this machine, as it is seen from a machine with a system of its own.
fn on_host(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}
