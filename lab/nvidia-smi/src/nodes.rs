//! Device nodes made on the way, as the real `nvidia-smi` makes them through `nvidia-modprobe`: for every GPU of the
//! machine that has none, unless `/proc/driver/nvidia/params` says `ModifyDeviceFiles: 0`.
//!
//! That is why a container must see parameters that say 0: it would otherwise make itself nodes of GPUs that it was not
//! granted. Tests of that promise need a program that tries.

use std::{ffi::CString, fs};

const PARAMETERS: &str = "/proc/driver/nvidia/params";
/// Minor of `/dev/nvidiactl`.
const CTL_MINOR: u32 = 255;

/// Makes what is missing. What cannot be made is left to NVML to complain about.
pub fn make_missing() {
    let parameters = fs::read_to_string(PARAMETERS).unwrap_or_default();
    let Some(mode) = mode_of_new_nodes(&parameters) else { return };
    let Ok(state) = fs::read(machine::STATE_FILE) else { return };
    let Ok(machine) = serde_json::from_slice::<machine::Machine>(&state) else { return };
    make("/dev/nvidiactl", mode, machine.majors.nvidia, CTL_MINOR);
    for gpu in &machine.gpus {
        make(&format!("/dev/nvidia{}", gpu.minor), mode, machine.majors.nvidia, gpu.minor);
    }
}

/// Permission bits of nodes to make; `None` where none may be made.
fn mode_of_new_nodes(parameters: &str) -> Option<u32> {
    let value = |key: &str| {
        let mut lines = parameters.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse::<u32>().ok())
    };
    (value("ModifyDeviceFiles") == Some(1)).then(|| value("DeviceFileMode").unwrap_or(0o666) & 0o777)
}

fn make(path: &str, mode: u32, major: u32, minor: u32) {
    let Ok(path) = CString::new(path) else { return };
    // SAFETY: `path` is a C string that outlives both calls. A node that exists makes mknod fail and chmod not happen.
    unsafe {
        if libc::mknod(path.as_ptr(), libc::S_IFCHR | mode, libc::makedev(major, minor)) == 0 {
            libc::chmod(path.as_ptr(), mode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_one_allows_nodes() {
        for (parameters, want) in [
            ("ModifyDeviceFiles: 1\nDeviceFileMode: 432\n", Some(0o660)),
            ("DeviceFileMode: 438\nModifyDeviceFiles: 1", Some(0o666)),
            ("ModifyDeviceFiles: 0\nDeviceFileMode: 438\n", None),
            ("", None),
        ] {
            assert_eq!(mode_of_new_nodes(parameters), want, "{parameters:?}");
        }
    }
}
