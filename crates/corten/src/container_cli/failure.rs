//! How a call ends that does not do what was asked: `PROGRAM: CATEGORY error: DETAIL` on stderr, status 1 (reference:
//! libnvidia-container.md 3). Others match on these lines, so they carry no code of ours.

use crate::fault;
use legacy::Error;

/// Why a call did not do what was asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// A line, without the program's name.
    Said(String),
    /// The old library for Jetson systems is missing, which has a status of its own.
    NotForJetson(String),
    /// Argp's words for a wrong command line, and where help is to be had.
    CommandLine { program: String, said: String, hint: String },
    /// Something that must be there is missing; the text is a usage.
    Missing(String),
    /// Help, usage or version, which is no failure: the text goes to stdout.
    Asked(String),
}

impl Failure {
    /// `CATEGORY error: DETAIL`.
    pub fn of(category: &str) -> impl Fn(Error) -> Failure {
        move |error| Failure::Said(format!("{category} error: {}", fault::one_line(&error.to_string())))
    }

    /// While the machine is looked at. What keeps NVML from starting is a failure to initialise, whoever asks.
    pub fn detection(error: Error) -> Failure {
        let category = if error.keeps_nvml_from_starting() { "initialization" } else { "detection" };
        Failure::of(category)(error)
    }

    /// An option's value makes no sense.
    pub fn input(detail: &str) -> Failure {
        Failure::Said(format!("input error: {}", fault::one_line(detail)))
    }
}
