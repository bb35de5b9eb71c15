//! What `nvidia-ctk cdi generate` costs on the lab's machine with eight GPUs.

use super::{
    contest::{Contest, Contestant, Row},
    theirs,
};
use crate::{
    dist,
    shell::{Outcome, say},
};
use std::{fs, io::ErrorKind, path::Path, process::Command};

/// Where answers are kept between two calls.
const KEPT: &str = "/run/corten";

/// The rows of the table.
pub fn measure(runs: u32) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (what, flags, before) in [
        // These GPUs have a MIG mode and no MIG device, so that NVML is asked each time (docs/differences.md, D-96).
        ("`cdi generate`, NVML asked", &[][..], Before::Nothing),
        ("the same, nothing kept", &[], Before::ForgetAll),
        ("each GPU named by its index, NVML not asked", &["--device-id=0,1,2,3,4,5,6,7"], Before::Nothing),
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
    ForgetAll,
}

impl Before {
    fn make(self) -> Outcome {
        match self {
            Before::Nothing => Ok(()),
            Before::ForgetAll => match fs::remove_dir_all(KEPT) {
                Err(why) if why.kind() != ErrorKind::NotFound => Err(format!("could not clear {KEPT}: {why}")),
                _ => Ok(()),
            },
        }
    }
}
