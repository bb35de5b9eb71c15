//! `cargo xtask fuzz`: libFuzzer on every fuzz target, for a short time by default, with the toolchain that is here.
//!
//! cargo-fuzz wants a nightly toolchain, because it links AddressSanitizer. What libFuzzer itself needs of the compiler, marks at
//! every branch and comparison, a stable one has as well (`-C passes`, `-C llvm-args`), and nearly all that is fuzzed forbids
//! `unsafe`. So this builds the same targets without cargo-fuzz; `cargo +nightly fuzz run TARGET` works beside it.

use crate::{
    dist,
    shell::{Outcome, cargo, run as run_command, say, workspace},
    system, unknown,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask fuzz [TARGET]... [--seconds N] [--seed N]

Builds the fuzz targets with libFuzzer and runs each for N seconds (20 if not said), as many at a time as there are
processors. A run begins with the inputs in fuzz/corpus and those that earlier runs have left in target/fuzz/corpus.
An input for which something does not hold is kept in target/fuzz/found and named.

With --seed a run is the same each time, as far as its seconds take it: it begins with fuzz/corpus alone and keeps
nothing. `cargo xtask test` does this, with seed 1 and 2 seconds.
";

/// How long a run takes and what it starts from.
#[derive(Clone, Copy)]
struct Plan {
    time: Duration,
    /// libFuzzer's own seed; without one it takes the clock, so that each run looks elsewhere.
    seed: Option<u32>,
}

const USUAL: Plan = Plan { time: Duration::from_secs(20), seed: None };

/// In `cargo xtask test`: a test that fails on one run and not on the next says nothing about the change it was run for.
const BRIEF: Plan = Plan { time: Duration::from_secs(2), seed: Some(1) };

/// What makes libFuzzer see which way the program went: the flags of cargo-fuzz, but for sanitizers.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Bounds for one input: bytes, seconds, megabytes. One that takes longer or more is a finding.
const BOUNDS: [&str; 3] = ["-max_len=16384", "-timeout=25", "-rss_limit_mb=1024"];

/// `cargo xtask fuzz`.
pub fn run(arguments: &[String]) -> Outcome {
    let (mut wanted, mut plan, mut words) = (Vec::new(), USUAL, arguments.iter());
    let known = targets()?;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let seconds = words.next().and_then(|word| word.parse().ok()).filter(|seconds| *seconds > 0);
                plan.time = Duration::from_secs(seconds.ok_or("--seconds: give a number of seconds")?);
            }
            "--seed" => {
                // To libFuzzer 0 is no seed.
                let seed = words.next().and_then(|word| word.parse().ok()).filter(|seed| *seed > 0);
                plan.seed = Some(seed.ok_or("--seed: give a number from 1")?);
            }
            name if known.iter().any(|known| known == name) => wanted.push(name.to_owned()),
            word if word.starts_with('-') => return Err(unknown(word)),
            name => return Err(format!("there is no target {name}: there are {}", known.join(", "))),
        }
    }
    run_all(if wanted.is_empty() { known } else { wanted }, plan)
}

/// Every target, for `cargo xtask test`.
pub fn run_briefly() -> Outcome {
    run_all(targets()?, BRIEF)
}

/// The targets: a file each.
fn targets() -> Result<Vec<String>, String> {
    let folder = workspace().join("fuzz/fuzz_targets");
    let failed = |why: std::io::Error| format!("could not list {}: {why}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    workspace().join("target/fuzz")
}

fn run_all(targets: Vec<String>, plan: Plan) -> Outcome {
    system::ensure(&[&system::CXX])?;
    say("building the fuzz targets");
    let programs = build()?;
    let fixed = plan.seed.is_some() && addresses_can_be_fixed();
    if plan.seed.is_some() && !fixed {
        say("addresses cannot be fixed here, so another run may try other inputs");
    }
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    say(&format!("fuzzing {} targets for {} s each, {at_once} at a time", targets.len(), plan.time.as_secs()));
    println!("{:14} {:>10} {:>8} {:>8}", "TARGET", "RUNS", "EDGES", "SECONDS");
    let (waiting, failures) = (Mutex::new(targets.into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if let Err(failure) = fuzz(&target, &programs, plan, fixed) {
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Builds all targets in one go; gives the folder of their programs.
fn build() -> Result<PathBuf, String> {
    let triple = dist::host_triple()?;
    let mut command = cargo();
    command.args(["build", "--quiet", "--locked", "--profile", "quick", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a target, the flags are not for build scripts and macros, which have no libFuzzer to report to.
    command.args(["--target", &triple, "--target-dir"]).arg(folder()).env("RUSTFLAGS", COVERAGE);
    run_command(&mut command)?;
    Ok(folder().join(triple).join("quick"))
}

/// One target; an error says what was found and how to see it again.
fn fuzz(target: &str, programs: &Path, plan: Plan, fixed: bool) -> Outcome {
    let found = folder().join("found");
    dist::make_folder(&found)?;
    let mut command = if fixed {
        // Addresses are a part of what libFuzzer goes by, and keys of some hash tables.
        let mut command = Command::new("setarch");
        command.arg("--addr-no-randomize").arg(programs.join(target));
        command
    } else {
        Command::new(programs.join(target))
    };
    command.args(BOUNDS).arg(format!("-max_total_time={}", plan.time.as_secs()));
    command.arg(format!("-artifact_prefix={}/{target}-", found.display()));
    // libFuzzer writes what it learns into the first folder, and looks there for what others learn.
    let learnt = match plan.seed {
        None => folder().join("corpus").join(target),
        Some(seed) => {
            command.arg(format!("-seed={seed}")).arg("-reload=0");
            let learnt = folder().join("seeded").join(target);
            // What an earlier run has left there, if any, would be learnt already.
            let _ = fs::remove_dir_all(&learnt);
            learnt
        }
    };
    dist::make_folder(&learnt)?;
    command.arg(&learnt).arg(workspace().join("fuzz/corpus").join(target));
    let begun = Instant::now();
    let done = command.output().map_err(|why| format!("could not start {target}: {why}"))?;
    let text = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        let tail: Vec<_> = text.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        return Err(format!(
            "{}\n{target}: something does not hold; see it again with {} FILE, where FILE is named above",
            tail.join("\n"),
            programs.join(target).display()
        ));
    }
    let runs = number_after(&text, "Done ").unwrap_or(0);
    println!(
        "{target:14} {runs:>10} {:>8} {:>8}",
        number_after(&text, "cov: ").unwrap_or(0),
        begun.elapsed().as_secs()
    );
    // A libFuzzer that ran nothing, or saw nothing of the program, tests nothing.
    match (runs, number_after(&text, "cov: ")) {
        (1.., Some(10..)) => Ok(()),
        _ => Err(format!("{target}: libFuzzer saw nothing of the program:\n{text}")),
    }
}

/// Whether personality(2) may be called with what turns the randomizing of addresses off. Docker's own seccomp profile forbids it.
fn addresses_can_be_fixed() -> bool {
    Command::new("setarch").args(["--addr-no-randomize", "true"]).status().is_ok_and(|status| status.success())
}

/// The number that follows the last occurrence of these words.
fn number_after(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(words)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
