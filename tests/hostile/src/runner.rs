//! Runs cases, a few at a time, on the simulated machine: each waits for processes most of the time.

use engines::place::Place;
use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many at a time.
const AT_ONCE: usize = 6;

type Body = Box<dyn Fn(&Path) -> Result<(), String> + Send + Sync>;

/// One test.
pub struct Case {
    name: String,
    body: Body,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Case {
    /// A test of that name. It gets a folder that does not exist yet and is removed afterwards.
    pub fn new(name: String, body: impl Fn(&Path) -> Result<(), String> + Send + Sync + 'static) -> Case {
        Case { name, body: Box::new(body) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Runs cases and says what became of them.
#[derive(Debug)]
pub struct Runner {
    suite: &'static str,
    folder: PathBuf,
}

impl Runner {
    /// The `main` of a test program: enters the machine, or, if that is done, runs there what the command line's filter
    /// names.
    pub fn main(
        suite: &'static str,
        place: Place,
        on_the_machine: bool,
        cases: impl FnOnce() -> Vec<Case>,
    ) -> ExitCode {
        let words: Vec<_> = env::args().skip(1).collect();
        let filter = words.iter().find(|word| !word.starts_with('-'));
        let chosen: Vec<_> =
            cases().into_iter().filter(|case| filter.is_none_or(|part| case.name.contains(part.as_str()))).collect();
        if words.iter().any(|word| word == "--list") {
            chosen.iter().for_each(|case| println!("{}: test", case.name));
            return ExitCode::SUCCESS;
        }
        let done = match (chosen.is_empty(), on_the_machine) {
            (true, _) => Ok(true),
            (false, false) => place.enter(suite),
            (false, true) => Runner::new(suite).and_then(|runner| runner.run(&chosen)),
        };
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("{suite}: {why}");
                ExitCode::FAILURE
            }
        }
    }

    fn new(suite: &'static str) -> Result<Runner, String> {
        let folder = env::temp_dir().join(format!("corten-{suite}-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        Ok(Runner { suite, folder })
    }

    fn run(&self, cases: &[Case]) -> Result<bool, String> {
        let (next, failed, out) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(()));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some((number, case)) = {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        cases.get(number).map(|case| (number, case))
                    } {
                        let folder = self.folder.join(number.to_string());
                        let done = catch_unwind(AssertUnwindSafe(|| (case.body)(&folder)))
                            .unwrap_or_else(|panic| Err(said(&*panic)));
                        let guard = out.lock();
                        match &done {
                            Ok(()) => println!("test {}::{} ... ok", self.suite, case.name),
                            Err(why) => {
                                failed.fetch_add(1, Ordering::Relaxed);
                                let why = why.replace('\n', "\n    ");
                                println!("test {}::{} ... FAILED\n    {why}", self.suite, case.name);
                            }
                        }
                        drop(guard);
                        if env::var_os("CORTEN_HOSTILE_KEEP").is_none() {
                            let _ = fs::remove_dir_all(folder);
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner();
        println!("\n{}: {} passed, {failed} failed", self.suite, cases.len() - failed);
        Ok(failed == 0)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}
