//! What `nvidia-container-cli` costs: a look at the machine, and the configuration of a container that waits, as a low-level
//! runtime leaves it before the container's first program.
//!
//! `CORTEN_THEIRS_CLI` names the original's program, which is in no folder of the toolkit.

use super::{
    NOTHING,
    bundle::Bundle,
    contest::{Contest, Contestant, Row},
};
use crate::{
    dist,
    shell::{Outcome, say},
};
use std::{
    cell::RefCell,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// Makes the namespace, and says so.
const WAIT: &str = r#"mount -t tmpfs dev "$1/dev" && mount -t proc proc "$1/proc" && mount --bind /proc/driver "$1/proc/driver" &&
    : >"$2" && exec sleep 1000"#;

/// The rows of the table.
pub fn measure(bundle: &Bundle, runs: u32) -> Result<Vec<Row>, String> {
    let ours = dist::folder().join("bin/nvidia-container-cli");
    let theirs = env::var_os("CORTEN_THEIRS_CLI").map(PathBuf::from);
    let mut rows = Vec::new();
    for (what, words) in [("`nvidia-container-cli list`", "list"), ("`nvidia-container-cli info`", "info")] {
        say(&format!("measuring: {what}"));
        let look = |program: &Path| Contestant::new(Command::new(program), &[words]);
        let contest = Contest::of(look(Path::new(NOTHING))).against(look(&ours));
        rows.push(contest.against_some(theirs.as_deref().map(look)).run(runs)?.named(what));
    }
    let waiting = Waiting { bundle, child: RefCell::new(None) };
    for (what, words) in [
        ("`configure`, compute and utility", "--compute --utility"),
        ("`configure`, everything", "--compute --utility --video --graphics --display --ngx --compat32"),
    ] {
        say(&format!("measuring: {what}"));
        let configure = |program: &Path| waiting.configured_by(program, words);
        let contest = Contest::of(configure(Path::new(NOTHING))).against(configure(&ours));
        rows.push(contest.against_some(theirs.as_deref().map(configure)).run(runs)?.named(what));
    }
    Ok(rows)
}

/// A container that waits, made anew before each run.
struct Waiting<'a> {
    bundle: &'a Bundle,
    child: RefCell<Option<Child>>,
}

impl Waiting<'_> {
    fn configured_by(&self, program: &Path, words: &str) -> Contestant<'_> {
        let root = self.root();
        // The shell is part of what all contestants cost; the number is known only when it runs.
        let script = format!(
            "read -r pid <{root}.pid; exec {program} configure --ldconfig=@/sbin/ldconfig --no-cgroups --device=all {words} \
             --pid=$pid {root}",
            program = program.display(),
        );
        Contestant::new(Command::new("/bin/sh"), &["-c", &script]).before(|| self.make())
    }

    fn root(&self) -> String {
        format!("{}/rootfs", self.bundle.text())
    }

    fn make(&self) -> Outcome {
        self.end();
        self.bundle.fresh("all")()?;
        let (root, ready) = (self.root(), format!("{}.ready", self.root()));
        let failed = |why: std::io::Error| format!("could not make a container: {why}");
        let _ = fs::remove_file(&ready);
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-c", WAIT, "sh", &root, &ready]);
        let child = unshare.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(failed)?;
        fs::write(format!("{root}.pid"), format!("{}\n", child.id())).map_err(failed)?;
        *self.child.borrow_mut() = Some(child);
        for _ in 0..1000 {
            if Path::new(&ready).exists() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err("the container does not get ready".to_owned())
    }

    fn end(&self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
