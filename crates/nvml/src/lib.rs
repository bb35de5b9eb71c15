//! What only NVML knows about a machine: asked in a process of its own, and remembered.
//!
//! [`facts`] answers from the cache when the machine has not changed since, and otherwise runs `corten-nvml`, the only
//! program here that opens a driver library. Nothing in this library does: a static executable must never `dlopen`, and
//! whatever NVML does (crash, hang, complain) stays in that child.
//!
//! [`wire`] is what the child prints, [`mod@child`] how it is run and stopped, [`cache`] what of it is kept.

pub mod cache;
pub mod child;
mod error;
pub mod wire;

pub use cache::CachePlace;
pub use child::User;
pub use error::{NvmlError, Problem};

use cache::Kept;
use host::{GpuFacts, Inventory, NvmlFacts};
use kept::Folder;
use oci::HostPath;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

/// A question to NVML.
#[derive(Clone, Debug)]
pub struct Ask<F> {
    /// What the caller wants to know, for error texts: `the UUIDs of MIG devices`.
    pub wanted: String,
    /// The program `corten-nvml`; [`default_helper`] finds it.
    pub helper: PathBuf,
    /// The real file of `libnvidia-ml.so.1`, in whatever driver root. `None` leaves the search to the loader.
    pub library: Option<HostPath>,
    /// What the answer depends on: a cached one with another fingerprint is not used.
    pub fingerprint: F,
    /// Whom to run as. `None` means nobody, and root where the nodes are closed to nobody. Only root can change user;
    /// for other callers the helper runs as they are.
    pub user: Option<User>,
    /// What the kernel lists, so that an answer that saw less because nodes are closed is found out, and one that saw something
    /// else because devices were just being made is not kept.
    pub expected: Expected,
    /// What may have changed since, and nothing shows, is asked for again: MIG mode of GPUs without MIG devices. Where there is no
    /// new answer, the last one has to do.
    pub anew: bool,
    /// How long the helper may take.
    pub timeout: Duration,
    /// Where answers are kept.
    pub cache: CachePlace,
}

/// [`Ask::timeout`] unless a caller knows better.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the kernel lists, hence what NVML should see: GPUs by bus id, each with its MIG devices by GPU instance and compute
/// instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(pub BTreeMap<String, BTreeSet<(u32, u32)>>);

impl Expected {
    /// What the kernel lists on this machine.
    pub fn on(inventory: &Inventory) -> Expected {
        let ids = |gpu: &host::Gpu| gpu.mig.iter().map(|mig| (mig.gpu_instance, mig.compute_instance)).collect();
        Expected(inventory.gpus.iter().map(|gpu| (gpu.bus_id.clone(), ids(gpu))).collect())
    }

    fn seen_in(facts: &NvmlFacts) -> Expected {
        let ids = |gpu: &host::GpuFacts| gpu.mig.iter().map(|mig| (mig.gpu_instance, mig.compute_instance)).collect();
        Expected(facts.gpus.iter().map(|gpu| (gpu.bus_id.clone(), ids(gpu))).collect())
    }

    /// NVML sees all of it, and may see more.
    fn met_by(&self, facts: &NvmlFacts) -> bool {
        let Expected(seen) = Expected::seen_in(facts);
        self.0.iter().all(|(bus_id, parts)| seen.get(bus_id).is_some_and(|seen| parts.is_subset(seen)))
    }

    /// NVML sees all of it, and nothing else. While devices come and go the two can differ for a moment, and the answer to one
    /// moment must not be believed at the next.
    pub fn is_just(&self, facts: &NvmlFacts) -> bool {
        *self == Expected::seen_in(facts)
    }
}

/// `corten-nvml` beside this executable, else where packages install it.
pub fn default_helper() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|executable| executable.with_file_name("corten-nvml"));
    let candidates = beside.into_iter().chain(["/usr/libexec/corten-nvml".into()]);
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| "/usr/bin/corten-nvml".into())
}

/// NVML's facts about this machine, from the cache where it holds them for this fingerprint, else asked and kept.
///
/// When many ask at once, one runs the helper and the others wait for its answer, no longer than it may take. A cache
/// that cannot be used is a remark in the log and never an error.
///
/// # Errors
/// [`NvmlError`] says what was wanted, why it cannot be had and what to do.
pub fn facts<F>(ask: &Ask<F>) -> Result<NvmlFacts, NvmlError>
where
    F: Serialize + DeserializeOwned + PartialEq,
{
    if let Some(facts) = ask.cache.folders_to_read().find_map(|folder| believed(ask, &folder, ask.anew)) {
        return Ok(facts);
    }
    let Some(folder) = ask.cache.folder_to_write() else {
        return answer(ask, false).map(|answer| answer.facts);
    };
    let Some(lock) = folder.lock(cache::NAME, ask.timeout + LOCK_GRACE) else {
        log::warn!("{}: locked for longer than asking NVML may take; asking without the cache", folder.path());
        return answer(ask, false).map(|answer| answer.facts);
    };
    if let Some(facts) = believed(ask, &folder, ask.anew) {
        return Ok(facts);
    }
    let root_was_needed = cache::read::<F>(&folder).is_some_and(|kept| kept.asked_as_root);
    let answer = match (answer(ask, root_was_needed), ask.anew) {
        (Err(error), true) => {
            let Some(facts) = believed(ask, &folder, false) else { return Err(error) };
            log::warn!(
                "{error}; so it is not known whether a GPU has been switched to MIG mode since NVML last answered"
            );
            return Ok(facts);
        }
        (answer, _) => answer?,
    };
    match ask.expected.is_just(&answer.facts) {
        true => cache::keep(&lock, &answer.kept(&ask.fingerprint)),
        false => log::info!("NVML lists other devices than the kernel just now; its answer is not kept"),
    }
    Ok(answer.facts)
}

/// How much longer than the helper another caller may hold the lock.
const LOCK_GRACE: Duration = Duration::from_secs(1);

fn believed<F: DeserializeOwned + PartialEq>(ask: &Ask<F>, folder: &Folder, anew: bool) -> Option<NvmlFacts> {
    let kept = cache::read::<F>(folder)?;
    if kept.fingerprint != ask.fingerprint {
        log::info!("{}: the machine has changed since NVML was asked", folder.path());
        return None;
    }
    if kept.facts.gpus.iter().any(|gpu| is_open(gpu, anew)) {
        log::debug!("{}: MIG mode may have been switched since NVML was asked", folder.path());
        return None;
    }
    Some(kept.facts)
}

/// Whether MIG mode is on must be asked again. Nothing but NVML tells: the driver shows a `mig` folder of every GPU, whatever its
/// mode (open-gpu-kernel-modules, `osRmCapRegisterGpu`). And NVML is slow, so what it said is believed as long as the kernel
/// lists the same MIG devices. But not that the mode is on where there is no device. Such a GPU is of no use to anybody, so it
/// stays so for a short while; and if it were believed after the mode is off again, nobody could have the GPU.
fn is_open(gpu: &GpuFacts, anew: bool) -> bool {
    gpu.may_switch() && (gpu.mig_enabled || anew)
}

/// An answer and how it was come by.
struct Answer {
    facts: NvmlFacts,
    asked_as_root: bool,
}

impl Answer {
    fn kept<'a, F>(&'a self, fingerprint: &'a F) -> Kept<&'a F, &'a NvmlFacts> {
        Kept { format: cache::FORMAT, asked_as_root: self.asked_as_root, fingerprint, facts: &self.facts }
    }
}

/// Asks as the configured user; without one as nobody first, and as root where nobody sees too little.
fn answer<F>(ask: &Ask<F>, root_was_needed: bool) -> Result<Answer, NvmlError> {
    let run = |user: Option<User>| {
        child::run(&ask.helper, ask.library.as_ref(), user, ask.timeout)
            .and_then(wire::parse)
            .map_err(|problem| NvmlError { wanted: ask.wanted.clone(), problem })
    };
    if !rustix::process::geteuid().is_root() {
        return run(None).map(|facts| Answer { facts, asked_as_root: false });
    }
    if let Some(user) = ask.user {
        return run(Some(user)).map(|facts| Answer { facts, asked_as_root: false });
    }
    if root_was_needed {
        return run(Some(User::ROOT)).map(|facts| Answer { facts, asked_as_root: true });
    }
    match run(Some(User::NOBODY)) {
        Ok(facts) if ask.expected.met_by(&facts) => Ok(Answer { facts, asked_as_root: false }),
        Ok(facts) => {
            log::info!("NVML shows nobody fewer devices than the kernel lists; asking as root without capabilities");
            Ok(run(Some(User::ROOT))
                .map_or(Answer { facts, asked_as_root: false }, |facts| Answer { facts, asked_as_root: true }))
        }
        Err(NvmlError { problem, .. }) if problem.may_be_closed_to_nobody() => {
            log::info!("as nobody: {problem}; asking as root without capabilities");
            run(Some(User::ROOT)).map(|facts| Answer { facts, asked_as_root: true })
        }
        Err(error) => Err(error),
    }
}
