//! `cargo xtask hostile`: the suite of images that attack (`docs/security.md`), and the build that they must succeed against.
//!
//! That build has every defence under a switch and is linked dynamically, since being static is a defence too. It lies in
//! a folder of its own, so that nothing that is installed is ever built with its feature.

use crate::{
    dist,
    shell::{Outcome, output, say, workspace},
    system, test, unknown,
};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask hostile [FILTER]

Runs the suite of images that attack: every known escape of this class of programs and its neighbours, against the shim
and each hook, under runc, crun and Docker. FILTER is a part of an attack's, an operation's or a defence's name;
`--list` is no part of one, and lists them.
";

/// What the suite needs from the distribution.
pub const NEEDS: [&system::Need; 4] = [&system::RUNC, &system::CRUN, &system::DOCKER, &system::STRACE];

/// `cargo xtask hostile`.
pub fn run(arguments: &[String]) -> Outcome {
    let (options, filters): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|word| word.starts_with('-'));
    let surplus = options.iter().find(|option| **option != "--list").or(filters.get(1));
    if let Some(word) = surplus {
        return Err(unknown(word));
    }
    system::ensure(&NEEDS)?;
    dist::run_all()?;
    build()?;
    if let Some(filter) = filters.first() {
        refuse_to_do_nothing(filter)?;
    }
    say("attacking");
    let mut suite = test::command()?;
    suite.args(["--package", "corten-hostile", "--no-fail-fast", "--"]).args(arguments);
    match options.is_empty() {
        true => test::telling_what_is_left_out(|| crate::shell::run(&mut suite)),
        false => crate::shell::run(&mut suite),
    }
}

/// Each suite by itself is content when a filter names nothing in it, as another may have what it names.
fn refuse_to_do_nothing(filter: &str) -> Outcome {
    let mut list = test::command()?;
    list.args([
        "--quiet",
        "--package",
        "corten-hostile",
        "--test",
        "suite",
        "--test",
        "docker",
        "--",
        filter,
        "--list",
    ]);
    match output(&mut list)?.lines().any(|line| line.ends_with(": test")) {
        true => Ok(()),
        false => Err(format!("no attack, operation or defence has {filter:?} in its name; see --list")),
    }
}

/// The folder of the programs that can be attacked.
pub fn folder() -> PathBuf {
    workspace().join("target/undefended/bin")
}

/// Builds them.
pub fn build() -> Outcome {
    say("building the programs that are attacked without their defences");
    let built = workspace().join("target/undefended");
    dist::build_with(&built, "lab", &["corten"], None, &["corten/undefended"])?;
    dist::make_folder(&folder())?;
    dist::install(&built.join("lab/corten"), &folder().join("corten"))?;
    link_helper()?;
    dist::link_programs(&folder())
}

/// The helper that asks NVML is looked for beside the executable; it has no defence of this kind.
fn link_helper() -> Outcome {
    let helper = folder().join("corten-nvml");
    let _ = std::fs::remove_file(&helper);
    let to: &Path = &dist::folder().join("bin/corten-nvml");
    symlink(to, &helper).map_err(|why| format!("could not link {}: {why}", helper.display()))
}
