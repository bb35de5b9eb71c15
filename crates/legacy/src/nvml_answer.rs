//! NVML's answers and refusals, in the original's words.
//!
//! The original starts NVML at every call. Here it is asked only for what the kernel does not say; whether it could be
//! asked at all is told from the files (see [`crate::Machine::init`]), so that a machine with a broken driver fails in the
//! same way.

use crate::{Error, Machine};
use host::{Fingerprint, Inventory, NvmlFacts};
use kept::CachePlace;
use nvml::{Ask, Expected, Problem};

impl Machine {
    /// Makes sure that NVML answers, as the original's init does; whoever may do without it should.
    ///
    /// # Errors
    /// What NVML said.
    pub fn start_nvml(&self) -> Result<(), Error> {
        self.ask_nvml(self.inventory()?).map(|_| ())
    }

    /// What NVML knows, from what is kept or from itself; asked once at most.
    pub(crate) fn ask_nvml(&self, inventory: &Inventory) -> Result<NvmlFacts, Error> {
        if let Some(facts) = self.facts.borrow().as_ref() {
            return Ok(facts.clone());
        }
        let fingerprint = Fingerprint::take(&self.roots, inventory).map_err(|error| Error::new(error.to_string()))?;
        let ask = Ask {
            wanted: "what NVML knows about this machine".to_owned(),
            helper: self.settings.helper.clone().unwrap_or_else(nvml::default_helper),
            library: fingerprint.nvml.as_ref().map(|library| library.path.clone()),
            fingerprint,
            user: self.settings.user,
            expected: Expected::on(inventory),
            anew: false,
            timeout: nvml::DEFAULT_TIMEOUT,
            cache: CachePlace::of_caller(self.settings.runtime_dir.as_deref()),
        };
        let facts = nvml::facts(&ask).map_err(|error| refused(&error.problem))?;
        *self.facts.borrow_mut() = Some(facts.clone());
        Ok(facts)
    }
}

/// `nvmlReturn_t` for a function that this NVML lacks.
const FUNCTION_NOT_FOUND: u32 = 13;

/// The text of a refusal (section 3). The original's helper is a process of its own, too; what becomes of it is told as a
/// failure of the call to it.
fn refused(problem: &Problem) -> Error {
    match problem {
        Problem::NotLoaded(said) => not_loaded(said),
        // That shows only when the function is needed.
        Problem::Refused { code: FUNCTION_NOT_FOUND, words, .. } => Error::foreign("nvml error", words),
        Problem::Refused { words, .. } => not_started(words),
        Problem::TimedOut { .. } => Error::new("driver rpc error: timed out").at_start_of_nvml(),
        other => {
            log::error!("{other}");
            Error::new("driver rpc error: failed to process request").at_start_of_nvml()
        }
    }
}

/// What NVML says when it is started.
fn not_started(said: &str) -> Error {
    Error::foreign("nvml error", said).at_start_of_nvml()
}

/// The loader names the library first, as glibc does, or the file that it was told to load.
fn not_loaded(said: &str) -> Error {
    let reason = said.split_once(": ").map_or(said, |(_, reason)| reason);
    Error::foreign(format!("load library failed: {}", host::NVML_SONAME), reason).at_start_of_nvml()
}

/// NVML lacks the function that was needed.
pub(crate) fn unsaid() -> Error {
    Error::foreign("nvml error", "Function Not Found")
}

/// There is no library.
pub(crate) fn absent() -> Error {
    not_loaded(&format!("{}: cannot open shared object file: No such file or directory", host::NVML_SONAME))
}

/// The kernel module is not loaded.
pub(crate) fn driver_not_loaded() -> Error {
    not_started("Driver Not Loaded")
}

/// Library and kernel module are of different drivers.
pub(crate) fn mismatch() -> Error {
    not_started("RM has detected an NVML/RM version mismatch.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_originals() {
        for (error, want) in [
            (
                absent(),
                "load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory",
            ),
            (driver_not_loaded(), "nvml error: driver not loaded"),
            (mismatch(), "nvml error: rm has detected an nvml/rm version mismatch."),
            (unsaid(), "nvml error: function not found"),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
