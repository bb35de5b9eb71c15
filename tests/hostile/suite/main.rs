//! Every attack on every operation, and every attack on a build without the defence that it must meet.

use engines::place::{Place, System, inside};
use hostile::{
    attack::{ATTACK, Attack, Bite},
    cases,
    container::{self, RUNTIMES, Setting, Way},
    given,
    operation::{Failure, OPERATIONS, Operation},
    oracle, paused, preload,
    programs::Build,
    race::{self, Raced},
    runner::{Case, Runner},
    scarce,
    trial::{Ended, How, LITTLE_PATIENCE, PATIENCE, Trial},
};
use root::Defence;
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let place = Place { machine: "small", system: System::Own };
    Runner::main("hostile", place, inside().is_some(), all)
}

fn all() -> Vec<Case> {
    // Races take their time whatever else is done, and so begin first.
    let mut all: Vec<Case> = races().chain(exchanged()).collect();
    all.extend(cases::all().flat_map(attacked));
    all.extend(cases::all().flat_map(|attack| attack.bites.iter().map(move |bite| bitten(attack, bite))));
    all.extend(privileges().chain(loaders()).chain(scarcity()).chain([magic_links_alone()]));
    all.extend(ordinary());
    all.extend(cases::all().flat_map(in_containers));
    all
}

/// One case for each operation that meets the attack and each way to resolve paths.
fn attacked(attack: &'static Attack) -> impl Iterator<Item = Case> {
    let ways = [(How::Kernel, ""), (How::Walk, "_without_openat2")];
    let met = OPERATIONS.iter().filter(|operation| attack.met_by().contains(&operation.name));
    met.flat_map(move |operation| {
        ways.map(|(how, suffix)| {
            Case::new(format!("{}::{}{suffix}", attack.name, operation.name), move |folder| {
                let trial = Trial::run(folder, attack, operation, how, Build::Shipped, PATIENCE)?;
                oracle::judge(&trial)
            })
        })
    })
}

/// An image that does not attack is given its GPUs by what mounts them, or withstanding attacks would prove nothing.
fn ordinary() -> impl Iterator<Item = Case> {
    let configure = OPERATIONS.iter().filter(|operation| operation.says == Failure::OfCli);
    let trials = configure.flat_map(|operation| {
        [How::Kernel, How::Walk].map(|how| {
            Case::new(format!("an-ordinary-image::{}_{how:?}", operation.name), move |folder| {
                let trial = Trial::run(folder, &ORDINARY, operation, how, Build::Shipped, PATIENCE)?;
                oracle::judge(&trial)?;
                match (trial.ended, oracle::mounts(&trial)) {
                    (Some(Ended::Status(0)), MOUNTS..) => Ok(()),
                    seen => Err(format!("how it ended, and mounts: {seen:?}: {}", trial.text("stderr"))),
                }
            })
        })
    });
    let started = RUNTIMES.into_iter().map(|runtime| {
        let way = Way::Prestart;
        let setting = Setting { runtime, way, shim: Build::Shipped, hooks: Build::Shipped, bare: false };
        Case::new(format!("an-ordinary-image::{runtime}_prestart"), move |folder| {
            container::run(folder, &ORDINARY, &setting, true)
        })
    });
    trials.chain(started)
}

static ORDINARY: Attack = Attack { name: "an-ordinary-image", ..ATTACK };

/// The driver of the simulated machine has more files than that.
const MOUNTS: usize = 20;

/// The attack must succeed without these defences, in the way that it is made for; and must not with all of them, on the
/// same build.
fn bitten(attack: &'static Attack, bite: &'static Bite) -> Case {
    let off: Vec<_> = bite.off.iter().map(|defence| defence.name()).collect();
    Case::new(format!("{}::{}_bites_without_{}", attack.name, bite.operation, off.join("+")), move |folder| {
        let operation = Operation::named(bite.operation).ok_or("there is no such operation")?;
        let run = |name: &str, build, patience| -> Result<(), String> {
            let trial = Trial::run(&folder.join(name), attack, operation, How::Kernel, build, patience)?;
            oracle::judge(&trial)
        };
        run("with", Build::Without(&[]), PATIENCE).map_err(|why| format!("it succeeds with every defence: {why}"))?;
        let patience = if bite.sees.starts_with("it ") { LITTLE_PATIENCE } else { PATIENCE };
        match run("without", Build::Without(bite.off), patience) {
            Ok(()) => Err("the attack does not succeed: the test could not fail".to_owned()),
            Err(why) if why.starts_with(bite.sees) => Ok(()),
            Err(why) => Err(format!("it fails otherwise than by {:?}: {why}", bite.sees)),
        }
    })
}

/// The kernel's resolving in the root stops at links of procfs by itself. So that the flag that forbids them is known to do
/// something, it is tried alone.
fn magic_links_alone() -> Case {
    Case::new("magic-links::create-symlinks_holds_without_in-root".into(), |folder| {
        let attack = cases::all().find(|attack| attack.name == "magic-links").ok_or("there is no such attack")?;
        let operation = Operation::named("create-symlinks").ok_or("there is no such operation")?;
        oracle::judge(&Trial::run(
            folder,
            attack,
            operation,
            How::Kernel,
            Build::Without(&[Defence::InRoot]),
            PATIENCE,
        )?)
    })
}

/// What each hook has when it begins to work, with all defences and without the one.
fn privileges() -> impl Iterator<Item = Case> {
    let hooks = OPERATIONS.iter().filter(|operation| operation.is_hook());
    let held = hooks.map(|hook| {
        Case::new(format!("paused::{}", hook.name), move |folder| {
            let paused = paused::Paused::start(folder, hook, Build::Shipped)?;
            paused::PROPERTIES.iter().try_for_each(|(_, look)| look(&paused))
        })
    });
    let bites = paused::PROPERTIES.iter().map(|(defence, look)| {
        Case::new(format!("paused::chmod_bites_without_{}", defence.name()), move |folder| {
            let hook = Operation::named("chmod").ok_or("there is no such operation")?;
            let off: &'static [Defence] = std::slice::from_ref(defence);
            must_fail(look(&paused::Paused::start(folder, hook, Build::Without(off))?))
        })
    });
    held.chain(bites).chain([
        Case::new("cve-2024-21626::runtime".into(), |folder| {
            paused::runtime_gets_no_descriptor(folder, Build::Shipped)
        }),
        Case::new("cve-2024-21626::runtime_bites_without_close-on-exec".into(), |folder| {
            must_fail(paused::runtime_gets_no_descriptor(folder, Build::Without(&[Defence::CloseOnExec])))
        }),
        Case::new("cve-2024-21626::cli".into(), |folder| paused::cli_gets_no_descriptor(folder, Build::Shipped)),
        Case::new("cve-2024-21626::cli_bites_without_closed-files".into(), |folder| {
            must_fail(paused::cli_gets_no_descriptor(folder, Build::Without(&[Defence::ClosedFiles])))
        }),
    ])
}

fn must_fail(done: Result<(), String>) -> Result<(), String> {
    match done {
        Err(_) => Ok(()),
        Ok(()) => Err("the attack does not succeed: the test could not fail".to_owned()),
    }
}

/// CVE-2025-23266: code of the image that waits for a loader.
fn loaders() -> impl Iterator<Item = Case> {
    let started = preload::settings().into_iter().map(|(name, setting, sees)| {
        Case::new(format!("cve-2025-23266::{name}"), move |folder| preload::start(folder, &setting, sees))
    });
    started.chain([
        Case::new("cve-2025-23266::programs".into(), |folder| {
            preload::our_programs_load_nothing(folder, Build::Shipped)
        }),
        Case::new("cve-2025-23266::programs_bite_with_a_loader".into(), |folder| {
            must_fail(preload::our_programs_load_nothing(folder, Build::Without(&[])))
        }),
    ])
}

/// Operations that write into the root.
fn writers() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().filter(|operation| !["chmod", "disable-device-node-modification"].contains(&operation.name))
}

fn scarcity() -> impl Iterator<Item = Case> {
    let full = writers().map(|operation| {
        Case::new(format!("full-disk::{}", operation.name), move |folder| {
            scarce::full_disk(folder, operation, Build::Shipped)
        })
    });
    let fixed = OPERATIONS.iter().map(|operation| {
        Case::new(format!("cannot-be-changed::{}", operation.name), move |folder| {
            scarce::cannot_be_changed(folder, operation)
        })
    });
    let bites = ["create", "create-symlinks", "configure"].map(|name| {
        Case::new(format!("full-disk::{name}_bites_without_undo"), move |folder| {
            let operation = Operation::named(name).ok_or("there is no such operation")?;
            match scarce::full_disk(folder, operation, Build::Without(&[Defence::Undo])) {
                Err(why) if why.starts_with("half-done") => Ok(()),
                done => Err(format!("nothing half-done was left: {done:?}")),
            }
        })
    });
    full.chain(fixed).chain(bites)
}

/// Exchanges and runs that make a race one: what was measured is hundreds of thousands and hundreds. A run of the CLI takes a
/// dozen processes.
const EXCHANGES: u64 = 5_000;
const RUNS: u64 = 60;
const RUNS_OF_CLI: u64 = 20;

fn races() -> impl Iterator<Item = Case> {
    let all = OPERATIONS.iter().map(|operation| (operation.name, None));
    // Older kernels' ways: our own walk, and mounts by `mount(2)`.
    let lacking = [
        ("create-symlinks", Some("openat2")),
        ("update-ldcache", Some("openat2")),
        ("disable-device-node-modification", Some("fsopen")),
        ("configure", Some("openat2")),
        ("configure", Some("open_tree,fsopen,move_mount")),
    ];
    let held = all.chain(lacking).map(|(name, lacking)| {
        let suffix = lacking.map(|calls| format!("_without_{}", calls.replace(',', "+"))).unwrap_or_default();
        Case::new(format!("race::{name}{suffix}"), move |folder| {
            let operation = Operation::named(name).ok_or("there is no such operation")?;
            let raced = race::race(folder, operation, Build::Shipped, lacking)?;
            let least = if operation.says == Failure::OfCli { RUNS_OF_CLI } else { RUNS };
            match raced.escape {
                Some(why) => Err(why),
                None if raced.exchanges < EXCHANGES || raced.runs < least => {
                    Err(format!("that was no race: {raced:?}"))
                }
                None => {
                    println!("    ({name}{suffix}: {} runs, {} exchanges)", raced.runs, raced.exchanges);
                    Ok(())
                }
            }
        })
    });
    let bites = ["create", "create-symlinks", "configure"].map(|name| {
        Case::new(format!("race::{name}_bites_without_by-descriptor"), move |folder| {
            let operation = Operation::named(name).ok_or("there is no such operation")?;
            match race::race(folder, operation, Build::Without(&[Defence::ByDescriptor]), None)? {
                Raced { escape: Some(why), .. }
                    if ["outside changed", "mounted"].iter().any(|start| why.starts_with(start)) =>
                {
                    Ok(())
                }
                raced => Err(format!("what is looked up twice was not caught: {raced:?}")),
            }
        })
    });
    held.chain(bites)
}

/// What is given to the container's root user is what was made for him, and nothing that somebody put in its place.
fn exchanged() -> impl Iterator<Item = Case> {
    let raced = |name: &str, folder: &Path, build| {
        given::race(folder, Operation::named(name).ok_or("there is no such operation")?, build)
    };
    let makers = ["create", "create-symlinks", "update-application-profile"];
    let held = makers.map(|name| {
        Case::new(format!("given-away::{name}"), move |folder| match raced(name, folder, Build::Shipped)? {
            Raced { escape: Some(why), .. } => Err(why),
            Raced { exchanges: 0, .. } => Err("nothing was exchanged".to_owned()),
            raced => {
                println!("    ({name}: {} runs, {} exchanges of what was just made)", raced.runs, raced.exchanges);
                Ok(())
            }
        })
    });
    let bites = makers.map(|name| {
        Case::new(format!("given-away::{name}_bites_without_by-descriptor"), move |folder| {
            match raced(name, folder, Build::Without(&[Defence::ByDescriptor]))? {
                Raced { escape: Some(why), .. } if why.starts_with("given away") => Ok(()),
                raced => Err(format!("what is given away by its name was not caught: {raced:?}")),
            }
        })
    });
    held.into_iter().chain(bites)
}

/// Every attack in real containers: both low-level runtimes; the shim, the spec's hooks, and the prestart hook.
fn in_containers(attack: &'static Attack) -> impl Iterator<Item = Case> {
    let ways = [(Way::Shim, "shim"), (Way::Spec, "hooks"), (Way::Prestart, "prestart")];
    RUNTIMES.into_iter().flat_map(move |runtime| {
        ways.map(move |(way, name)| {
            let setting = Setting { runtime, way, shim: Build::Shipped, hooks: Build::Shipped, bare: false };
            Case::new(format!("{}::{runtime}_{name}", attack.name), move |folder| {
                container::run(folder, attack, &setting, false)
            })
        })
    })
}
