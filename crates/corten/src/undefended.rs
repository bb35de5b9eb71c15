//! Two of the original's faults that no defence of `crates/root` rules out, as small as they can be. Only in the build that
//! the suite `tests/hostile` attacks to see that its attacks can succeed.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use cdi::{ContainerEdits, Mount};
use oci::HostPath;
use root::Defence;
use std::{fs, process::Command};

/// Where images keep libraries for forward compatibility.
const COMPAT: &str = "usr/local/cuda/compat";

/// Libraries that the image brings become sources of mounts (CVE-2024-0132).
pub fn with_mounts_from_image(mut edits: ContainerEdits, root: &HostPath) -> ContainerEdits {
    if Defence::HostSources.stands() {
        return edits;
    }
    for entry in fs::read_dir(root.join(COMPAT).as_path()).into_iter().flatten().flatten() {
        edits.mounts.push(Mount {
            host_path: entry.path().to_string_lossy().into_owned(),
            container_path: format!("/usr/lib/{}", entry.file_name().to_string_lossy()),
            options: ["ro", "nosuid", "nodev", "rbind", "rprivate"].map(str::to_owned).to_vec(),
            kind: None,
        });
    }
    edits
}

/// The program that the hook's caller names makes the loader's cache (CVE-2024-0136).
pub fn run_ldconfig(path: Option<&str>) -> Result<()> {
    match Command::new(path.unwrap_or("/sbin/ldconfig")).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Fault::new(Code::RootNotPrepared, "ldconfig failed")),
    }
}
