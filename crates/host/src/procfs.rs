//! The texts that the NVIDIA driver and the kernel publish, as values. Parsing only: no file is opened here. What
//! makes no sense says nothing, and is an error only where something must be found ([`cgroups`]).

pub mod cgroups;
mod id_map;
mod mounts;

pub use crate::version::of_kernel;
pub use id_map::seen_through;
pub use mounts::{below, is_shared, was_made_read_only};

use std::collections::BTreeMap;

/// A text of lines `Key: value`, with blanks and tabs around both.
pub(crate) struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Fields(text)
    }

    /// The value of the first line with that key.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        let pairs = self.0.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.get(key)?.parse().ok()
    }
}

/// Majors of character devices by name, from `/proc/devices`. Block devices may have the same names and are another
/// numbering, so reading stops where they begin. The first entry of a name counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Majors(BTreeMap<String, u32>);

impl Majors {
    /// Reads the whole file.
    pub fn parse(text: &str) -> Self {
        let characters = text.lines().skip_while(|line| line.trim() != "Character devices:").skip(1);
        let mut majors = BTreeMap::new();
        for line in characters.take_while(|line| line.trim() != "Block devices:") {
            let Some((number, name)) = line.trim().split_once(' ') else { continue };
            if let Ok(number) = number.parse() {
                majors.entry(name.trim().to_owned()).or_insert(number);
            }
        }
        Majors(majors)
    }

    /// The major of the devices of that name.
    pub fn get(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    /// Major of GPUs, nvidiactl and nvidia-modeset: registered under one of two names, and 195 since ever.
    pub fn nvidia(&self) -> u32 {
        self.get("nvidia").or_else(|| self.get("nvidia-frontend")).unwrap_or(195)
    }
}

/// `/proc/driver/nvidia/params`: how the driver wants its nodes made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Programs that use the driver make and repair its nodes.
    pub modify: bool,
}

impl Default for Params {
    /// What the driver's own tools assume where the file is missing.
    fn default() -> Self {
        Params { mode: 0o666, uid: 0, gid: 0, modify: false }
    }
}

impl Params {
    /// Reads the whole file; what it does not say is as by default.
    pub fn parse(text: &str) -> Self {
        let fields = Fields::new(text);
        let default = Params::default();
        Params {
            mode: fields.number("DeviceFileMode").unwrap_or(default.mode) & 0o777,
            uid: fields.number("DeviceFileUID").unwrap_or(default.uid),
            gid: fields.number("DeviceFileGID").unwrap_or(default.gid),
            modify: fields.number("ModifyDeviceFiles") == Some(1),
        }
    }
}

/// One GPU's information file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Information {
    /// Product name.
    pub model: String,
    /// Empty while the driver has not initialised the GPU: the file then shows question marks.
    pub uuid: String,
    /// As [`bus_id`] gives it.
    pub bus_id: String,
    /// `N` of `/dev/nvidiaN`.
    pub minor: u32,
    /// Taken out of use by the administrator; NVML does not count it either.
    pub excluded: bool,
}

impl Information {
    /// `folder` is the name of the folder that holds the file, a bus id too; the text's own wins. `None` without a
    /// minor: such a GPU has no node.
    pub fn parse(folder: &str, text: &str) -> Option<Self> {
        let fields = Fields::new(text);
        let uuid = fields.get("GPU UUID").filter(|uuid| !uuid.contains('?')).unwrap_or_default();
        let excluded = fields.get("GPU Excluded").or_else(|| fields.get("GPU Blacklisted"));
        Some(Information {
            model: fields.get("Model").unwrap_or_default().to_owned(),
            uuid: uuid.to_owned(),
            bus_id: fields.get("Bus Location").and_then(bus_id).or_else(|| bus_id(folder))?,
            minor: fields.number("Device Minor")?,
            excluded: excluded.is_some_and(|word| word.eq_ignore_ascii_case("yes")),
        })
    }
}

/// A PCI bus id in the form of sysfs: lower case, domain of four digits, or more where it needs them. `None` for
/// anything else, so that the result is safe as a file name.
pub fn bus_id(text: &str) -> Option<String> {
    let (domain, bus, device, function) = bus_numbers(text)?;
    Some(format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"))
}

/// Domain, bus, device and function: the order of NVML's indices.
pub fn bus_numbers(text: &str) -> Option<(u32, u32, u32, u32)> {
    let hex = |digits: &str, most: u32| u32::from_str_radix(digits, 16).ok().filter(|number| *number <= most);
    let (place, function) = text.rsplit_once('.')?;
    let mut parts = place.split(':');
    let numbers =
        (hex(parts.next()?, u32::MAX)?, hex(parts.next()?, 0xff)?, hex(parts.next()?, 0x1f)?, hex(function, 7)?);
    parts.next().is_none().then_some(numbers)
}

/// `/proc/driver/nvidia-caps/mig-minors`: the minor of a capability, by names such as `config`, `gpu0/gi1/access` and
/// `gpu0/gi1/ci0/access`.
pub fn mig_minor(text: &str, capability: &str) -> Option<u32> {
    let pairs = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    pairs.filter(|(name, _)| *name == capability).find_map(|(_, minor)| minor.trim().parse().ok())
}

/// The same file's minors of all instances of a GPU, whether they exist or not.
pub fn mig_minors_of(text: &str, gpu: u32) -> Vec<u32> {
    let prefix = format!("gpu{gpu}/");
    let of_gpu = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    of_gpu.filter_map(|line| line.split_once(char::is_whitespace)?.1.trim().parse().ok()).collect()
}

/// A module of that name is listed in `/proc/modules`, where `-` is written `_`.
pub fn module_loaded(modules: &str, name: &str) -> bool {
    let name = name.replace('-', "_");
    modules.lines().any(|line| line.split_ascii_whitespace().next() == Some(&name))
}

/// The first of the driver's modules that is neither in use nor gone: it is being loaded or unloaded. The fields are name,
/// size, users, who they are, and state (proc(5)).
pub fn module_in_motion(modules: &str) -> Option<&str> {
    let lines = modules.lines().filter(|line| line.starts_with("nvidia"));
    let lines = lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields.get(4).is_some_and(|state| *state != "Live"))
        .find_map(|fields| fields.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn majors_are_those_of_character_devices() {
        let majors = Majors::parse(
            "Character devices:\n  1 mem\n195 nvidia-frontend\n511 nvidia-uvm\n\nBlock devices:\n  8 sd\n259 nvidia-uvm\n",
        );
        assert_eq!((majors.nvidia(), majors.get("nvidia-uvm"), majors.get("sd")), (195, Some(511), None));
        let renamed = Majors::parse("Character devices:\n194 nvidia\n195 nvidia-frontend\n");
        assert_eq!(renamed.nvidia(), 194);
        assert_eq!(Majors::parse("").nvidia(), 195);
    }

    #[test]
    fn params_are_decimal() {
        let params = Params::parse(
            "ResmanDebugLevel: 4294967295\nModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\n",
        );
        assert_eq!(params, Params { mode: 0o660, uid: 0, gid: 44, modify: true });
        assert_eq!(Params::parse(""), Params::default());
    }

    #[test]
    fn information_has_blanks_and_tabs() {
        let text = "Model: \t\t NVIDIA A100\nIRQ:   \t\t 17\nGPU UUID: \t GPU-4cf8\nVideo BIOS: \t ??.??\nBus Location: \t 0000:07:00.0\nDevice Minor: \t 3\nGPU Excluded:\t No\n";
        let want = Information {
            model: "NVIDIA A100".into(),
            uuid: "GPU-4cf8".into(),
            bus_id: "0000:07:00.0".into(),
            minor: 3,
            excluded: false,
        };
        assert_eq!(Information::parse("x", text), Some(want));
        assert_eq!(Information::parse("0000:07:00.0", "Model: x\n"), None);
        let asleep =
            Information::parse("0000:0A:00.0", "GPU UUID: GPU-????????-????\nDevice Minor: 0\nGPU Excluded: Yes\n")
                .unwrap();
        assert_eq!((asleep.uuid.as_str(), asleep.bus_id.as_str(), asleep.excluded), ("", "0000:0a:00.0", true));
    }

    #[test]
    fn bus_ids_are_normalised() {
        for (given, want) in [
            ("00000000:07:00.0", Some("0000:07:00.0")),
            ("0000:AF:1F.7", Some("0000:af:1f.7")),
            ("10000:01:00.0", Some("10000:01:00.0")),
            ("07:00.0", None),
            ("0000:07:00", None),
            ("../../x:0.0", None),
            ("0000:07:00:00.0", None),
        ] {
            assert_eq!(bus_id(given).as_deref(), want, "{given}");
        }
    }

    #[test]
    fn mig_minors_are_found_by_name() {
        let text = "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\nodd\n";
        assert_eq!(mig_minor(text, "gpu0/gi1/ci0/access"), Some(13));
        assert_eq!(mig_minor(text, "monitor"), Some(2));
        assert_eq!(mig_minor(text, "gpu0/gi2/access"), None);
        let text = format!("{text}gpu0/gi2/access x\ngpu0/\ngpu10/gi0/access 1353\ngpu0/gi3/access 30\n");
        assert_eq!(mig_minors_of(&text, 0), [12, 13, 30]);
        assert!(mig_minors_of(&text, 1).is_empty());
    }

    #[test]
    fn modules_are_spelt_with_underscores() {
        let modules = "nvidia_modeset 1515520 2 nvidia_drm, Live 0x0\nnvidia 61440000 2 nvidia_modeset, Live 0x0\n";
        assert!(module_loaded(modules, "nvidia-modeset"));
        assert!(!module_loaded(modules, "nvidia-uvm"));
        assert_eq!(module_in_motion(modules), None);
        let loading = format!("ext4 1 0 - Loading 0x0\n{modules}nvidia_uvm 4935680 0 - Loading 0x0 (POE)\n");
        assert_eq!(module_in_motion(&loading), Some("nvidia_uvm"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~\\t\\n?:.]{0,300}", name in ".{0,20}") {
            let _ = (Majors::parse(&text), Params::parse(&text), Information::parse(&name, &text));
            let _ = (bus_id(&text), mig_minor(&text, &name), mig_minors_of(&text, 0), module_loaded(&text, &name), module_in_motion(&text));
        }
    }
}
