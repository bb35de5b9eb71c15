//! What the library needs of the program that has loaded it, and of itself: the environment, and where `corten-nvml` is.

use legacy::{Error, Machine, Settings, kmods, options::InitOptions};
use std::{ffi::CStr, path::PathBuf};

/// The defaults, and what the environment says.
pub fn settings() -> Settings {
    Settings { helper: Some(nvml_helper()), ..Settings::from_environment() }
}

/// Looks at the machine, and loads the driver before where that is wanted.
pub fn machine(settings: Settings, options: InitOptions) -> Result<Machine, Error> {
    if options.load_kmods {
        kmods::load(&settings, !options.no_create_imex_channels);
    }
    let machine = Machine::init(settings)?;
    // Programs take a failure here for a machine without GPUs.
    machine.start_nvml()?;
    Ok(machine)
}

/// `corten-nvml` of the tree that this library lies in (`lib/`, or `lib/TRIPLET/`, beside `bin/`), else where packages put it.
/// Never one beside the program: that may lie anywhere.
fn nvml_helper() -> PathBuf {
    let library = own_path();
    let folders = library.iter().flat_map(|library| library.ancestors().skip(2).take(2));
    let beside = folders.map(|folder| folder.join("bin/corten-nvml"));
    let installed = "/usr/libexec/corten-nvml".into();
    beside.chain([installed]).find(|helper| helper.is_file()).unwrap_or_else(|| "/usr/bin/corten-nvml".into())
}

/// Where this library was loaded from.
fn own_path() -> Option<PathBuf> {
    // SAFETY: numbers and pointers, for all of which zeros mean something.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: an address within this library, and a structure for the answer.
    let found = unsafe { libc::dladdr(own_path as *const () as *const libc::c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own copy of the name, which stays while the library is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) }.to_str().ok()?;
    std::fs::canonicalize(name).ok()
}
