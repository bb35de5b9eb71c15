//! Failures in the original's words: `CONTEXT: REASON` (section 3).

use rustix::io::Errno;

/// Why a step failed, in the words of the original.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
    keeps_nvml_from_starting: bool,
}

impl Error {
    /// A text that is the whole reason.
    pub fn new(text: impl Into<String>) -> Error {
        Error { text: text.into(), keeps_nvml_from_starting: false }
    }

    /// The same, for what the original meets when it starts NVML, which it does before anything else.
    pub(crate) fn at_start_of_nvml(self) -> Error {
        Error { keeps_nvml_from_starting: true, ..self }
    }

    /// The same, and more that the caller should know.
    pub(crate) fn and_besides(self, more: &str) -> Error {
        Error { text: format!("{}; {more}", self.text), ..self }
    }

    /// The original would have met this when it started NVML, whatever it was asked.
    pub fn keeps_nvml_from_starting(&self) -> bool {
        self.keeps_nvml_from_starting
    }

    /// What was being done, and what the kernel said about it.
    pub fn os(context: impl AsRef<str>, errno: Errno) -> Error {
        Error::foreign(context, &words(errno))
    }

    /// What was being done, and what the kernel said about it, from an error of the standard library.
    pub fn io(context: impl AsRef<str>, error: &std::io::Error) -> Error {
        match Errno::from_io_error(error) {
            Some(errno) => Error::os(context, errno),
            None => Error::foreign(context, &error.to_string()),
        }
    }

    /// What was being done, and what somebody else (the kernel, NVML, the loader) said about it: cut at the first line
    /// break, and in lower case after the last colon.
    pub fn foreign(context: impl AsRef<str>, said: &str) -> Error {
        let line = said.lines().next().unwrap_or_default();
        let text = format!("{}: {line}", context.as_ref());
        let (before, after) = text.rsplit_once(':').unwrap_or(("", &text));
        Error::new(format!("{before}:{}", after.to_lowercase()))
    }

    /// An argument that makes no sense.
    pub fn invalid_argument() -> Error {
        Error::new("invalid argument")
    }
}

/// The C library's text for an error number.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl From<root::RootError> for Error {
    fn from(error: root::RootError) -> Error {
        Error::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_others_are_shortened() {
        for (error, want) in [
            (Error::os("open failed: /etc/nope", Errno::NOENT), "open failed: /etc/nope: no such file or directory"),
            (Error::foreign("nvml error", "Driver Not Loaded"), "nvml error: driver not loaded"),
            (Error::foreign("a", "B: C D\nmore"), "a: B: c d"),
            (Error::new("Stays As It Is: X"), "Stays As It Is: X"),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
