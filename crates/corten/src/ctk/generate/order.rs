//! What is asked for: a checked command line.

use super::{
    FAILED, Values,
    subject::{self, is_elsewhere},
    usage,
};
use crate::{
    codes::Code,
    ctk::output,
    fault::{Fault, Result},
    runtime::lowlevel,
};
use cdi::{Format, Kind};
use oci::{ContainerPath, HostPath};
use plan::spec::{HookName, HookSwitches, NameStrategy, SpecMode};
use std::path::PathBuf;

/// Modes for other kinds of machine, whose place is kept.
const LATER_MODES: [&str; 2] = ["csv", "wsl"];

const FEATURES: [&str; 7] = [
    "enable-explicit-driver-libraries",
    "disable-nvsandboxutils",
    "disable-nvsandbox-utils",
    "enable-coherent-annotations",
    "disable-multiple-csv-devices",
    "no-additional-gids-for-device-nodes",
    "disable-ipc-discoverer",
];

/// A checked command line.
pub struct Order {
    pub format: Format,
    /// `None`: as the machine is.
    pub mode: Option<SpecMode>,
    pub strategies: Vec<NameStrategy>,
    pub devices: Vec<String>,
    pub hook_program: HostPath,
    pub output: Option<PathBuf>,
    pub hooks: HookSwitches,
    /// [`plan::spec::SpecOptions::hookless`].
    pub hookless: Option<Vec<ContainerPath>>,
    /// [`plan::spec::SpecOptions::single_hook`].
    pub single_hook: bool,
    features: Vec<String>,
    /// Say why instead of writing.
    pub explain: bool,
}

impl Order {
    /// The feature flag is given.
    pub fn has_feature(&self, name: &str) -> bool {
        self.features.iter().any(|flag| flag == name)
    }

    /// Checks in the original's order, so that of several mistakes the same one is told.
    pub fn read(values: &Values) -> Result<Order> {
        let format = format(&values.text("format"))?;
        let mode = mode(&values.text("mode"))?;
        let strategies =
            values.list("device-name-strategy").iter().map(|name| strategy(name)).collect::<Result<_>>()?;
        let hook_program = hook_program(&values.text("nvidia-cdi-hook-path"), !looks_for_hook(values))?;
        let output = output::file(&values.text("output"), format, values.is_given("format"));
        let (output, format) = output.map_or((None, format), |(path, format)| (Some(path), format));
        kind(values)?;
        let hooks = switches(values)?;
        let hookless = hookless(values)?;
        let (devices, features, explain) = (subject::devices(values), features(values), values.is_set("explain"));
        let single_hook = values.text("hooks") == "one";
        Ok(Order {
            format,
            mode,
            strategies,
            devices,
            hook_program,
            output,
            hooks,
            hookless,
            single_hook,
            features,
            explain,
        })
    }
}

fn format(name: &str) -> Result<Format> {
    match name.to_ascii_lowercase().as_str() {
        "yaml" => Ok(Format::Yaml),
        "json" => Ok(Format::Json),
        _ => Err(usage(format!("invalid output format: {name}"), "Give yaml or json")),
    }
}

fn mode(name: &str) -> Result<Option<SpecMode>> {
    let name = name.to_ascii_lowercase();
    if name == "auto" {
        return Ok(None);
    }
    if LATER_MODES.contains(&name.as_str()) {
        return Err(later_mode(&name));
    }
    let found = SpecMode::ALL.iter().find(|(known, _)| *known == name).map(|(_, mode)| Some(*mode));
    let known: Vec<_> = SpecMode::ALL.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| {
        usage(format!("invalid discovery mode: {name}"), format!("Give auto or one of {}", known.join(", ")))
    })
}

/// Whoever asks for such a mode is on such a machine, as a rule, where none of the other modes finds a GPU.
pub fn later_mode(name: &str) -> Fault {
    Fault::new(Code::NotYet, format!("{FAILED}: mode {name} is not in this version yet"))
        .next("Write the spec by hand, or describe another machine with --machine FILE")
}

fn strategy(name: &str) -> Result<NameStrategy> {
    let found = NameStrategy::ALL.iter().find(|(known, _)| *known == name).map(|(_, strategy)| *strategy);
    found.ok_or_else(|| usage(format!("invalid device name strategy: {name}"), "Give index, uuid or type-index"))
}

/// The program that hooks name is on this machine, and there will be hooks.
fn looks_for_hook(values: &Values) -> bool {
    !is_elsewhere(values) && values.text("hooks") != "none"
}

/// An absolute path is taken as it is. A name is looked up; one that is nowhere, or need not be looked for, is expected
/// in `/usr/bin`.
fn hook_program(given: &str, as_usual: bool) -> Result<HostPath> {
    let name = if given.is_empty() { "nvidia-cdi-hook" } else { given };
    let bad = |error: oci::NotAbsolute| usage(format!("--nvidia-cdi-hook-path: {error}"), "Give an absolute path");
    if name.starts_with('/') {
        return HostPath::new(name).map_err(bad);
    }
    let standard = if name.rsplit('/').next() == Some("nvidia-ctk") { "nvidia-ctk" } else { "nvidia-cdi-hook" };
    let standard = HostPath::root().join("usr/bin").join(standard);
    if as_usual {
        return Ok(standard);
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = lowlevel::executable(name, &search).and_then(|file| std::path::absolute(file).ok());
    let found = found.and_then(|file| HostPath::new(file.to_str()?).ok());
    Ok(found.unwrap_or_else(|| {
        log::warn!("Failed to locate {name}: {name}: not found; hooks will name {standard}");
        standard
    }))
}

/// Vendor and class are checked one by one, so that each is named by its own flag.
fn kind(values: &Values) -> Result<()> {
    let check = |flag: &str, text: String| {
        let malformed = |error: cdi::NameError| {
            usage(
                format!("invalid CDI {flag} name: {error}"),
                format!("Correct --{flag}; nvidia.com/gpu is the usual kind"),
            )
        };
        Kind::parse(&text).map(drop).map_err(malformed)
    };
    check("vendor", format!("{}/gpu", values.text("vendor")))?;
    check("class", format!("nvidia.com/{}", values.text("class")))
}

fn switches(values: &Values) -> Result<HookSwitches> {
    let enabled = values.list("enable-hook");
    if enabled.iter().any(|name| name == "all") {
        return Err(usage("enabling all hooks is not supported".to_owned(), "Name the hooks"));
    }
    let disabled = values.list("disable-hook");
    let named = |names: &[String]| names.iter().filter_map(|name| hook_name(name)).collect();
    Ok(HookSwitches {
        enabled: named(&enabled),
        disabled: named(&disabled),
        all_disabled: disabled.iter().any(|name| name == "all"),
    })
}

fn hook_name(name: &str) -> Option<HookName> {
    let found = HookName::ALL.into_iter().find(|hook| hook.name() == name);
    if found.is_none() && !matches!(name, "all" | "") {
        log::warn!("no hook is called {name:?}; it is neither enabled nor disabled");
    }
    found
}

/// Folders of containers that libraries are mounted in besides the driver's own; `None` where hooks are wanted.
fn hookless(values: &Values) -> Result<Option<Vec<ContainerPath>>> {
    match values.text("hooks").as_str() {
        "all" | "one" => return Ok(None),
        "none" => {}
        other => return Err(usage(format!("invalid value for --hooks: {other:?}"), "Give all, one or none")),
    }
    if values.list("enable-hook").iter().any(|name| !name.is_empty()) {
        return Err(usage("--hooks=none and --enable-hook contradict each other".to_owned(), "Leave one of them out"));
    }
    let bad = |error: oci::NotAbsolute| {
        usage(format!("--container-library-folder: {error}"), "Give absolute paths of containers")
    };
    let folders = values.list("container-library-folder").into_iter().filter(|path| !path.is_empty());
    folders.map(|path| ContainerPath::new(path).map_err(bad)).collect::<Result<_>>().map(Some)
}

/// The feature flags, of which those that nobody knows are reported.
fn features(values: &Values) -> Vec<String> {
    let flags = values.list("feature-flag");
    for flag in flags.iter().filter(|flag| !flag.is_empty() && !FEATURES.contains(&flag.as_str())) {
        log::warn!("no feature flag is called {flag:?}; it has no effect");
    }
    flags
}
