//! What `corten-nvml` prints: one JSON document on stdout, [`NvmlFacts`] with exit status 0 or [`Complaint`] with another;
//! and on stderr a line `at FUNCTION` before each call, so that a hang or a crash can be named.

use crate::{child::Output, error::Problem};
use host::NvmlFacts;
use serde::{Deserialize, Serialize};

/// Begins the lines on stderr that say which function is called next.
pub const AT: &str = "at ";
/// [`Complaint::step`] when not even the library could be loaded.
pub const LOADING: &str = "load";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// The loader's or NVML's words.
    pub error: String,
    /// `nvmlReturn_t`, where NVML itself complains.
    pub code: Option<u32>,
    /// The NVML function that failed, or [`LOADING`].
    pub step: String,
}

/// Makes sense of what the helper left behind.
///
/// # Errors
/// [`Problem`], by how the helper ended and what it said.
pub fn parse(output: Output) -> Result<NvmlFacts, Problem> {
    let (at, said) = split_notes(&output.stderr);
    if let Some(signal) = output.signal {
        return Err(Problem::Crashed { signal, at, said });
    }
    if !said.is_empty() {
        log::info!("corten-nvml: {said}");
    }
    if output.failed {
        return Err(match serde_json::from_slice::<Complaint>(&output.stdout) {
            Ok(complaint) => complaint.into(),
            Err(error) => Problem::Garbage { why: format!("it failed, and {error}"), said },
        });
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Problem::Garbage { why: error.to_string(), said })
}

impl From<Complaint> for Problem {
    fn from(complaint: Complaint) -> Problem {
        match complaint.code {
            Some(code) => Problem::Refused { step: complaint.step, code, words: complaint.error },
            None => Problem::NotLoaded(complaint.error),
        }
    }
}

/// The last function named on stderr, and everything else said there.
pub(crate) fn split_notes(stderr: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(stderr);
    let (mut at, mut said) = (String::new(), Vec::new());
    for line in text.lines() {
        match line.strip_prefix(AT) {
            Some(function) => at = function.to_owned(),
            None => said.push(line),
        }
    }
    (at, said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str, failed: bool) -> Output {
        Output { stdout: stdout.into(), stderr: b"at nvmlInit_v2\nodd".to_vec(), failed, signal: None }
    }

    #[test]
    fn every_ending_has_its_error() {
        let refused = r#"{"error":"Driver Not Loaded","code":9,"step":"nvmlInit_v2"}"#;
        let absent = r#"{"error":"no such file","code":null,"step":"load"}"#;
        for (given, want) in [
            (output(refused, true), "nvmlInit_v2 failed: Driver Not Loaded (NVML code 9); load the kernel module"),
            (output(absent, true), "NVML cannot be loaded (no such file); install"),
            (output("{", false), "corten-nvml gave no usable answer (EOF while parsing"),
            (output("", true), "corten-nvml gave no usable answer (it failed, and EOF"),
            (
                Output { signal: Some(11), ..output("", true) },
                "NVML crashed in nvmlInit_v2 (signal 11), saying \"odd\"",
            ),
        ] {
            let text = parse(given).unwrap_err().to_string();
            assert!(text.starts_with(want), "{text}");
        }
    }

    #[test]
    fn an_answer_is_an_answer() {
        let facts = NvmlFacts { driver_version: "550.54.14".into(), ..NvmlFacts::default() };
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(parse(output(&text, false)).unwrap(), facts);
    }
}
