//! The option strings of the C library: words with blanks between them, one table for each function (sections 7, 13, 23).

use crate::Error;
use host::{Capabilities, Capability};

/// Longest option string, its end included (`NVC_ARG_MAX`).
pub const LONGEST: usize = 256;

/// `nvc_init`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InitOptions {
    /// Load kernel modules and make device nodes.
    pub load_kmods: bool,
    /// Then make no nodes of IMEX channels.
    pub no_create_imex_channels: bool,
}

/// `nvc_driver_info_new`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverOptions {
    /// The driver's own OpenGL libraries, instead of those for GLVND.
    pub no_glvnd: bool,
    /// Neither of the nodes of unified memory.
    pub no_uvm: bool,
    /// No node for setting display modes.
    pub no_modeset: bool,
    /// Neither the programs nor the folder of MPS.
    pub no_mps: bool,
    /// Not the persistence daemon's socket.
    pub no_persistenced: bool,
    /// Not the fabric manager's socket.
    pub no_fabricmanager: bool,
    /// No firmware.
    pub no_gsp_firmware: bool,
    /// Look only at libraries and programs that one of these brings; the C library's callers get all.
    pub only: Option<Capabilities>,
}

/// How the container's own CUDA compatibility libraries are treated (section 19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompatMode {
    /// Preferred where they are newer than the driver; the original mounts them.
    #[default]
    Mount,
    /// The same by the loader's order alone.
    Ldconfig,
    /// Not looked for.
    Disabled,
}

impl CompatMode {
    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<CompatMode> {
        match name {
            "mount" => Some(CompatMode::Mount),
            "ldconfig" => Some(CompatMode::Ldconfig),
            "disabled" => Some(CompatMode::Disabled),
            _ => None,
        }
    }
}

/// Where the process is that a container is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// A process of the container exists, and its mount namespace is entered.
    Supervised,
    /// The root has a procfs of its own; nobody's namespace is entered but that of the caller.
    Standalone,
}

/// `nvc_container_new`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerOptions {
    /// See [`Supervision`].
    pub supervision: Supervision,
    /// What of the driver the container gets.
    pub capabilities: Capabilities,
    /// Leave device cgroups alone.
    pub no_cgroups: bool,
    /// Mount no device nodes.
    pub no_devbind: bool,
    /// See [`CompatMode`].
    pub compat: CompatMode,
}

impl InitOptions {
    /// Reads an option string; without one there are no options.
    ///
    /// # Errors
    /// A word that is none, or a string that is too long.
    pub fn parse(text: Option<&str>) -> Result<InitOptions, Error> {
        let mut options = InitOptions::default();
        for word in words(text.unwrap_or_default())? {
            match word {
                "load-kmods" => options.load_kmods = true,
                "no-create-imex-channels" => options.no_create_imex_channels = true,
                _ => return Err(invalid(word)),
            }
        }
        Ok(options)
    }
}

impl DriverOptions {
    /// A file that these bring is looked at.
    pub(crate) fn wants(&self, bring: Capabilities) -> bool {
        self.only.is_none_or(|wanted| bring.meets(wanted))
    }

    /// Reads an option string; without one there are no options.
    ///
    /// # Errors
    /// As [`InitOptions::parse`].
    pub fn parse(text: Option<&str>) -> Result<DriverOptions, Error> {
        let mut options = DriverOptions::default();
        for word in words(text.unwrap_or_default())? {
            let option = match word {
                "no-glvnd" => &mut options.no_glvnd,
                "no-uvm" => &mut options.no_uvm,
                "no-modeset" => &mut options.no_modeset,
                "no-mps" => &mut options.no_mps,
                "no-persistenced" => &mut options.no_persistenced,
                "no-fabricmanager" => &mut options.no_fabricmanager,
                "no-gsp-firmware" => &mut options.no_gsp_firmware,
                _ => return Err(invalid(word)),
            };
            *option = true;
        }
        Ok(options)
    }
}

/// What `nvc_container_new` takes for a missing option string.
const CONTAINER_DEFAULT: &str = "standalone no-cgroups no-devbind utility";
const COMPAT_MODE: &str = "cuda-compat-mode=";

impl ContainerOptions {
    /// Reads an option string.
    ///
    /// # Errors
    /// As [`InitOptions::parse`]; and `invalid mode of operation` unless just one of `supervised` and `standalone` is there.
    pub fn parse(text: Option<&str>) -> Result<ContainerOptions, Error> {
        let (mut supervised, mut standalone, mut no_cgroups, mut no_devbind) = (false, false, false, false);
        let (mut capabilities, mut modes) = (Capabilities::NONE, Vec::new());
        for word in words(text.unwrap_or(CONTAINER_DEFAULT))? {
            match word {
                "supervised" => supervised = true,
                "standalone" => standalone = true,
                "no-cgroups" => no_cgroups = true,
                "no-devbind" => no_devbind = true,
                "no-cntlibs" => modes.push(CompatMode::Disabled),
                _ => match (Capability::from_name(word), word.strip_prefix(COMPAT_MODE).map(CompatMode::from_name)) {
                    (Some(capability), _) => capabilities = capabilities.union(Capabilities::of(&[capability])),
                    (_, Some(Some(mode))) => modes.push(mode),
                    _ => return Err(invalid(word)),
                },
            }
        }
        let supervision = match (supervised, standalone) {
            (true, false) => Supervision::Supervised,
            (false, true) => Supervision::Standalone,
            _ => return Err(Error::new("invalid mode of operation")),
        };
        Ok(ContainerOptions { supervision, capabilities, no_cgroups, no_devbind, compat: compat(&modes)? })
    }
}

/// `disabled` wins; of the others there can be only one.
fn compat(modes: &[CompatMode]) -> Result<CompatMode, Error> {
    let has = |mode| modes.contains(&mode);
    if has(CompatMode::Disabled) {
        return Ok(CompatMode::Disabled);
    }
    if has(CompatMode::Mount) && has(CompatMode::Ldconfig) {
        return Err(Error::new("only one cuda-compat-mode can be specified at a time"));
    }
    Ok(modes.first().copied().unwrap_or_default())
}

fn words(text: &str) -> Result<impl Iterator<Item = &str>, Error> {
    if text.len() >= LONGEST {
        return Err(Error::new("too many options"));
    }
    Ok(text.split(' ').filter(|word| !word.is_empty()))
}

fn invalid(word: &str) -> Error {
    Error::new(format!("invalid option: {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T>(result: Result<T, Error>) -> String {
        result.err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn words_that_are_none_are_named() {
        assert_eq!(text(InitOptions::parse(Some("load-kmods no-such"))), "invalid option: no-such");
        assert_eq!(text(InitOptions::parse(Some(&"x".repeat(256)))), "too many options");
        assert_eq!(text(DriverOptions::parse(Some("no-uvm  no-mps"))), "");
        assert_eq!(text(DriverOptions::parse(Some("no-uvm,no-mps"))), "invalid option: no-uvm,no-mps");
    }

    #[test]
    fn a_container_is_supervised_or_alone() {
        for text_ in ["", "supervised standalone", "compute"] {
            assert_eq!(text(ContainerOptions::parse(Some(text_))), "invalid mode of operation", "{text_}");
        }
        let default = ContainerOptions::parse(None).unwrap();
        let want = ContainerOptions {
            supervision: Supervision::Standalone,
            capabilities: Capabilities::of(&[Capability::Utility]),
            no_cgroups: true,
            no_devbind: true,
            compat: CompatMode::Mount,
        };
        assert_eq!(default, want);
    }

    #[test]
    fn disabled_wins_over_the_other_modes() {
        let mode =
            |text: &str| ContainerOptions::parse(Some(&format!("supervised {text}"))).map(|options| options.compat);
        assert_eq!(mode(""), Ok(CompatMode::Mount));
        assert_eq!(mode("cuda-compat-mode=ldconfig cuda-compat-mode=ldconfig"), Ok(CompatMode::Ldconfig));
        assert_eq!(mode("cuda-compat-mode=ldconfig no-cntlibs cuda-compat-mode=mount"), Ok(CompatMode::Disabled));
        assert_eq!(
            text(mode("cuda-compat-mode=ldconfig cuda-compat-mode=mount")),
            "only one cuda-compat-mode can be specified at a time"
        );
        assert_eq!(text(mode("cuda-compat-mode=x")), "invalid option: cuda-compat-mode=x");
    }
}
