//! Exported functions about the library and the driver.

use crate::{
    abi::{Code, Out},
    session::{self, Session, ask},
};
use std::ffi::{c_char, c_int};

/// Initialises, counting callers.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Code {
    session::start().into()
}

/// The first form of [`nvmlInit_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit() -> Code {
    session::start().into()
}

/// Flags say whether no GPU is an error and whether GPUs are attached; here neither makes a difference.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: u32) -> Code {
    session::start().into()
}

/// Undoes one initialisation.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Code {
    session::stop().into()
}

/// A code in words; works without initialisation.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: Code) -> *const c_char {
    code.words().as_ptr()
}

/// `550.54.14`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetDriverVersion(version: Out<c_char>, length: u32) -> Code {
    ask(|session| version.put_text(length, &driver(session)?.version))
}

/// NVML's own version: that of CUDA's major, then the driver's.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetNVMLVersion(version: Out<c_char>, length: u32) -> Code {
    ask(|session| {
        let driver = driver(session)?;
        let major = driver.cuda.split('.').next().unwrap_or_default();
        version.put_text(length, &format!("{major}.{}", driver.version))
    })
}

/// `12040` for 12.4.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: Out<c_int>) -> Code {
    ask(|session| {
        let (major, minor) = pair(&driver(session)?.cuda)?;
        version.put((major * 1000 + minor * 10) as c_int)
    })
}

/// The first form of [`nvmlSystemGetCudaDriverVersion_v2`].
#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetCudaDriverVersion(version: Out<c_int>) -> Code {
    nvmlSystemGetCudaDriverVersion_v2(version)
}

fn driver(session: &Session) -> Result<&machine::Driver, Code> {
    session.machine.driver.as_ref().ok_or(Code::DRIVER_NOT_LOADED)
}

/// The two numbers of `8.0`.
pub fn pair(dotted: &str) -> Result<(u32, u32), Code> {
    let (major, minor) = dotted.split_once('.').ok_or(Code::UNKNOWN)?;
    Ok((major.parse().map_err(|_| Code::UNKNOWN)?, minor.parse().map_err(|_| Code::UNKNOWN)?))
}
