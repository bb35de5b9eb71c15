//! Changes the MIG devices of the machine that this process is on, as `nvidia-smi mig` would on a real one.
//!
//! What exists in both descriptions and is the same stays untouched, down to its entry in procfs; a device that has the
//! ids of an old one, but another UUID or profile, is removed and made anew. Capability nodes of removed instances stay
//! in `/dev`, since no program of the driver's removes them.

use crate::{Error, Result, dev, proc, tree::Tree};
use machine::{Gpu, Machine, Mig};
use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

/// Replaces the running machine's MIG devices by those of `wanted`, and its NVML's answers with them. Nothing else of
/// `wanted` counts.
///
/// # Errors
/// When this process is on no simulated machine, or a file cannot be changed.
pub fn run(wanted: &Machine) -> Result<()> {
    let running = running()?;
    let next = Machine { gpus: running.gpus.iter().map(|gpu| like(gpu, wanted)).collect(), ..running.clone() };
    let tree = Tree::new("/proc/driver");
    for (old, new) in running.gpus.iter().zip(&next.gpus) {
        remove(&tree, old, new)?;
    }
    proc::show_capabilities(&next, &tree)?;
    dev::install_capabilities(&next, &Tree::new("/dev"))?;
    proc::show_state(&next, &tree)
}

fn running() -> Result<Machine> {
    let file = Path::new(machine::STATE_FILE);
    let text = fs::read(file).map_err(Error::file("read", file))?;
    serde_json::from_slice(&text).map_err(|error| Error::file("read", file)(io::Error::from(error)))
}

/// The GPU, cut as the one with its minor in `wanted`.
fn like(gpu: &Gpu, wanted: &Machine) -> Gpu {
    match wanted.gpus.iter().find(|other| other.minor == gpu.minor) {
        Some(other) => Gpu { mig: other.mig.clone(), mig_enabled: other.mig_enabled, ..gpu.clone() },
        None => gpu.clone(),
    }
}

/// Removes what is not to stay: compute instances, then GPU instances without any.
fn remove(tree: &Tree, old: &Gpu, new: &Gpu) -> Result<()> {
    let folder = |instance: u32| format!("nvidia/capabilities/gpu{}/mig/gi{instance}", old.minor);
    let same = |a: &Mig, b: &Mig| Mig { index: b.index, ..a.clone() } == *b;
    for mig in old.mig.iter().filter(|mig| !new.mig.iter().any(|other| same(mig, other))) {
        clear(&tree.path(&format!("{}/ci{}", folder(mig.gpu_instance), mig.compute_instance)))?;
    }
    for mig in &old.mig {
        let instance = tree.path(&folder(mig.gpu_instance));
        let more = fs::read_dir(&instance).into_iter().flatten().flatten().any(|entry| entry.path().is_dir());
        if !more {
            clear(&instance)?;
        }
    }
    Ok(())
}

fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", folder)(error)),
        _ => Ok(()),
    }
}
