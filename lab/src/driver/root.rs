//! A driver root of its own, as a driver container leaves it below `/run/nvidia/driver`: a small distribution around
//! the driver's files, with a loader cache.

use super::library_folders;
use crate::{Error, Result, companions::Companions, rootfs, tree::Tree};
use machine::Driver;
use std::{path::Path, process::Command};

/// Fills an empty root with what the driver's files need around them.
///
/// # Errors
/// When a file cannot be written, or this machine lacks a library that the mock NVML needs.
pub fn prepare(driver: &Driver, companions: &Companions, tree: &Tree) -> Result<()> {
    for folder in ["usr/lib", "usr/lib64", "usr/bin", "usr/sbin", "run", "var", "tmp", "dev", "proc", "sys"] {
        tree.folder(folder)?;
    }
    for name in ["lib", "lib64", "bin", "sbin"] {
        tree.link(name, format!("usr/{name}"))?;
    }
    tree.link("var/run", "../run")?;
    tree.file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n", 0o644)?;
    tree.file("etc/os-release", "ID=ubuntu\nVERSION_ID=\"22.04\"\nPRETTY_NAME=\"driver container\"\n", 0o644)?;
    let [native, _] = library_folders(driver);
    let mut programs = vec![companions.nvidia_smi()?];
    programs.extend(companions.nvml().ok());
    rootfs::libraries::copy_needed(&programs, tree, &native)
}

/// Runs the real `ldconfig` on `root`, so that its cache lists the driver as on a real machine.
///
/// # Errors
/// When `ldconfig` is missing or fails.
pub fn write_cache(root: &Path) -> Result<()> {
    let mut command = Command::new("ldconfig");
    if let Ok(path) = std::env::var("PATH") {
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    }
    // -X: links exist already, as the driver's installer leaves them.
    let output = command.arg("-X").arg("-r").arg(root).output().map_err(Error::file("run", "ldconfig"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Error::Program { program: "ldconfig", status: output.status.to_string(), output: text })
}
