//! Which of the four ways a container gets its GPUs.

use crate::request::Request;
use host::Platform;
use std::fmt;

/// A way to get GPUs into a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The prestart hook does it, after the runtime has made the container.
    Legacy,
    /// From the CSV files of Jetson systems.
    Csv,
    /// From CDI specs in the spec folders.
    Cdi,
    /// From the machine as it is now.
    JitCdi,
}

/// A mode, and why it is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The mode.
    pub mode: Mode,
    /// A sentence.
    pub reason: String,
}

/// A configured mode that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// Another word.
    #[error("invalid mode {0:?}: nvidia-container-runtime.mode must be auto, legacy, cdi or jit-cdi")]
    Invalid(String),
    /// The empty text.
    #[error("a mode must be specified: set nvidia-container-runtime.mode to auto, legacy, cdi or jit-cdi")]
    Empty,
}

impl Mode {
    /// The word in `config.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Legacy => "legacy",
            Mode::Csv => "csv",
            Mode::Cdi => "cdi",
            Mode::JitCdi => "jit-cdi",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The mode for a request (reference: runtime-and-hook.md 3.1, 3.2). `usual` is the caller's mode for ordinary machines:
/// [`Mode::JitCdi`] for the runtime, [`Mode::Legacy`] for the hook.
///
/// Names that only a CDI spec can resolve make jit-cdi cdi, also where jit-cdi is configured; names of the form
/// `runtime.nvidia.com/gpu=…` make cdi jit-cdi.
///
/// # Errors
/// [`ModeError`] for a configured mode that is none.
pub fn resolve(configured: &str, request: &Request, platform: Platform, usual: Mode) -> Result<Resolved, ModeError> {
    let resolved = |mode, reason: String| Ok(Resolved { mode, reason });
    match configured {
        "auto" => Ok(auto(request, platform, usual)),
        "legacy" => resolved(Mode::Legacy, asked(configured)),
        "csv" => resolved(Mode::Csv, asked(configured)),
        "jit-cdi" if request.only_cdi_names() => resolved(Mode::Cdi, qualified(request)),
        "jit-cdi" => resolved(Mode::JitCdi, asked(configured)),
        "cdi" if request.automatic => resolved(Mode::JitCdi, format!("{} means this machine", request.asked)),
        "cdi" => resolved(Mode::Cdi, asked(configured)),
        "" => Err(ModeError::Empty),
        other => Err(ModeError::Invalid(other.to_owned())),
    }
}

fn auto(request: &Request, platform: Platform, usual: Mode) -> Resolved {
    match platform {
        _ if request.only_cdi_names() => Resolved { mode: Mode::Cdi, reason: qualified(request) },
        Platform::Tegra => {
            Resolved { mode: Mode::Csv, reason: "auto: this is a Tegra system with an integrated GPU".to_owned() }
        }
        Platform::Discrete | Platform::Wsl | Platform::None => {
            Resolved { mode: usual, reason: format!("auto: {usual} is the usual mode, and nothing speaks for another") }
        }
    }
}

fn asked(configured: &str) -> String {
    format!("nvidia-container-runtime.mode is {configured:?}")
}

fn qualified(request: &Request) -> String {
    format!("{} holds only qualified CDI names", request.asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, request::ContainerView};

    fn request(devices: &str) -> Request {
        let env = [format!("NVIDIA_VISIBLE_DEVICES={devices}")];
        let view = ContainerView { env: &env, ..ContainerView::default() };
        Request::read(&view, &Config::default()).ok().and_then(|reading| reading.request).expect(devices)
    }

    fn mode(configured: &str, devices: &str, platform: Platform) -> Result<Mode, ModeError> {
        resolve(configured, &request(devices), platform, Mode::JitCdi).map(|resolved| resolved.mode)
    }

    #[test]
    fn the_matrix_of_auto() {
        for platform in [Platform::None, Platform::Discrete, Platform::Wsl] {
            assert_eq!(mode("auto", "all", platform), Ok(Mode::JitCdi));
            assert_eq!(mode("auto", "nvidia.com/gpu=0", platform), Ok(Mode::Cdi));
        }
        assert_eq!(mode("auto", "all", Platform::Tegra), Ok(Mode::Csv));
        assert_eq!(mode("auto", "nvidia.com/gpu=0", Platform::Tegra), Ok(Mode::Cdi));
        assert_eq!(mode("auto", "nvidia.com/gpu=0,1", Platform::Discrete), Ok(Mode::JitCdi));
        let legacy = resolve("auto", &request("all"), Platform::Discrete, Mode::Legacy).map(|found| found.mode);
        assert_eq!(legacy, Ok(Mode::Legacy));
    }

    #[test]
    fn explicit_modes() {
        for (configured, devices, want) in [
            ("legacy", "nvidia.com/gpu=0", Mode::Legacy),
            ("csv", "0", Mode::Csv),
            ("cdi", "0", Mode::Cdi),
            ("cdi", "runtime.nvidia.com/gpu=0", Mode::JitCdi),
            ("cdi", "runtime.nvidia.com/gpu=all", Mode::JitCdi),
            ("jit-cdi", "0", Mode::JitCdi),
            ("jit-cdi", "nvidia.com/gpu=0", Mode::Cdi),
        ] {
            assert_eq!(mode(configured, devices, Platform::Discrete), Ok(want), "{configured} {devices}");
        }
        let error = mode("foo", "0", Platform::Discrete).expect_err("foo").to_string();
        assert!(error.starts_with("invalid mode \"foo\""));
        assert!(mode("", "0", Platform::None).expect_err("").to_string().starts_with("a mode must be specified"));
        assert!(mode("Legacy", "0", Platform::None).is_err());
    }
}
