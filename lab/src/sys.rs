//! The machine's PCI functions as `/sys/bus/pci/devices` shows them, with their DRM devices.

use crate::{Result, kernel, tree::Tree};
use machine::Machine;

/// NVIDIA's PCI vendor number.
const VENDOR: u16 = 0x10de;

struct Function {
    bus_id: String,
    device: u16,
    /// Base class, subclass and programming interface.
    class: u32,
    /// N of `cardN`; the render node is 128 more.
    drm: Option<usize>,
}

/// Fills `tree`, which stands for `/sys/bus/pci/devices`.
///
/// # Errors
/// When a file cannot be written.
pub fn install(machine: &Machine, tree: &Tree) -> Result<()> {
    functions(machine).iter().try_for_each(|function| write(function, tree))
}

fn functions(machine: &Machine) -> Vec<Function> {
    let drm = machine.driver.as_ref().is_some_and(|driver| driver.drm);
    let gpus = machine.gpus.iter().enumerate().map(|(number, gpu)| Function {
        bus_id: kernel::bus_id(gpu),
        device: device_number(&gpu.model),
        class: 0x03_0200,
        drm: drm.then_some(number),
    });
    let switches = (0..machine.nvswitches).map(|number| Function {
        bus_id: format!("0000:{:02x}:00.0", 0xf0 + (number & 0xf)),
        device: 0x22a3,
        class: 0x06_8000,
        drm: None,
    });
    gpus.chain(switches).collect()
}

/// PCI device numbers of the models that the lab's machines have.
fn device_number(model: &str) -> u16 {
    let known = [("H100", 0x2330), ("A100", 0x20b0), ("L40", 0x26b5), ("T4", 0x1eb8), ("RTX 4090", 0x2684)];
    known.iter().find(|(name, _)| model.contains(name)).map_or(0x20b0, |(_, number)| *number)
}

fn write(function: &Function, tree: &Tree) -> Result<()> {
    let at = |name: &str| format!("{}/{name}", function.bus_id);
    let file = |name: &str, text: String| tree.file(&at(name), text, 0o444);
    file("vendor", format!("{VENDOR:#06x}\n"))?;
    file("device", format!("{:#06x}\n", function.device))?;
    file("class", format!("{:#08x}\n", function.class))?;
    file("numa_node", "-1\n".into())?;
    file("uevent", uevent(function))?;
    tree.file(&at("config"), configuration_space(function), 0o644)?;
    let Some(number) = function.drm else { return Ok(()) };
    for (name, minor) in [(format!("card{number}"), number), (format!("renderD{}", 128 + number), 128 + number)] {
        file(&format!("drm/{name}/dev"), format!("{}:{minor}\n", crate::dev::DRM_MAJOR))?;
    }
    Ok(())
}

fn uevent(function: &Function) -> String {
    format!(
        "DRIVER=nvidia\nPCI_CLASS={:X}\nPCI_ID={VENDOR:04X}:{:04X}\nPCI_SLOT_NAME={}\n",
        function.class, function.device, function.bus_id
    )
}

/// The first 64 bytes of the configuration space, numbers in little-endian order (PCI 3.0, section 6.1).
fn configuration_space(function: &Function) -> [u8; 64] {
    let mut space = [0; 64];
    space[0..2].copy_from_slice(&VENDOR.to_le_bytes());
    space[2..4].copy_from_slice(&function.device.to_le_bytes());
    space[8..12].copy_from_slice(&(function.class << 8 | 0xa1).to_le_bytes());
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_gpu_is_a_display_controller_of_nvidia_with_two_drm_devices() {
        let folder = tempfile::tempdir().unwrap();
        let machine = crate::machine_file::from_text(include_str!("../machines/two-gpus.toml")).unwrap();
        install(&machine, &Tree::new(folder.path())).unwrap();
        let gpu = folder.path().join("0000:08:00.0");
        let config = fs::read(gpu.join("config")).unwrap();
        assert_eq!((&config[0..2], config[11]), (&[0xde, 0x10][..], 3));
        assert_eq!(fs::read_to_string(gpu.join("vendor")).unwrap(), "0x10de\n");
        assert_eq!(fs::read_to_string(gpu.join("class")).unwrap(), "0x030200\n");
        assert_eq!(fs::read_to_string(gpu.join("drm/card1/dev")).unwrap(), "226:1\n");
        assert_eq!(fs::read_to_string(gpu.join("drm/renderD129/dev")).unwrap(), "226:129\n");
    }
}
