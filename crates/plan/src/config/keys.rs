//! The table of keys.

use super::Config;

/// One key of `config.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// With its tables, dotted: `nvidia-container-cli.root`.
    pub name: &'static str,
    /// Type and default, and where the value goes.
    pub kind: Kind,
    /// Which programs read it: `runtime`, `hook`, both; `none` for what is only accepted.
    pub readers: &'static str,
    /// A sentence for the documentation.
    pub meaning: &'static str,
}

/// Type and default of a key, and the field it sets.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text(&'static str, fn(&mut Config) -> &mut String),
    /// `true` or `false`.
    Flag(bool, fn(&mut Config) -> &mut bool),
    /// An array of strings.
    List(&'static [&'static str], fn(&mut Config) -> &mut Vec<String>),
}

impl Kind {
    /// The type's name, as error texts and the documentation use it.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Kind::Text(..) => "string",
            Kind::Flag(..) => "bool",
            Kind::List(..) => "[]string",
        }
    }

    /// The default as TOML.
    pub fn default_text(&self) -> String {
        match self {
            Kind::Text(text, _) => format!("{text:?}"),
            Kind::Flag(flag, _) => flag.to_string(),
            Kind::List(list, _) => format!("{list:?}"),
        }
    }
}

impl Key {
    pub(super) fn set_default(&self, config: &mut Config) {
        match self.kind {
            Kind::Text(text, field) => text.clone_into(field(config)),
            Kind::Flag(flag, field) => *field(config) = flag,
            Kind::List(list, field) => *field(config) = list.iter().map(|&word| word.to_owned()).collect(),
        }
    }
}

const fn key(name: &'static str, kind: Kind, readers: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, readers, meaning }
}

use Kind::{Flag, List, Text};

const BOTH: &str = "runtime, hook";
const RUNTIME: &str = "runtime";
const HOOK: &str = "hook";
const NOBODY: &str = "none";

/// Every key, in the order of the documentation.
#[rustfmt::skip] // One key, one entry of at most two lines; rustfmt would make four of it.
pub const KEYS: &[Key] = &[
    key("disable-require", Flag(false, |c| &mut c.disable_require), BOTH,
        "true: NVIDIA_REQUIRE_* is not checked, as if every container had NVIDIA_DISABLE_REQUIRE=true"),
    key("swarm-resource", Text("", |c| &mut c.swarm_resource), BOTH,
        "comma list of variables that replace NVIDIA_VISIBLE_DEVICES where a container sets one of them"),
    key("accept-nvidia-visible-devices-envvar-when-unprivileged", Flag(true, |c| &mut c.accept_envvar_when_unprivileged), BOTH,
        "false: variables ask for GPUs, IMEX channels and gated devices only in privileged containers"),
    key("accept-nvidia-visible-devices-as-volume-mounts", Flag(false, |c| &mut c.accept_volume_mounts), BOTH,
        "true: mounts of /dev/null below /var/run/nvidia-container-devices ask for devices"),
    key("supported-driver-capabilities", Text("compat32,compute,display,graphics,ngx,utility,video", |c| &mut c.supported_driver_capabilities), BOTH,
        "upper bound for NVIDIA_DRIVER_CAPABILITIES; all is the seven"),

    key("nvidia-container-cli.root", Text("", |c| &mut c.cli.root), BOTH,
        "driver root on the host"),
    key("nvidia-container-cli.path", Text("", |c| &mut c.cli.path), HOOK,
        "the program that the hook runs"),
    key("nvidia-container-cli.environment", List(&[], |c| &mut c.cli.environment), HOOK,
        "NAME=value entries added to the environment of that program"),
    key("nvidia-container-cli.debug", Text("", |c| &mut c.cli.debug), HOOK,
        "log file of that program"),
    key("nvidia-container-cli.ldcache", Text("", |c| &mut c.cli.ldcache), BOTH,
        "loader cache of the host, if elsewhere than /etc/ld.so.cache"),
    key("nvidia-container-cli.load-kmods", Flag(true, |c| &mut c.cli.load_kmods), BOTH,
        "load a missing kernel module of the driver (nvidia-uvm, nvidia-modeset)"),
    key("nvidia-container-cli.no-pivot", Flag(false, |c| &mut c.cli.no_pivot), HOOK,
        "accepted; nothing of ours needs pivot_root"),
    key("nvidia-container-cli.no-cgroups", Flag(false, |c| &mut c.cli.no_cgroups), HOOK,
        "true: the hook leaves device cgroups alone"),
    key("nvidia-container-cli.user", Text("", |c| &mut c.cli.user), BOTH,
        "user[:group] that asks NVML; empty: nobody (root:video on SUSE)"),
    key("nvidia-container-cli.ldconfig", Text("@/sbin/ldconfig", |c| &mut c.cli.ldconfig), NOBODY,
        "accepted; loader caches are written without ldconfig. A path without @ (an image's own) is reported"),

    key("nvidia-container-runtime.debug", Text("/dev/null", |c| &mut c.runtime.debug), RUNTIME,
        "log file; empty and /dev/null mean none"),
    key("nvidia-container-runtime.log-level", Text("info", |c| &mut c.runtime.log_level), RUNTIME,
        "panic, fatal, error, warn, info, debug or trace"),
    key("nvidia-container-runtime.runtimes", List(&["runc", "crun"], |c| &mut c.runtime.runtimes), RUNTIME,
        "low-level runtimes, the first that exists is used"),
    key("nvidia-container-runtime.mode", Text("auto", |c| &mut c.runtime.mode), BOTH,
        "auto, legacy, csv, cdi or jit-cdi"),
    key("nvidia-container-runtime.modes.csv.mount-spec-path", Text("/etc/nvidia-container-runtime/host-files-for-container.d", |c| &mut c.runtime.csv_mount_spec_path), RUNTIME,
        "folder of the CSV files of Jetson systems"),
    key("nvidia-container-runtime.modes.csv.compat-container-root", Text("", |c| &mut c.runtime.csv_compat_container_root), RUNTIME,
        "where an image keeps Orin's compatibility libraries; empty: /usr/local/cuda/compat_orin"),
    key("nvidia-container-runtime.modes.cdi.spec-dirs", List(&["/etc/cdi", "/var/run/cdi"], |c| &mut c.runtime.cdi_spec_dirs), RUNTIME,
        "folders of CDI specs, lowest priority first"),
    key("nvidia-container-runtime.modes.cdi.default-kind", Text("nvidia.com/gpu", |c| &mut c.runtime.cdi_default_kind), RUNTIME,
        "kind of unqualified names in cdi mode"),
    key("nvidia-container-runtime.modes.cdi.annotation-prefixes", List(&["cdi.k8s.io/"], |c| &mut c.runtime.cdi_annotation_prefixes), RUNTIME,
        "annotations that name CDI devices begin with one of these; []: none do"),
    key("nvidia-container-runtime.modes.jit-cdi.nvcdi-feature-flags", List(&[], |c| &mut c.runtime.jit_feature_flags), RUNTIME,
        "no-additional-gids-for-device-nodes and disable-ipc-discoverer have an effect; others are accepted"),
    key("nvidia-container-runtime.modes.jit-cdi.nvcdi-disable-hooks", List(&[], |c| &mut c.runtime.jit_disable_hooks), RUNTIME,
        "hooks of the original whose work is not to be done: create-symlinks, enable-cuda-compat, update-ldcache, disable-device-node-modification, update-application-profile, or all"),
    key("nvidia-container-runtime.modes.jit-cdi.ignore-driver-capabilities", Flag(false, |c| &mut c.runtime.jit_ignore_driver_capabilities), RUNTIME,
        "ours. true: inject every native driver file whatever NVIDIA_DRIVER_CAPABILITIES says, as the original does in jit-cdi mode"),
    key("nvidia-container-runtime.modes.legacy.cuda-compat-mode", Text("ldconfig", |c| &mut c.runtime.legacy_cuda_compat_mode), BOTH,
        "ldconfig, mount, disabled or hook"),

    key("nvidia-container-runtime-hook.path", Text("nvidia-container-runtime-hook", |c| &mut c.hook.path), RUNTIME,
        "the hook that legacy mode inserts"),
    key("nvidia-container-runtime-hook.skip-mode-detection", Flag(false, |c| &mut c.hook.skip_mode_detection), HOOK,
        "true: the hook does its work in every mode"),
    key("nvidia-ctk.path", Text("nvidia-ctk", |c| &mut c.ctk.path), RUNTIME,
        "the program that inserted hooks name"),

    key("features.allow-cuda-compat-libs-from-container", Flag(false, |c| &mut c.features.allow_cuda_compat_libs_from_container), NOBODY,
        "unsafe; reported and not obeyed"),
    key("features.allow-ldconfig-from-container", Flag(false, |c| &mut c.features.allow_ldconfig_from_container), NOBODY,
        "unsafe; reported and not obeyed"),
    key("features.allow-unknown-oci-spec-fields", Flag(false, |c| &mut c.features.allow_unknown_oci_spec_fields), NOBODY,
        "accepted; unknown fields are always allowed and kept"),
    key("features.disable-cuda-compat-lib-hook", Flag(false, |c| &mut c.features.disable_cuda_compat_lib_hook), RUNTIME,
        "true: no forward-compatibility libraries in legacy mode with cuda-compat-mode = \"hook\""),
    key("features.disable-imex-channel-creation", Flag(false, |c| &mut c.features.disable_imex_channel_creation), BOTH,
        "true: an IMEX channel must have a node on the host to be granted"),
    key("features.ignore-imex-channel-requests", Flag(false, |c| &mut c.features.ignore_imex_channel_requests), BOTH,
        "true: requests for IMEX channels are dropped"),
    key("features.no-additional-gids-for-device-nodes", Flag(false, |c| &mut c.features.no_additional_gids_for_device_nodes), RUNTIME,
        "true: the groups that own device nodes are not added to the container's process"),

    key("nvidia-container-runtime.experimental", Flag(false, |c| &mut c.old.experimental), RUNTIME,
        "old files: true makes discover-mode count"),
    key("nvidia-container-runtime.discover-mode", Text("", |c| &mut c.old.discover_mode), RUNTIME,
        "old files, now mode: legacy is legacy, csv is csv, nvml is jit-cdi, none is auto"),
    key("nvidia-container-runtime.experimental.runtime-path", Text("", |c| &mut c.old.runtime_path), RUNTIME,
        "old files: the low-level runtime of the program nvidia-container-runtime.experimental"),
];
