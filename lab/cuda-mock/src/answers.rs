//! What the functions answer, without any pointers.

use machine::{
    Gpu, Machine, Mig,
    here::{self, Refusal},
};
use std::{
    ffi::{CStr, c_int},
    sync::OnceLock,
};

/// `CUresult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Code(u32);

impl Code {
    pub const SUCCESS: Code = Code(0);
    pub const INVALID_VALUE: Code = Code(1);
    pub const OUT_OF_MEMORY: Code = Code(2);
    const NOT_INITIALIZED: Code = Code(3);
    const NO_DEVICE: Code = Code(100);
    const INVALID_DEVICE: Code = Code(101);
    pub const INVALID_CONTEXT: Code = Code(201);
    const UNKNOWN: Code = Code(999);

    /// As `cuGetErrorName` tells it.
    pub fn name(self) -> &'static CStr {
        match self.0 {
            0 => c"CUDA_SUCCESS",
            1 => c"CUDA_ERROR_INVALID_VALUE",
            2 => c"CUDA_ERROR_OUT_OF_MEMORY",
            3 => c"CUDA_ERROR_NOT_INITIALIZED",
            100 => c"CUDA_ERROR_NO_DEVICE",
            101 => c"CUDA_ERROR_INVALID_DEVICE",
            201 => c"CUDA_ERROR_INVALID_CONTEXT",
            802 => c"CUDA_ERROR_SYSTEM_NOT_READY",
            803 => c"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            _ => c"CUDA_ERROR_UNKNOWN",
        }
    }
}

impl From<Result<(), Code>> for Code {
    fn from(result: Result<(), Code>) -> Code {
        result.err().unwrap_or(Code::SUCCESS)
    }
}

/// CUDA tells people who may not open the nodes that there is no device.
impl From<Refusal> for Code {
    fn from(refusal: Refusal) -> Code {
        match refusal {
            Refusal::NotLoaded | Refusal::NoPermission => Code::NO_DEVICE,
            Refusal::Unknown => Code::UNKNOWN,
        }
    }
}

/// A device as a process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub name: String,
    pub uuid: [u8; 16],
}

/// What `cuInit` found.
struct Session {
    devices: Vec<Device>,
    garbles: bool,
}

static SESSION: OnceLock<Session> = OnceLock::new();

/// `cuInit`. A second one changes nothing.
pub fn start() -> Result<(), Code> {
    let machine = here::machine()?;
    if let Some(code) = machine.cuda.init_error {
        return Err(Code(code));
    }
    here::control(&machine)?;
    let devices = seen(&here::gpus(&machine));
    if devices.is_empty() {
        return Err(Code::NO_DEVICE);
    }
    SESSION.get_or_init(|| Session { devices, garbles: machine.cuda.garbles });
    Ok(())
}

/// `cuDriverGetVersion`.
pub fn version() -> Result<c_int, Code> {
    cuda(&here::machine()?).ok_or(Code::UNKNOWN)
}

/// Every device.
pub fn devices() -> Result<&'static [Device], Code> {
    session().map(|session| &session.devices[..])
}

/// One device.
pub fn device(ordinal: c_int) -> Result<Device, Code> {
    let position = usize::try_from(ordinal).ok();
    devices()?.get(position.unwrap_or(usize::MAX)).cloned().ok_or(Code::INVALID_DEVICE)
}

/// The machine changes what is copied.
pub fn garbles() -> Result<bool, Code> {
    session().map(|session| session.garbles)
}

fn session() -> Result<&'static Session, Code> {
    SESSION.get().ok_or(Code::NOT_INITIALIZED)
}

fn cuda(machine: &Machine) -> Option<c_int> {
    let (major, minor) = machine.driver.as_ref()?.cuda.split_once('.')?;
    Some(major.parse::<c_int>().ok()? * 1000 + minor.parse::<c_int>().ok()? * 10)
}

/// Whole GPUs; or, where one is partitioned, the first MIG device alone, since CUDA enumerates only one.
fn seen(gpus: &[Gpu]) -> Vec<Device> {
    let part = gpus.iter().find_map(|gpu| Some(mig(gpu, gpu.mig.first()?)));
    let whole = |gpu: &Gpu| Device { name: gpu.model.clone(), uuid: bytes(&gpu.uuid) };
    part.map_or_else(|| gpus.iter().filter(|gpu| !gpu.mig_enabled).map(whole).collect(), |part| vec![part])
}

fn mig(gpu: &Gpu, mig: &Mig) -> Device {
    Device { name: format!("{} MIG {}", gpu.model, mig.profile), uuid: bytes(&mig.uuid) }
}

/// The bytes of `GPU-` and `MIG-` with a UUID.
fn bytes(uuid: &str) -> [u8; 16] {
    let digits = uuid.get(4..).unwrap_or_default().replace('-', "");
    std::array::from_fn(|at| digits.get(2 * at..2 * at + 2).map_or(0, |two| u8::from_str_radix(two, 16).unwrap_or(0)))
}
