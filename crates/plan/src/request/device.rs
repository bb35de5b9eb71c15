//! The names by which a container can ask for a device.

use serde::Serialize;

/// Hexadecimal digits of a UUID that a prefix must have: its whole first group, as `nvidia-smi` users cut it
/// (`GPU-fef8089b`). A shorter one would too easily fit another GPU after the next change of hardware.
pub const MIN_UUID_PREFIX: usize = 8;

/// Names with this prefix mean this machine's devices also where CDI names are expected.
const AUTOMATIC: &str = "runtime.nvidia.com/gpu=";

/// A name, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceName {
    /// What it names.
    pub id: DeviceId,
    /// As it was written.
    pub text: String,
    /// The variable, mount or annotation that holds it.
    pub from: String,
}

/// What a name says, before any machine is looked at (reference: libnvidia-container.md section 6). UUIDs are kept in
/// lower case, without `GPU-` or `MIG-`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum DeviceId {
    /// `0`: a GPU, by its position in bus id order.
    Index(u32),
    /// `GPU-…`: a GPU by its UUID, or by a prefix of at least [`MIN_UUID_PREFIX`] digits.
    GpuUuid(String),
    /// `0000:07:00.0`, with as many or few leading zeros as one likes.
    BusId {
        /// PCI domain.
        domain: u32,
        /// Bus.
        bus: u8,
        /// Device.
        device: u8,
    },
    /// `0:1`: GPU by index, MIG device by NVML's slot.
    MigIndex(u32, u32),
    /// `MIG-…`, likewise as a whole or by a prefix.
    MigUuid(String),
    /// `MIG-GPU-…/1/0`, the form of drivers before 470: parent's whole UUID, GPU instance, compute instance.
    MigOld {
        /// UUID of the parent.
        gpu: String,
        /// GPU instance id.
        gpu_instance: u32,
        /// Compute instance id.
        compute_instance: u32,
    },
    /// `vendor/class=name`.
    Cdi(CdiName),
    /// None of these; only a CDI spec can know it.
    Other,
}

/// A qualified CDI device name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct CdiName {
    pub vendor: String,
    pub class: String,
    pub name: String,
}

impl DeviceName {
    pub(super) fn new(text: &str, from: &str) -> Self {
        DeviceName { id: DeviceId::parse(bare(text)), text: text.to_owned(), from: from.to_owned() }
    }

    /// The name with its kind, in CDI's form.
    pub(super) fn qualified(&self, default_kind: &str) -> String {
        match &self.id {
            DeviceId::Cdi(_) => self.text.clone(),
            _ => format!("{default_kind}={}", bare(&self.text)),
        }
    }
}

/// A name without the prefix that means this machine.
pub(super) fn bare(text: &str) -> &str {
    text.strip_prefix(AUTOMATIC).unwrap_or(text)
}

/// The name has the prefix that means this machine.
pub(super) fn is_automatic(text: &str) -> bool {
    text.starts_with(AUTOMATIC)
}

impl DeviceId {
    /// What `text` says. Every text says something: what has no known form is [`DeviceId::Other`].
    pub fn parse(text: &str) -> DeviceId {
        number(text)
            .map(DeviceId::Index)
            .or_else(|| mig_index(text))
            .or_else(|| bus_id(text))
            .or_else(|| mig_old(text))
            .or_else(|| Some(DeviceId::GpuUuid(uuid_prefix(tagged(text, "GPU-")?)?)))
            .or_else(|| Some(DeviceId::MigUuid(uuid_prefix(tagged(text, "MIG-")?)?)))
            .or_else(|| CdiName::parse(text).map(DeviceId::Cdi))
            .unwrap_or(DeviceId::Other)
    }

    /// It is the GPU's UUID, or the beginning of it.
    pub fn is_gpu(&self, uuid: &str) -> bool {
        matches!(self, DeviceId::GpuUuid(prefix) if begins(uuid, prefix))
    }

    /// It is the MIG device's UUID, or the beginning of it.
    pub fn is_mig(&self, uuid: &str) -> bool {
        matches!(self, DeviceId::MigUuid(prefix) if begins(uuid, prefix))
    }

    /// It is the old form of a MIG device's name: `parent` is the GPU's UUID.
    pub fn is_instance(&self, parent: &str, instances: (u32, u32)) -> bool {
        matches!(self, DeviceId::MigOld { gpu, gpu_instance, compute_instance }
            if begins(parent, gpu) && instances == (*gpu_instance, *compute_instance))
    }
}

/// A UUID with its tag (`GPU-`, `MIG-`) begins with these lower-case digits.
fn begins(uuid: &str, prefix: &str) -> bool {
    let digits = uuid.get(4..).and_then(|digits| digits.get(..prefix.len()));
    digits.is_some_and(|digits| digits.eq_ignore_ascii_case(prefix))
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn hex<T: TryFrom<u32>>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(text, 16).ok())?.and_then(|number| T::try_from(number).ok())
}

fn mig_index(text: &str) -> Option<DeviceId> {
    let (gpu, slot) = text.split_once(':')?;
    Some(DeviceId::MigIndex(number(gpu)?, number(slot)?))
}

fn bus_id(text: &str) -> Option<DeviceId> {
    let mut parts = text.strip_suffix(".0")?.split(':');
    let (domain, bus, device) = (parts.next()?, parts.next()?, parts.next()?);
    let id = DeviceId::BusId { domain: hex(domain)?, bus: hex(bus)?, device: hex(device)? };
    parts.next().is_none().then_some(id)
}

fn mig_old(text: &str) -> Option<DeviceId> {
    let mut parts = tagged(text, "MIG-GPU-")?.split('/');
    let gpu = uuid_prefix(parts.next()?).filter(|uuid| uuid.len() == UUID)?;
    let (gpu_instance, compute_instance) = (number(parts.next()?)?, number(parts.next()?)?);
    parts.next().is_none().then_some(DeviceId::MigOld { gpu, gpu_instance, compute_instance })
}

/// `text` without `tag`, which counts in any case.
fn tagged<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(tag.len())?;
    head.eq_ignore_ascii_case(tag).then_some(rest)
}

/// Length of a UUID's text.
const UUID: usize = 36;

/// A UUID or the beginning of one, in lower case.
fn uuid_prefix(text: &str) -> Option<String> {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let long_enough = (MIN_UUID_PREFIX..=UUID).contains(&text.len());
    (long_enough && text.bytes().enumerate().all(fits)).then(|| text.to_ascii_lowercase())
}

impl CdiName {
    /// Reads `vendor/class=name` (CDI specification; reference: runtime-and-hook.md 4.6). One-letter vendors and
    /// classes are names, too.
    pub fn parse(text: &str) -> Option<CdiName> {
        let (kind, name) = text.split_once('=')?;
        let (vendor, class) = kind.split_once('/')?;
        let valid = is_label(vendor) && is_label(class) && is_name(name);
        valid.then(|| CdiName { vendor: vendor.to_owned(), class: class.to_owned(), name: name.to_owned() })
    }
}

fn is_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let uuid = "4cf8db2d-06c0-7d70-1a51-e59b25b2c16c";
        let bus = |domain, bus, device| DeviceId::BusId { domain, bus, device };
        for (text, want) in [
            ("0".to_owned(), DeviceId::Index(0)),
            ("0012".to_owned(), DeviceId::Index(12)),
            ("1:0".to_owned(), DeviceId::MigIndex(1, 0)),
            ("0000:0A:00.0".to_owned(), bus(0, 10, 0)),
            ("00000000:0a:1f.0".to_owned(), bus(0, 10, 31)),
            ("10000:1:0.0".to_owned(), bus(0x10000, 1, 0)),
            (format!("GPU-{uuid}"), DeviceId::GpuUuid(uuid.into())),
            (format!("gpu-{}", uuid.to_uppercase()), DeviceId::GpuUuid(uuid.into())),
            ("GPU-4CF8DB2D".to_owned(), DeviceId::GpuUuid("4cf8db2d".into())),
            ("GPU-4cf8db2d-06".to_owned(), DeviceId::GpuUuid("4cf8db2d-06".into())),
            (format!("MIG-{uuid}"), DeviceId::MigUuid(uuid.into())),
            (
                format!("MIG-GPU-{uuid}/7/1"),
                DeviceId::MigOld { gpu: uuid.into(), gpu_instance: 7, compute_instance: 1 },
            ),
        ] {
            assert_eq!(DeviceId::parse(&text), want, "{text}");
        }
    }

    #[test]
    fn other_texts() {
        for text in [
            "",
            "+1",
            "-1",
            " 0",
            "0 ",
            "99999999999",
            "1:",
            ":1",
            "1:+1",
            "0:1:2:3.0",
            "0000:01:00.1",
            "0000:100:00.0",
            "0000:01:00",
            "01:00.0",
            "GPU-",
            "GPU-4cf8db2",
            "GPU-4cf8db2d06c0",
            "GPU-4cf8db2g",
            "MIG-GPU-4cf8db2d/0/0",
            "ALL",
            "void",
            "gpu0",
            "nvidia.com/gpu",
            "nvidia.com/gpu=",
            "/gpu=0",
            "nvidia.com=0",
            "a/b=_",
            "1a/b=0",
            "é",
        ] {
            assert_eq!(DeviceId::parse(text), DeviceId::Other, "{text}");
        }
    }

    #[test]
    fn qualified_names() {
        for text in ["nvidia.com/gpu=0", "a/b=c", "a/gpu=0", "vendor.com/net=eth0:1", "x/y=a_b-c.d"] {
            assert!(matches!(DeviceId::parse(text), DeviceId::Cdi(_)), "{text}");
        }
        assert_eq!(DeviceName::new("runtime.nvidia.com/gpu=1:0", "V").id, DeviceId::MigIndex(1, 0));
        assert_eq!(DeviceName::new("gpu0", "V").qualified("nvidia.com/gpu"), "nvidia.com/gpu=gpu0");
    }

    proptest::proptest! {
        #[test]
        fn any_text_says_something(text in ".{0,60}") {
            DeviceId::parse(&text);
        }
    }
}
