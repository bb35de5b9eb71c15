//! What the hooks of a container start cost: those that `nvidia-ctk cdi generate` writes for a GPU, on a root in which the
//! driver's files are mounted as a low-level runtime would have mounted them.
//!
//! The original needs a process for each: five, or six where graphics libraries have links of their own. Ours does them in
//! one, or, for other engines' sake, in as many.

use super::{
    NOTHING,
    bundle::Bundle,
    contest::{Contest, Contestant, Row},
    theirs,
};
use crate::{
    dist,
    shell::{Outcome, output, say},
};
use rustix::mount::mount_bind_recursive;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The rows of the table.
pub fn measure(bundle: &Bundle, runs: u32) -> Result<Vec<Row>, String> {
    let (one, all) = (Hooks::generate(bundle, "one")?, Hooks::generate(bundle, "all")?);
    let count = all.commands.len();
    if one.commands.len() != 1 || count < 5 {
        return Err(format!("a specification has {} and {count} hooks", one.commands.len()));
    }
    let ours = dist::folder().join("bin/nvidia-cdi-hook");
    let mut rows = Vec::new();
    for (what, hooks) in [
        (format!("the {count} hooks of a start, ours in one process"), &one),
        (format!("the same, ours in {count} too"), &all),
    ] {
        say(&format!("measuring: {what}"));
        let contest = Contest::of(Contestant::new(Command::new(NOTHING), &[]))
            .against(hooks.run_by(&ours).before(|| hooks.prepare(bundle)))
            .against_some(
                theirs().map(|folder| all.run_by(&folder.join("nvidia-cdi-hook")).before(|| all.prepare(bundle))),
            );
        rows.push(contest.run(runs)?.named(&what));
    }
    Ok(rows)
}

/// What a specification says.
struct Hooks {
    /// Each hook's words after the program's name.
    commands: Vec<Vec<String>>,
    /// What is mounted: from, to.
    mounts: Vec<(String, String)>,
    state: PathBuf,
}

impl Hooks {
    fn generate(bundle: &Bundle, hooks: &str) -> Result<Hooks, String> {
        let mut generate = Command::new(dist::folder().join("bin/nvidia-ctk"));
        generate.args([
            "--quiet",
            "cdi",
            "generate",
            "--format=json",
            "--nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook",
        ]);
        let text = output(generate.arg(format!("--hooks={hooks}")))?;
        let spec: Value = serde_json::from_str(&text).map_err(|why| format!("the specification: {why}"))?;
        let edits = &spec["containerEdits"];
        let list = |name: &str| edits[name].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let words = |hook: Value| {
            let words = hook["args"].as_array().cloned().unwrap_or_default();
            words.iter().skip(1).map(text).collect()
        };
        let mounts =
            list("mounts").iter().map(|mount| (text(&mount["hostPath"]), text(&mount["containerPath"]))).collect();
        let state = Path::new(bundle.text()).join("state.json");
        let content = serde_json::json!({"ociVersion": "1.0.2", "id": "corten-bench", "bundle": bundle.text()});
        fs::write(&state, content.to_string()).map_err(|why| format!("{}: {why}", state.display()))?;
        Ok(Hooks { commands: list("hooks").into_iter().map(words).collect(), mounts, state })
    }

    fn run_by(&self, program: &Path) -> Contestant<'_> {
        let command = |words: &Vec<String>| {
            let mut command = Command::new(program);
            command.env_clear().env("NVIDIA_CTK_DEBUG", "false").args(words);
            command.arg("--container-spec").arg(&self.state);
            command
        };
        Contestant::steps(self.commands.iter().map(command).collect())
    }

    /// A new root with everything mounted.
    fn prepare(&self, bundle: &Bundle) -> Outcome {
        bundle.fresh("void")()?;
        let root = Path::new(bundle.text()).join("rootfs");
        let kernels = ["/proc", "/dev"].map(|path| (path.to_owned(), path.to_owned()));
        for (from, to) in kernels.iter().chain(&self.mounts) {
            let to = root.join(to.trim_start_matches('/'));
            let failed = |why: std::io::Error| format!("could not mount {from} on {}: {why}", to.display());
            let is_folder = fs::metadata(from).map_err(failed)?.is_dir();
            let folder = if is_folder { Some(to.as_path()) } else { to.parent() };
            fs::create_dir_all(folder.unwrap_or(&root)).map_err(failed)?;
            if !is_folder {
                fs::File::create(&to).map_err(failed)?;
            }
            mount_bind_recursive(from, &to).map_err(|why| failed(why.into()))?;
        }
        Ok(())
    }
}
