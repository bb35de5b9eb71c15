//! The version texts. Their shape is the original's, because scripts read the first line.

use std::fmt::Write;

/// This release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that a release was built from, where the build said so.
const COMMIT: Option<&str> = option_env!("CORTEN_COMMIT");

/// The version of the OCI runtime specification that `config.json` is read by.
const SPEC: &str = "1.3.0";

/// `TITLE version X`, and the commit where it is known.
pub fn lines(title: &str) -> String {
    let mut text = format!("{title} version {VERSION}\n");
    if let Some(commit) = COMMIT {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "commit: {commit}");
    }
    text
}

/// What the shim prints before the low-level runtime prints its own version (reference: runtime-and-hook.md 2.5).
pub fn runtime_lines() -> String {
    format!("{}spec: {SPEC}\n", lines("NVIDIA Container Runtime"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_the_originals_shape() {
        let text = runtime_lines();
        let first = text.lines().next().unwrap();
        assert_eq!(first.strip_prefix("NVIDIA Container Runtime version "), Some(VERSION));
        assert_eq!(text.lines().last(), Some("spec: 1.3.0"));
    }
}
