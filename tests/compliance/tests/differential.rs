//! Starts every case with the original's programs (where they are) and with ours, and prints one line for each.
//!
//! `UNDER_TEST=ours` (the default without the original) compares ours with the original's recorded facts;
//! `UNDER_TEST=theirs` checks that the original still shows what was recorded; without the variable and with
//! `CORTEN_THEIRS` set, both. `RECORD=1` writes what is seen into `facts/`. `ONLY=text` picks cases by `TOPIC/CASE`.

use compliance::{
    case::{self, Case, Topic},
    facts::{Facts, Recorded},
    outer::{self, Programs, Shown},
    programs::{self, Side},
    verdict::{self, Verdict},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    process::ExitCode,
    thread,
    time::Instant,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for and says whether all is well.
fn run() -> Outcome<bool> {
    programs::need_root()?;
    let topics = picked(case::topics()?);
    let mut all_well = true;
    for side in sides()? {
        let folder = match side {
            Side::Theirs => programs::theirs()?.ok_or("UNDER_TEST=theirs needs CORTEN_THEIRS=FOLDER")?,
            Side::Ours => programs::ours()?,
        };
        let began = Instant::now();
        let seen = see(&topics, side, folder)?;
        let mut tally = Tally::default();
        for topic in &topics {
            settle(topic, side, &seen, &mut tally)?;
        }
        println!("{side:?}: {tally} in {} s", began.elapsed().as_secs());
        all_well &= tally.wrong == 0;
    }
    Ok(all_well)
}

fn sides() -> Outcome<Vec<Side>> {
    let under_test = env::var("UNDER_TEST").ok();
    Ok(match (under_test.as_deref(), programs::theirs()?) {
        (Some("theirs"), _) => vec![Side::Theirs],
        (Some("ours"), _) => vec![Side::Ours],
        (None, Some(_)) => vec![Side::Theirs, Side::Ours],
        (None, None) => {
            left_out::say("the original's programs", "CORTEN_THEIRS is not set; their recorded facts stand for them");
            vec![Side::Ours]
        }
        (Some(other), _) => return Err(format!("UNDER_TEST={other:?} is neither ours nor theirs").into()),
    })
}

fn picked(mut topics: Vec<Topic>) -> Vec<Topic> {
    let only = env::var("ONLY").unwrap_or_default();
    for topic in &mut topics {
        let name = topic.name.clone();
        topic.cases.retain(|case| key(&name, case).contains(&only));
    }
    topics
}

fn key(topic: &str, case: &Case) -> String {
    format!("{topic}/{}", case.name)
}

/// The facts of every case, by `TOPIC/CASE`. Machines run beside each other, the cases of one machine in order.
fn see(topics: &[Topic], side: Side, folder: String) -> Outcome<BTreeMap<String, Shown>> {
    let with = Programs {
        side,
        folder,
        inner: env!("CARGO_BIN_EXE_compliance").into(),
        probe: env!("CARGO_BIN_EXE_compliance-probe").into(),
    };
    let runs = thread::scope(|scope| {
        let start = |machine| {
            scope.spawn({
                let with = &with;
                move || on_machine(topics, machine, with)
            })
        };
        let running: Vec<_> = machines(topics, side).into_iter().map(start).collect();
        running
            .into_iter()
            .map(|run| run.join().unwrap_or_else(|_| Err("a machine's thread panicked".into())))
            .collect()
    });
    let runs: Outcome<Vec<BTreeMap<String, Shown>>> = runs;
    Ok(runs?.into_iter().flatten().collect())
}

fn applies(case: &Case, side: Side) -> bool {
    side == Side::Ours || case.theirs
}

fn machines(topics: &[Topic], side: Side) -> BTreeSet<&str> {
    let cases = topics.iter().flat_map(|topic| &topic.cases);
    cases.filter(|case| applies(case, side)).map(|case| case.machine.as_str()).collect()
}

fn on_machine(topics: &[Topic], machine: &str, with: &Programs) -> Outcome<BTreeMap<String, Shown>> {
    let (mut keys, mut cases) = (Vec::new(), Vec::new());
    for topic in topics {
        for case in topic.cases.iter().filter(|case| case.machine == machine && applies(case, with.side)) {
            keys.push(key(&topic.name, case));
            cases.push(case.clone());
        }
    }
    let work = tempfile::Builder::new().prefix("corten-compliance-").tempdir()?;
    // Containers with a user namespace must be able to walk to their root.
    std::fs::set_permissions(work.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let shown = outer::run(machine, &cases, with, work.path())?;
    Ok(keys.into_iter().zip(shown).collect())
}

/// Compares (or records) what one topic's cases showed.
fn settle(topic: &Topic, side: Side, seen: &BTreeMap<String, Shown>, tally: &mut Tally) -> Outcome<()> {
    if topic.cases.is_empty() {
        return Ok(());
    }
    let recorded = Recorded::load(&topic.name)?;
    let of = |case: &Case| seen.get(&key(&topic.name, case)).cloned();
    if env::var_os("RECORD").is_some() {
        return record(topic, side, recorded, &of);
    }
    for case in topic.cases.iter().filter(|case| applies(case, side)) {
        let Shown { facts, stderr } = of(case).ok_or_else(|| format!("{}: no facts", key(&topic.name, case)))?;
        let verdict = match (side, recorded.theirs(&case.name)) {
            (_, None) if case.theirs => Verdict::Wrong(vec![NOT_RECORDED.to_owned()]),
            (Side::Theirs, theirs) => {
                verdict::judge(&unexcused(case), &theirs.unwrap_or_default(), &facts, &Facts::new())
            }
            (Side::Ours, theirs) => {
                verdict::judge(case, &theirs.unwrap_or_default(), &facts, &recorded.ours(&case.name))
            }
        };
        tally.count(&key(&topic.name, case), &verdict, &stderr);
    }
    Ok(())
}

const NOT_RECORDED: &str = "nothing is recorded; run with RECORD=1 UNDER_TEST=theirs CORTEN_THEIRS=FOLDER";

/// The case without leave to differ: the original is compared with itself.
fn unexcused(case: &Case) -> Case {
    Case { differs: BTreeMap::new(), may_differ: BTreeMap::new(), ..case.clone() }
}

fn record(topic: &Topic, side: Side, old: Recorded, of: &dyn Fn(&Case) -> Option<Shown>) -> Outcome<()> {
    let known: Vec<&str> = topic.cases.iter().map(|case| case.name.as_str()).collect();
    let mut all: BTreeMap<String, Facts> =
        known.iter().filter_map(|case| Some(((*case).to_owned(), old.theirs(case)?))).collect();
    let fresh = topic.cases.iter().filter_map(|case| Some((case, of(case)?.facts)));
    let (fresh_theirs, fresh_ours) = match side {
        Side::Theirs => (fresh.collect(), Vec::new()),
        Side::Ours => (Vec::new(), fresh.collect::<Vec<_>>()),
    };
    all.extend(fresh_theirs.into_iter().map(|(case, facts): (&Case, Facts)| (case.name.clone(), facts)));
    let mut recorded = Recorded::of(&all);
    for case in known.iter().filter(|case| old.ours.contains_key(**case)) {
        recorded.settle(case, old.ours(case));
    }
    for (case, facts) in fresh_ours {
        recorded.settle(&case.name, verdict::settled(case, &facts));
    }
    recorded.save(&topic.name)?;
    println!("{}: recorded {} cases", topic.name, all.len());
    Ok(())
}

/// How many cases ended in which way.
#[derive(Default)]
struct Tally {
    same: usize,
    documented: usize,
    wrong: usize,
}

impl Tally {
    fn count(&mut self, key: &str, verdict: &Verdict, stderr: &str) {
        match verdict {
            Verdict::Same => {
                self.same += 1;
                println!("{key:<48} same");
            }
            Verdict::Documented(ids) => {
                self.documented += 1;
                println!("{key:<48} differs as documented: {}", ids.join(" "));
            }
            Verdict::Wrong(reasons) => {
                self.wrong += 1;
                println!("{key:<48} WRONG");
                let said = stderr.lines().map(|line| format!("it said: {line}"));
                reasons.iter().cloned().chain(said).for_each(|line| println!("    {line}"));
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { same, documented, wrong } = self;
        write!(
            f,
            "{} cases: {same} the same, {documented} differ as documented, {wrong} wrong",
            same + documented + wrong
        )
    }
}
