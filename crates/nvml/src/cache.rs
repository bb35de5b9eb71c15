//! NVML's answer as it is kept between container starts: `nvml.json` in a folder of [`kept`], which says when a file is
//! believed at all.

pub use kept::CachePlace;

use host::NvmlFacts;
use kept::{Folder, Lock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The name that it is kept as.
pub const NAME: &str = "nvml";

/// Raised whenever [`Kept`] changes its meaning.
pub const FORMAT: u32 = 3;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept<F, N> {
    /// [`FORMAT`].
    pub format: u32,
    /// Nobody saw too little: next time root asks at once.
    pub asked_as_root: bool,
    /// The machine that the answer is about.
    pub fingerprint: F,
    /// The answer.
    pub facts: N,
}

/// What is kept in `folder`, if it can be believed and understood; for which machine is for the caller to compare.
pub(crate) fn read<F: DeserializeOwned>(folder: &Folder) -> Option<Kept<F, NvmlFacts>> {
    let content = folder.read(NAME)?;
    match serde_json::from_slice::<Kept<F, NvmlFacts>>(&content) {
        Ok(kept) if kept.format == FORMAT => Some(kept),
        Ok(_) => None,
        Err(error) => {
            log::warn!("{}/{NAME}.json: ignored, it makes no sense: {error}", folder.path());
            None
        }
    }
}

/// Replaces what is kept.
pub(crate) fn keep<F: Serialize>(lock: &Lock, kept: &Kept<&F, &NvmlFacts>) {
    match serde_json::to_vec(kept) {
        Ok(content) => lock.keep(&content),
        Err(error) => log::warn!("cannot keep NVML's answer: {error}"),
    }
}
