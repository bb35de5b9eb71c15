//! The attacks as images of Docker's: the engine of this distribution, with our shim as its runtime; and that of Debian
//! trixie, which reads our CDI specs and runs all of our hooks.

use engines::{
    Programs,
    cdi::Hooks,
    docker::Engine,
    place::{Place, System, folder as named_folder, inside},
};
use hostile::{
    attack::Attack,
    cases,
    image::{Image, Outward},
    outside, preload,
    runner::{Case, Runner},
    trial::{library, specification},
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

/// How a container gets its GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Shim,
    Hooks,
}

fn main() -> ExitCode {
    let own = Place { machine: "small", system: System::Own };
    let modern = Place { machine: "small", system: System::Trixie };
    let all = [("hostile-docker", own, Way::Shim), ("hostile-docker-hooks", modern, Way::Hooks)];
    let inside = inside();
    // Both are run, whatever becomes of the first.
    let chosen = all.iter().filter(|(name, ..)| inside.as_deref().is_none_or(|inside| inside == *name));
    let done: Vec<_> =
        chosen.map(|(name, place, way)| Runner::main(name, *place, inside.is_some(), || all_cases(*way))).collect();
    // A static is not dropped by itself, and the engine would stay.
    drop(ENGINE.lock().unwrap_or_else(PoisonError::into_inner).take());
    done.into_iter().find(|code| *code != ExitCode::SUCCESS).unwrap_or(ExitCode::SUCCESS)
}

/// Images that Docker itself would fill a disk with, as it does not know that a file has holes; and sockets, which tar does
/// not pack.
const NOT_FOR_DOCKER: [&str; 3] = ["ten-gigabytes", "libraries-of-ten-gigabytes", "sockets"];

/// One engine for all, and one image at a time.
static ENGINE: Mutex<Option<Engine>> = Mutex::new(None);

fn all_cases(way: Way) -> Vec<Case> {
    let attacks = cases::all().chain([&preload::ATTACK_23266]);
    let attacks = attacks.filter(|attack| !NOT_FOR_DOCKER.contains(&attack.name));
    let mut cases: Vec<_> =
        attacks.map(|attack| Case::new(attack.name.to_owned(), move |folder| in_docker(folder, attack, way))).collect();
    cases.push(Case::new("an-ordinary-image".to_owned(), move |folder| in_docker(folder, &ORDINARY, way)));
    cases
}

/// Nothing in it means harm: it must start, or the others prove nothing.
const ORDINARY: Attack = Attack { name: "an-ordinary-image", ..hostile::attack::ATTACK };

fn in_docker(folder: &Path, attack: &'static Attack, way: Way) -> Result<(), String> {
    let image = Image::make(folder, Outward::Absolute, &library()?);
    (attack.image)(&image);
    let probe = fs::read(named_folder("CORTEN_LAB")?.join("lab-probe-static")).map_err(|why| why.to_string())?;
    image.program("probe", probe);
    let before = outside::record(&image.outside("")).map_err(|why| why.to_string())?;

    let mut guard = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        let programs = Programs { bin: named_folder("CORTEN_BIN")?, lab: named_folder("CORTEN_LAB")? };
        *guard = Some(match way {
            Way::Shim => Engine::bare(&programs, "{}")?,
            Way::Hooks => Engine::start_with_cdi(&programs, Hooks::Ours)?,
        });
    }
    let engine = guard.as_ref().ok_or("there is no engine")?;
    engine.import(&image.path(""), "hostile")?;
    let mut words = vec!["run", "--rm", "--network", "none"];
    words.push(match way {
        Way::Shim => "--runtime=nvidia",
        Way::Hooks => "--device=nvidia.com/gpu=all",
    });
    let specification = specification();
    let variables: Vec<_> =
        specification["process"]["env"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    variables.iter().for_each(|variable| words.extend(["--env", *variable]));
    words.extend(["hostile", "/probe"]);
    let seen = engine.docker(&words)?;
    engine.must(&["rmi", "--force", "hostile"])?;
    drop(guard);

    let after = outside::record(&image.outside("")).map_err(|why| why.to_string())?;
    match outside::differences(&before, &after) {
        changed if changed.is_empty() => {}
        changed => return Err(format!("outside changed: {}", changed.join(", "))),
    }
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(|why| why.to_string())?;
    let outside = image.outside("").display().to_string();
    if let Some(line) = table.lines().find(|line| line.contains(outside.trim_end_matches('/'))) {
        return Err(format!("mounted: {line}"));
    }
    if seen.out.contains(outside::SECRET) {
        return Err(format!("the container sees what is outside: {}", seen.out));
    }
    match (attack.name == ORDINARY.name, seen.out.contains("\"/dev/nvidia0\"")) {
        (true, false) => Err(format!("an ordinary image has no GPU: {}{}", seen.out, seen.err)),
        _ => Ok(()),
    }
}
