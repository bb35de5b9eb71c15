//! What `corten-nvml` prints, and what is kept between starts: total, and what is kept reads as what was kept.

use crate::parts;
use host::{Fingerprint, KnownDriver, NvmlFacts};
use nvml::{
    cache::Kept,
    child::Output,
    wire::{self, Complaint},
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// An input of two parts: the helper's standard output and standard error.
pub fn nvml_answer(input: &[u8]) {
    let (stdout, stderr) = parts(input);
    for failed in [false, true] {
        let output = Output { stdout: stdout.to_vec(), stderr: stderr.to_vec(), failed, signal: None };
        match wire::parse(output) {
            Ok(facts) => {
                assert!(!failed, "a failure became an answer");
                reread(&facts);
            }
            Err(problem) => assert!(!problem.to_string().is_empty()),
        }
    }
    read::<Complaint>(stdout);
}

/// A file of `/run/corten`.
pub fn kept(input: &[u8]) {
    read::<Kept<Fingerprint, NvmlFacts>>(input);
    read::<KnownDriver>(input);
}

fn read<T: Serialize + DeserializeOwned + Debug + PartialEq>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        reread(&value);
    }
}

fn reread<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: &T) {
    let again = serde_json::to_vec(value).and_then(|bytes| serde_json::from_slice::<T>(&bytes));
    assert_eq!(again.as_ref().ok(), Some(value), "{again:?}");
}
