//! Every attack on every operation, and every attack on a build without the defence that it must meet.

use engines::place::{Place, System, inside};
use hostile::{
    attack::{Attack, Bite},
    cases,
    operation::{OPERATIONS, Operation},
    oracle,
    programs::Build,
    runner::{Case, Runner},
    trial::{How, Trial},
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let place = Place { machine: "small", system: System::Own };
    Runner::main("hostile", place, inside().is_some(), all)
}

fn all() -> Vec<Case> {
    let attacks = cases::all().flat_map(attacked);
    let bites = cases::all().flat_map(|attack| attack.bites.iter().map(move |bite| bitten(attack, bite)));
    attacks.chain(bites).collect()
}

/// One case for each operation that meets the attack and each way to resolve paths.
fn attacked(attack: &'static Attack) -> impl Iterator<Item = Case> {
    let ways = [(How::Kernel, ""), (How::Walk, "_without_openat2")];
    let met = OPERATIONS.iter().filter(|operation| attack.met_by().contains(&operation.name));
    met.flat_map(move |operation| {
        ways.map(|(how, suffix)| {
            Case::new(format!("{}::{}{suffix}", attack.name, operation.name), move |folder| {
                let trial = Trial::run(folder, attack, operation, how, Build::Shipped)?;
                oracle::judge(&trial)
            })
        })
    })
}

/// The attack must succeed without these defences, in the way that it is made for; and must not with all of them, on the
/// same build.
fn bitten(attack: &'static Attack, bite: &'static Bite) -> Case {
    let off: Vec<_> = bite.off.iter().map(|defence| defence.name()).collect();
    Case::new(format!("{}::{}_bites_without_{}", attack.name, bite.operation, off.join("+")), move |folder| {
        let operation = Operation::named(bite.operation).ok_or("there is no such operation")?;
        let run = |name: &str, build| -> Result<(), String> {
            let trial = Trial::run(&folder.join(name), attack, operation, How::Kernel, build)?;
            oracle::judge(&trial)
        };
        run("with", Build::Without(&[])).map_err(|why| format!("it succeeds with every defence: {why}"))?;
        match run("without", Build::Without(bite.off)) {
            Ok(()) => Err("the attack does not succeed: the test could not fail".to_owned()),
            Err(why) if why.starts_with(bite.sees) => Ok(()),
            Err(why) => Err(format!("it fails otherwise than by {:?}: {why}", bite.sees)),
        }
    })
}
