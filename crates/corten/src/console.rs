//! A log on stderr: `nvidia-ctk`'s, whose standard output carries only data, and the prestart hook's, which has no other.

use crate::runtime::logger;
use log::{LevelFilter, Log, Metadata, Record};

struct Console;

/// Starts logging what is at least this grave.
pub fn start(level: LevelFilter) {
    // Refused only when it is started already.
    let _ = log::set_logger(&Console);
    log::set_max_level(level);
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            logger::print(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}
