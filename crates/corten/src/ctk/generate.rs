//! `nvidia-ctk cdi generate`: a specification of this machine (reference: cdi-and-ctk.md 1.2).

use super::{
    flags::{Flag, Values},
    output,
};
use crate::{
    codes::Code,
    fault::{Fault, Result},
    machine,
    runtime::{lowlevel, settings::Location},
};
use cdi::{Format, Kind};
use host::{Platform, Roots};
use oci::HostPath;
use plan::{
    Config, PlanError,
    spec::{self, HookName, HookSwitches, NameStrategy, SpecError, SpecMode, SpecOptions},
};
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

pub const FLAGS: &[Flag] = &[
    Flag::text("output", "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "file to write, instead of standard output"),
    Flag::text("format", "NVIDIA_CTK_CDI_GENERATE_OUTPUT_FORMAT", "yaml or json, if the name of the file does not say")
        .by_default("yaml"),
    Flag::text(
        "mode",
        "NVIDIA_CTK_CDI_GENERATE_MODE",
        "what to describe: auto, nvml, management, gds, mofed, gdrcopy, nvswitch, imex (csv and wsl: not yet)",
    )
    .or("discovery-mode")
    .by_default("auto"),
    Flag::list("device-id", "NVIDIA_CTK_CDI_GENERATE_DEVICE_IDS", "only these devices: all, none, or names")
        .or("device-ids")
        .or("device")
        .or("devices")
        .by_default("all"),
    Flag::list(
        "device-name-strategy",
        "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES",
        "how to name devices: index, uuid, type-index; each names every device once more",
    )
    .by_default("index,uuid"),
    Flag::switch("no-all-device", "NVIDIA_CTK_CDI_GENERATE_NO_ALL_DEVICE", "no device that is all the others together"),
    Flag::text(
        "driver-root",
        "NVIDIA_CTK_DRIVER_ROOT",
        "folder that holds the driver; else what config.toml says, else /",
    ),
    Flag::text("dev-root", "NVIDIA_CTK_DEV_ROOT", "folder that holds dev, if another than the driver root"),
    Flag::list(
        "library-search-path",
        "NVIDIA_CTK_CDI_GENERATE_LIBRARY_SEARCH_PATHS",
        "look for libraries only in these folders of the host",
    ),
    Flag::list(
        "config-search-path",
        "NVIDIA_CTK_CDI_GENERATE_CONFIG_SEARCH_PATHS",
        "look for configuration files only in these folders of the host",
    ),
    Flag::text(
        "gpus-from",
        "NVIDIA_CTK_CDI_GENERATE_GPUS_FROM",
        "who lists GPUs and MIG devices: kernel (its files), or nvml (as the original does); not in the original",
    )
    .by_default("kernel"),
    Flag::text(
        "nvidia-cdi-hook-path",
        "NVIDIA_CTK_CDI_HOOK_PATH",
        "program that hooks name: a path, or a name in $PATH",
    )
    .or("nvidia-ctk-path"),
    Flag::text("ldconfig-path", "NVIDIA_CTK_CDI_GENERATE_LDCONFIG_PATH", "handed on to the hook update-ldcache"),
    Flag::list("disable-hook", "NVIDIA_CTK_CDI_GENERATE_DISABLED_HOOKS", "hooks to leave out, or all")
        .or("disable-hooks"),
    Flag::list("enable-hook", "NVIDIA_CTK_CDI_GENERATE_ENABLED_HOOKS", "hooks to have, whatever is disabled")
        .or("enable-hooks"),
    Flag::list("feature-flag", "NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS", "switches of single behaviours")
        .or("feature-flags"),
    Flag::text("vendor", "NVIDIA_CTK_CDI_GENERATE_VENDOR", "vendor part of the devices' kind")
        .or("cdi-vendor")
        .by_default("nvidia.com"),
    Flag::text("class", "NVIDIA_CTK_CDI_GENERATE_CLASS", "class part of the devices' kind")
        .or("cdi-class")
        .by_default("gpu"),
    Flag::list("csv.file", "NVIDIA_CTK_CDI_GENERATE_CSV_FILES", "for mode csv: not yet"),
    Flag::list("csv.ignore-pattern", "NVIDIA_CTK_CDI_GENERATE_CSV_IGNORE_PATTERNS", "for mode csv: not yet"),
    Flag::text(
        "csv.compat-container-root",
        "NVIDIA_CTK_CDI_GENERATE_CSV_CONTAINER_COMPAT_ROOT",
        "for mode csv: not yet",
    ),
];

/// A checked command line.
struct Order {
    format: Format,
    /// `None`: as the machine is.
    mode: Option<SpecMode>,
    strategies: Vec<NameStrategy>,
    hook_program: HostPath,
    output: Option<PathBuf>,
    hooks: HookSwitches,
}

/// Makes the specification and writes it.
pub fn run(values: &Values) -> Result<()> {
    let order = Order::read(values)?;
    let config = config(values)?;
    let roots = roots(values, &config)?;
    let features = features(values)?;
    let mut options = SpecOptions {
        mode: order.mode.unwrap_or(SpecMode::Nvml),
        vendor: values.text("vendor"),
        class: values.text("class"),
        strategies: order.strategies,
        devices: values.list("device-id"),
        all_device: !values.is_set("no-all-device"),
        driver_root: roots.driver.clone(),
        hook_program: order.hook_program,
        ldconfig: Some(values.text("ldconfig-path")).filter(|path| !path.is_empty()),
        hooks: order.hooks,
        join_groups: !features.iter().any(|flag| flag == "no-additional-gids-for-device-nodes"),
        sockets: !features.iter().any(|flag| flag == "disable-ipc-discoverer"),
        explicit_libraries: features.iter().any(|flag| flag == "enable-explicit-driver-libraries"),
    };
    leave_out_all(&mut options);
    let wanted = options.mode.wanted(options.explicit_libraries);
    let mut inventory = match values.text("gpus-from").as_str() {
        "kernel" => machine::examine_at(&roots, wanted)?,
        "nvml" => machine::examine_as_nvml_does(&roots, wanted, &config).map_err(|fault| fault.within(FAILED))?,
        other => return Err(usage(format!("--gpus-from: {other:?} lists no GPUs"), "Give kernel or nvml")),
    };
    if order.mode.is_none() {
        check_platform(inventory.platform)?;
    }
    if spec::needs_nvml(&inventory, &options) {
        machine::ask_nvml_at(&roots, &mut inventory, &config).map_err(|fault| fault.within(FAILED))?;
    }
    let spec = spec::spec(&inventory, &options).map_err(|error| refused(&error))?;
    output::write(&spec, order.output.as_deref(), order.format)?;
    log::info!("Generated CDI spec with version {}", spec.cdi_version);
    Ok(())
}

/// The original's words for this stage.
const FAILED: &str = "failed to generate CDI spec";

impl Order {
    /// Checks in the original's order, so that of several mistakes the same one is told.
    fn read(values: &Values) -> Result<Order> {
        let format = format(&values.text("format"))?;
        let mode = mode(&values.text("mode"))?;
        let strategies =
            values.list("device-name-strategy").iter().map(|name| strategy(name)).collect::<Result<_>>()?;
        let hook_program = hook_program(&values.text("nvidia-cdi-hook-path"))?;
        let output = output::file(&values.text("output"), format, values.is_given("format"));
        let (output, format) = output.map_or((None, format), |(path, format)| (Some(path), format));
        kind(values)?;
        let hooks = switches(values)?;
        Ok(Order { format, mode, strategies, hook_program, output, hooks })
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

fn later_mode(name: &str) -> Fault {
    Fault::new(Code::NotYet, format!("{FAILED}: mode {name} is not in this version yet"))
}

fn check_platform(platform: Platform) -> Result<()> {
    match platform {
        Platform::Tegra => Err(later_mode("csv")),
        Platform::Wsl => Err(later_mode("wsl")),
        Platform::Discrete | Platform::None => {
            log::info!("Auto-detected mode as 'nvml'");
            Ok(())
        }
    }
}

fn strategy(name: &str) -> Result<NameStrategy> {
    let found = NameStrategy::ALL.iter().find(|(known, _)| *known == name).map(|(_, strategy)| *strategy);
    found.ok_or_else(|| usage(format!("invalid device name strategy: {name}"), "Give index, uuid or type-index"))
}

/// An absolute path is taken as it is. A name is looked up; one that is nowhere is expected in `/usr/bin`.
fn hook_program(given: &str) -> Result<HostPath> {
    let name = if given.is_empty() { "nvidia-cdi-hook" } else { given };
    let bad = |error: oci::NotAbsolute| usage(format!("--nvidia-cdi-hook-path: {error}"), "Give an absolute path");
    if name.starts_with('/') {
        return HostPath::new(name).map_err(bad);
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = lowlevel::executable(name, &search).and_then(|file| std::path::absolute(file).ok());
    let found = found.and_then(|file| HostPath::new(file.to_str()?).ok());
    Ok(found.unwrap_or_else(|| {
        let standard = if name.rsplit('/').next() == Some("nvidia-ctk") { "nvidia-ctk" } else { "nvidia-cdi-hook" };
        log::warn!("Failed to locate {name}: {name}: not found; hooks will name /usr/bin/{standard}");
        HostPath::root().join("usr/bin").join(standard)
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

fn leave_out_all(options: &mut SpecOptions) {
    if options.devices.iter().any(|name| name == "none") && options.all_device {
        log::warn!("Disabling generation of 'all' device");
        options.all_device = false;
    }
}

/// The feature flags, of which those that nobody knows are reported.
fn features(values: &Values) -> Result<Vec<String>> {
    let flags = values.list("feature-flag");
    for flag in flags.iter().filter(|flag| !flag.is_empty() && !FEATURES.contains(&flag.as_str())) {
        log::warn!("no feature flag is called {flag:?}; it has no effect");
    }
    if flags.iter().any(|flag| flag == "enable-coherent-annotations") {
        let what = "the feature flag enable-coherent-annotations is not in this version yet";
        return Err(Fault::new(Code::NotYet, what).next("Leave it out"));
    }
    Ok(flags)
}

/// `config.toml`, which may name the driver root.
fn config(values: &Values) -> Result<Config> {
    let named = values.text("config");
    let location = match named.as_str() {
        "" => Location::find(|name| std::env::var(name).ok()),
        path => Location { path: path.into(), named: true },
    };
    location.load()
}

/// Where to look. Folders may be relative to the caller's; links on the way to a root are the host's.
fn roots(values: &Values, config: &Config) -> Result<Roots> {
    let mut config = config.clone();
    if values.is_given("driver-root") {
        config.cli.root = folder("driver-root", &values.text("driver-root"))?.to_string();
    }
    let mut roots = machine::roots(&config)?;
    if values.is_given("dev-root") {
        roots.dev = folder("dev-root", &values.text("dev-root"))?;
    }
    roots.library_search = folders("library-search-path", values)?;
    roots.config_search = folders("config-search-path", values)?;
    Ok(roots)
}

/// Entries are lists themselves, with colons.
fn folders(flag: &str, values: &Values) -> Result<Vec<HostPath>> {
    let entries = values.list(flag);
    let paths = entries.iter().flat_map(|entry| entry.split(':')).filter(|path| !path.is_empty());
    paths.map(|path| folder(flag, path)).collect()
}

/// An empty folder is the root.
fn folder(flag: &str, path: &str) -> Result<HostPath> {
    let bad = |error: String| usage(format!("--{flag}: {error}"), "Give the path of a folder");
    let path = if path.is_empty() { "/" } else { path };
    let absolute = std::path::absolute(path).map_err(|error| bad(error.to_string()))?;
    HostPath::new(absolute.to_string_lossy()).map_err(|error| bad(error.to_string()))
}

fn refused(error: &SpecError) -> Fault {
    let code = match error {
        SpecError::NoDriver { .. } => Code::DriverMissing,
        SpecError::NoNodes { .. } | SpecError::UnknownChannel(_) => Code::DeviceUnknown,
        SpecError::InvalidChannel(_) => Code::RequestInvalid,
        SpecError::Unnamed { .. } => Code::FactUnknown,
        SpecError::Devices(PlanError::Ambiguous { .. }) => Code::DeviceAmbiguous,
        SpecError::Devices(PlanError::UnknownFact { .. }) => Code::FactUnknown,
        SpecError::Devices(PlanError::MixedNames { .. }) => Code::RequestInvalid,
        SpecError::Devices(_) => Code::DeviceUnknown,
    };
    Fault::from_error(code, error).within(FAILED)
}

fn usage(message: String, next: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(Code::Usage, message).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Values {
        let mut values = Values::new(line.split_whitespace().map(str::to_owned).collect());
        values.take(FLAGS, &[], |_| None).unwrap();
        values
    }

    #[test]
    fn orders_are_read_with_their_defaults() {
        let order = Order::read(&values("--nvidia-cdi-hook-path=/x/nvidia-ctk")).unwrap();
        assert_eq!((order.format, order.mode, order.output), (Format::Yaml, None, None));
        assert_eq!(order.strategies, [NameStrategy::Index, NameStrategy::Uuid]);
        assert_eq!(order.hook_program.as_str(), "/x/nvidia-ctk");
        let line = "--mode=GDS --format=Json --output=/o --disable-hooks=all,chmod --enable-hook=create-symlinks,x \
                    --nvidia-ctk-path=no-such-hook";
        let order = Order::read(&values(line)).unwrap();
        assert_eq!((order.format, order.mode), (Format::Json, Some(SpecMode::Gds)));
        assert_eq!(order.output, Some("/o.json".into()));
        assert_eq!(order.hook_program.as_str(), "/usr/bin/nvidia-cdi-hook");
        let (enabled, disabled) = (vec![HookName::CreateSymlinks], vec![HookName::Chmod]);
        assert_eq!(order.hooks, HookSwitches { enabled, disabled, all_disabled: true });
    }

    #[test]
    fn the_first_mistake_is_told() {
        for (line, want) in [
            ("--format=x --mode=x", "invalid output format: x"),
            ("--mode=x --device-name-strategy=x", "invalid discovery mode: x"),
            ("--device-name-strategy=index,x --vendor=1", "invalid device name strategy: x"),
            ("--vendor=1 --class=2", "invalid CDI vendor name: vendor \"1\" does not begin with a letter"),
            ("--class= --enable-hook=all", "invalid CDI class name: the class is missing"),
            ("--enable-hook=all", "enabling all hooks is not supported"),
        ] {
            let fault = Order::read(&values(&format!("--nvidia-cdi-hook-path=/h {line}"))).err().unwrap();
            assert!(fault.to_string().starts_with(want), "{line}: {fault}");
        }
    }

    #[test]
    fn roots_are_absolute_whatever_was_given() {
        let config = Config::default();
        let driver = |line: &str| roots(&values(line), &config).unwrap().driver.to_string();
        let here = std::env::current_dir().unwrap();
        for (line, want) in [
            ("", "/".to_owned()),
            ("--driver-root=", "/".to_owned()),
            ("--driver-root=/run//driver/", "/run/driver".to_owned()),
            ("--driver-root=sub", format!("{}/sub", here.display())),
        ] {
            assert_eq!(driver(line), want, "{line}");
        }
        let found = roots(&values("--driver-root=/d --dev-root=/ --library-search-path=/a:/b,/c"), &config).unwrap();
        let searched: Vec<_> = found.library_search.iter().map(HostPath::as_str).collect();
        assert_eq!((found.dev.as_str(), searched), ("/", vec!["/a", "/b", "/c"]));
    }

    #[test]
    fn features_that_are_not_there_are_no_secret() {
        assert_eq!(features(&values("--feature-flag=enable-coherent-annotations")).unwrap_err().code(), Code::NotYet);
        assert_eq!(features(&values("--feature-flags=x,disable-ipc-discoverer")).unwrap().len(), 2);
    }
}
