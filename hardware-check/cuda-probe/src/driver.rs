//! The CUDA driver API, as far as it is needed: found by the loader under its bare name, functions looked up when they
//! are called. Names and argument types are those of NVIDIA's public `cuda.h`.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    fmt, ptr,
};

/// The library, opened.
pub struct Driver(*mut c_void);

/// Why something did not work.
#[derive(Debug)]
pub enum Failure {
    /// The loader does not find the library, or not all it needs.
    Missing(String),
    /// A function says no.
    Call { function: String, code: u32, name: String },
    /// What came back is not what was sent.
    Garbled { ordinal: c_int },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Missing(words) => write!(f, "missing {words}"),
            Failure::Call { function, code, name } => write!(f, "failed {function} {code} {name}"),
            Failure::Garbled { ordinal } => write!(f, "failed comparison {ordinal} DATA_DIFFERS"),
        }
    }
}

/// `CUdeviceptr`.
type Pointer = u64;

/// The code by which this program reports a function that the library lacks; `cuda.h` has it for the same.
const NOT_FOUND: u32 = 500;

/// Calls the first of the named functions that the library has, with arguments of these types.
macro_rules! call {
    ($cuda:expr, [$($name:literal),+] ($($value:expr => $type:ty),*)) => {{
        let names = [$($name),+];
        let code = match $cuda.first(&names) {
            None => NOT_FOUND,
            // SAFETY: cuda.h declares the functions of these names with these argument types, returning an enum; every
            // pointer handed over is to live memory of the declared size.
            Some(symbol) => unsafe {
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> u32>(symbol)($($value),*)
            },
        };
        $cuda.check(names[0], code)
    }};
}

impl Driver {
    /// Loads the library.
    pub fn open() -> Result<Driver, Failure> {
        // SAFETY: a C string; running the initialisers of libcuda is what this program is for.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        if !library.is_null() {
            return Ok(Driver(library));
        }
        // SAFETY: no precondition; the string lives until the next call of the loader's functions.
        let words = unsafe {
            let words = libc::dlerror();
            if words.is_null() { "libcuda.so.1".into() } else { CStr::from_ptr(words).to_string_lossy().into_owned() }
        };
        Err(Failure::Missing(words))
    }

    /// `cuInit`.
    pub fn init(&self) -> Result<(), Failure> {
        call!(self, [c"cuInit"](0 => c_uint))
    }

    /// 1000 times the major plus 10 times the minor.
    pub fn version(&self) -> Result<c_int, Failure> {
        let mut version = 0;
        call!(self, [c"cuDriverGetVersion"](&raw mut version => *mut c_int)).map(|()| version)
    }

    /// How many devices this process sees.
    pub fn count(&self) -> Result<c_int, Failure> {
        let mut count = 0;
        call!(self, [c"cuDeviceGetCount"](&raw mut count => *mut c_int)).map(|()| count)
    }

    /// The handle of a device.
    pub fn device(&self, ordinal: c_int) -> Result<c_int, Failure> {
        let mut device = 0;
        call!(self, [c"cuDeviceGet"](&raw mut device => *mut c_int, ordinal => c_int)).map(|()| device)
    }

    /// Its name.
    pub fn name(&self, device: c_int) -> Result<String, Failure> {
        let mut text = [0 as c_char; 128];
        // One byte is kept back, so that there is always a NUL.
        call!(self, [c"cuDeviceGetName"](text.as_mut_ptr() => *mut c_char, 127 => c_int, device => c_int))?;
        let bytes: Vec<u8> = text.iter().map(|letter| *letter as u8).take_while(|byte| *byte != 0).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its UUID; that of the MIG device where the driver knows the difference.
    pub fn uuid(&self, device: c_int) -> Result<[u8; 16], Failure> {
        let mut uuid = [0; 16];
        call!(self, [c"cuDeviceGetUuid_v2", c"cuDeviceGetUuid"](&raw mut uuid => *mut [u8; 16], device => c_int))
            .map(|()| uuid)
    }

    /// Sends bytes to the device's memory and fetches them back.
    pub fn there_and_back(&self, device: c_int, sent: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut context: *mut c_void = ptr::null_mut();
        call!(self, [c"cuCtxCreate_v2"](&raw mut context => *mut *mut c_void, 0 => c_uint, device => c_int))?;
        let back = self.through_memory(sent);
        call!(self, [c"cuCtxDestroy_v2"](context => *mut c_void))?;
        back
    }

    /// The same within the current context.
    fn through_memory(&self, sent: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut memory: Pointer = 0;
        let mut back = vec![0; sent.len()];
        call!(self, [c"cuMemAlloc_v2"](&raw mut memory => *mut Pointer, sent.len() => usize))?;
        call!(self, [c"cuMemcpyHtoD_v2"](memory => Pointer, sent.as_ptr() => *const u8, sent.len() => usize))?;
        call!(self, [c"cuMemcpyDtoH_v2"](back.as_mut_ptr() => *mut u8, memory => Pointer, back.len() => usize))?;
        call!(self, [c"cuMemFree_v2"](memory => Pointer))?;
        Ok(back)
    }

    fn check(&self, function: &CStr, code: u32) -> Result<(), Failure> {
        match code {
            0 => Ok(()),
            _ => Err(Failure::Call {
                function: function.to_string_lossy().into_owned(),
                code,
                name: self.name_of(code).unwrap_or_else(|| "CUDA_ERROR_NOT_FOUND".into()),
            }),
        }
    }

    fn name_of(&self, code: u32) -> Option<String> {
        let symbol = self.first(&[c"cuGetErrorName"])?;
        let mut name: *const c_char = ptr::null();
        // SAFETY: cuda.h: takes a code and writes a pointer to a string that lives as long as the library, or NULL.
        unsafe {
            let ask: unsafe extern "C" fn(u32, *mut *const c_char) -> u32 = std::mem::transmute(symbol);
            ask(code, &raw mut name);
            (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        }
    }

    /// The first of these functions that the library has.
    fn first(&self, names: &[&CStr]) -> Option<*mut c_void> {
        // SAFETY: the library stays open for as long as the process runs, the names are C strings.
        let symbols = names.iter().map(|name| unsafe { libc::dlsym(self.0, name.as_ptr()) });
        symbols.into_iter().find(|symbol| !symbol.is_null())
    }
}
