//! `config.toml`: what the administrator has decided for every container of this machine.
//!
//! [`KEYS`] is the one table of keys; the parser, [`Config::default`] and the documentation follow from it. The file is
//! the original's (reference: runtime-and-hook.md section 1), with its spelling rules: a key counts as written in the table
//! or in upper case throughout. Two things differ: an unknown key is reported instead of silently ignored, and the
//! switches that would let an image's own files be run or mounted are read, reported and not obeyed.

mod keys;
mod read;

pub use keys::{KEYS, Key, Kind};
pub use read::{ConfigError, Warning};

use host::{Capabilities, Capability};

/// The settings. Each field's meaning and default stand in [`KEYS`]; [`Config::default`] is an empty file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of keys says what each is")]
pub struct Config {
    pub disable_require: bool,
    pub swarm_resource: String,
    pub accept_envvar_when_unprivileged: bool,
    pub accept_volume_mounts: bool,
    pub supported_driver_capabilities: String,
    pub cli: Cli,
    pub runtime: Runtime,
    pub hook: Hook,
    pub ctk: Ctk,
    pub features: Features,
    /// Keys of old files; they have become others by the time that a caller sees the settings.
    old: Old,
}

/// `[nvidia-container-cli]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of keys says what each is")]
pub struct Cli {
    pub root: String,
    pub path: String,
    pub environment: Vec<String>,
    pub debug: String,
    pub ldcache: String,
    pub load_kmods: bool,
    pub no_pivot: bool,
    pub no_cgroups: bool,
    pub user: String,
    pub ldconfig: String,
}

/// `[nvidia-container-runtime]` and its `modes` tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of keys says what each is")]
pub struct Runtime {
    pub debug: String,
    pub log_level: String,
    pub runtimes: Vec<String>,
    pub experimental_runtime_path: String,
    pub mode: String,
    pub csv_mount_spec_path: String,
    pub csv_compat_container_root: String,
    pub cdi_spec_dirs: Vec<String>,
    pub cdi_default_kind: String,
    pub cdi_annotation_prefixes: Vec<String>,
    pub jit_feature_flags: Vec<String>,
    pub jit_disable_hooks: Vec<String>,
    pub jit_ignore_driver_capabilities: bool,
    pub legacy_cuda_compat_mode: String,
}

/// `[nvidia-container-runtime-hook]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of keys says what each is")]
pub struct Hook {
    pub path: String,
    pub skip_mode_detection: bool,
}

/// `[nvidia-ctk]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of keys says what each is")]
pub struct Ctk {
    pub path: String,
}

/// `[features]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table of keys says what each is")]
pub struct Features {
    pub allow_cuda_compat_libs_from_container: bool,
    pub allow_ldconfig_from_container: bool,
    pub allow_unknown_oci_spec_fields: bool,
    pub disable_cuda_compat_lib_hook: bool,
    pub disable_imex_channel_creation: bool,
    pub ignore_imex_channel_requests: bool,
    pub no_additional_gids_for_device_nodes: bool,
}

/// Keys that files written for releases before 1.11 hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Old {
    experimental: bool,
    discover_mode: String,
    runtime_path: String,
}

/// `supported-driver-capabilities` holds a word that is no capability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid value for config option 'supported-driver-capabilities'; {value} has the unknown word {word:?} \
     (supported: {}); correct it in config.toml",
    Capabilities::ALL
)]
pub struct UnsupportedCapability {
    /// The whole value.
    pub value: String,
    /// The first word in it that is no capability.
    pub word: String,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Config::blank();
        for key in KEYS {
            key.set_default(&mut config);
        }
        config
    }
}

impl Config {
    fn blank() -> Config {
        Config {
            disable_require: false,
            swarm_resource: String::new(),
            accept_envvar_when_unprivileged: false,
            accept_volume_mounts: false,
            supported_driver_capabilities: String::new(),
            cli: Cli::default(),
            runtime: Runtime::default(),
            hook: Hook::default(),
            ctk: Ctk::default(),
            features: Features::default(),
            old: Old::default(),
        }
    }

    /// Reads the text of a `config.toml`; an empty one is all defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for text that is not TOML and for values of a wrong type; nothing else is wrong enough to keep
    /// containers from starting.
    pub fn parse(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
        let mut config = Config::default();
        let mut warnings = read::read(text, &mut config)?;
        config.take_over_old_keys(&mut warnings);
        config.distrust(&mut warnings);
        Ok((config, warnings))
    }

    /// Variables that replace `NVIDIA_VISIBLE_DEVICES`, in the order of `swarm-resource`.
    pub fn swarm_variables(&self) -> impl Iterator<Item = &str> {
        self.swarm_resource.split(',').map(str::trim).filter(|name| !name.is_empty())
    }

    /// The upper bound for driver capabilities. Only a container that asks for a GPU needs it, so a wrong word is
    /// found here and not when the file is read: the other containers still start.
    ///
    /// # Errors
    /// [`UnsupportedCapability`] when a word is no capability.
    pub fn supported_capabilities(&self) -> Result<Capabilities, UnsupportedCapability> {
        let value = &self.supported_driver_capabilities;
        let words = || value.split(',').map(str::trim).filter(|word| !word.is_empty());
        if words().any(|word| word == "all") {
            return Ok(Capabilities::ALL);
        }
        words().try_fold(Capabilities::NONE, |set, word| match Capability::from_name(word) {
            Some(capability) => Ok(set.union(Capabilities::of(&[capability]))),
            None => Err(UnsupportedCapability { value: value.clone(), word: word.to_owned() }),
        })
    }

    /// A flag of `nvcdi-feature-flags`.
    pub(crate) fn jit_flag(&self, name: &str) -> bool {
        self.runtime.jit_feature_flags.iter().any(|flag| flag == name)
    }

    /// A hook of the original, or what replaces it here, is switched off by `nvcdi-disable-hooks`.
    pub(crate) fn hook_disabled(&self, name: &str) -> bool {
        self.runtime.jit_disable_hooks.iter().any(|hook| hook == name || hook == "all")
    }

    /// Files older than 1.11 say `experimental = true` and `discover-mode` where newer ones say `mode`: `legacy` is
    /// `legacy`, `csv` is `csv`, `nvml` is `jit-cdi`, and none or `auto` is `auto`. `mode`, where set, wins; without
    /// `experimental` the old runtime ignored `discover-mode`, and so do we.
    fn take_over_old_keys(&mut self, warnings: &mut Vec<Warning>) {
        let old = std::mem::take(&mut self.old);
        if old.experimental && self.runtime.mode == "auto" {
            let mode = match old.discover_mode.as_str() {
                "" | "auto" => "auto",
                "nvml" => "jit-cdi",
                other => other,
            };
            mode.clone_into(&mut self.runtime.mode);
            let key = "nvidia-container-runtime.discover-mode";
            warnings.push(Warning::Obsolete { key, instead: format!("nvidia-container-runtime.mode = {mode:?}") });
        }
        if !old.runtime_path.is_empty() {
            let instead = format!("nvidia-container-runtime.runtimes = [{:?}]", old.runtime_path);
            warnings.push(Warning::Obsolete { key: "nvidia-container-runtime.experimental.runtime-path", instead });
            self.runtime.experimental_runtime_path = old.runtime_path;
        }
    }

    /// Reports the settings that would run or mount what an image brings along. None of them is obeyed anywhere.
    fn distrust(&self, warnings: &mut Vec<Warning>) {
        let mut report = |key, why| warnings.push(Warning::Unsafe { key, why });
        if self.features.allow_ldconfig_from_container {
            report("features.allow-ldconfig-from-container", "an image's ldconfig is never run");
        }
        if self.features.allow_cuda_compat_libs_from_container {
            report("features.allow-cuda-compat-libs-from-container", "an image's libraries are never mounted");
        }
        if !self.cli.ldconfig.starts_with('@') {
            report("nvidia-container-cli.ldconfig", "it is not host-relative (does not start with a '@')");
        }
    }
}

#[cfg(test)]
mod tests;
