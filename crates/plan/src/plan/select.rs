//! From names to devices: each name grants exactly the device it names.

use super::{PlanError, remarks};
use crate::request::{DeviceId, DeviceName, DeviceRequest, Request};
use host::{Gpu, Inventory, MigDevice};

/// A device that the container gets.
#[derive(Clone, Debug)]
pub(crate) struct Grant<'a> {
    /// The GPU, or the MIG device's parent.
    pub gpu: &'a Gpu,
    /// The MIG device; `None` for the GPU itself.
    pub mig: Option<&'a MigDevice>,
    /// The words that asked for it.
    pub asked: String,
}

/// The granted devices, each once, by GPU index, then GPU before its MIG devices, then by instance.
pub(super) fn grants<'a>(request: &Request, inventory: &'a Inventory) -> Result<Vec<Grant<'a>>, PlanError> {
    match &request.devices {
        DeviceRequest::All if request.partitions() && !inventory.gpus.is_empty() => {
            Ok(all_to_partition(&request.asked, inventory))
        }
        devices => granted(devices, &request.asked, inventory),
    }
}

/// `all` where GPUs are to be partitioned: also those that have no MIG device yet, whether MIG mode is on or not.
fn all_to_partition<'a>(asked: &str, inventory: &'a Inventory) -> Vec<Grant<'a>> {
    let mut grants = Vec::new();
    for gpu in &inventory.gpus {
        let grant = |mig| Grant { gpu, mig, asked: asked.to_owned() };
        match gpu.mig.is_empty() {
            true => grants.push(grant(None)),
            false => grants.extend(gpu.mig.iter().map(|mig| grant(Some(mig)))),
        }
    }
    grants
}

/// The same for whoever asks without being a container; `asked` are the words that did.
pub(crate) fn granted<'a>(
    devices: &DeviceRequest,
    asked: &str,
    inventory: &'a Inventory,
) -> Result<Vec<Grant<'a>>, PlanError> {
    let mut grants = match devices {
        DeviceRequest::None => return Ok(Vec::new()),
        _ if inventory.gpus.is_empty() => {
            return Err(PlanError::NoGpus { asked: asked.to_owned(), remarks: remarks(inventory) });
        }
        DeviceRequest::All => all(asked, inventory)?,
        DeviceRequest::Ids(names) => names.iter().map(|name| named(name, inventory)).collect::<Result<_, _>>()?,
    };
    grants.sort_by_key(Grant::place);
    grants.dedup_by_key(|grant| grant.place());
    Ok(grants)
}

impl Grant<'_> {
    fn place(&self) -> (u32, Option<(u32, u32)>) {
        (self.gpu.index, self.mig.map(|mig| (mig.gpu_instance, mig.compute_instance)))
    }
}

/// A GPU of a workstation that only drives its screens; nobody means it by `all` (reference: cdi-and-ctk.md 2.4).
const SCREENS: [&str; 2] = ["DGX Display", "NVIDIA DGX Display"];

/// Every GPU that is not partitioned, and every MIG device of those that are.
fn all<'a>(asked: &str, inventory: &'a Inventory) -> Result<Vec<Grant<'a>>, PlanError> {
    let mut grants = Vec::new();
    for gpu in inventory.gpus.iter().filter(|gpu| !SCREENS.contains(&gpu.model.as_str())) {
        let grant = |mig| Grant { gpu, mig, asked: asked.to_owned() };
        match mig_mode(gpu, inventory) {
            Some(true) => grants.extend(gpu.mig.iter().map(|mig| grant(Some(mig)))),
            Some(false) => grants.push(grant(None)),
            None => {
                return Err(unknown(format!("whether GPU {} is in MIG mode", gpu.index), asked, inventory));
            }
        }
    }
    if grants.is_empty() {
        return Err(PlanError::NothingToGrant { asked: asked.to_owned() });
    }
    Ok(grants)
}

/// Whether a GPU is partitioned. One with MIG devices is; of one that could have some only NVML knows.
pub(crate) fn mig_mode(gpu: &Gpu, inventory: &Inventory) -> Option<bool> {
    if !gpu.mig.is_empty() {
        return Some(true);
    }
    match inventory.facts(gpu) {
        Some(facts) => Some(facts.mig_enabled),
        None => (!gpu.mig_capable).then_some(false),
    }
}

/// NVML lists all MIG devices of a GPU that the kernel has. Where it does not, as while devices are being made, its slots may be
/// counted among those that it sees, and the next moment mean others.
pub(crate) fn slots_hold(gpu: &Gpu, inventory: &Inventory) -> bool {
    let known = inventory.facts(gpu).map_or(&[][..], |facts| &facts.mig);
    let is_known = |mig: &MigDevice| {
        known
            .iter()
            .any(|known| (known.gpu_instance, known.compute_instance) == (mig.gpu_instance, mig.compute_instance))
    };
    gpu.mig.iter().all(is_known)
}

fn unknown(fact: String, asked: &str, inventory: &Inventory) -> PlanError {
    let why = match inventory.nvml {
        Some(_) => "NVML does not report it".to_owned(),
        None => format!("NVML has not answered{}", remarks(inventory)),
    };
    PlanError::UnknownFact { fact, asked: asked.to_owned(), why }
}

fn named<'a>(name: &DeviceName, inventory: &'a Inventory) -> Result<Grant<'a>, PlanError> {
    let asked = format!("{}={}", name.from, name.text);
    if inventory.nvml.is_none() && matches!(name.id, DeviceId::MigIndex(..) | DeviceId::MigUuid(_)) {
        return Err(unknown(format!("MIG device {:?}", name.text), &asked, inventory));
    }
    if let DeviceId::MigIndex(index, _) = name.id
        && let Some(gpu) = inventory.gpus.iter().find(|gpu| gpu.index == index)
        && !slots_hold(gpu, inventory)
    {
        let why = "NVML does not list all MIG devices of the GPU just now; name it by its UUID, or wait".to_owned();
        return Err(PlanError::UnknownFact { fact: format!("which MIG device {:?} is", name.text), asked, why });
    }
    if matches!(name.id, DeviceId::Cdi(_)) {
        return Err(PlanError::MixedNames { text: name.text.clone(), from: name.from.clone() });
    }
    let found = fitting(&name.id, inventory);
    match found[..] {
        [(gpu, mig)] => Ok(Grant { gpu, mig, asked }),
        [] => Err(not_found(name, inventory)),
        _ => Err(ambiguous(name, &found)),
    }
}

/// The devices that a name fits: one, where all is well.
fn fitting<'a>(id: &DeviceId, inventory: &'a Inventory) -> Vec<(&'a Gpu, Option<&'a MigDevice>)> {
    let gpus = &inventory.gpus;
    let slots = |fits: &dyn Fn(&Slot) -> bool| {
        slots(inventory).filter(|slot| fits(slot)).map(|slot| (slot.gpu, Some(slot.mig))).collect()
    };
    match id {
        DeviceId::Index(index) => whole(gpus, |gpu| gpu.index == *index),
        DeviceId::GpuUuid(_) => whole(gpus, |gpu| id.is_gpu(&gpu.uuid)),
        DeviceId::BusId { .. } => whole(gpus, |gpu| DeviceId::parse(&gpu.bus_id) == *id),
        DeviceId::MigIndex(index, slot) => slots(&|at| at.gpu.index == *index && at.slot == *slot),
        DeviceId::MigUuid(_) => slots(&|at| id.is_mig(at.uuid)),
        DeviceId::MigOld { .. } => gpus
            .iter()
            .flat_map(|gpu| gpu.mig.iter().map(move |mig| (gpu, Some(mig))))
            .filter(|(gpu, mig)| {
                mig.is_some_and(|mig| id.is_instance(&gpu.uuid, (mig.gpu_instance, mig.compute_instance)))
            })
            .collect(),
        DeviceId::Cdi(_) | DeviceId::Other => Vec::new(),
    }
}

fn whole(gpus: &[Gpu], fits: impl Fn(&Gpu) -> bool) -> Vec<(&Gpu, Option<&MigDevice>)> {
    gpus.iter().filter(|gpu| fits(gpu)).map(|gpu| (gpu, None)).collect()
}

fn instance(gpu: &Gpu, gpu_instance: u32, compute_instance: u32) -> Option<&MigDevice> {
    gpu.mig.iter().find(|mig| (mig.gpu_instance, mig.compute_instance) == (gpu_instance, compute_instance))
}

/// A MIG device that both the kernel and NVML know.
struct Slot<'a> {
    gpu: &'a Gpu,
    mig: &'a MigDevice,
    slot: u32,
    uuid: &'a str,
}

fn slots(inventory: &Inventory) -> impl Iterator<Item = Slot<'_>> {
    inventory.gpus.iter().flat_map(move |gpu| {
        let known = inventory.facts(gpu).map_or(&[][..], |facts| &facts.mig);
        known.iter().filter_map(move |known| {
            let mig = instance(gpu, known.gpu_instance, known.compute_instance)?;
            Some(Slot { gpu, mig, slot: known.index, uuid: &known.uuid })
        })
    })
}

/// A MIG device's profile has graphics; `None` when NVML has not said.
pub(crate) fn has_graphics(gpu: &Gpu, mig: &MigDevice, inventory: &Inventory) -> Option<bool> {
    let known = inventory.facts(gpu)?.mig.iter();
    let same = |id: (u32, u32)| id == (mig.gpu_instance, mig.compute_instance);
    known.filter(|known| same((known.gpu_instance, known.compute_instance))).map(|known| known.graphics).next()
}

fn not_found(name: &DeviceName, inventory: &Inventory) -> PlanError {
    let word = ["all", "none", "void"].into_iter().find(|word| name.text.eq_ignore_ascii_case(word));
    let what = match (&name.id, word) {
        (DeviceId::Other, Some(word)) => format!("no name of a device (the word {word} is written in lower case)"),
        (DeviceId::Other, None) => "not a valid UUID, index, bus id or MIG device".to_owned(),
        _ => "an unknown device".to_owned(),
    };
    PlanError::UnknownDevice { text: shown(&name.text), from: name.from.clone(), what, exist: existing(inventory) }
}

fn shown(text: &str) -> String {
    if text.chars().count() > 80 { text.chars().take(79).chain(['…']).collect() } else { text.to_owned() }
}

fn ambiguous(name: &DeviceName, found: &[(&Gpu, Option<&MigDevice>)]) -> PlanError {
    let one = |(gpu, mig): &(&Gpu, Option<&MigDevice>)| match mig {
        None => gpu.uuid.clone(),
        Some(mig) => format!("MIG-{}/{}/{}", gpu.uuid, mig.gpu_instance, mig.compute_instance),
    };
    let matches: Vec<_> = found.iter().map(one).collect();
    PlanError::Ambiguous { text: name.text.clone(), from: name.from.clone(), matches: matches.join(", ") }
}

/// The devices there are, for people to choose from; not more than fit a line or two.
fn existing(inventory: &Inventory) -> String {
    const SHOWN: usize = 16;
    let gpus = inventory.gpus.iter().map(|gpu| format!("GPU {} ({}, {})", gpu.index, gpu.uuid, gpu.bus_id));
    let migs = slots(inventory).map(|at| format!("MIG device {}:{} ({})", at.gpu.index, at.slot, at.uuid));
    let all: Vec<_> = gpus.chain(migs).collect();
    let more = if all.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", all[..all.len().min(SHOWN)].join(", "))
}
