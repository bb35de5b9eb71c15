//! The log file of the legacy programs, `--debug` or `$NVC_DEBUG_FILE` (section 3):
//!
//! ```text
//! <blank>
//! -- WARNING, the following logs are for debugging purposes only --
//! <blank>
//! I1122 14:14:13.907872 14187 machine.rs:39] using root /
//! ```

use log::{Level, LevelFilter, Log, Metadata, Record};
use root::privileges;
use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const WARNING: &str = "\n-- WARNING, the following logs are for debugging purposes only --\n\n";

struct Logger(File);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Logs from now on to the file that was given, else to the one that the environment names. A program that has more rights
/// than its caller takes neither from him (2.1, 2.6): he could have it write to files that are not his.
pub fn start(given: Option<&str>) {
    if privileges::exceed_callers() {
        return;
    }
    let path = given.map(Into::into).or_else(|| env::var_os("NVC_DEBUG_FILE"));
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        to(Path::new(&path));
    }
}

/// Logs to the end of this file. One that cannot be opened is passed over, as in the original; opening never waits for the
/// reader of a FIFO. Where a logger is set already nothing changes.
fn to(path: &Path) {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let open = OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags.bits() as i32).open(path);
    let Ok(mut file) = open else { return };
    let _ = file.write_all(WARNING.as_bytes());
    if log::set_logger(LOGGER.get_or_init(|| Logger(file))).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let file = record.file().and_then(|file| file.rsplit('/').next()).unwrap_or("-");
        let thread = rustix::thread::gettid().as_raw_nonzero();
        let text = record.args().to_string();
        let head =
            format!("{} {thread} {file}:{}]", stamp(record.level(), SystemTime::now()), record.line().unwrap_or(0));
        // One write for a line, so that lines of several processes do not mix.
        let line = format!("{head} {}\n", text.replace('\n', " "));
        let _ = (&self.0).write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// `I1122 14:14:13.907872`, in UTC.
fn stamp(level: Level, now: SystemTime) -> String {
    let letter = match level {
        Level::Error => 'E',
        Level::Warn => 'W',
        _ => 'I',
    };
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (month, day) = month_and_day(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{letter}{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.{:06}", since.subsec_micros())
}

/// Month and day of the month, of a day counted from 1970-01-01 in the Gregorian calendar. Years are counted from March,
/// so that the day that not all of them have is the last.
fn month_and_day(days: u64) -> (u64, u64) {
    let of_era = (days + 719_468) % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    ((from_march + 2) % 12 + 1, of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_the_originals() {
        let at = |seconds, micros: u32| UNIX_EPOCH + Duration::new(seconds, micros * 1000);
        for (seconds, micros, want) in [
            (0, 0, "I0101 00:00:00.000000"),
            (951_782_399, 999_999, "I0228 23:59:59.999999"),
            (951_782_400, 0, "I0229 00:00:00.000000"),
            (1_732_284_853, 907_872, "I1122 14:14:13.907872"),
            (1_709_251_200, 1, "I0301 00:00:00.000001"),
            (1_735_689_599, 0, "I1231 23:59:59.000000"),
        ] {
            assert_eq!(stamp(Level::Info, at(seconds, micros)), want);
        }
        assert!(stamp(Level::Debug, at(0, 0)).starts_with('I') && stamp(Level::Error, at(0, 0)).starts_with('E'));
    }
}
