//! The `libcuda.so.1` of a simulated GPU machine: as much of the CUDA driver API as shows that a program found the
//! library, sees the GPUs that it was given and can move bytes there and back.
//!
//! Nothing is computed. A GPU's memory is memory of the process. Which GPUs there are is decided as in the mock NVML, by
//! the nodes that this process may open ([`machine::here`]). Layouts and codes are those of NVIDIA's public `cuda.h`.

mod answers;

use answers::{Code, Device};
use std::ffi::{c_char, c_int, c_uint, c_void};

/// A context: the mock has one, and any number of callers.
const CONTEXT: usize = 0x6375_0001;

/// Must be called first, with 0.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> Code {
    if flags == 0 { answers::start().into() } else { Code::INVALID_VALUE }
}

/// `12040` for 12.4; works without `cuInit`.
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Code {
    // SAFETY: as the caller promises.
    answers::version().and_then(|number| unsafe { put(version, number) }).into()
}

/// How many devices this process sees.
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Code {
    // SAFETY: as the caller promises.
    answers::devices().and_then(|list| unsafe { put(count, list.len() as c_int) }).into()
}

/// A device's handle, which is its ordinal.
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Code {
    // SAFETY: as the caller promises.
    answers::device(ordinal).and_then(|_| unsafe { put(device, ordinal) }).into()
}

/// A device's name.
///
/// # Safety
/// As in `cuda.h`: `name` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> Code {
    let write = |Device { name: text, .. }: Device| {
        let Some(room) = usize::try_from(length).ok().filter(|room| *room > 0 && !name.is_null()) else {
            return Err(Code::INVALID_VALUE);
        };
        let bytes = &text.as_bytes()[..text.len().min(room - 1)];
        // SAFETY: `name` has `room` bytes, of which these and a NUL are written.
        unsafe {
            name.copy_from_nonoverlapping(bytes.as_ptr().cast(), bytes.len());
            name.add(bytes.len()).write(0);
        }
        Ok(())
    };
    answers::device(device).and_then(write).into()
}

/// The 16 bytes of a device's UUID, a MIG device's own where it is one.
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> Code {
    // SAFETY: as the caller promises.
    answers::device(device).and_then(|device| unsafe { put(uuid, device.uuid) }).into()
}

/// Makes a context and makes it current.
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxCreate_v2(context: *mut *mut c_void, _flags: c_uint, device: c_int) -> Code {
    // SAFETY: as the caller promises.
    answers::device(device).and_then(|_| unsafe { put(context, CONTEXT as *mut c_void) }).into()
}

/// Ends a context.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDestroy_v2(context: *mut c_void) -> Code {
    if context as usize == CONTEXT { Code::SUCCESS } else { Code::INVALID_CONTEXT }
}

/// Memory "on the GPU".
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(pointer: *mut u64, size: usize) -> Code {
    // SAFETY: malloc has no precondition.
    let memory = unsafe { libc::malloc(size) };
    if size == 0 || memory.is_null() {
        return Code::OUT_OF_MEMORY;
    }
    // SAFETY: as the caller promises.
    unsafe { put(pointer, memory as u64) }.into()
}

/// Gives it back.
///
/// # Safety
/// As in `cuda.h`: the pointer came from [`cuMemAlloc_v2`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(pointer: u64) -> Code {
    // SAFETY: as the caller promises, malloc made it.
    unsafe { libc::free(pointer as *mut c_void) };
    Code::SUCCESS
}

/// Copies to "the GPU"; where the machine garbles, the first byte arrives changed.
///
/// # Safety
/// As in `cuda.h`: both sides have `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const u8, size: usize) -> Code {
    let garbles = match answers::garbles() {
        Ok(garbles) => garbles,
        Err(code) => return code,
    };
    let to = to as *mut u8;
    // SAFETY: as the caller promises.
    unsafe {
        to.copy_from_nonoverlapping(from, size);
        if garbles && size > 0 {
            to.write(!to.read());
        }
    }
    Code::SUCCESS
}

/// Copies back.
///
/// # Safety
/// As in `cuda.h`: both sides have `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut u8, from: u64, size: usize) -> Code {
    // SAFETY: as the caller promises.
    unsafe { to.copy_from_nonoverlapping(from as *const u8, size) };
    Code::SUCCESS
}

/// A code's name.
///
/// # Safety
/// As in `cuda.h`: what is not NULL is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: Code, name: *mut *const c_char) -> Code {
    // SAFETY: as the caller promises.
    unsafe { put(name, code.name().as_ptr()) }.into()
}

/// Writes an answer; NULL is an invalid value.
///
/// # Safety
/// What is not NULL is writable.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: as the caller promises.
    unsafe { to.write_unaligned(value) };
    Ok(())
}
