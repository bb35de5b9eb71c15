//! `cargo xtask hardware-check`: one folder with everything that it takes to check Corten on a machine with GPUs, where
//! there may be no network, no runc, no compiler and another C library.

use crate::{
    dist,
    shell::{Outcome, run as run_command, say, workspace},
    system, unknown,
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask hardware-check

Builds target/hardware-check. Copy that folder to any x86-64 machine with an NVIDIA driver and run
./hardware-check there, as root; docs/hardware.md tells what it prints.
";

/// The folder must stay small enough to be handed on.
const LARGEST: u64 = 60_000_000;

/// Libraries of glibc that the driver's own files need besides libc.
const OF_GLIBC: [&str; 4] = ["libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"];

/// Debian's packages whose files are in the folder, for their licences.
const PACKAGES: [&str; 3] = ["runc", "libc6", "libseccomp2"];

const README: &str = "\
Run ./hardware-check as root on a machine with an NVIDIA driver. It needs no network, changes nothing
and prints what works. ./hardware-check --help tells more; --report FILE writes what can be put into an issue.

bin/      Corten's programs, and runc
lib/      the C library that runc and corten-nvml run with
root/     the root file system of the containers that are started
licenses/ of the programs that are not Corten's
";

/// The task.
pub fn run(arguments: &[String]) -> Outcome {
    if let Some(word) = arguments.first() {
        return Err(unknown(word));
    }
    system::ensure(&[&system::RUNC])?;
    dist::run_all()?;
    build()?;
    say(&format!("{} is ready: copy it to a machine with GPUs and run ./hardware-check there", folder().display()));
    Ok(())
}

/// Where it is.
pub fn folder() -> PathBuf {
    workspace().join("target/hardware-check")
}

/// Builds it from what `dist` has built, and refuses one that is too large.
pub fn build() -> Outcome {
    say("building the hardware check");
    let triple = dist::host_triple()?;
    let (fixed, dynamic) = (workspace().join("target/static"), workspace().join("target/dynamic"));
    dist::cargo_build(&fixed, "release", &["corten-hardware-check"], Some(&triple))?;
    dist::cargo_build(&dynamic, "library", &["corten-cuda-probe"], None)?;
    let program = fixed.join(&triple).join("release/hardware-check");
    dist::refuse_interpreter(&program)?;
    let probe = dynamic.join("library/cuda-probe");

    let folder = folder();
    let _ = fs::remove_dir_all(&folder);
    dist::make_folder(&folder)?;
    dist::install(&program, &folder.join("hardware-check"))?;
    fs::write(folder.join("README"), README).map_err(|why| format!("README: {why}"))?;
    programs(&folder, &probe)?;
    root(&folder, &probe)?;
    libraries(&folder)?;
    licenses(&folder)?;
    let size = size(&folder)?;
    say(&format!("{} takes {:.1} MB", folder.display(), size as f64 / 1e6));
    if size < LARGEST { Ok(()) } else { Err(format!("it takes {size} bytes, {LARGEST} are the most")) }
}

/// `bin`: what people install, the probe and runc.
fn programs(folder: &Path, probe: &Path) -> Outcome {
    let bin = folder.join("bin");
    dist::make_folder(&bin)?;
    let from = dist::folder().join("bin");
    for entry in fs::read_dir(&from).map_err(|why| format!("could not list {}: {why}", from.display()))? {
        let path = entry.map_err(|why| why.to_string())?.path();
        let to = bin.join(path.file_name().unwrap_or_default());
        match fs::read_link(&path) {
            Ok(text) => symlink(text, &to).map_err(|why| format!("could not link {}: {why}", to.display()))?,
            Err(_) => dist::install(&path, &to)?,
        }
    }
    dist::install(probe, &bin.join("cuda-probe"))?;
    dist::install(&runc()?, &bin.join("runc"))
}

fn runc() -> Result<PathBuf, String> {
    system::find("runc").map(PathBuf::from).ok_or_else(|| "there is no runc".to_owned())
}

/// `root`: a container's root from this machine's own files, with the probe and what the driver's files need of glibc.
fn root(folder: &Path, probe: &Path) -> Outcome {
    let root = folder.join("root");
    let mut more = vec![probe.to_owned()];
    more.extend(OF_GLIBC.iter().filter_map(|name| on_this_machine(name)));
    make_root(&root, &more)?;
    // Of use to the lab's tests only, and the largest of its files.
    let unused = root.join("usr/bin/lab-probe");
    fs::remove_file(&unused).map_err(|why| format!("could not remove {}: {why}", unused.display()))
}

/// `lib`: the loader as `ld.so`, and all that runc, corten-nvml and the driver's programs need, from a root made for that.
fn libraries(folder: &Path) -> Outcome {
    let scratch = folder.join("scratch");
    let mut more = vec![runc()?, folder.join("bin/corten-nvml"), folder.join("bin/cuda-probe")];
    more.extend(OF_GLIBC.iter().filter_map(|name| on_this_machine(name)));
    make_root(&scratch, &more)?;
    let lib = folder.join("lib");
    let multiarch = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let failed = |why: std::io::Error| format!("could not fill {}: {why}", lib.display());
    fs::rename(scratch.join(multiarch), &lib).map_err(failed)?;
    fs::copy(scratch.join(loader()), lib.join("ld.so")).map_err(failed)?;
    fs::set_permissions(lib.join("ld.so"), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    fs::remove_dir_all(&scratch).map_err(failed)
}

/// Where programs of this machine expect the loader.
fn loader() -> &'static str {
    if cfg!(target_arch = "aarch64") { "lib/ld-linux-aarch64.so.1" } else { "lib64/ld-linux-x86-64.so.2" }
}

fn make_root(to: &Path, more: &[PathBuf]) -> Outcome {
    let mut lab = Command::new(dist::lab_folder().join("lab"));
    lab.args(["rootfs", "--kind", "debian", "--to"]).arg(to);
    for file in more {
        lab.arg("--with").arg(file);
    }
    run_command(&mut lab)
}

/// A library of this machine; one that its glibc has merged into libc is not missed.
fn on_this_machine(name: &str) -> Option<PathBuf> {
    let folders = [format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH), "/usr/lib64".into(), "/usr/lib".into()];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

fn licenses(folder: &Path) -> Outcome {
    let to = folder.join("licenses");
    dist::make_folder(&to)?;
    for package in PACKAGES {
        let from = Path::new("/usr/share/doc").join(package).join("copyright");
        match from.is_file() {
            true => dist::install(&from, &to.join(package))?,
            false => say(&format!("{} is not here: the folder lacks the licence of {package}", from.display())),
        }
    }
    Ok(())
}

/// What the files of a folder take.
fn size(folder: &Path) -> Result<u64, String> {
    let failed = |why: std::io::Error| format!("could not look at {}: {why}", folder.display());
    let mut sum = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let found = fs::symlink_metadata(&path).map_err(failed)?;
        sum += if found.is_dir() { size(&path)? } else { found.len() };
    }
    Ok(sum)
}
