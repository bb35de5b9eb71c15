//! One look at the kernel's accounts of itself and of the driver, from which nodes, GPUs and fingerprints are made.

use crate::{
    HostError, NvmlFacts, Roots, folder,
    procfs::{self, Information, Majors, Params, bus_numbers},
    version,
};
use oci::HostPath;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
};

/// What the kernel says.
pub(crate) struct Kernel<'a> {
    pub(crate) roots: &'a Roots,
    /// Version of the loaded module.
    pub(crate) version: Option<String>,
    pub(crate) majors: Majors,
    pub(crate) params: Params,
    /// GPUs in the order of their bus ids; excluded ones left out.
    pub(crate) gpus: Vec<Information>,
    /// GPU instance and compute instance of the MIG devices of each GPU, by its minor; `None` where the kernel's own
    /// list is to be read.
    pub(crate) mig: Option<BTreeMap<u32, Vec<(u32, u32)>>>,
}

impl<'a> Kernel<'a> {
    /// Reads them.
    pub(crate) fn read(roots: &'a Roots, remarks: &mut Vec<String>) -> Result<Self, HostError> {
        let text = |path: &str| optional(&roots.proc.join(path));
        Ok(Kernel {
            roots,
            version: loaded_version(roots)?,
            majors: Majors::parse(&text("devices")?.unwrap_or_default()),
            params: text("driver/nvidia/params")?.map_or_else(Params::default, |text| Params::parse(&text)),
            gpus: gpus(&roots.proc.join("driver/nvidia/gpus"), remarks)?,
            mig: None,
        })
    }

    /// The same with the GPUs and MIG devices that NVML lists, in its order.
    pub(crate) fn with_gpus_of(self, nvml: &NvmlFacts) -> Self {
        let gpus = nvml.gpus.iter().map(|gpu| Information {
            model: gpu.name.clone(),
            uuid: gpu.uuid.clone(),
            bus_id: gpu.bus_id.clone(),
            minor: gpu.minor,
            excluded: false,
        });
        let mig = nvml.gpus.iter().map(|gpu| {
            let mut devices: Vec<_> = gpu.mig.iter().map(|mig| (mig.gpu_instance, mig.compute_instance)).collect();
            devices.sort_unstable();
            (gpu.minor, devices)
        });
        Kernel { gpus: gpus.collect(), mig: Some(mig.collect()), ..self }
    }

    /// The driver's kernel module is loaded, as far as any sign of it goes.
    pub(crate) fn is_loaded(&self) -> bool {
        let major = self.majors.get("nvidia").or_else(|| self.majors.get("nvidia-frontend"));
        self.version.is_some() || !self.gpus.is_empty() || major.is_some()
    }
}

/// The loaded module's version; `None` if none is loaded.
///
/// # Errors
/// [`HostError::Read`] if the kernel's file cannot be read.
pub fn loaded_version(roots: &Roots) -> Result<Option<String>, HostError> {
    if let Some(text) = optional(&roots.proc.join("driver/nvidia/version"))? {
        return Ok(version::of_kernel(&text).map(str::to_owned));
    }
    let text = optional(&roots.sys.join("module/nvidia/version"))?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| version::is_driver(text)))
}

/// A module of the driver that is being loaded or unloaded at this moment, so that the machine is about to change.
pub fn module_in_motion(roots: &Roots) -> Option<String> {
    let modules = optional(&roots.proc.join("modules")).ok()??;
    procfs::module_in_motion(&modules).map(str::to_owned)
}

fn gpus(folder: &HostPath, remarks: &mut Vec<String>) -> Result<Vec<Information>, HostError> {
    let mut gpus = Vec::new();
    for name in folder::names(folder, |_| true) {
        let path = folder.join(&name).join("information");
        let Some(text) = optional(&path)? else { continue };
        match Information::parse(&name, &text) {
            None => remarks.push(format!("{path} names no bus id or device minor; that GPU is left out.")),
            Some(gpu) if gpu.excluded => {
                remarks.push(format!("GPU {} is excluded from use on this machine.", gpu.bus_id))
            }
            Some(gpu) => gpus.push(gpu),
        }
    }
    gpus.sort_by_cached_key(|gpu| bus_numbers(&gpu.bus_id));
    Ok(gpus)
}

/// The kernel does not say how long its files are, and asking costs as much as reading.
fn read(path: &HostPath) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    // `take` keeps the standard library from asking.
    File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a small file of the kernel's; `None` if there is no such file. Bytes that are not UTF-8 are replaced.
pub(crate) fn optional(path: &HostPath) -> Result<Option<String>, HostError> {
    match read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(HostError::Read { path: path.clone(), source }),
    }
}
