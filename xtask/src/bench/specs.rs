//! What `nvidia-ctk cdi generate` costs on the lab's machine with eight GPUs.

use super::{
    contest::{Contest, Contestant, Row},
    theirs,
};
use crate::{
    dist,
    shell::{Outcome, say},
};
use std::{fs, path::Path, process::Command};

/// Where answers are kept between two calls.
const KEPT: &str = "/run/corten";

/// The rows of the table.
pub fn measure(runs: u32) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (what, flags, before) in [
        ("`cdi generate`, NVML's answer kept", &[][..], Before::Nothing),
        ("the same, NVML asked", &[], Before::ForgetNvml),
        ("the same, nothing kept", &[], Before::ForgetAll),
        ("`cdi generate --mode=management`", &["--mode=management"], Before::Nothing),
    ] {
        say(&format!("measuring: {what}"));
        let ours = dist::folder().join("bin/nvidia-ctk");
        let contest = Contest::of(Contestant::new(Command::new(super::NOTHING), flags))
            .against(generate(&ours, flags).before(move || before.make()))
            .against_some(theirs().map(|folder| generate(&folder.join("nvidia-ctk"), flags)));
        rows.push(contest.run(runs)?.named(what));
    }
    Ok(rows)
}

fn generate<'a>(program: &Path, flags: &[&str]) -> Contestant<'a> {
    let words = ["--quiet", "cdi", "generate", "--nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook"];
    Contestant::new(Command::new(program), &[&words[..], flags].concat())
}

/// What is forgotten before a run.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    ForgetNvml,
    ForgetAll,
}

impl Before {
    fn make(self) -> Outcome {
        let gone = match self {
            Before::Nothing => return Ok(()),
            Before::ForgetNvml => fs::remove_file(Path::new(KEPT).join("nvml.json")),
            Before::ForgetAll => fs::remove_dir_all(KEPT),
        };
        match gone {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(format!("could not clear {KEPT}: {why}")),
            _ => Ok(()),
        }
    }
}
