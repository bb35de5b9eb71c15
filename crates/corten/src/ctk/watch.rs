//! `nvidia-ctk cdi watch`: one small process that refreshes the specification whenever this machine changes.
//!
//! Changes come from several sides: a driver is installed or removed (files), its modules are loaded or unloaded and GPUs
//! bound and unbound (events of the kernel), GPUs are cut into MIG devices. Of the last the kernel tells nobody. Programs
//! that make a MIG device make its capability nodes, mostly; nobody removes nodes; and procfs, the only place where all of
//! it shows, cannot be watched. So what can be watched ([`sources`]) only decides when to look, and a look is also taken
//! every few seconds ([`rhythm`]). A look costs about a millisecond. The specification is made only when it differs from the
//! last, by the same code as `cdi refresh`.

mod rhythm;
mod sources;

use super::{
    flags::{Flag, Values},
    generate::places,
    refresh,
};
use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
};
use host::{Capabilities, Fingerprint, Inventory, Roots, Wanted};
use rhythm::Rhythm;
use root::signals::EndSignals;
use sources::Sources;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const FLAG_COUNT: usize = refresh::FLAGS.len() + 3;
/// Those of refresh, and how fast to be.
pub const FLAGS: &[Flag] = &own_flags();

const fn own_flags() -> [Flag; FLAG_COUNT] {
    let interval =
        Flag::text("interval", "NVIDIA_CTK_CDI_WATCH_INTERVAL", "look every so many seconds, whatever happens")
            .by_default("10");
    let settle =
        Flag::text("settle", "NVIDIA_CTK_CDI_WATCH_SETTLE", "look when nothing has happened for so many seconds")
            .by_default("0.5");
    let at_most = Flag::text(
        "at-most",
        "NVIDIA_CTK_CDI_WATCH_AT_MOST",
        "look so many seconds after something happened, even if more does",
    )
    .by_default("5");
    let mut flags = [interval; FLAG_COUNT];
    (flags[1], flags[2]) = (settle, at_most);
    let mut i = 3;
    while i < FLAG_COUNT {
        flags[i] = refresh::FLAGS[i - 3];
        i += 1;
    }
    flags
}

/// What a look sees: as long as it is the same, so is the specification.
#[derive(PartialEq)]
struct Sight {
    inventory: Inventory,
    fingerprint: Fingerprint,
}

/// Watches until it is told to end.
pub fn run(values: &Values) -> Result<()> {
    let failed = |error: std::io::Error| Fault::new(Code::WatchFailed, format!("cannot watch this machine: {error}"));
    let rhythm = Rhythm {
        interval: seconds(values, "interval")?,
        settle: seconds(values, "settle")?,
        at_most: seconds(values, "at-most")?,
    };
    // Mistakes in what never changes end it here; later failures may pass.
    let roots = places::roots(values, &places::config(values)?)?;
    let ending = EndSignals::catch().map_err(failed)?;
    let mut sources = Sources::open();
    let mut watch = Watch { values, roots, last: None, complaint: String::new(), failures: 0 };
    log::debug!("watching");
    loop {
        // Before the look, so that nothing in between is missed.
        sources.watch(&watch.folders());
        watch.look();
        sources.watch(&watch.folders());
        let due = Instant::now() + rhythm.next(watch.failures);
        if sources.wait(&rhythm, due, &ending).map_err(failed)? {
            return Ok(());
        }
    }
}

struct Watch<'a> {
    values: &'a Values,
    roots: Roots,
    /// What the specification was made of. `None`: it has to be made, or could not be.
    last: Option<Sight>,
    /// What was last complained about.
    complaint: String,
    /// How often in a row it could not be made.
    failures: u32,
}

impl Watch<'_> {
    /// Looks at the machine, and refreshes where it is not as before.
    fn look(&mut self) {
        let sight = match self.sight() {
            Ok(sight) => sight,
            Err(fault) => return self.complain(&fault),
        };
        if self.last.as_ref() == Some(&sight) {
            return log::debug!("looked: nothing has changed");
        }
        self.last = None;
        match refresh::once(self.values) {
            Ok(outcome) => {
                outcome.tell(&refresh::file(self.values));
                if !self.complaint.is_empty() {
                    log::info!("{}: as it should be again", refresh::file(self.values).display());
                }
                (self.complaint, self.failures) = (String::new(), 0);
                // What was seen before: if the machine has changed since, the next look finds that.
                self.last = Some(sight);
            }
            Err(fault) => self.complain(&fault),
        }
    }

    fn sight(&self) -> Result<Sight> {
        let explicit = self.values.list("feature-flag").iter().any(|flag| flag == "enable-explicit-driver-libraries");
        let wanted = Wanted { capabilities: Capabilities::NATIVE, explicit_libraries: explicit, ..Wanted::ALL };
        let inventory = machine::examine_at(&self.roots, wanted)?;
        let unreadable = |error| Fault::from_error(Code::HostUnreadable, &error);
        let fingerprint = Fingerprint::take(&self.roots, &inventory).map_err(unreadable)?;
        Ok(Sight { inventory, fingerprint })
    }

    /// Says why, once. The file that is there stays: it was right a moment ago.
    fn complain(&mut self, fault: &Fault) {
        self.last = None;
        self.failures = self.failures.saturating_add(1);
        let complaint = fault.to_string();
        if complaint == self.complaint {
            return log::debug!("still so: {complaint}");
        }
        log::error!("{complaint}");
        self.complaint = complaint;
    }

    /// Folders whose content is part of a sight: those of device nodes, of the loader's cache, and of the driver's files.
    fn folders(&self) -> Vec<PathBuf> {
        let dev = self.roots.dev.join("dev");
        let fixed = ["nvidia-caps", "nvidia-caps-imex-channels", "dri", "infiniband"].map(|name| dev.join(name));
        let files =
            self.last.iter().filter_map(|sight| sight.inventory.driver.as_ref()).flat_map(|driver| &driver.files);
        let folders = fixed.into_iter().chain([dev, self.roots.driver.join("etc")]);
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
