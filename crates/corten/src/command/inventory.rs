//! `corten inventory`: this machine's driver and GPUs, as every decision sees them.

use super::usage;
use crate::{fault::Result, machine, runtime::settings::Location};
use host::{
    Gpu, Inventory, Node, Platform, SharedNodes, Wanted,
    tegra::{
        self,
        csv::{Kind, Sheet},
    },
};
use oci::HostPath;
use std::fmt::Write as _;

pub fn run(mut parser: lexopt::Parser) -> Result<String> {
    let mut json = false;
    while let Some(arg) = parser.next().map_err(|error| usage("inventory", error))? {
        match arg {
            lexopt::Arg::Long("json") => json = true,
            other => return Err(usage("inventory", other.unexpected())),
        }
    }
    let config = Location::find(|name| std::env::var(name).ok()).load()?;
    let mut inventory = machine::examine(&config, Wanted::ALL)?;
    // What NVML knows is worth showing, and no reason to show nothing.
    if !inventory.gpus.is_empty()
        && let Err(fault) = machine::ask_nvml(&mut inventory, &config)
    {
        inventory.remarks.push(fault.to_string());
    }
    if json {
        return Ok(machine::to_json(&inventory));
    }
    let sheets = match inventory.platform {
        Platform::Tegra => sheets(&config.runtime.csv_mount_spec_path),
        _ => String::new(),
    };
    Ok(describe(&inventory) + &sheets)
}

/// What a Jetson's own files list, which is what mode csv will go by.
fn sheets(folder: &str) -> String {
    let Ok(path) = HostPath::new(folder) else { return String::new() };
    let found = tegra::sheets(&path);
    if found.is_empty() {
        return format!("\nNote: {path} has no CSV files, which list what a container needs on a Jetson\n");
    }
    let mut text = format!("\nWhat {path} lists:\n");
    for (name, sheet) in found {
        match sheet {
            Ok(sheet) => line(&mut text, format_args!("  {name:14}  {}", summary(&sheet))),
            Err(error) => line(&mut text, format_args!("  {name:14}  {error}")),
        }
    }
    text
}

/// Numbers of entries by their kind, and the first line that says nothing.
fn summary(sheet: &Sheet) -> String {
    let counts = Kind::ALL.into_iter().map(|kind| (sheet.count(kind), kind.word()));
    let counts: Vec<_> =
        counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{word} {count}")).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    match sheet.skipped[..] {
        [] => counts,
        [only] => format!("{counts}; line {} is passed over: {}", only.line, only.why),
        [first, ..] => {
            format!("{counts}; {} lines are passed over, line {}: {}", sheet.skipped.len(), first.line, first.why)
        }
    }
}

/// For people. Machines read `--json`.
fn describe(inventory: &Inventory) -> String {
    let mut text = format!("Platform  {}\n", word(&inventory.platform));
    match &inventory.driver {
        Some(driver) => line(
            &mut text,
            format_args!("Driver    {} under {}, {} files", driver.version, driver.root, driver.files.len()),
        ),
        None => line(&mut text, format_args!("Driver    none")),
    }
    if let Some((major, minor)) = inventory.nvml.as_ref().and_then(|nvml| nvml.cuda_version) {
        line(&mut text, format_args!("CUDA      {major}.{minor}"));
    }
    gpus(&mut text, inventory);
    nodes(&mut text, &inventory.nodes);
    for remark in &inventory.remarks {
        line(&mut text, format_args!("\nNote: {remark}"));
    }
    text
}

fn gpus(text: &mut String, inventory: &Inventory) {
    if inventory.gpus.is_empty() {
        return line(text, format_args!("\nNo GPUs."));
    }
    line(text, format_args!("\n{:>5}  {:12}  {:40}  {:14}  MODEL", "INDEX", "BUS ID", "UUID", "NODE"));
    for gpu in &inventory.gpus {
        let node = shown(&gpu.node);
        line(text, format_args!("{:>5}  {:12}  {:40}  {node:14}  {}", gpu.index, gpu.bus_id, gpu.uuid, gpu.model));
        mig(text, gpu, inventory);
    }
}

/// The MIG devices of one GPU, with the names by which they can be asked for where NVML told them.
fn mig(text: &mut String, gpu: &Gpu, inventory: &Inventory) {
    let facts = inventory.facts(gpu);
    for device in &gpu.mig {
        let known = facts
            .into_iter()
            .flat_map(|facts| &facts.mig)
            .find(|mig| (mig.gpu_instance, mig.compute_instance) == (device.gpu_instance, device.compute_instance));
        let (slot, uuid, name) = match known {
            Some(mig) => (format!("{}:{}", gpu.index, mig.index), mig.uuid.as_str(), mig.name.as_str()),
            None => (format!("{}:?", gpu.index), "", "MIG"),
        };
        let place = format!("GI {} CI {}", device.gpu_instance, device.compute_instance);
        line(text, format_args!("{slot:>5}  {place:12}  {uuid:40}  {:14}  {name}", ""));
    }
}

fn nodes(text: &mut String, nodes: &SharedNodes) {
    let single = [&nodes.ctl, &nodes.modeset, &nodes.uvm, &nodes.uvm_tools, &nodes.mig_config, &nodes.mig_monitor];
    let lists = [&nodes.nvswitch, &nodes.gds, &nodes.mofed, &nodes.gdrcopy];
    let imex = nodes.imex.iter().map(|channel| &channel.node);
    let all: Vec<_> = single.into_iter().flatten().chain(lists.into_iter().flatten()).chain(imex).map(shown).collect();
    if !all.is_empty() {
        line(text, format_args!("\nOther nodes: {}", all.join(" ")));
    }
}

/// A node's path; in brackets where only the kernel knows it so far.
fn shown(node: &Node) -> String {
    if node.exists { node.path.to_string() } else { format!("[{}]", node.path) }
}

fn word(platform: &host::Platform) -> String {
    format!("{platform:?}").to_lowercase()
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::ContainerPath;

    fn node(path: &str, exists: bool) -> Node {
        Node {
            host: HostPath::new(path).unwrap(),
            path: ContainerPath::new(path).unwrap(),
            major: 195,
            minor: 0,
            mode: 0o666,
            uid: 0,
            gid: 0,
            exists,
        }
    }

    #[test]
    fn says_what_a_jetsons_files_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert!(sheets(path).contains("has no CSV files"));
        for (name, text) in [
            ("devices.csv", "dev, /dev/nvmap\ndev, /dev/nvhost-ctrl\n"),
            ("drivers.csv", "lib, /a\ndir, /b\nsym, /c\nlib, /d\nblk, /e\n"),
            ("l4t.csv", "x\ny\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let text = sheets(path).replace(path, "FOLDER");
        expect_test::expect![[r#"

            What FOLDER lists:
              devices.csv     dev 2
              drivers.csv     dir 1, lib 2, sym 1; line 5 is passed over: its kind is none of dev, dir, lib and sym
              l4t.csv         nothing; 2 lines are passed over, line 1: it has no comma
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn says_what_there_is() {
        let gpu = Gpu {
            index: 0,
            minor: 1,
            uuid: "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c".into(),
            bus_id: "0000:07:00.0".into(),
            model: "NVIDIA A100".into(),
            node: node("/dev/nvidia1", false),
            drm: vec![],
            drm_links: vec![],
            mig_capable: true,
            mig: vec![host::MigDevice {
                gpu_instance: 3,
                compute_instance: 0,
                gpu_instance_node: node("/dev/nvidia-caps/nvidia-cap30", true),
                compute_instance_node: node("/dev/nvidia-caps/nvidia-cap31", true),
            }],
        };
        let inventory = Inventory {
            platform: host::Platform::Discrete,
            gpus: vec![gpu],
            nodes: SharedNodes { ctl: Some(node("/dev/nvidiactl", true)), ..SharedNodes::default() },
            remarks: vec!["no libcuda was found".into()],
            ..Inventory::default()
        };
        expect_test::expect![[r#"
            Platform  discrete
            Driver    none

            INDEX  BUS ID        UUID                                      NODE            MODEL
                0  0000:07:00.0  GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c  [/dev/nvidia1]  NVIDIA A100
              0:?  GI 3 CI 0                                                               MIG

            Other nodes: /dev/nvidiactl

            Note: no libcuda was found
        "#]]
        .assert_eq(&describe(&inventory));
        assert!(describe(&Inventory::default()).contains("No GPUs."));
    }
}
