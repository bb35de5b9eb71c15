//! NVML behind `dlopen`: each function is looked up when it is called, so that a driver too old to have it costs that
//! one fact and not the rest.
//!
//! Names, argument types and layouts are those of NVIDIA's public `nvml.h`.

use nvml::wire::{AT, Complaint, LOADING};
use std::{
    ffi::{CStr, CString, OsStr, c_char, c_int, c_void},
    io::Write,
    os::unix::ffi::OsStrExt,
    ptr,
};

/// An open NVML. Never closed: the process ends soon.
pub struct Library(*mut c_void);

/// A GPU or MIG device, as NVML hands it out.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Device(*mut c_void);

/// A GPU instance.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct GpuInstance(*mut c_void);

/// `NVML_ERROR_NOT_SUPPORTED`.
pub const NOT_SUPPORTED: u32 = 3;
/// `NVML_ERROR_NOT_FOUND`.
pub const NOT_FOUND: u32 = 6;
/// `NVML_ERROR_FUNCTION_NOT_FOUND`; also said of a function that the library lacks.
pub const FUNCTION_NOT_FOUND: u32 = 13;
/// The largest text buffer that NVML asks for.
const TEXT: usize = 96;

/// The start of `nvmlPciInfo_t`, the same in all its versions, with room for the longest.
#[repr(C)]
struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: u32,
    bus: u32,
    device: u32,
    rest: [u8; 128],
}

/// `nvmlGpuInstanceInfo_t`.
#[repr(C)]
struct GpuInstanceInfo {
    device: *mut c_void,
    id: u32,
    profile_id: u32,
    placement: [u32; 2],
}

/// The start of `nvmlGpuInstanceProfileInfo_t`, with room for more.
#[repr(C, align(8))]
struct GpuInstanceProfileInfo {
    id: u32,
    rest: [u32; 31],
}

/// `nvmlDeviceAddressingMode_v1_t`.
#[repr(C)]
struct AddressingMode {
    version: u32,
    value: u32,
}

/// What NVML wants in `version`: the size of the struct and, in the top byte, its number.
const ADDRESSING_MODE_V1: u32 = size_of::<AddressingMode>() as u32 | 1 << 24;

/// `call!(library, c"name", values => types)`: notes the name on stderr, looks the function up and calls it.
macro_rules! call {
    ($library:expr, $name:expr $(, $value:expr => $type:ty)*) => {{
        let name: &CStr = $name;
        match $library.find(name) {
            // SAFETY: nvml.h declares the function of this name with these argument types and an enum as result; what
            // is pointed to lives in the caller's frame and is as large as declared there.
            Some(symbol) => match unsafe {
                std::mem::transmute::<ptr::NonNull<c_void>, unsafe extern "C" fn($($type),*) -> u32>(symbol)($($value),*)
            } {
                0 => Ok(()),
                code => Err($library.complaint(name, code)),
            },
            None => Err($library.complaint(name, FUNCTION_NOT_FOUND)),
        }
    }};
}

impl Library {
    /// Loads the library and initialises it.
    pub fn open(file: &OsStr) -> Result<Library, Complaint> {
        let path = CString::new(file.as_bytes()).map_err(|_| not_loaded("the name holds a NUL".into()))?;
        announce(c"dlopen");
        // SAFETY: a C string; running that library's initialisers is what this process exists for.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(not_loaded(loader_words()));
        }
        let nvml = Library(handle);
        nvml.either(c"nvmlInit_v2", c"nvmlInit", |name| call!(nvml, name))?;
        Ok(nvml)
    }

    /// `550.54.14`.
    pub fn driver_version(&self) -> Result<String, Complaint> {
        self.text(|to, length| call!(self, c"nvmlSystemGetDriverVersion", to => *mut c_char, length => u32))
    }

    /// Major and minor.
    pub fn cuda_version(&self) -> Result<(u32, u32), Complaint> {
        let mut version: c_int = 0;
        let to = &raw mut version;
        self.either(
            c"nvmlSystemGetCudaDriverVersion_v2",
            c"nvmlSystemGetCudaDriverVersion",
            |name| call!(self, name, to => *mut c_int),
        )?;
        Ok((version as u32 / 1000, version as u32 % 1000 / 10))
    }

    /// Number of GPUs, those that this process may not open included.
    pub fn count(&self) -> Result<u32, Complaint> {
        self.number(|to| {
            self.either(c"nvmlDeviceGetCount_v2", c"nvmlDeviceGetCount", |name| call!(self, name, to => *mut u32))
        })
    }

    /// A GPU by position.
    pub fn device(&self, index: u32) -> Result<Device, Complaint> {
        let mut device = Device(ptr::null_mut());
        let to = &raw mut device;
        self.either(
            c"nvmlDeviceGetHandleByIndex_v2",
            c"nvmlDeviceGetHandleByIndex",
            |name| call!(self, name, index => u32, to => *mut Device),
        )?;
        Ok(device)
    }

    /// `GPU-…`, `MIG-…`.
    pub fn uuid(&self, device: Device) -> Result<String, Complaint> {
        self.text(|to, length| call!(self, c"nvmlDeviceGetUUID", device => Device, to => *mut c_char, length => u32))
    }

    /// Model, and for MIG devices the profile at its end.
    pub fn name(&self, device: Device) -> Result<String, Complaint> {
        self.text(|to, length| call!(self, c"nvmlDeviceGetName", device => Device, to => *mut c_char, length => u32))
    }

    /// PCI domain, bus, device.
    pub fn pci(&self, device: Device) -> Result<(u32, u32, u32), Complaint> {
        let mut info = PciInfo { bus_id_legacy: [0; 16], domain: 0, bus: 0, device: 0, rest: [0; 128] };
        let to = &raw mut info;
        self.either(
            c"nvmlDeviceGetPciInfo_v3",
            c"nvmlDeviceGetPciInfo",
            |name| call!(self, name, device => Device, to => *mut PciInfo),
        )?;
        Ok((info.domain, info.bus, info.device))
    }

    /// N of `/dev/nvidiaN`.
    pub fn minor(&self, device: Device) -> Result<u32, Complaint> {
        self.number(|to| call!(self, c"nvmlDeviceGetMinorNumber", device => Device, to => *mut u32))
    }

    /// `nvmlBrandType_t`.
    pub fn brand(&self, device: Device) -> Result<u32, Complaint> {
        self.number(|to| call!(self, c"nvmlDeviceGetBrand", device => Device, to => *mut u32))
    }

    /// Major and minor.
    pub fn compute_capability(&self, device: Device) -> Result<(u32, u32), Complaint> {
        let (mut major, mut minor): (c_int, c_int) = (0, 0);
        call!(self, c"nvmlDeviceGetCudaComputeCapability", device => Device, &raw mut major => *mut c_int,
            &raw mut minor => *mut c_int)?;
        Ok((major as u32, minor as u32))
    }

    /// MIG mode is on now.
    pub fn mig_enabled(&self, device: Device) -> Result<bool, Complaint> {
        let mut pending = 0u32;
        let to_pending = &raw mut pending;
        let current = self.number(
            |to| call!(self, c"nvmlDeviceGetMigMode", device => Device, to => *mut u32, to_pending => *mut u32),
        )?;
        Ok(current == 1)
    }

    /// `nvmlDeviceAddressingModeType_t`.
    pub fn addressing_mode(&self, device: Device) -> Result<u32, Complaint> {
        let mut mode = AddressingMode { version: ADDRESSING_MODE_V1, value: 0 };
        call!(self, c"nvmlDeviceGetAddressingMode", device => Device, &raw mut mode => *mut AddressingMode)?;
        Ok(mode.value)
    }

    /// Number of slots for MIG devices.
    pub fn mig_slots(&self, device: Device) -> Result<u32, Complaint> {
        self.number(|to| call!(self, c"nvmlDeviceGetMaxMigDeviceCount", device => Device, to => *mut u32))
    }

    /// The MIG device in a slot; [`NOT_FOUND`] for an empty one.
    pub fn mig_device(&self, device: Device, slot: u32) -> Result<Device, Complaint> {
        let mut mig = Device(ptr::null_mut());
        call!(self, c"nvmlDeviceGetMigDeviceHandleByIndex", device => Device, slot => u32,
            &raw mut mig => *mut Device)?;
        Ok(mig)
    }

    /// GPU instance id of a MIG device.
    pub fn gpu_instance_id(&self, mig: Device) -> Result<u32, Complaint> {
        self.number(|to| call!(self, c"nvmlDeviceGetGpuInstanceId", mig => Device, to => *mut u32))
    }

    /// Compute instance id of a MIG device.
    pub fn compute_instance_id(&self, mig: Device) -> Result<u32, Complaint> {
        self.number(|to| call!(self, c"nvmlDeviceGetComputeInstanceId", mig => Device, to => *mut u32))
    }

    /// Profile id of a GPU instance. Real drivers tell it to privileged users only.
    pub fn gpu_instance_profile(&self, device: Device, id: u32) -> Result<u32, Complaint> {
        let mut instance = GpuInstance(ptr::null_mut());
        call!(self, c"nvmlDeviceGetGpuInstanceById", device => Device, id => u32,
            &raw mut instance => *mut GpuInstance)?;
        let mut info = GpuInstanceInfo { device: ptr::null_mut(), id: 0, profile_id: 0, placement: [0; 2] };
        call!(self, c"nvmlGpuInstanceGetInfo", instance => GpuInstance, &raw mut info => *mut GpuInstanceInfo)?;
        Ok(info.profile_id)
    }

    /// The id that instances of the profile with this index carry.
    pub fn profile_id(&self, device: Device, index: u32) -> Result<u32, Complaint> {
        let mut info = GpuInstanceProfileInfo { id: 0, rest: [0; 31] };
        call!(self, c"nvmlDeviceGetGpuInstanceProfileInfo", device => Device, index => u32,
            &raw mut info => *mut GpuInstanceProfileInfo)?;
        Ok(info.id)
    }

    /// The newer of two forms of a function, or the older one where the driver lacks it.
    fn either(
        &self,
        newer: &'static CStr,
        older: &'static CStr,
        call: impl Fn(&'static CStr) -> Result<(), Complaint>,
    ) -> Result<(), Complaint> {
        match call(newer) {
            Err(complaint) if complaint.code == Some(FUNCTION_NOT_FOUND) => call(older),
            other => other,
        }
    }

    fn number(&self, ask: impl FnOnce(*mut u32) -> Result<(), Complaint>) -> Result<u32, Complaint> {
        let mut number = 0;
        ask(&raw mut number).map(|()| number)
    }

    fn text(&self, ask: impl FnOnce(*mut c_char, u32) -> Result<(), Complaint>) -> Result<String, Complaint> {
        let mut buffer = [0u8; TEXT];
        // One byte is kept back, so that there is always a NUL.
        ask(buffer.as_mut_ptr().cast(), TEXT as u32 - 1)?;
        let text = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
        Ok(text.to_string_lossy().into_owned())
    }

    fn find(&self, name: &CStr) -> Option<ptr::NonNull<c_void>> {
        announce(name);
        // SAFETY: the library stays open, the name is a C string.
        ptr::NonNull::new(unsafe { libc::dlsym(self.0, name.as_ptr()) })
    }

    fn complaint(&self, step: &CStr, code: u32) -> Complaint {
        Complaint { error: self.words(code), code: Some(code), step: step.to_string_lossy().into_owned() }
    }

    fn words(&self, code: u32) -> String {
        // SAFETY: as in `find`.
        let symbol = unsafe { libc::dlsym(self.0, c"nvmlErrorString".as_ptr()) };
        match code {
            FUNCTION_NOT_FOUND => "Function Not Found".into(),
            _ if symbol.is_null() => "no words for it".into(),
            // SAFETY: nvml.h: takes a code, returns a string that lives as long as the library.
            _ => unsafe {
                let words: unsafe extern "C" fn(u32) -> *const c_char = std::mem::transmute(symbol);
                CStr::from_ptr(words(code)).to_string_lossy().into_owned()
            },
        }
    }
}

/// Says on stderr what comes next: in one write, so that it costs the reader one wake-up.
fn announce(step: &CStr) {
    let line = format!("{AT}{}\n", step.to_string_lossy());
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn not_loaded(error: String) -> Complaint {
    Complaint { error, code: None, step: LOADING.into() }
}

fn loader_words() -> String {
    // SAFETY: no precondition; the string it returns lives until the next call of the loader's functions.
    unsafe {
        let words = libc::dlerror();
        if words.is_null() { String::new() } else { CStr::from_ptr(words).to_string_lossy().into_owned() }
    }
}
