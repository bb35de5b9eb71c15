//! The flags of `nvidia-ctk cdi generate` (reference: cdi-and-ctk.md 1.2).

use crate::ctk::flags::{Flag, join};

/// Every flag.
pub const FLAGS: &[Flag] = &join::<{ OWN.len() + SHARED.len() }>(OWN, SHARED);

const OWN: &[Flag] = &[
    Flag::text("output", "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "file to write, instead of standard output"),
    Flag::switch(
        "explain",
        "NVIDIA_CTK_CDI_GENERATE_EXPLAIN",
        "print each part of the specification with the reason for it, and write nothing",
    ),
];

/// Those that say what the specification is to be, and that whoever keeps a file up to date takes, too.
pub const SHARED: &[Flag] = &[
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
    Flag::text(
        "machine",
        "NVIDIA_CTK_CDI_GENERATE_MACHINE",
        "describe the machine in this file instead of this one; or none, of which only --driver-root is known",
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
    Flag::text(
        "hooks",
        "NVIDIA_CTK_CDI_GENERATE_HOOKS",
        "all: as --enable-hook and --disable-hook say; one: the same in one process; none: what hooks would link becomes mounts",
    )
    .by_default("all"),
    Flag::list(
        "container-library-folder",
        "NVIDIA_CTK_CDI_GENERATE_CONTAINER_LIBRARY_FOLDERS",
        "for --hooks=none: folders where containers' loaders look, besides the driver's own",
    )
    .or("container-library-folders")
    .by_default("/usr/lib64,/usr/lib"),
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
