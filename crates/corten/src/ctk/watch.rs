//! `nvidia-ctk cdi watch`: one small process that refreshes the specification whenever this machine changes.
//!
//! Changes come from several sides: a driver is installed or removed (files), its modules are loaded or unloaded and GPUs
//! bound and unbound (events of the kernel), GPUs are cut into MIG devices. Of the last the kernel tells nobody. Programs
//! that make a MIG device make its capability nodes, mostly; nobody removes nodes; and procfs, the only place where all of
//! it shows, cannot be watched. So what can be watched ([`sources`]) only decides when to look, and a look is also taken
//! every few seconds ([`rhythm`]). A look costs about a millisecond. The specification is made only when it differs from
//! the last, by the same code as `cdi refresh`; and again while NVML is behind the kernel or not well, ever more rarely.

mod rhythm;
mod sources;

use super::{
    flags::{Flag, Values, join},
    refresh::{self, Attempt, Task, sight::Sight},
};
use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use rhythm::{Rhythm, Trouble};
use root::signals::EndSignals;
use sources::Sources;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Those of refresh, and how fast to be.
pub const FLAGS: &[Flag] = &join::<{ OWN.len() + refresh::FLAGS.len() }>(OWN, refresh::FLAGS);

const OWN: &[Flag] = &[
    Flag::text("interval", "NVIDIA_CTK_CDI_WATCH_INTERVAL", "look every so many seconds, whatever happens")
        .by_default("10"),
    Flag::text("settle", "NVIDIA_CTK_CDI_WATCH_SETTLE", "look when nothing has happened for so many seconds")
        .by_default("0.5"),
    Flag::text(
        "at-most",
        "NVIDIA_CTK_CDI_WATCH_AT_MOST",
        "look so many seconds after something happened, even if more does",
    )
    .by_default("5"),
];

/// Watches until it is told to end.
pub fn run(values: &Values) -> Result<()> {
    let failed = |error: std::io::Error| Fault::new(Code::WatchFailed, format!("cannot watch this machine: {error}"));
    let rhythm = Rhythm {
        interval: seconds(values, "interval")?,
        settle: seconds(values, "settle")?,
        at_most: seconds(values, "at-most")?,
    };
    // Mistakes in what never changes end it here; later failures may pass.
    let task = Task::of(values)?;
    let ending = EndSignals::catch().map_err(failed)?;
    let mut sources = Sources::open();
    let mut watch = Watch { task, rhythm, last: None, pending: None, complaint: String::new() };
    log::debug!("watching");
    loop {
        // Before the look, so that nothing in between is missed.
        sources.watch(&watch.folders());
        watch.look();
        sources.watch(&watch.folders());
        if sources.wait(&rhythm, watch.due(), &ending).map_err(failed)? {
            return Ok(());
        }
    }
}

struct Watch<'a> {
    task: Task<'a>,
    rhythm: Rhythm,
    /// What the specification was made of, if it is what it should be.
    last: Option<Sight>,
    /// Otherwise: what it could not be made of.
    pending: Option<Pending>,
    /// What was last complained about.
    complaint: String,
}

/// A specification that could not be made, or will soon be another although the machine looks the same.
struct Pending {
    sight: Option<Sight>,
    /// How often in a row it was tried with this sight.
    attempts: u32,
    /// When it is to be tried again, if the machine looks the same.
    due: Instant,
}

impl Watch<'_> {
    /// Looks at the machine, and refreshes where it is not as before.
    fn look(&mut self) {
        let sight = match self.task.look() {
            Ok(sight) => sight,
            Err(fault) => return self.fail(None, &fault),
        };
        if self.last.as_ref() == Some(&sight) {
            return log::debug!("looked: nothing has changed");
        }
        let tried = self.pending.as_ref().filter(|pending| pending.sight.as_ref() == Some(&sight));
        // Whatever has happened: to ask NVML can be an event itself, where it makes nodes.
        if tried.is_some_and(|pending| Instant::now() < pending.due) {
            return log::debug!("looked: nothing has changed, and it is too early to try again");
        }
        let attempt = if tried.is_some() { Attempt::Again } else { Attempt::First };
        match self.task.once(attempt) {
            Ok(refreshed) => {
                refreshed.outcome.tell(&self.task.file);
                if !refreshed.settled {
                    log::debug!("NVML does not list what the kernel lists; trying again");
                    return self.put_off(Some(refreshed.sight), Trouble::MayPass);
                }
                if !self.complaint.is_empty() {
                    log::info!("{}: as it should be again", self.task.file.display());
                }
                self.complaint = String::new();
                // What was seen before: if the machine has changed since, the next look finds that.
                (self.last, self.pending) = (Some(refreshed.sight), None);
            }
            Err(fault) => self.fail(Some(sight), &fault),
        }
    }

    /// Says why, once. The file that is there stays: it was right a moment ago.
    fn fail(&mut self, sight: Option<Sight>, fault: &Fault) {
        self.put_off(sight, if refresh::may_pass(fault) { Trouble::MayPass } else { Trouble::Other });
        let complaint = fault.to_string();
        if complaint == self.complaint {
            return log::debug!("still so: {complaint}");
        }
        log::error!("{complaint}");
        self.complaint = complaint;
    }

    fn put_off(&mut self, sight: Option<Sight>, trouble: Trouble) {
        let before = self.pending.take().filter(|pending| pending.sight == sight);
        let attempts = before.map_or(0, |pending| pending.attempts).saturating_add(1);
        let due = Instant::now() + self.rhythm.again(trouble, attempts);
        (self.last, self.pending) = (None, Some(Pending { sight, attempts, due }));
    }

    /// When to look, if nothing happens.
    fn due(&self) -> Instant {
        let regular = Instant::now() + self.rhythm.interval;
        self.pending.as_ref().map_or(regular, |pending| regular.min(pending.due))
    }

    /// Folders whose content is part of a sight: those of device nodes, of the loader's cache, and of the driver's files.
    fn folders(&self) -> Vec<PathBuf> {
        let dev = self.task.roots.dev.join("dev");
        let fixed = ["nvidia-caps", "nvidia-caps-imex-channels", "dri", "infiniband"].map(|name| dev.join(name));
        let seen = self.last.as_ref().or(self.pending.as_ref().and_then(|pending| pending.sight.as_ref()));
        let files = seen.and_then(Sight::driver).into_iter().flat_map(|driver| &driver.files);
        let folders = fixed.into_iter().chain([dev, self.task.roots.driver.join("etc")]);
        let mut folders: Vec<_> =
            folders.chain(files.map(|file| file.host.parent())).map(|folder| folder.as_path().to_owned()).collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

fn seconds(values: &Values, flag: &str) -> Result<Duration> {
    let text = values.text(flag);
    let number = text.parse().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    // A day is longer than anybody waits, and zero would never rest.
    number.filter(|time| (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(time)).ok_or_else(|| {
        Fault::new(Code::Usage, format!("invalid value for --{flag}: {text:?}")).next("Give a number of seconds")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_of_seconds() {
        let given = |line: &str| {
            let mut values = Values::new(line.split_whitespace().map(str::to_owned).collect());
            values.take(FLAGS, &[], |_| None).unwrap();
            seconds(&values, "settle")
        };
        assert_eq!(given("").unwrap(), Duration::from_millis(500));
        assert_eq!(given("--settle=3").unwrap(), Duration::from_secs(3));
        for bad in ["0", "-1", "x", "inf", "nan", "1e300", "1s", "86401"] {
            assert_eq!(given(&format!("--settle={bad}")).unwrap_err().code(), Code::Usage, "{bad}");
        }
    }
}
