//! The log of the shim: up to two files, in the two formats that engines read.
//!
//! containerd and Docker take the last error of the `--log` file for their own message, so every failure is written
//! there as well as to stderr (reference: runtime-and-hook.md 2.6). That file is opened before anything else is done,
//! so that a broken configuration reaches it too (Q14).
//!
//! Log files are opened through symbolic links, because administrators link them to other disks; the paths come from
//! the engine and from config.toml, never from an image. They are opened without waiting, so that a FIFO without a
//! reader cannot hold up a container.

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;
use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::{OnceLock, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`.
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`.
    Json,
}

struct Logger {
    format: Format,
    files: RwLock<Vec<File>>,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging in this format, to no file yet.
pub fn start(format: Format, level: LevelFilter) {
    let logger = LOGGER.get_or_init(|| Logger { format, files: RwLock::default() });
    // Refused only when a logger is set already, which is then this one.
    let _ = log::set_logger(logger);
    log::set_max_level(level);
}

/// Also writes to `path`, from now on. Missing parent folders are made. A file that cannot be opened is no reason to
/// fail a container: it is mentioned in the log that there is.
pub fn add_file(path: &Path) {
    match open(path) {
        Ok(file) => {
            if let Some(mut files) = LOGGER.get().and_then(|logger| logger.files.write().ok()) {
                files.push(file);
            }
        }
        Err(error) => log::warn!("Failed to open log file {}: {error}", path.display()),
    }
}

/// The level of that name in `log-level` and whether the name was understood. Failures are logged at every level: an
/// engine that finds no error in the log has nothing to show.
pub fn level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_lowercase().as_str() {
        "panic" | "fatal" | "error" => LevelFilter::Error,
        "warn" | "warning" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => return None,
    })
}

/// Writes an error to stderr: as a log line, or in the short coloured form where a person is looking.
pub fn print_error(message: &str) {
    print(Level::Error, message);
}

/// Writes a warning to stderr, in the same way.
pub fn print_warning(message: &str) {
    print(Level::Warn, message);
}

/// The same at any level.
pub fn print(level: Level, message: &str) {
    let mut stderr = io::stderr();
    let line = if stderr.is_terminal() {
        format!("{}\x1b[0m[0000] {message}\n", short_name(level))
    } else {
        line(Format::Text, level_name(level), message, SystemTime::now())
    };
    // Nothing is left to do about a stderr that is closed.
    let _ = stderr.write_all(line.as_bytes());
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let Ok(files) = self.files.read() else { return };
        if files.is_empty() || !self.enabled(record.metadata()) {
            return;
        }
        let text = line(self.format, level_name(record.level()), &record.args().to_string(), SystemTime::now());
        for mut file in files.iter() {
            // A full disk must not stop a container; there is nobody to tell.
            let _ = file.write_all(text.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        && !folder.is_dir()
    {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags.bits() as i32).open(path)?;
    if fs::File::metadata(&file)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// As a terminal shows it, in its colour.
fn short_name(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[31mERRO",
        Level::Warn => "\x1b[33mWARN",
        Level::Info => "\x1b[36mINFO",
        Level::Debug => "\x1b[37mDEBU",
        Level::Trace => "\x1b[37mTRAC",
    }
}

/// One line with its line break. One write each, so that lines of processes that share the file do not mix.
fn line(format: Format, level: &str, message: &str, now: SystemTime) -> String {
    let time = rfc3339(now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    match format {
        Format::Text => format!("time={} level={level} msg={}\n", quoted(&time), quoted(message)),
        Format::Json => {
            let message = serde_json::Value::from(message);
            format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
        }
    }
}

/// A logfmt value: bare where every character is harmless, else in double quotes with Go's escapes.
fn quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len() + 8);
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_ascii_control() => drop(write!(line, "\\x{:02x}", c as u32)),
            c => line.push(c),
        }
    }
    line.push('"');
    line
}

/// Seconds since 1970 as `2026-11-22T14:02:53Z`. Always UTC: a static program has no time zone data to rely on.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so
/// that the leap day is a year's last; 146,097 days make 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let civil = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u64::from(civil <= 2), civil, day - (153 * month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    #[test]
    fn times_are_rfc3339() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_356_173, "2026-11-22T14:02:53Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), want);
        }
    }

    #[test]
    fn lines_look_as_engines_expect() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_356_173);
        assert_eq!(
            line(Format::Text, "error", "no \"x\" at C:\\\nend\x1b", now),
            "time=\"2026-11-22T14:02:53Z\" level=error msg=\"no \\\"x\\\" at C:\\\\\\nend\\x1b\"\n"
        );
        assert_eq!(
            line(Format::Json, "info", "a \"b\"\n", now),
            "{\"level\":\"info\",\"msg\":\"a \\\"b\\\"\\n\",\"time\":\"2026-11-22T14:02:53Z\"}\n"
        );
        assert_eq!(quoted("a-b"), "a-b");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn files_are_appended_to_and_parents_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/log");
        for text in ["one\n", "two\n"] {
            open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o133, 0);
        assert!(open(dir.path()).is_err());
    }

    #[test]
    fn levels_are_logrus_names() {
        for (name, want) in [("INFO", Some(LevelFilter::Info)), ("warning", Some(LevelFilter::Warn)), ("loud", None)] {
            assert_eq!(level(name), want);
        }
        assert_eq!(level("panic"), Some(LevelFilter::Error), "failures are always logged");
    }
}
