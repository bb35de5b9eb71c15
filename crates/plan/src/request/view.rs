//! The few parts of a container's `config.json` that can ask for a GPU, borrowed.

/// What a request is read from. The caller fills it from the OCI document.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContainerView<'a> {
    /// `process.env`, as it stands there: duplicates, entries without `=` and all.
    pub env: &'a [String],
    /// `annotations`.
    pub annotations: &'a [(String, String)],
    /// `mounts`.
    pub mounts: &'a [MountView<'a>],
    /// The bounding capability set has `CAP_SYS_ADMIN`. For old `ociVersion`s the caller looks into the flat array.
    pub privileged: bool,
}

/// A mount, as far as it can ask for a device.
#[derive(Clone, Copy, Debug)]
pub struct MountView<'a> {
    /// Path in the container.
    pub destination: &'a str,
    /// Path on the host; empty when the mount has none.
    pub source: &'a str,
}

impl<'a> ContainerView<'a> {
    /// The value of a variable; of duplicates the last counts. An entry without `=` is nobody's variable.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.env.iter().rev().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }

    /// All variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.env.iter().filter_map(|entry| entry.split_once('='))
    }

    /// A CUDA image from before `NVIDIA_REQUIRE_CUDA`: it asks for all GPUs by having a `CUDA_VERSION`.
    pub fn is_legacy_image(&self) -> bool {
        let holds = |name| self.variable(name).is_some_and(|value| !value.is_empty());
        holds("CUDA_VERSION") && !holds("NVIDIA_REQUIRE_CUDA")
    }
}
