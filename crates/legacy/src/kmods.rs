//! Kernel modules and their device nodes, `--load-kmods` (section 12). What cannot be done is logged, and never fails a
//! call: what is missing then is found missing by name later.

mod node;

use crate::{Settings, caps, imex};
use host::{Roots, Wanted, legacy};
use node::{Access, Maker};
use oci::HostPath;
use root::child;
use std::{path::Path, time::Duration};

/// How long modprobe may take.
const LIMIT: Duration = Duration::from_secs(30);
const MODPROBE: &str = "/sbin/modprobe";
/// Major of GPUs and control nodes.
const NVIDIA: u32 = 195;

/// Loads the driver's modules where they are not loaded, and makes the nodes that are missing.
pub fn load(settings: &Settings, create_imex_channels: bool) {
    if is_in_user_namespace() {
        log::warn!("skipping kernel modules load due to user namespace");
        return;
    }
    let Ok(root) = HostPath::new(&settings.root) else { return };
    let roots = Roots::new(root);
    let gpus = pci_devices(&roots);
    if gpus == 0 {
        log::warn!("failed to detect NVIDIA devices");
    }
    let access = Access::of_driver(&text(&roots.proc.join("driver/nvidia/params")));
    let maker = Maker { root: &roots.dev };
    if loaded("nvidia", &roots, gpus > 0) {
        maker.make("/dev/nvidiactl", (NVIDIA, 255), access);
        for minor in 0..gpus {
            maker.make(&format!("/dev/nvidia{minor}"), (NVIDIA, minor), access);
        }
        capabilities(&roots, gpus, &maker);
        if create_imex_channels {
            channels(&roots, settings, &maker);
        }
    }
    if loaded("nvidia-uvm", &roots, gpus > 0)
        && let Some(major) = legacy::major(&roots, "nvidia-uvm")
    {
        maker.make("/dev/nvidia-uvm", (major, 0), Access::OPEN);
        maker.make("/dev/nvidia-uvm-tools", (major, 1), Access::OPEN);
    }
    if loaded("nvidia-modeset", &roots, gpus > 0) {
        maker.make("/dev/nvidia-modeset", (NVIDIA, 254), access);
    }
}

/// Nodes of those capabilities of MIG that the kernel has.
fn capabilities(roots: &Roots, gpus: u32, maker: &Maker) {
    let Some(major) = legacy::major(roots, "nvidia-caps") else { return };
    let global = [caps::config(), caps::monitor()];
    let wanted = Wanted { capabilities: host::Capabilities::NONE, ..crate::device::WANTED };
    let found = host::discover(roots, wanted).map(|inventory| inventory.gpus).unwrap_or_default();
    let of_gpus = found
        .iter()
        .filter(|gpu| gpu.minor < gpus)
        .flat_map(|gpu| gpu.mig.iter().flat_map(|mig| [mig.gpu_instance_node.minor, mig.compute_instance_node.minor]));
    let of_files = global.iter().filter_map(|path| {
        let file = roots.proc.join(path.strip_prefix("/proc/")?);
        Some((legacy::capability_minor(&file)?, Access::of_capability(&text(&file))))
    });
    let nodes: Vec<_> = of_files.chain(of_gpus.map(|minor| (minor, Access::CAPABILITY))).collect();
    if nodes.is_empty() || !maker.folder(caps::FOLDER) {
        return;
    }
    for (minor, access) in nodes {
        maker.make(&format!("{}/nvidia-cap{minor}", caps::FOLDER), (major, minor), access);
    }
}

fn channels(roots: &Roots, settings: &Settings, maker: &Maker) {
    let Some(major) = legacy::major(roots, "nvidia-caps-imex-channels") else { return };
    if settings.imex.is_empty() || !maker.folder("/dev/nvidia-caps-imex-channels") {
        return;
    }
    for channel in &settings.imex {
        maker.make(&imex::path(*channel), (major, *channel), Access::OPEN);
    }
}

/// The module is loaded, now if not before.
fn loaded(module: &str, roots: &Roots, may_load: bool) -> bool {
    log::info!("loading kernel module {module}");
    if is_loaded(roots, module) {
        return true;
    }
    if !may_load || !rustix::process::geteuid().is_root() {
        log::error!("could not load kernel module {module}");
        return false;
    }
    if *roots.driver.as_path() != *Path::new("/") {
        log::error!("could not load kernel module {module}: {} loads its own", roots.driver);
        return false;
    }
    let configured = text(&roots.proc.join("sys/kernel/modprobe"));
    let program = Some(configured.trim()).filter(|program| program.starts_with('/')).unwrap_or(MODPROBE);
    if let Err(error) = child::run(Path::new(program), &[module], LIMIT) {
        log::error!("{program} {module}: {error}");
    }
    let loaded = is_loaded(roots, module);
    if !loaded {
        log::error!("could not load kernel module {module}");
    }
    loaded
}

/// As the list of modules says, or, where the kernel shows none, its list of devices.
fn is_loaded(roots: &Roots, module: &str) -> bool {
    let (name, modules) = (module.replace('-', "_"), text(&roots.proc.join("modules")));
    let mut listed = modules.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let is_old_name = module == "nvidia" && legacy::major(roots, "nvidia-frontend").is_some();
    listed.any(|listed| listed == name) || legacy::major(roots, module).is_some() || is_old_name
}

/// Ids are mapped, so that a node made here could be nobody's.
fn is_in_user_namespace() -> bool {
    let own = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let is_whole = |map: &str| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    !is_whole(&own("uid_map")) || !is_whole(&own("gid_map")) || own("setgroups").trim() == "deny"
}

/// PCI functions of NVIDIA's that are displays.
fn pci_devices(roots: &Roots) -> u32 {
    let Ok(entries) = std::fs::read_dir(roots.sys.join("bus/pci/devices").as_path()) else { return 0 };
    let is_display = |config: &[u8]| config.len() >= 12 && config[..2] == [0xde, 0x10] && config[11] == 0x03;
    let configs = entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("config")).ok());
    configs.filter(|config| is_display(config)).count() as u32
}

fn text(path: &HostPath) -> String {
    std::fs::read_to_string(path.as_path()).unwrap_or_default()
}
