//! What the prestart hook of legacy mode asks of `nvidia-container-cli`: its command line, word for word and in the
//! original's order (reference: runtime-and-hook.md 6.5), from what the container asks for and what the administrator set.

use crate::config::Config;
use crate::request::{DeviceRequest, ImexRequest, Request};
use oci::HostPath;

/// The container that the command line is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its process; 0 where the state names none.
    pub pid: u64,
    /// Its root file system, on the host.
    pub root: &'a HostPath,
}

/// What the container asks for as legacy mode reads it, whatever mode is configured: annotations do not count, driver
/// capabilities and requirements do.
#[must_use]
pub fn as_legacy(config: &Config) -> Config {
    let mut config = config.clone();
    "legacy".clone_into(&mut config.runtime.mode);
    config.runtime.jit_ignore_driver_capabilities = false;
    config
}

/// The words after the program's name. `debug`: the hook was called with `-debug`; `exists` says whether the host has a
/// file.
pub fn command_line(
    request: &Request,
    config: &Config,
    target: Target<'_>,
    debug: bool,
    exists: impl Fn(&str) -> bool,
) -> Vec<String> {
    let cli = &config.cli;
    let set = |flag: &str, on: bool| on.then(|| flag.to_owned());
    let text = |flag: &str, value: &str| (!value.is_empty()).then(|| format!("{flag}={value}"));
    let log = if debug { "/dev/stderr" } else { &cli.debug };
    let before = [
        text("--root", &cli.root),
        set("--load-kmods", cli.load_kmods),
        set("--no-create-imex-channels", config.features.disable_imex_channel_creation),
        set("--no-pivot", cli.no_pivot),
        text("--debug", log),
        text("--ldcache", &cli.ldcache),
        text("--user", &cli.user),
    ];
    let behind = [
        text("--cuda-compat-mode", compat_mode(&config.runtime.legacy_cuda_compat_mode)),
        text("--ldconfig", &ldconfig(&cli.ldconfig, exists)),
        set("--no-cgroups", cli.no_cgroups),
        text("--device", &devices(&request.devices)),
        text("--mig-config", request.mig_config.as_deref().unwrap_or_default()),
        text("--mig-monitor", request.mig_monitor.as_deref().unwrap_or_default()),
        text("--imex-channel", &channels(&request.imex)),
    ];
    let mut words: Vec<String> = before.into_iter().flatten().collect();
    words.push("configure".to_owned());
    words.extend(behind.into_iter().flatten());
    words.extend(request.capabilities.iter().map(|capability| format!("--{}", capability.name())));
    words.extend(request.requirements.iter().map(|requirement| format!("--require={}", requirement.text)));
    words.push(format!("--pid={}", target.pid));
    words.push(target.root.to_string());
    words
}

/// `hook` leaves it to a hook of CDI's. Without the word the program would mount an image's own libraries, so a mode that
/// is none is said too.
fn compat_mode(configured: &str) -> &'static str {
    match configured {
        "ldconfig" => "ldconfig",
        "mount" => "mount",
        _ => "disabled",
    }
}

/// The host's ldconfig, by the name behind a wrapper where there is one (reference: runtime-and-hook.md 1.4). A path
/// without `@` would be the image's, which is never run: then it is the usual one.
fn ldconfig(configured: &str, exists: impl Fn(&str) -> bool) -> String {
    let path = configured.strip_prefix('@').unwrap_or("/sbin/ldconfig");
    let plain = path.strip_suffix(".real").unwrap_or(path);
    let real = format!("{plain}.real");
    if exists(&real) { format!("@{real}") } else { format!("@{plain}") }
}

fn devices(devices: &DeviceRequest) -> String {
    match devices {
        DeviceRequest::All => "all".to_owned(),
        DeviceRequest::None => String::new(),
        DeviceRequest::Ids(names) => joined(names.iter().map(|name| name.text.as_str())),
    }
}

fn channels(imex: &ImexRequest) -> String {
    match imex {
        ImexRequest::All { .. } => "all".to_owned(),
        ImexRequest::Channels(names) => joined(names.iter().map(|name| name.text.as_str())),
    }
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{ContainerView, MountView};

    /// The whole line for a container with these variables.
    fn line(toml: &str, env: &[&str], privileged: bool) -> Option<String> {
        let (config, _) = Config::parse(toml).unwrap();
        let config = as_legacy(&config);
        let env: Vec<String> = env.iter().map(|&entry| entry.to_owned()).collect();
        let view = ContainerView { env: &env, privileged, ..ContainerView::default() };
        let request = Request::read(&view, &config).unwrap().request?;
        let root = HostPath::new("/lab/bundle/rootfs").unwrap();
        let target = Target { pid: 4242, root: &root };
        Some(command_line(&request, &config, target, false, |_| false).join(" "))
    }

    const END: &str = "--pid=4242 /lab/bundle/rootfs";
    const START: &str = "--load-kmods configure --cuda-compat-mode=ldconfig --ldconfig=@/sbin/ldconfig";

    #[test]
    fn the_originals_examples() {
        for (env, want) in [
            (&["NVIDIA_VISIBLE_DEVICES=all"][..], format!("{START} --device=all --compute --utility {END}")),
            (&["NVIDIA_VISIBLE_DEVICES=none"], format!("{START} --compute --utility {END}")),
            (
                &["CUDA_VERSION=8.0.61"],
                format!(
                    "{START} --device=all --compat32 --compute --display --graphics --ngx --utility --video \
                     --require=cuda>=8.0 {END}"
                ),
            ),
        ] {
            assert_eq!(line("", env, false), Some(want), "{env:?}");
        }
        assert_eq!(line("", &[], false), None);
        let config = "disable-require = true\nnvidia-container-cli.load-kmods = false";
        let env = ["NVIDIA_VISIBLE_DEVICES=0", "CUDA_VERSION=bad", "NVIDIA_REQUIRE_CUDA=x"];
        let want = "configure --cuda-compat-mode=ldconfig --ldconfig=@/sbin/ldconfig --device=0 --compute --utility";
        assert_eq!(line(config, &env, false), Some(format!("{want} {END}")));
    }

    #[test]
    fn everything_at_once_is_in_the_originals_order() {
        let config = "
            [nvidia-container-cli]
            root = '/run/nvidia/driver'
            debug = '/tmp/cli.log'
            ldcache = '/tmp/ldc'
            user = 'root:video'
            no-cgroups = true
            no-pivot = true
            ldconfig = '@/sbin/ldconfig.real'
            [features]
            disable-imex-channel-creation = true
            [nvidia-container-runtime]
            mode = 'legacy'";
        let env = [
            "NVIDIA_VISIBLE_DEVICES=0,GPU-abc,1:0",
            "NVIDIA_DRIVER_CAPABILITIES=all",
            "NVIDIA_MIG_CONFIG_DEVICES=all",
            "NVIDIA_MIG_MONITOR_DEVICES=0",
            "NVIDIA_IMEX_CHANNELS=0,1",
            "NVIDIA_REQUIRE_CUDA=cuda>=11.0 brand=tesla,driver>=450",
        ];
        let want = "--root=/run/nvidia/driver --load-kmods --no-create-imex-channels --no-pivot --debug=/tmp/cli.log \
                    --ldcache=/tmp/ldc --user=root:video configure --cuda-compat-mode=ldconfig --ldconfig=@/sbin/ldconfig \
                    --no-cgroups --device=0,GPU-abc,1:0 --mig-config=all --mig-monitor=0 --imex-channel=0,1 --compat32 \
                    --compute --display --graphics --ngx --utility --video \
                    --require=cuda>=11.0 brand=tesla,driver>=450";
        assert_eq!(line(config, &env, true), Some(format!("{want} {END}")));
    }

    #[test]
    fn a_request_is_said_once_and_its_order_kept() {
        for (env, want) in [
            (&["NVIDIA_VISIBLE_DEVICES=1,0, 1 ,"][..], "--device=1,0 --compute --utility"),
            (&["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,1"], "--device=nvidia.com/gpu=0,1 --compute --utility"),
            (&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_DRIVER_CAPABILITIES=,"], "--device=0"),
            (&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_REQUIRE_A="], "--device=0 --compute --utility --require="),
            (
                &["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_IMEX_CHANNELS=0,1,1"],
                "--device=0 --imex-channel=0,1 --compute --utility",
            ),
            (&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_IMEX_CHANNELS=all"], "--device=0 --compute --utility"),
            (
                &["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_GDS=enabled", "NVIDIA_VISIBLE_DEVICES=1"],
                "--device=1 --compute --utility",
            ),
        ] {
            assert_eq!(line("", env, false), Some(format!("{START} {want} {END}")), "{env:?}");
        }
    }

    #[test]
    fn requirements_come_sorted() {
        let env = ["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_REQUIRE_B=b", "NVIDIA_REQUIRE_A=a"];
        let want = "--device=0 --compute --utility --require=a --require=b";
        assert_eq!(line("", &env, false), Some(format!("{START} {want} {END}")));
    }

    #[test]
    fn channels_of_mounts_may_be_all() {
        let (config, _) = Config::parse("accept-nvidia-visible-devices-as-volume-mounts = true").unwrap();
        let config = as_legacy(&config);
        let mount = |destination| MountView { destination, source: "/dev/null" };
        let folder = "/var/run/nvidia-container-devices";
        let (device, channel) = (format!("{folder}/0"), format!("{folder}/imex/all"));
        let mounts = [mount(device.as_str()), mount(channel.as_str())];
        let view = ContainerView { mounts: &mounts, ..ContainerView::default() };
        let request = Request::read(&view, &config).unwrap().request.unwrap();
        let target = Target { pid: 0, root: &HostPath::root() };
        let words = command_line(&request, &config, target, true, |_| false);
        let want = "--load-kmods --debug=/dev/stderr configure --cuda-compat-mode=ldconfig --ldconfig=@/sbin/ldconfig \
                    --device=0 --imex-channel=all --compute --utility --pid=0 /";
        assert_eq!(words.join(" "), want);
    }

    #[test]
    fn compat_modes() {
        for (mode, want) in [
            ("ldconfig", "ldconfig"),
            ("mount", "mount"),
            ("disabled", "disabled"),
            ("hook", "disabled"),
            ("", "disabled"),
            ("x", "disabled"),
        ] {
            let config = format!(
                "nvidia-container-runtime.modes.legacy.cuda-compat-mode = '{mode}'\n\
                 features.allow-cuda-compat-libs-from-container = true"
            );
            let line = line(&config, &["NVIDIA_VISIBLE_DEVICES=0"], false).unwrap();
            assert!(line.contains(&format!(" --cuda-compat-mode={want} ")), "{mode}: {line}");
        }
    }

    #[test]
    fn ldconfig_is_the_hosts_and_behind_a_wrapper() {
        for (configured, real, want) in [
            ("@/sbin/ldconfig", "", "@/sbin/ldconfig"),
            ("@/sbin/ldconfig", "/sbin/ldconfig.real", "@/sbin/ldconfig.real"),
            ("@/sbin/ldconfig.real", "", "@/sbin/ldconfig"),
            ("@/x/ld.real", "/x/ld.real", "@/x/ld.real"),
            ("/sbin/other", "", "@/sbin/ldconfig"),
            ("", "/sbin/ldconfig.real", "@/sbin/ldconfig.real"),
        ] {
            assert_eq!(ldconfig(configured, |path| path == real), want, "{configured} {real}");
        }
    }
}
