//! `nvidia-container-cli list` (reference: libnvidia-container.md 5): one path a line, in the order of the sections there.

use super::{Given, Globals, command_line, failure::Failure, json, print, tables::Command};
use legacy::{
    Detail, DeviceInfo, DriverInfo, Machine,
    caps::{self, Style},
    imex,
    options::DriverOptions,
    select::{self, Selection},
};
use serde::Serialize;

/// What of it is wanted.
struct Wanted {
    device: Option<String>,
    libraries: bool,
    compat32: bool,
    binaries: bool,
    ipcs: bool,
    firmwares: bool,
}

/// The paths of each section; those that are not wanted are empty.
#[derive(Default, Serialize)]
struct Lists {
    devices: Vec<String>,
    mig_devices: Vec<String>,
    imex_channels: Vec<String>,
    mig_config: Vec<String>,
    mig_monitor: Vec<String>,
    binaries: Vec<String>,
    libraries: Vec<String>,
    libraries32: Vec<String>,
    ipcs: Vec<String>,
    firmwares: Vec<String>,
}

impl Lists {
    fn text(&self) -> String {
        let sections = [
            &self.devices,
            &self.mig_devices,
            &self.imex_channels,
            &self.mig_config,
            &self.mig_monitor,
            &self.binaries,
            &self.libraries,
            &self.libraries32,
            &self.ipcs,
            &self.firmwares,
        ];
        sections.into_iter().flatten().map(|path| format!("{path}\n")).collect()
    }
}

/// Prints it.
pub fn run(globals: &Globals, words: Vec<String>, command: &Command) -> Result<(), Failure> {
    let count = words.iter().filter(|word| *word != "--json").count();
    let given = command_line(globals, words, command, 0)?;
    let channels = given.joined("imex-channel");
    let channels = imex::parse(channels.as_deref().unwrap_or_default()).map_err(super::imex_failure)?;
    let wanted = wanted(&given, count == 0 || (count == 1 && !channels.is_empty()));
    let machine = globals.machine(&channels)?;
    let options = DriverOptions {
        no_persistenced: given.has("no-persistenced"),
        no_fabricmanager: given.has("no-fabricmanager"),
        no_gsp_firmware: given.has("no-gsp-firmware"),
        ..DriverOptions::default()
    };
    let driver = machine.driver(&options).map_err(Failure::detection)?;
    let devices = machine.devices(Detail::Names).map_err(Failure::detection)?;
    let list = wanted.device.clone().unwrap_or_default();
    let selection = select::devices(&list, &devices).map_err(Failure::of("device"))?;
    let partition = |what: &str| {
        select::to_partition(what, given.joined(what).as_deref(), &selection, &devices).map_err(Failure::of(what))
    };
    let (config, monitor) = (partition("mig-config")?, partition("mig-monitor")?);
    let lists = Lists {
        devices: if wanted.device.is_some() { nodes(&driver, &devices, &selection) } else { Vec::new() },
        mig_devices: match config.is_some() || monitor.is_some() {
            true => Vec::new(),
            false => mig_devices(&machine, &devices, &selection),
        },
        imex_channels: channels.iter().map(|channel| imex::path(*channel)).collect(),
        mig_config: to_partition(&machine, &caps::config(), &devices, &config.unwrap_or_default()),
        mig_monitor: to_partition(&machine, &caps::monitor(), &devices, &monitor.unwrap_or_default()),
        binaries: if wanted.binaries { driver.binaries } else { Vec::new() },
        libraries: if wanted.libraries { driver.libraries } else { Vec::new() },
        libraries32: if wanted.libraries && wanted.compat32 { driver.libraries32 } else { Vec::new() },
        ipcs: if wanted.ipcs { driver.ipcs } else { Vec::new() },
        firmwares: if wanted.firmwares { driver.firmwares } else { Vec::new() },
    };
    match given.has("json") {
        true => print(&json(&lists)),
        false => print(&lists.text()),
    }
}

/// Without an argument, or with one that is an IMEX channel, everything is listed (section 2.3).
fn wanted(given: &Given, everything: bool) -> Wanted {
    let has = |name| everything || given.has(name);
    Wanted {
        device: given.joined("device").or_else(|| everything.then(|| "all".to_owned())),
        libraries: has("libraries"),
        compat32: has("compat32"),
        binaries: has("binaries"),
        ipcs: has("ipcs"),
        firmwares: has("firmwares"),
    }
}

fn nodes(driver: &DriverInfo, devices: &DeviceInfo, selection: &Selection) -> Vec<String> {
    let gpus = selection.gpus(devices).map(|gpu| &gpu.node);
    driver.devices.iter().chain(gpus).map(|node| node.path.clone()).collect()
}

/// A node whose number the kernel does not say is left out.
fn cap_nodes(machine: &Machine, paths: &[String]) -> Vec<String> {
    match machine.caps_style() {
        Style::Device => paths.iter().filter_map(|path| Some(machine.cap_node(path).ok()?.path)).collect(),
        Style::Proc => Vec::new(),
    }
}

fn mig_devices(machine: &Machine, devices: &DeviceInfo, selection: &Selection) -> Vec<String> {
    let mut paths = Vec::new();
    for (_, mig) in selection.mig(devices) {
        let files = [caps::access(&mig.gpu_instance_path), caps::access(&mig.compute_instance_path)];
        let nodes = cap_nodes(machine, &files);
        paths.extend(files.into_iter().chain(nodes));
    }
    paths
}

/// What those need who partition or watch these GPUs.
fn to_partition(machine: &Machine, global: &str, devices: &DeviceInfo, gpus: &[usize]) -> Vec<String> {
    if gpus.is_empty() {
        return Vec::new();
    }
    let mut paths = vec![global.to_owned()];
    paths.extend(cap_nodes(machine, &[global.to_owned()]));
    for gpu in gpus.iter().map(|gpu| &devices.gpus[*gpu]) {
        paths.push(gpu.mig_caps_path());
        if machine.caps_style() == Style::Device {
            paths.push(caps::FOLDER.to_owned());
            paths.extend(machine.all_cap_nodes(gpu).into_iter().map(|node| node.path));
        }
    }
    paths
}
