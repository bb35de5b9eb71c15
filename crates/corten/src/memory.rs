//! What is remembered about the driver between container starts.

use host::{KnownDriver, Wanted};
use kept::{CachePlace, Folder};
use std::time::Duration;

/// Where the answer to one question about the driver is kept.
pub struct Memory {
    place: CachePlace,
    name: String,
}

impl Memory {
    /// The caller's place, and the name for what is wanted.
    pub fn of_caller(wanted: Wanted) -> Memory {
        let place = CachePlace::of_caller(std::env::var("XDG_RUNTIME_DIR").ok().as_deref());
        Memory { place, name: KnownDriver::name(wanted) }
    }

    /// What is kept; whether it still holds is for `host` to say.
    pub fn recall(&self) -> impl Iterator<Item = KnownDriver> {
        self.place.folders_to_read().filter_map(|folder| self.recall_from(&folder))
    }

    fn recall_from(&self, folder: &Folder) -> Option<KnownDriver> {
        let known = serde_json::from_slice(&folder.read(&self.name)?);
        known.inspect_err(|error| log::debug!("{}/{}.json: ignored: {error}", folder.path(), self.name)).ok()
    }

    /// Keeps it for the next time, unless somebody else is just doing so.
    pub fn keep(&self, known: &KnownDriver) {
        let Some(folder) = self.place.folder_to_write() else { return };
        let Some(lock) = folder.lock(&self.name, Duration::ZERO) else { return };
        match serde_json::to_vec(known) {
            Ok(content) => lock.keep(&content),
            Err(error) => log::warn!("cannot keep what is known of the driver: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::HostPath;
    use std::fs;

    /// What is not understood is as good as absent.
    #[test]
    fn garbage_is_not_recalled() {
        let dir = tempfile::tempdir().unwrap();
        let folder = HostPath::new(dir.path().canonicalize().unwrap().to_str().unwrap()).unwrap().join("corten");
        let memory = Memory { place: CachePlace(vec![folder.clone()]), name: KnownDriver::name(Wanted::ALL) };
        assert_eq!(memory.recall().count(), 0);
        fs::create_dir(folder.as_path()).unwrap();
        for content in ["", "{", "[]", "null", "\u{0}", "{\"driver\":null}"] {
            fs::write(folder.join(&format!("{}.json", memory.name)).as_path(), content).unwrap();
            assert_eq!(memory.recall().count(), 0, "{content}");
        }
    }
}
