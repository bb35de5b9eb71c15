//! `nvidia-container-cli info` (reference: libnvidia-container.md 4).

use super::{Globals, command_line, failure::Failure, json, print, tables::Command};
use legacy::{Detail, DeviceInfo, DriverInfo, options::DriverOptions};
use serde::Serialize;
use std::fmt::Write as _;

/// Prints it.
pub fn run(globals: &Globals, words: Vec<String>, command: &Command) -> Result<(), Failure> {
    let given = command_line(globals, words, command, 0)?;
    let machine = globals.machine(&[])?;
    let driver = machine.driver(&DriverOptions::default()).map_err(Failure::detection)?;
    let cuda = machine.cuda_version().map_err(Failure::detection)?;
    let devices = machine.devices(Detail::All).map_err(Failure::detection)?;
    let text = match (given.has("json"), given.has("csv")) {
        (true, _) => as_json(&driver, &cuda, &devices),
        (_, true) => as_csv(&driver, &cuda, &devices),
        _ => as_text(&driver, &cuda, &devices),
    };
    print(&text)
}

fn as_text(driver: &DriverInfo, cuda: &str, devices: &DeviceInfo) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title:<15} {value}");
    };
    line("NVRM version:", &driver.version);
    line("CUDA version:", cuda);
    for (index, gpu) in devices.gpus.iter().enumerate() {
        let _ = writeln!(text);
        let mut line = |title: &str, value: &str| {
            let _ = writeln!(text, "{title:<15} {value}");
        };
        line("Device Index:", &index.to_string());
        line("Device Minor:", &gpu.node.minor.to_string());
        line("Model:", &gpu.model);
        line("Brand:", &gpu.brand);
        line("GPU UUID:", &gpu.uuid);
        line("Bus Location:", &gpu.bus_id);
        line("Architecture:", &gpu.arch);
    }
    text
}

fn as_csv(driver: &DriverInfo, cuda: &str, devices: &DeviceInfo) -> String {
    let mut text = format!("NVRM version,CUDA version\n{},{cuda}\n\n", driver.version);
    text += "Device Index,Device Minor,Model,Brand,GPU UUID,Bus Location,Architecture\n";
    for (index, gpu) in devices.gpus.iter().enumerate() {
        let _ = writeln!(
            text,
            "{index},{},{},{},{},{},{}",
            gpu.node.minor, gpu.model, gpu.brand, gpu.uuid, gpu.bus_id, gpu.arch
        );
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    nvrm_version: &'a str,
    cuda_version: &'a str,
    devices: Vec<JsonGpu<'a>>,
}

#[derive(Serialize)]
struct JsonGpu<'a> {
    index: usize,
    minor: u32,
    model: &'a str,
    brand: &'a str,
    uuid: &'a str,
    bus_location: &'a str,
    architecture: &'a str,
    mig_capable: bool,
    mig_devices: Vec<JsonMig<'a>>,
}

#[derive(Serialize)]
struct JsonMig<'a> {
    index: u32,
    uuid: &'a str,
    gpu_instance: u32,
    compute_instance: u32,
}

fn as_json(driver: &DriverInfo, cuda: &str, devices: &DeviceInfo) -> String {
    let gpus = devices.gpus.iter().enumerate().map(|(index, gpu)| JsonGpu {
        index,
        minor: gpu.node.minor,
        model: &gpu.model,
        brand: &gpu.brand,
        uuid: &gpu.uuid,
        bus_location: &gpu.bus_id,
        architecture: &gpu.arch,
        mig_capable: gpu.mig_capable,
        mig_devices: gpu
            .mig
            .iter()
            .map(|mig| JsonMig {
                index: mig.slot,
                uuid: &mig.uuid,
                gpu_instance: mig.gpu_instance,
                compute_instance: mig.compute_instance,
            })
            .collect(),
    });
    json(&Json { nvrm_version: &driver.version, cuda_version: cuda, devices: gpus.collect() })
}
