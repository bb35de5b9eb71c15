//! The driver's face in `/proc`: `driver/nvidia`, `driver/nvidia-caps`, `devices` and `modules`.
//!
//! Texts are laid out as a 550 driver's are, tabs and all, because programs parse them by column.

use crate::{Error, Result, kernel, tree::Tree};
use machine::{Driver, Gpu, Machine};

/// Name of the state file within `/proc/driver`.
const STATE: &str = "corten-lab.json";

/// Fills `tree`, which stands for `/proc/driver`.
///
/// # Errors
/// When a file cannot be written.
pub fn install(machine: &Machine, tree: &Tree) -> Result<()> {
    let Some(driver) = &machine.driver else { return Ok(()) };
    show_state(machine, tree)?;
    tree.file("nvidia/version", version(driver), 0o444)?;
    tree.file("nvidia/params", params(driver), 0o444)?;
    tree.file("nvidia/registry", "Binary: \"\"\n", 0o644)?;
    for (number, gpu) in machine.gpus.iter().enumerate() {
        let folder = format!("nvidia/gpus/{}", kernel::bus_id(gpu));
        tree.file(&format!("{folder}/information"), information(gpu, driver, number), 0o444)?;
        tree.file(&format!("{folder}/registry"), "Binary: \"\"\n", 0o644)?;
    }
    tree.file("nvidia-caps/mig-minors", mig_minors(), 0o444)?;
    show_capabilities(machine, tree)
}

/// Leaves the machine's description for its NVML, at once, since that may be asking.
pub(crate) fn show_state(machine: &Machine, tree: &Tree) -> Result<()> {
    let fresh = format!("{STATE}.new");
    tree.file(&fresh, state(machine)?, 0o644)?;
    let (from, to) = (tree.path(&fresh), tree.path(STATE));
    std::fs::rename(from, &to).map_err(Error::file("replace", to))
}

fn state(machine: &Machine) -> Result<String> {
    serde_json::to_string_pretty(machine).map_err(|error| Error::File {
        action: "write",
        path: machine::STATE_FILE.into(),
        source: error.into(),
    })
}

/// Makes those entries of capabilities that are not there yet.
pub(crate) fn show_capabilities(machine: &Machine, tree: &Tree) -> Result<()> {
    for gpu in machine.gpus.iter().filter(|gpu| gpu.mig_capable) {
        tree.folder(&format!("nvidia/capabilities/gpu{}/mig", gpu.minor))?;
    }
    let path = |capability: &kernel::Capability| format!("nvidia/capabilities/{}", capability.proc_path());
    let all = kernel::capabilities(machine);
    all.iter().filter(|capability| !tree.path(&path(capability)).exists()).try_for_each(|capability| {
        let text = format!(
            "DeviceFileMinor: {}\nDeviceFileMode: {}\nDeviceFileModify: 1\n",
            capability.minor, capability.mode
        );
        tree.file(&path(capability), text, capability.mode)
    })
}

/// `/proc/driver/nvidia/version`.
pub fn version(driver: &Driver) -> String {
    let machine = std::env::consts::ARCH;
    format!(
        "NVRM version: NVIDIA UNIX {machine} Kernel Module  {}  Thu Feb 22 01:44:30 UTC 2024\n\
         GCC version:  gcc version 12.2.0 (Debian 12.2.0-14) \n",
        driver.version
    )
}

/// `/proc/driver/nvidia/params`.
pub fn params(driver: &Driver) -> String {
    let modify = u8::from(driver.modify_device_files);
    PARAMS.replace("ModifyDeviceFiles: 1", &format!("ModifyDeviceFiles: {modify}"))
}

/// `/proc/driver/nvidia/gpus/BUSID/information`; `number` counts GPUs from 0.
pub fn information(gpu: &Gpu, driver: &Driver, number: usize) -> String {
    format!(
        "Model: \t\t {model}\n\
         IRQ:   \t\t {irq}\n\
         GPU UUID: \t {uuid}\n\
         Video BIOS: \t 92.00.45.00.03\n\
         Bus Type: \t PCIe\n\
         DMA Size: \t 47 bits\n\
         DMA Mask: \t 0x7fffffffffff\n\
         Bus Location: \t {bus}\n\
         Device Minor: \t {minor}\n\
         GPU Firmware: \t {version}\n\
         GPU Excluded:\t No\n",
        model = gpu.model,
        irq = 40 + number,
        uuid = gpu.uuid,
        bus = kernel::bus_id(gpu),
        minor = gpu.minor,
        version = driver.version,
    )
}

/// `/proc/driver/nvidia-caps/mig-minors`.
pub fn mig_minors() -> String {
    kernel::all_capabilities().iter().map(|capability| format!("{} {}\n", capability.name, capability.minor)).collect()
}

/// `/proc/devices`: `host`, what this machine's own kernel says, with the driver's character devices in their places.
pub fn devices(machine: &Machine, host: &str) -> String {
    let (characters, blocks) = host.split_once("\n\n").unwrap_or((host, ""));
    let mut lines: Vec<(u32, String)> = characters.lines().skip(1).filter_map(own_line).collect();
    lines.extend(majors(machine).into_iter().map(|(major, name)| (major, name.to_owned())));
    lines.sort_by_key(|(major, _)| *major);
    let listed: String = lines.iter().map(|(major, name)| format!("{major:3} {name}\n")).collect();
    format!("Character devices:\n{listed}\n{blocks}")
}

/// A line of the host's list, unless it is about a driver that is simulated.
fn own_line(line: &str) -> Option<(u32, String)> {
    let (major, name) = line.trim_start().split_once(' ')?;
    let simulated = name.starts_with("nvidia") || ["drm", "gdrdrv", "infiniband_verbs"].contains(&name);
    (!simulated).then_some((major.parse().ok()?, name.to_owned()))
}

/// Majors and names, as far as the machine has the hardware.
fn majors(machine: &Machine) -> Vec<(u32, &'static str)> {
    let Some(driver) = &machine.driver else { return Vec::new() };
    let numbers = &machine.majors;
    let mut all = vec![(numbers.nvidia, if numbers.frontend { "nvidia-frontend" } else { "nvidia" })];
    if !numbers.frontend {
        all.extend([(numbers.nvidia, "nvidia-modeset"), (numbers.nvidia, "nvidiactl")]);
    }
    all.extend([(numbers.uvm, "nvidia-uvm"), (numbers.caps, "nvidia-caps")]);
    all.push((numbers.imex, "nvidia-caps-imex-channels"));
    let present = [
        (machine.nvswitches > 0, numbers.nvswitch, "nvidia-nvswitch"),
        (machine.gds > 0, numbers.fs, "nvidia-fs"),
        (machine.gdrcopy, numbers.gdrdrv, "gdrdrv"),
        (driver.drm, crate::dev::DRM_MAJOR, "drm"),
        (machine.mofed > 0, crate::dev::VERBS_MAJOR, "infiniband_verbs"),
    ];
    all.extend(present.iter().filter(|(has, ..)| *has).map(|(_, major, name)| (*major, *name)));
    all
}

/// `/proc/modules`: `host`, with the driver's modules in front.
pub fn modules(machine: &Machine, host: &str) -> String {
    let kept = host.lines().filter(|line| !line.starts_with("nvidia")).map(|line| format!("{line}\n"));
    if machine.driver.is_none() {
        return kept.collect();
    }
    MODULES.iter().map(|line| format!("{line} Live 0x0000000000000000 (POE)\n")).chain(kept).collect()
}

const MODULES: &[&str] = &[
    "nvidia_uvm 4935680 0 -",
    "nvidia_drm 122880 0 -",
    "nvidia_modeset 1355776 1 nvidia_drm,",
    "nvidia 54304768 2 nvidia_uvm,nvidia_modeset,",
];

const PARAMS: &str = "\
ResmanDebugLevel: 4294967295
RmLogonRC: 1
ModifyDeviceFiles: 1
DeviceFileUID: 0
DeviceFileGID: 0
DeviceFileMode: 438
InitializeSystemMemoryAllocations: 1
UsePageAttributeTable: 4294967295
EnableMSI: 1
EnablePCIeGen3: 0
MemoryPoolSize: 0
KMallocHeapMaxSize: 0
VMallocHeapMaxSize: 0
IgnoreMMIOCheck: 0
EnableStreamMemOPs: 0
EnableUserNUMAManagement: 1
NvLinkDisable: 0
RmProfilingAdminOnly: 1
PreserveVideoMemoryAllocations: 0
EnableS0ixPowerManagement: 0
S0ixPowerManagementVideoMemoryThreshold: 256
DynamicPowerManagement: 3
DynamicPowerManagementVideoMemoryThreshold: 200
RegisterPCIDriver: 1
EnablePCIERelaxedOrderingMode: 0
EnableResizableBar: 0
EnableGpuFirmware: 18
EnableGpuFirmwareLogs: 2
EnableDbgBreakpoint: 0
OpenRmEnableUnsupportedGpus: 1
DmaRemapPeerMmio: 1
ImexChannelCount: 2048
CreateImexChannel0: 0
RegistryDwords: \"\"
RegistryDwordsPerDevice: \"\"
RmMsg: \"\"
GpuBlacklist: \"\"
TemporaryFilePath: \"\"
ExcludedGpus: \"\"
";

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn two_gpus() -> Machine {
        crate::machine_file::from_text(include_str!("../machines/two-gpus.toml")).unwrap()
    }

    #[test]
    fn information_has_the_drivers_columns() {
        let machine = two_gpus();
        let text = information(&machine.gpus[1], machine.driver.as_ref().unwrap(), 1).replace('\t', "<tab>");
        expect![[r#"
            Model: <tab><tab> NVIDIA A100-SXM4-40GB
            IRQ:   <tab><tab> 41
            GPU UUID: <tab> GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c
            Video BIOS: <tab> 92.00.45.00.03
            Bus Type: <tab> PCIe
            DMA Size: <tab> 47 bits
            DMA Mask: <tab> 0x7fffffffffff
            Bus Location: <tab> 0000:08:00.0
            Device Minor: <tab> 1
            GPU Firmware: <tab> 550.54.14
            GPU Excluded:<tab> No
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn majors_are_merged_into_the_hosts_list_in_order() {
        let host = "Character devices:\n  1 mem\n195 nvidia\n254 ndctl\n\nBlock devices:\n  7 loop\n";
        expect![[r#"
            Character devices:
              1 mem
            195 nvidia
            195 nvidia-modeset
            195 nvidiactl
            226 drm
            236 nvidia-caps
            237 nvidia-caps-imex-channels
            254 ndctl
            511 nvidia-uvm

            Block devices:
              7 loop
        "#]]
        .assert_eq(&devices(&two_gpus(), host));
    }

    #[test]
    fn parameters_tell_who_may_make_nodes() {
        let mut driver = two_gpus().driver.unwrap();
        assert!(params(&driver).contains("\nModifyDeviceFiles: 1\n"));
        driver.modify_device_files = false;
        assert!(params(&driver).contains("\nModifyDeviceFiles: 0\n"));
    }

    #[test]
    fn capability_numbers_are_those_of_real_drivers() {
        let text = mig_minors();
        for line in
            ["config 1\n", "monitor 2\n", "gpu0/gi0/access 3\n", "gpu0/gi1/ci0/access 13\n", "gpu1/gi0/access 138\n"]
        {
            assert!(text.contains(line), "{line}");
        }
    }
}
