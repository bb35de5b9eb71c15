//! NVML as this program needs it: found by the loader under its bare name, functions looked up when they are called.

use std::ffi::{CStr, c_char, c_int, c_void};

/// The library, opened and initialised.
pub struct Nvml(*mut c_void);

/// Why NVML gives no answer.
#[derive(Debug)]
pub enum Failure {
    /// The loader does not find it.
    LibraryMissing,
    /// `nvmlInit_v2` refuses.
    Init { code: u32, words: String },
    /// A later call fails.
    Call { code: u32, words: String },
}

/// Versions for the table's head.
pub struct Versions {
    pub driver: String,
    /// Major times 1000 plus minor times 10.
    pub cuda: u32,
}

/// A GPU as shown.
#[derive(Clone, Debug, Default)]
pub struct Gpu {
    pub index: u32,
    pub name: String,
    pub uuid: String,
    /// `00000000:07:00.0`.
    pub bus_id: String,
    pub memory_mib: u64,
    pub compute_capability: (u32, u32),
    pub driver_version: String,
    /// `None` where the GPU cannot be partitioned.
    pub mig_enabled: Option<bool>,
    pub mig: Vec<Mig>,
}

/// A MIG device as shown.
#[derive(Clone, Debug, Default)]
pub struct Mig {
    pub index: u32,
    /// `1g.5gb`.
    pub profile: String,
    pub uuid: String,
    pub gpu_instance: u32,
    pub compute_instance: u32,
    pub memory_mib: u64,
}

type Device = *mut c_void;

/// `nvmlPciInfo_t`, of which only the long bus id is shown.
#[repr(C)]
struct PciInfo {
    head: [u32; 9],
    bus_id: [c_char; 32],
}

const SUCCESS: u32 = 0;
const FUNCTION_NOT_FOUND: u32 = 13;

/// Calls an NVML function whose arguments are these types: `call!(self, c"name"(value: Type, …))`.
macro_rules! call {
    ($nvml:expr, $name:literal($($value:expr => $type:ty),*)) => {{
        let symbol = $nvml.symbol($name);
        let code = if symbol.is_null() {
            FUNCTION_NOT_FOUND
        } else {
            // SAFETY: nvml.h declares the function of this name with these argument types, returning an enum; every
            // pointer handed over is to a live local of the declared size.
            unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> u32>(symbol)($($value),*) }
        };
        $nvml.check(code)
    }};
}

impl Nvml {
    /// Opens and initialises.
    pub fn open() -> Result<Nvml, Failure> {
        // SAFETY: a C string; running the initialisers of NVML is what this program is for.
        let library = unsafe { libc::dlopen(c"libnvidia-ml.so.1".as_ptr(), libc::RTLD_LAZY) };
        if library.is_null() {
            return Err(Failure::LibraryMissing);
        }
        let nvml = Nvml(library);
        match call!(nvml, c"nvmlInit_v2"()) {
            Err(Failure::Call { code, words }) => Err(Failure::Init { code, words }),
            other => other.map(|()| nvml),
        }
    }

    /// Driver and CUDA version.
    pub fn versions(&self) -> Result<Versions, Failure> {
        let mut cuda: c_int = 0;
        call!(self, c"nvmlSystemGetCudaDriverVersion"(&raw mut cuda => *mut c_int))?;
        Ok(Versions { driver: self.driver()?, cuda: cuda as u32 })
    }

    /// Everything that this process sees.
    pub fn gpus(&self) -> Result<Vec<Gpu>, Failure> {
        let mut count: u32 = 0;
        call!(self, c"nvmlDeviceGetCount_v2"(&raw mut count => *mut u32))?;
        let driver = self.driver()?;
        (0..count).map(|index| self.gpu(index, &driver)).collect()
    }

    fn driver(&self) -> Result<String, Failure> {
        let mut text = [0; 80];
        call!(self, c"nvmlSystemGetDriverVersion"(text.as_mut_ptr() => *mut c_char, 80 => u32))?;
        Ok(string(&text))
    }

    fn gpu(&self, index: u32, driver: &str) -> Result<Gpu, Failure> {
        let mut device: Device = std::ptr::null_mut();
        call!(self, c"nvmlDeviceGetHandleByIndex_v2"(index => u32, &raw mut device => *mut Device))?;
        let mut pci = PciInfo { head: [0; 9], bus_id: [0; 32] };
        call!(self, c"nvmlDeviceGetPciInfo_v3"(device => Device, &raw mut pci => *mut PciInfo))?;
        let (mut major, mut minor): (c_int, c_int) = (0, 0);
        call!(self, c"nvmlDeviceGetCudaComputeCapability"(
            device => Device, &raw mut major => *mut c_int, &raw mut minor => *mut c_int))?;
        Ok(Gpu {
            index,
            name: self.name(device)?,
            uuid: self.uuid(device)?,
            bus_id: string(&pci.bus_id),
            memory_mib: self.memory_mib(device)?,
            compute_capability: (major as u32, minor as u32),
            driver_version: driver.to_owned(),
            mig_enabled: self.mig_enabled(device),
            mig: self.mig_devices(device)?,
        })
    }

    fn name(&self, device: Device) -> Result<String, Failure> {
        let mut text = [0; 96];
        call!(self, c"nvmlDeviceGetName"(device => Device, text.as_mut_ptr() => *mut c_char, 96 => u32))?;
        Ok(string(&text))
    }

    fn uuid(&self, device: Device) -> Result<String, Failure> {
        let mut text = [0; 96];
        call!(self, c"nvmlDeviceGetUUID"(device => Device, text.as_mut_ptr() => *mut c_char, 96 => u32))?;
        Ok(string(&text))
    }

    fn memory_mib(&self, device: Device) -> Result<u64, Failure> {
        // Total, free, used, in bytes.
        let mut memory = [0u64; 3];
        call!(self, c"nvmlDeviceGetMemoryInfo"(device => Device, &raw mut memory => *mut [u64; 3]))?;
        Ok(memory[0] >> 20)
    }

    fn mig_enabled(&self, device: Device) -> Option<bool> {
        let (mut now, mut next) = (0u32, 0u32);
        call!(self, c"nvmlDeviceGetMigMode"(device => Device, &raw mut now => *mut u32, &raw mut next => *mut u32))
            .ok()
            .map(|()| now == 1)
    }

    fn mig_devices(&self, device: Device) -> Result<Vec<Mig>, Failure> {
        let mut slots: u32 = 0;
        if call!(self, c"nvmlDeviceGetMaxMigDeviceCount"(device => Device, &raw mut slots => *mut u32)).is_err() {
            return Ok(Vec::new());
        }
        (0..slots).filter_map(|slot| self.mig_device(device, slot)).collect()
    }

    /// `None` for an empty slot.
    fn mig_device(&self, device: Device, index: u32) -> Option<Result<Mig, Failure>> {
        let mut mig: Device = std::ptr::null_mut();
        call!(self, c"nvmlDeviceGetMigDeviceHandleByIndex"(
            device => Device, index => u32, &raw mut mig => *mut Device))
        .ok()?;
        Some(self.mig_facts(mig, index))
    }

    fn mig_facts(&self, mig: Device, index: u32) -> Result<Mig, Failure> {
        let (mut gpu_instance, mut compute_instance) = (0u32, 0u32);
        call!(self, c"nvmlDeviceGetGpuInstanceId"(mig => Device, &raw mut gpu_instance => *mut u32))?;
        call!(self, c"nvmlDeviceGetComputeInstanceId"(mig => Device, &raw mut compute_instance => *mut u32))?;
        let name = self.name(mig)?;
        Ok(Mig {
            index,
            profile: name.rsplit_once("MIG ").map_or("", |(_, profile)| profile).to_owned(),
            uuid: self.uuid(mig)?,
            gpu_instance,
            compute_instance,
            memory_mib: self.memory_mib(mig)?,
        })
    }

    fn check(&self, code: u32) -> Result<(), Failure> {
        if code == SUCCESS { Ok(()) } else { Err(Failure::Call { code, words: self.words(code) }) }
    }

    fn words(&self, code: u32) -> String {
        let symbol = self.symbol(c"nvmlErrorString");
        if symbol.is_null() {
            return format!("NVML error {code}");
        }
        // SAFETY: nvml.h: takes a code and returns a string that lives as long as the library.
        unsafe {
            let words: unsafe extern "C" fn(u32) -> *const c_char = std::mem::transmute(symbol);
            CStr::from_ptr(words(code)).to_string_lossy().into_owned()
        }
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the library is open for as long as the process runs, the name is a C string.
        unsafe { libc::dlsym(self.0, name.as_ptr()) }
    }
}

fn string(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
