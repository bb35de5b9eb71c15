//! What a run of the tests leaves out on a machine that cannot have it. A test harness counts it as passed and hides what
//! it printed, so each such test adds a line to one file, which `cargo xtask test` shows at its end.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    env, fs,
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

/// Names the file.
pub const VARIABLE: &str = "CORTEN_LEFT_OUT";

/// Says that `what` is not tested, and why; in the file too, if there is one.
///
/// # Panics
/// When the file cannot be written: what was left out would go unnoticed.
pub fn say(what: &str, why: &str) {
    eprintln!("left out: {what}: {why}");
    let Some(file) = env::var_os(VARIABLE) else { return };
    let added = add(file.as_ref(), what, why);
    assert!(added.is_ok(), "{}: {added:?}", file.display());
}

/// Adds a line to the file. Many tests do so at once, so it is written in one call.
///
/// # Errors
/// What kept it from being written.
pub fn add(file: &Path, what: &str, why: &str) -> io::Result<()> {
    let line = format!("{what}: {}\n", why.trim().replace('\n', "; "));
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

/// The lines of the file, each once.
///
/// # Errors
/// What kept it from being read.
pub fn all(file: &Path) -> io::Result<BTreeSet<String>> {
    Ok(fs::read_to_string(file)?.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_on_one_line() {
        let file = env::temp_dir().join(format!("corten-left-out-{}", std::process::id()));
        for (what, why) in [("suite-b", "no mirror:\nnone\n"), ("suite-a", "x"), ("suite-a", "x")] {
            add(&file, what, why).unwrap();
        }
        let lines = all(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), ["suite-a: x", "suite-b: no mirror:; none"]);
        assert!(all(&file).is_err());
    }
}
