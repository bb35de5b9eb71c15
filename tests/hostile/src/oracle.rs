//! What must hold after every operation, whatever the image: the operation ends, well or with one line that says why;
//! and nothing outside the image was changed, opened, mounted or executed, nor got into it.

use crate::{
    image::Image,
    operation::Operation,
    outside::{self, SECRET},
    sources::{self, Line, table},
    trial::{Ended, Trial},
};
use serde_json::Value;
use std::{collections::HashSet, fs, path::Path, time::SystemTime};

/// `Err` says what does not hold.
///
/// # Errors
/// See above.
pub fn judge(trial: &Trial) -> Result<(), String> {
    ended_well(trial)?;
    outside_is_as_before(trial)?;
    nothing_mounted(trial)?;
    nothing_opened(trial)?;
    nothing_executed(trial)?;
    sources_are_the_hosts(trial)?;
    nothing_leaked(&trial.image)?;
    (trial.attack.holds)(trial)
}

/// It ended by itself, with success or with one line that says why.
fn ended_well(trial: &Trial) -> Result<(), String> {
    let said = trial.text("stderr");
    match trial.ended {
        None => Err("it did not end".to_owned()),
        Some(Ended::Status(0)) => Ok(()),
        Some(Ended::Status(1)) => match trial.operation.failed_in_one_line(&said) {
            true => Ok(()),
            false => Err(format!("it failed without the one line that says why: {said}")),
        },
        Some(ended) => Err(format!("it ended with {ended:?}: {said}")),
    }
}

/// Nothing outside was made, changed or removed.
fn outside_is_as_before(trial: &Trial) -> Result<(), String> {
    let after = outside::record(&trial.image.outside("")).map_err(|why| why.to_string())?;
    match outside::differences(&trial.outside, &after) {
        paths if paths.is_empty() => Ok(()),
        paths => Err(format!("outside changed: {}", paths.join(", "))),
    }
}

/// No descriptor ever led outside: strace decorates each with its path.
fn nothing_opened(trial: &Trial) -> Result<(), String> {
    let outside = format!("<{}", trial.image.folder.join("outside").display());
    match trial.text("trace").lines().find(|line| line.contains(&outside)) {
        None => Ok(()),
        Some(line) => Err(format!("opened outside: {line}")),
    }
}

/// Only what the operation is there to execute was executed, and nothing that lies in the image.
fn nothing_executed(trial: &Trial) -> Result<(), String> {
    let trace = trial.text("trace");
    if trace.is_empty() {
        return Err("nothing was traced".to_owned());
    }
    let executed =
        trace.lines().filter_map(|line| line.split_once("execve(\"").or_else(|| line.split_once("execveat(")));
    let allowed = |program: &str| is_allowed(trial.operation, program, &trial.image.folder);
    let odd = executed.map(|(_, rest)| rest.split('"').next().unwrap_or_default()).find(|program| !allowed(program));
    match odd {
        None => nothing_executed_inside(&trace),
        Some(program) => Err(format!("executed {program}")),
    }
}

/// Nothing was executed after a container's namespace had been entered: what runs there can be looked at, and overwritten,
/// from there (CVE-2019-5736, CVE-2024-0135).
fn nothing_executed_inside(trace: &str) -> Result<(), String> {
    let mut after = trace.lines().skip_while(|line| !line.contains(" setns("));
    match after.find(|line| line.contains(" execve")) {
        None => Ok(()),
        Some(line) => Err(format!("executed after the container's namespace was entered: {line}")),
    }
}

fn is_allowed(operation: &Operation, program: &str, folder: &Path) -> bool {
    let program = Path::new(program);
    let name = program.file_name().unwrap_or_default();
    !program.starts_with(folder) && operation.executes.iter().any(|known| name == *known)
}

/// What was mounted lies over the image, and is the driver's or new; where the operation failed, nothing stays mounted.
fn nothing_mounted(trial: &Trial) -> Result<(), String> {
    let (before, after) = (trial.text("mounts.before"), trial.text("mounts.after"));
    if after.is_empty() && trial.ended.is_some() {
        return Err("the mounts were not recorded".to_owned());
    }
    if let Some(line) = new_mounts(&trial.text("host.before"), &trial.text("host.after")).first() {
        return Err(format!("mounted on the host: {}", line.text));
    }
    let folder = trial.image.folder.display().to_string();
    let inside = format!("{folder}/bundle/rootfs/");
    let outside = format!("{folder}/outside");
    let new = new_mounts(&before, &after);
    if let Some(line) = new.iter().find(|line| !line.place.starts_with(&inside) || line.text.contains(&outside)) {
        return Err(format!("mounted: {}", line.text));
    }
    match new.first().filter(|_| trial.ended == Some(Ended::Status(1))) {
        None => sources::judge(trial, &new),
        Some(line) => Err(format!("it failed and left a mount: {}", line.text)),
    }
}

/// How many mounts the container has got.
pub fn mounts(trial: &Trial) -> usize {
    new_mounts(&trial.text("mounts.before"), &trial.text("mounts.after")).len()
}

/// By number: a mount of somebody else's may have another path by now, as a race may go on beside this trial.
fn new_mounts<'a>(before: &str, after: &'a str) -> Vec<Line<'a>> {
    let known: HashSet<_> = table(before).map(|line| line.number.to_owned()).collect();
    table(after).filter(|line| !known.contains(line.number)).collect()
}

/// No source of a mount, and no hook, in `config.json` lies in the image or outside it.
fn sources_are_the_hosts(trial: &Trial) -> Result<(), String> {
    let document: Value =
        serde_json::from_str(&trial.text("bundle/config.json")).map_err(|why| format!("config.json: {why}"))?;
    let mounts = document["mounts"].as_array().into_iter().flatten().filter_map(|mount| mount["source"].as_str());
    let hooks = document["hooks"].as_object().into_iter().flat_map(|hooks| hooks.values());
    let hooks = hooks.filter_map(Value::as_array).flatten().filter_map(|hook| hook["path"].as_str());
    let odd = mounts.chain(hooks).find(|path| {
        let real = fs::canonicalize(path).unwrap_or_else(|_| Path::new(path).to_owned());
        real.starts_with(&trial.image.folder) || Path::new(path).starts_with(&trial.image.folder)
    });
    match odd {
        None => Ok(()),
        Some(path) => Err(format!("a source in the image: {path}")),
    }
}

/// No file that was written since the image was made says what only files outside say.
///
/// # Errors
/// The file's path.
pub fn nothing_leaked(image: &Image) -> Result<(), String> {
    look_through(&image.path(""), image.made)
}

fn look_through(folder: &Path, since: SystemTime) -> Result<(), String> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(status)) = (entry.path(), fs::symlink_metadata(entry.path())) else { continue };
        let written = status.modified().is_ok_and(|time| time >= since);
        if status.is_dir() {
            look_through(&path, since)?;
        } else if status.is_file() && written && status.len() < 8 << 20 {
            let content = fs::read(&path).unwrap_or_default();
            if content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
                return Err(format!("leaked: {} says what only files outside say", path.display()));
            }
        }
    }
    Ok(())
}
