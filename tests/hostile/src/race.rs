//! Images that change while we work in them: names are exchanged with links out, as fast as the kernel does that, while an
//! operation is run again and again (CVE-2026-24260, CVE-2025-23359, CVE-2021-30465).

use crate::{
    image::{Image, LIBRARIES, Outward},
    operation::{Operation, Stage},
    oracle::nothing_leaked,
    outside,
    programs::Build,
    trial::{fill_in, library, specification, state, variables, wait},
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long each operation is raced.
pub const TIME: Duration = Duration::from_secs(20);

/// An operation that does not end meanwhile waits for something.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was done in that time.
#[derive(Debug)]
pub struct Raced {
    /// Names exchanged.
    pub exchanges: u64,
    /// Times that the operation ran.
    pub runs: u64,
    /// What went wrong, if something did; then the race ended with it.
    pub escape: Option<String>,
}

/// Runs the operation, and says in a file what of the mounts that it made lies outside. `$M` as in `trial`.
const SCRIPT: &str = r#"
if [ "$M" = hook ] && [ -d "$R/proc" ]; then mount --bind "$D/params" "$R/proc/driver/nvidia/params" 2>/dev/null; fi
"$@" <"$D/state" >/dev/null 2>"$D/stderr"; status=$?
grep -F "$D/outside" /proc/self/mountinfo >>"$D/escaped"
exit $status
"#;

/// Names that lead to what an operation works on, and where their rivals lead.
const RIVALS: [(&str, &str); 10] = [
    (LIBRARIES, "lib"),
    ("usr/lib64", "lib"),
    ("usr", ""),
    ("etc", "etc"),
    ("etc/ld.so.conf.d", "etc/ld.so.conf.d"),
    ("etc/nvidia", "etc/nvidia"),
    ("dev/dri", "dev"),
    ("usr/local/cuda", ""),
    ("usr/local/cuda-12.8/compat", "compat"),
    ("proc/driver/nvidia", "proc/driver/nvidia"),
];

/// Races the operation for [`TIME`], or until something is reached that must not be.
///
/// # Errors
/// What kept the race from being run.
pub fn race(folder: &Path, operation: &Operation, build: Build) -> Result<Raced, String> {
    let image = Image::make(folder, Outward::Absolute, &library()?);
    image.file("proc/driver/nvidia/params", "");
    fs::create_dir_all(image.path("etc/nvidia")).map_err(|why| why.to_string())?;
    let rivals: Vec<_> = RIVALS
        .iter()
        .enumerate()
        .map(|(number, (at, outside))| {
            let beside = format!("rival{number}");
            image.link_out(&beside, outside);
            (image.path(at), image.path(&beside))
        })
        .collect();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).map_err(|why| format!("{name}: {why}"));
    write("state", &state(&folder.join("bundle")))?;
    write("params", "ModifyDeviceFiles: 1\n")?;
    write("config.toml", "[nvidia-container-runtime]\nruntimes = [\"/bin/true\"]\nmode = \"jit-cdi\"\n")?;
    let before = outside::record(&image.outside("")).map_err(|why| why.to_string())?;

    let (over, exchanges) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut raced = Raced { exchanges: 0, runs: 0, escape: None };
    let done = thread::scope(|scope| {
        scope.spawn(|| exchange(&rivals, &over, &exchanges));
        let done = runs(&image, operation, build, &before, &mut raced);
        over.store(true, Ordering::Relaxed);
        done
    });
    raced.exchanges = exchanges.into_inner();
    done.map(|()| raced)
}

/// Exchanges every name with its rival, again and again. One that is gone for the moment is another's turn.
fn exchange(rivals: &[(PathBuf, PathBuf)], over: &AtomicBool, exchanges: &AtomicU64) {
    // Inner names first: an outer one takes them away for half of the time.
    for turn in 0_u64.. {
        for (number, (name, rival)) in rivals.iter().enumerate() {
            // Each at a rhythm of its own, so that all combinations come about.
            if turn % (number as u64 + 1) == 0 && renameat_with(CWD, name, CWD, rival, RenameFlags::EXCHANGE).is_ok() {
                exchanges.fetch_add(1, Ordering::Relaxed);
            }
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn runs(
    image: &Image,
    operation: &Operation,
    build: Build,
    before: &outside::Record,
    raced: &mut Raced,
) -> Result<(), String> {
    let program = build.folder()?.join(operation.program);
    let deadline = Instant::now() + TIME;
    while Instant::now() < deadline {
        fs::write(image.folder.join("bundle/config.json"), specification().to_string())
            .map_err(|why| why.to_string())?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT, "sh"]).arg(&program);
        command.args(operation.args.iter().map(|word| fill_in(word, &image.folder)));
        command.envs(variables(&image.folder)).env("M", if operation.stage == Stage::Hook { "hook" } else { "" });
        command.env("CORTEN_UNDEFENDED", build.switched_off());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = wait(&mut command.spawn().map_err(|why| why.to_string())?, PATIENCE)?;
        raced.runs += 1;
        raced.escape = escaped(image, ended, before);
        if raced.escape.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

fn escaped(image: &Image, ended: Option<crate::trial::Ended>, before: &outside::Record) -> Option<String> {
    use crate::trial::Ended;
    let said = fs::read_to_string(image.folder.join("stderr")).unwrap_or_default();
    match ended {
        Some(Ended::Status(0)) => {}
        Some(Ended::Status(1)) if said.lines().last().is_some_and(|line| line.contains("[CORTEN-E")) => {}
        ended => return Some(format!("it ended with {ended:?}: {said}")),
    }
    let after = outside::record(&image.outside("")).unwrap_or_default();
    let changed = outside::differences(before, &after);
    if !changed.is_empty() {
        return Some(format!("outside changed: {}", changed.join(", ")));
    }
    match fs::read_to_string(image.folder.join("escaped")).unwrap_or_default() {
        mounts if mounts.is_empty() => nothing_leaked(&image.path("")).err(),
        mounts => Some(format!("mounted: {mounts}")),
    }
}
