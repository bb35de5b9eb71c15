//! From the words of `--device`, `--mig-config` and `--mig-monitor` to devices (section 6). Pure.

use crate::{DeviceInfo, Error, Gpu, MigDevice};
use plan::request::DeviceId;

/// What was selected: positions in a [`DeviceInfo`], in the order of selection, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// GPUs.
    pub gpus: Vec<usize>,
    /// MIG devices: the GPU, and the device in it.
    pub mig: Vec<(usize, usize)>,
    /// The word `all` was there.
    pub all: bool,
}

impl Selection {
    /// The selected GPUs.
    pub fn gpus<'a>(&'a self, info: &'a DeviceInfo) -> impl Iterator<Item = &'a Gpu> {
        self.gpus.iter().map(|gpu| &info.gpus[*gpu])
    }

    /// The selected MIG devices, each with its GPU.
    pub fn mig<'a>(&'a self, info: &'a DeviceInfo) -> impl Iterator<Item = (&'a Gpu, &'a MigDevice)> {
        self.mig.iter().map(|(gpu, mig)| (&info.gpus[*gpu], &info.gpus[*gpu].mig[*mig]))
    }

    fn add_gpu(&mut self, gpu: usize) {
        if !self.gpus.contains(&gpu) {
            self.gpus.push(gpu);
        }
    }

    fn add_mig(&mut self, gpu: usize, mig: usize) {
        self.add_gpu(gpu);
        if !self.mig.contains(&(gpu, mig)) {
            self.mig.push((gpu, mig));
        }
    }
}

/// The devices that a list with commas names. Where there is no GPU at all any list is accepted.
///
/// # Errors
/// `ITEM: unknown device`, or the beginning of several UUIDs.
pub fn devices(list: &str, info: &DeviceInfo) -> Result<Selection, Error> {
    let mut selection = Selection::default();
    if info.gpus.is_empty() {
        return Ok(selection);
    }
    for item in list.split(',').filter(|item| !item.is_empty()) {
        if item.eq_ignore_ascii_case("all") {
            return Ok(everything(info));
        }
        let found = match find(item, info) {
            Some(found) => found,
            None => find_as_shim(item, info)?,
        };
        match found {
            (gpu, None) => selection.add_gpu(gpu),
            (gpu, Some(mig)) => selection.add_mig(gpu, mig),
        }
    }
    Ok(selection)
}

fn everything(info: &DeviceInfo) -> Selection {
    let mig = info.gpus.iter().enumerate().flat_map(|(gpu, one)| (0..one.mig.len()).map(move |mig| (gpu, mig)));
    Selection { gpus: (0..info.gpus.len()).collect(), mig: mig.collect(), all: true }
}

/// A GPU, or a MIG device of it, by their positions.
type Position = (usize, Option<usize>);

/// By the original's rules.
fn find(item: &str, info: &DeviceInfo) -> Option<Position> {
    let gpu = |fits: &dyn Fn(&Gpu) -> bool| info.gpus.iter().position(fits).map(|gpu| (gpu, None));
    let mig = |fits: &dyn Fn(&MigDevice) -> bool| {
        info.gpus.iter().enumerate().find_map(|(gpu, one)| Some((gpu, Some(one.mig.iter().position(fits)?))))
    };
    if begins(item, "GPU-")
        && let Some(found) = gpu(&|gpu| gpu.uuid.eq_ignore_ascii_case(item))
    {
        return Some(found);
    }
    if let Some(bus_id) = bus_id(item)
        && let Some(found) = gpu(&|gpu| gpu.bus_id == bus_id)
    {
        return Some(found);
    }
    if let Some(index) = decimal(item) {
        return (index < info.gpus.len()).then_some((index, None));
    }
    if begins(item, "MIG-")
        && let Some(found) = mig(&|mig| mig.uuid.eq_ignore_ascii_case(item))
    {
        return Some(found);
    }
    let (index, slot) = item.split_once(':')?;
    let (index, slot) = (decimal(index)?, decimal(slot)?);
    let position = info.gpus.get(index)?.mig.iter().position(|mig| mig.slot as usize == slot)?;
    Some((index, Some(position)))
}

/// By the names that the runtime accepts beyond those: it has let the container ask in these words.
fn find_as_shim(item: &str, info: &DeviceInfo) -> Result<Position, Error> {
    let id = DeviceId::parse(item);
    let mut fitting = Vec::new();
    for (at, gpu) in info.gpus.iter().enumerate() {
        if id.is_gpu(&gpu.uuid) {
            fitting.push(((at, None), &gpu.uuid));
        }
        let is_meant = |mig: &MigDevice| {
            id.is_mig(&mig.uuid) || id.is_instance(&gpu.uuid, (mig.gpu_instance, mig.compute_instance))
        };
        let mig = gpu.mig.iter().enumerate().filter(|(_, mig)| is_meant(mig));
        fitting.extend(mig.map(|(slot, mig)| ((at, Some(slot)), &mig.uuid)));
    }
    match fitting[..] {
        [(position, _)] => Ok(position),
        [] => Err(Error::new(format!("{item}: unknown device"))),
        _ => {
            let uuids: Vec<&str> = fitting.iter().map(|(_, uuid)| uuid.as_str()).collect();
            Err(Error::new(format!("{item}: fits several devices: {}; write more of the UUID", uuids.join(", "))))
        }
    }
}

fn begins(item: &str, prefix: &str) -> bool {
    item.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn decimal(text: &str) -> Option<usize> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The text as a bus id in the form of [`Gpu::bus_id`]: `domain:bus:device.0` in hexadecimal, zeros in front left out or
/// not.
fn bus_id(text: &str) -> Option<String> {
    let numbers = text.strip_suffix(".0")?;
    let mut parts = numbers.split(':').map(|part| {
        let plain = !part.is_empty() && part.len() <= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(part, 16).ok())?
    });
    let (domain, bus, device) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then(|| format!("{domain:08x}:{bus:02x}:{device:02x}.0"))
}

/// The GPUs that `--mig-config` or `--mig-monitor` (`what`) opens: those of the selection that can be partitioned. `None`
/// where the list does not say `all`; an empty one says nothing.
///
/// # Errors
/// Anything but `all`, and `all` where single MIG devices were selected.
pub fn to_partition(
    what: &str,
    list: Option<&str>,
    selection: &Selection,
    info: &DeviceInfo,
) -> Result<Option<Vec<usize>>, Error> {
    let mut all = false;
    for item in list.unwrap_or_default().split(',').filter(|item| !item.is_empty()) {
        if !item.eq_ignore_ascii_case("all") {
            return Err(Error::new(format!("{item}: only 'all' devices are currently supported")));
        }
        if !selection.all && !selection.mig.is_empty() {
            return Err(Error::new(format!("{item}: cannot enable {what} with specific MIG devices selected")));
        }
        all = true;
    }
    let capable = selection.gpus.iter().copied().filter(|gpu| info.gpus[*gpu].mig_capable);
    Ok(all.then(|| capable.collect()))
}

#[cfg(test)]
mod tests;
