//! CUDA forward compatibility: whether the libcuda that an image brings is to be used instead of the host's (reference:
//! runtime-and-hook.md, 8.4). Such a library says in a note of its own which drivers it works with.

use crate::{
    config::Config,
    edits::{Because, Edits, Reason},
    plan::is_libcuda,
    requirement::version::Version,
};
use oci::ContainerPath;
use serde::Deserialize;
use std::cmp::Ordering;

/// Where NVIDIA's images keep these libraries.
pub const FOLDER: &str = "/usr/local/cuda/compat";
/// The original's hook that does this; its name switches it off.
const HOOK: &str = "enable-cuda-compat";

/// The section that holds the note, and who it must be from.
pub const NOTE_SECTION: &str = ".note.cuda.fwd_compatibility";
/// See [`NOTE_SECTION`].
pub const NOTE_OWNER: &[u8] = b"NVIDIA Corporation";

/// What the host has, as a CDI spec says it. Of two facts, one is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostVersions<'a> {
    /// Version of its driver.
    pub driver: Option<&'a str>,
    /// Newest version of CUDA that this driver supports.
    pub cuda: Option<&'a str>,
}

/// The image's library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompatLibrary<'a> {
    /// What follows `libcuda.so.` in its name.
    pub version: &'a str,
    /// The content of its note, if it has one.
    pub note: Option<&'a [u8]>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Use the image's.
    pub prefer: bool,
    /// Why, a clause.
    pub why: String,
    /// Odd things that were passed over, a sentence each.
    pub remarks: Vec<String>,
}

/// What the note says. Which GPUs it is for stands there too, and is the driver's business.
#[derive(Deserialize)]
struct Note {
    #[serde(rename = "CUDA Version", default)]
    cuda: String,
    #[serde(rename = "Driver", default)]
    drivers: Vec<u64>,
}

/// A container with these edits may get its image's libcuda: the driver's is there for it to stand before, and nobody has
/// switched the hook off that the original does this by.
pub fn is_wanted(edits: &Edits, config: &Config) -> bool {
    !config.hook_disabled(HOOK) && edits.spec.mounts.iter().any(|mount| is_libcuda(&mount.what.container_path))
}

/// Decides about the library that was found in `folder` (without links), and puts the decision into the edits.
pub fn settle(edits: &mut Edits, folder: &ContainerPath, library: &CompatLibrary, host: &HostVersions) {
    let verdict = judge(library, host);
    edits.remarks.extend(verdict.remarks);
    if verdict.prefer {
        let request = format!("libcuda.so.{} in the image", library.version);
        edits.root.compat = Some(Because::new(folder.clone(), Reason { request, rule: verdict.why }));
    }
}

/// Decides.
pub fn judge(library: &CompatLibrary, host: &HostVersions) -> Verdict {
    let mut remarks = Vec::new();
    let mut version = |what: &str, text: Option<&str>| {
        let text = text?;
        let version = Version::parse(text);
        if version.is_none() {
            remarks.push(format!("{what} {text:?} is no version; it counts as unknown"));
        }
        version
    };
    let compat = version("the version of the image's libcuda", Some(library.version));
    let driver = version("the host's driver version", host.driver);
    let cuda = version("the host's CUDA version", host.cuda);
    let note = library.note.and_then(|note| match serde_json::from_slice::<Note>(note) {
        Ok(note) => Some(note),
        Err(error) => {
            remarks.push(format!("the compatibility note of the image's libcuda is passed over: {error}"));
            None
        }
    });
    let (prefer, why) = match (note, compat, driver, cuda) {
        (Some(note), Some(compat), Some(driver), _) => by_driver(&note, &compat, &driver),
        (Some(note), _, _, Some(cuda)) => by_cuda(&note, &cuda),
        (None, Some(compat), Some(driver), _) if host.cuda.is_none() => {
            let newer = driver.major() < compat.major();
            (
                newer,
                if newer { "it is of a later series than the host's driver" } else { "the host's driver is no older" },
            )
        }
        (None, ..) if host.cuda.is_some() => (false, "it has no note that says what CUDA version it is for"),
        _ => (false, "versions that the decision needs are unknown"),
    };
    Verdict { prefer, why: why.to_owned(), remarks }
}

fn by_driver(note: &Note, compat: &Version, driver: &Version) -> (bool, &'static str) {
    if !note.drivers.contains(&driver.major()) {
        (false, "its note does not name the host's driver series")
    } else if compat.cmp(driver) == Ordering::Greater {
        (true, "it is newer than the host's driver, and its note names that series")
    } else {
        (false, "the host's driver is no older")
    }
}

fn by_cuda(note: &Note, host: &Version) -> (bool, &'static str) {
    match Version::parse(&note.cuda).map(|cuda| cuda.cmp(host)) {
        Some(Ordering::Greater) => (true, "its CUDA version is later than the host's"),
        Some(_) => (false, "the host's CUDA version is no older"),
        None => (false, "its note names no CUDA version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = r#"{"Format": 1, "CUDA Version": "12.8", "Driver": [535, 550], "Device": [0]}"#;

    fn prefers(version: &str, note: Option<&str>, driver: Option<&str>, cuda: Option<&str>) -> bool {
        let library = CompatLibrary { version, note: note.map(str::as_bytes) };
        judge(&library, &HostVersions { driver, cuda }).prefer
    }

    #[test]
    fn a_note_decides() {
        for (driver, cuda, want) in [
            (Some("550.54.14"), None, true),
            (Some("535.1"), None, true),
            (Some("560.1"), None, false),
            (Some("570.86.10"), None, false),
            (None, Some("12.4"), true),
            (None, Some("12.8"), false),
            (None, Some("13.0"), false),
            (Some("560.1"), Some("12.4"), false),
            (Some("what"), Some("12.4"), true),
            (Some("what"), None, false),
            (None, None, false),
        ] {
            assert_eq!(prefers("570.86.10", Some(NOTE), driver, cuda), want, "{driver:?} {cuda:?}");
        }
        assert!(!prefers("550.54.14", Some(NOTE), Some("550.54.14"), None), "not newer");
        assert!(prefers("x", Some(NOTE), Some("550.54.14"), Some("12.4")), "by CUDA where its own version is unknown");
    }

    #[test]
    fn without_a_note_the_series_decides() {
        for note in [None, Some("{\"Driver\": \"550\"}"), Some("[1"), Some("")] {
            for (driver, cuda, want) in [
                (Some("550.54.14"), None, true),
                (Some("570.1.1"), None, false),
                (Some("575.1"), None, false),
                (Some("550.54.14"), Some("12.4"), false),
                (None, Some("12.4"), false),
                (None, None, false),
            ] {
                assert_eq!(prefers("570.86.10", note, driver, cuda), want, "{note:?} {driver:?} {cuda:?}");
            }
        }
    }

    #[test]
    fn only_what_was_given_and_is_no_version_is_remarked_on() {
        let remarks = |version, note, driver, cuda| {
            judge(&CompatLibrary { version, note }, &HostVersions { driver, cuda }).remarks.len()
        };
        assert_eq!(remarks("570.1", None, Some("550.1"), None), 0, "Q31");
        assert_eq!(remarks("a.b", Some(&b"{"[..]), Some("c"), Some("d")), 4);
    }
}
