//! The edge to C: return codes, opaque handles, and out parameters that are checked before they are written.

use machine::here::Refusal;
use std::ffi::{CStr, c_char};

/// `nvmlReturn_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Code(pub u32);

impl Code {
    pub const SUCCESS: Code = Code(0);
    pub const UNINITIALIZED: Code = Code(1);
    pub const INVALID_ARGUMENT: Code = Code(2);
    pub const NOT_SUPPORTED: Code = Code(3);
    pub const NO_PERMISSION: Code = Code(4);
    pub const NOT_FOUND: Code = Code(6);
    pub const INSUFFICIENT_SIZE: Code = Code(7);
    pub const DRIVER_NOT_LOADED: Code = Code(9);
    pub const ARGUMENT_VERSION_MISMATCH: Code = Code(25);
    pub const UNKNOWN: Code = Code(999);

    /// What `nvmlErrorString` says, as every tool shows it to people.
    pub fn words(self) -> &'static CStr {
        match self.0 {
            0 => c"Success",
            1 => c"Uninitialized",
            2 => c"Invalid Argument",
            3 => c"Not Supported",
            4 => c"Insufficient Permissions",
            5 => c"Already Initialized",
            6 => c"Not Found",
            7 => c"Insufficient Size",
            8 => c"Insufficient External Power",
            9 => c"Driver Not Loaded",
            10 => c"Timeout",
            11 => c"Interrupt Request Issue",
            12 => c"NVML Shared Library Not Found",
            13 => c"Function Not Found",
            14 => c"Corrupted infoROM",
            15 => c"GPU is lost",
            16 => c"GPU requires reset",
            17 => c"GPU access blocked by the operating system",
            18 => c"Driver/library version mismatch",
            19 => c"In use by another client",
            20 => c"Insufficient Memory",
            _ => c"Unknown Error",
        }
    }
}

/// Turns the inside's `Result` into the code that C gets.
impl From<Result<(), Code>> for Code {
    fn from(result: Result<(), Code>) -> Code {
        result.err().unwrap_or(Code::SUCCESS)
    }
}

/// The codes by which people know these situations: one whose device cgroup lost its rules is "Unknown Error".
impl From<Refusal> for Code {
    fn from(refusal: Refusal) -> Code {
        match refusal {
            Refusal::NotLoaded => Code::DRIVER_NOT_LOADED,
            Refusal::NoPermission => Code::NO_PERMISSION,
            Refusal::Unknown => Code::UNKNOWN,
        }
    }
}

/// An opaque handle. Never an address: the number says what is meant, so that a wrong one is found out and not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Handle(usize);

/// What a handle stands for. Positions are those of the lists in [`crate::session::Session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A whole GPU.
    Gpu { gpu: usize },
    /// A MIG device.
    Mig { gpu: usize, mig: usize },
    /// A GPU instance, named by one of the MIG devices that lie in it.
    GpuInstance { gpu: usize, mig: usize },
    /// A compute instance.
    ComputeInstance { gpu: usize, mig: usize },
}

/// Marks a number as one of ours, which a stray pointer or NULL is not.
const MARK: usize = 0x4e56_0000;

impl Thing {
    pub fn handle(self) -> Handle {
        let (kind, gpu, mig) = match self {
            Thing::Gpu { gpu } => (0, gpu, 0),
            Thing::Mig { gpu, mig } => (1, gpu, mig),
            Thing::GpuInstance { gpu, mig } => (2, gpu, mig),
            Thing::ComputeInstance { gpu, mig } => (3, gpu, mig),
        };
        Handle(MARK | kind << 14 | gpu << 6 | mig)
    }
}

impl Handle {
    pub fn thing(self) -> Result<Thing, Code> {
        let (gpu, mig) = (self.0 >> 6 & 0xff, self.0 & 0x3f);
        match (self.0 & !0xffff, self.0 >> 14 & 3) {
            (MARK, 0) => Ok(Thing::Gpu { gpu }),
            (MARK, 1) => Ok(Thing::Mig { gpu, mig }),
            (MARK, 2) => Ok(Thing::GpuInstance { gpu, mig }),
            (MARK, 3) => Ok(Thing::ComputeInstance { gpu, mig }),
            _ => Err(Code::INVALID_ARGUMENT),
        }
    }
}

/// A pointer through which a caller wants an answer.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// Writes the answer; NULL is an invalid argument, as in NVML.
    pub fn put(&self, value: T) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: NVML's contract: what is not NULL points to memory of that type that the caller lets us write.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// What the caller left there, for structs whose `version` field says which layout it expects.
    pub fn get(&self) -> Result<T, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: as in `put`; every such struct is plain integers, for which any content is valid.
        Ok(unsafe { self.0.read_unaligned() })
    }
}

impl Out<c_char> {
    /// Writes a text and its NUL into a buffer of `length` bytes.
    pub fn put_text(&self, length: u32, text: &str) -> Result<(), Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        if text.len() >= length as usize {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        // SAFETY: NVML's contract: the buffer has `length` bytes, and the text with its NUL was just seen to fit.
        unsafe {
            self.0.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
            self.0.add(text.len()).write(0);
        }
        Ok(())
    }
}

/// A text that a caller hands in.
#[repr(transparent)]
pub struct Text(*const c_char);

impl Text {
    pub fn get(&self) -> Result<&str, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: NVML's contract: what is not NULL is a C string that lives as long as the call.
        unsafe { CStr::from_ptr(self.0) }.to_str().map_err(|_| Code::INVALID_ARGUMENT)
    }
}

/// `text` in a fixed C array, NUL-terminated, cut where it is too long.
pub fn array<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    for (to, from) in out[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_round_trip_and_strays_are_refused() {
        for thing in [
            Thing::Gpu { gpu: 0 },
            Thing::Gpu { gpu: 63 },
            Thing::Mig { gpu: 3, mig: 7 },
            Thing::GpuInstance { gpu: 255, mig: 63 },
            Thing::ComputeInstance { gpu: 1, mig: 0 },
        ] {
            assert_eq!(thing.handle().thing(), Ok(thing));
        }
        for stray in [0, 1, usize::MAX, 0x7fff_0000_1000] {
            assert_eq!(Handle(stray).thing(), Err(Code::INVALID_ARGUMENT), "{stray:#x}");
        }
    }
}
