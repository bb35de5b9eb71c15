//! `cargo xtask dist`: everything there is to install, under `target/dist`; and the lab, under `target/lab`.
//!
//! The main executable is linked statically, so it needs a target of its own: with `+crt-static` cargo drops every
//! `cdylib` without a word, and a static program must not load libraries (reference: crates.md 1.2). Hence two builds in
//! two folders, and flags here instead of in `.cargo/config.toml`.

use crate::{
    shell::{Outcome, cargo, output, say, workspace},
    unknown,
};
use elf::{ElfBytes, endian::AnyEndian};
use std::{
    fs,
    io::IsTerminal,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo xtask dist

Builds what there is to install into target/dist:
  bin/      the static executable, corten-nvml, and every program's name as a relative link
  lib/      libnvidia-container; lib/systemd/system and lib/udev/rules.d keep CDI specs fresh
  etc/      what goes with them and is for the administrator to change
  include/  its header
and the simulated machine for demo and tests into target/lab/bin.
";

/// The task.
pub fn run_all() -> Outcome {
    build_programs()?;
    build_lab()
}

/// `cargo xtask dist`.
pub fn run(arguments: &[String]) -> Outcome {
    if let Some(word) = arguments.first() {
        return Err(unknown(word));
    }
    run_all()?;
    say(&format!("all of it is in {}", folder().display()));
    Ok(())
}

/// What people install.
pub fn folder() -> PathBuf {
    workspace().join("target/dist")
}

/// The lab's programs.
pub fn lab_folder() -> PathBuf {
    workspace().join("target/lab/bin")
}

fn build_programs() -> Outcome {
    say("building the static executable");
    let triple = host_triple()?;
    let built = workspace().join("target/static");
    cargo_build(&built, "release", &["corten"], Some(&triple))?;
    let executable = built.join(&triple).join("release/corten");
    refuse_interpreter(&executable)?;

    // Both are linked with the C library, and share what they are made of.
    say("building corten-nvml and libnvidia-container");
    let dynamic = workspace().join("target/dynamic");
    cargo_build(&dynamic, "library", &["corten-nvml", "corten-nvc"], None)?;

    let bin = folder().join("bin");
    for part in ["bin", "lib", "include"] {
        make_folder(&folder().join(part))?;
    }
    install(&executable, &bin.join("corten"))?;
    install(&dynamic.join("library/corten-nvml"), &bin.join("corten-nvml"))?;
    link_programs(&bin)?;
    install_library(&dynamic.join("library/libnvidia_container.so"))?;
    install_units()
}

/// The C library under its names, its header, and what pkg-config says of it.
fn install_library(library: &Path) -> Outcome {
    let (source, lib) = (workspace().join("crates/nvc"), folder().join("lib"));
    let header = fs::read_to_string(source.join("include/nvc.h")).map_err(|why| format!("nvc.h: {why}"))?;
    let version = header.lines().find_map(|line| line.strip_prefix("#define NVC_VERSION "));
    let version = version.ok_or("nvc.h defines no NVC_VERSION")?.trim_matches('"');
    let file = format!("libnvidia-container.so.{version}");
    install(library, &lib.join(&file))?;
    for (name, target) in [("libnvidia-container.so.1", &*file), ("libnvidia-container.so", "libnvidia-container.so.1")]
    {
        let _ = fs::remove_file(lib.join(name));
        symlink(target, lib.join(name)).map_err(|why| format!("could not link {name}: {why}"))?;
    }
    make_folder(&lib.join("pkgconfig"))?;
    install(&source.join("libnvidia-container.pc"), &lib.join("pkgconfig/libnvidia-container.pc"))?;
    install(&source.join("include/nvc.h"), &folder().join("include/nvc.h"))
}

/// What systemd and udev start our programs by: from where it is in the repository to where packages put it.
const UNITS: [(&str, &str); 5] = [
    ("systemd/nvidia-cdi-refresh.service", "lib/systemd/system"),
    ("systemd/nvidia-cdi-refresh.path", "lib/systemd/system"),
    ("systemd/nvidia-cdi-watch.service", "lib/systemd/system"),
    ("systemd/nvidia-cdi-refresh.env", "etc/nvidia-container-toolkit"),
    ("udev/99-nvidia-cdi-refresh.rules", "lib/udev/rules.d"),
];

fn install_units() -> Outcome {
    UNITS.iter().try_for_each(|(file, place)| {
        let (from, to) = (workspace().join("packaging").join(file), folder().join(place));
        make_folder(&to)?;
        install(&from, &to.join(from.file_name().unwrap_or_default()))
    })
}

fn build_lab() -> Outcome {
    say("building the simulated machine");
    make_folder(&lab_folder())?;
    let built = workspace().join("target/lab-build");
    cargo_build(&built, "lab", &["corten-lab", "corten-nvml-mock", "corten-cuda-mock", "corten-lab-nvidia-smi"], None)?;
    for name in ["lab", "lab-probe", "lab-nvidia-smi", "libnvidia_ml_mock.so", "libcuda_mock.so"] {
        install(&built.join("lab").join(name), &lab_folder().join(name))?;
    }
    // Once more without a loader, for container roots that have no C library.
    let triple = host_triple()?;
    let built = workspace().join("target/static");
    cargo_build(&built, "lab", &["corten-lab"], Some(&triple))?;
    let made = built.join(&triple).join("lab");
    install(&made.join("lab"), &lab_folder().join("lab-static"))?;
    install(&made.join("lab-probe"), &lab_folder().join("lab-probe-static"))
}

/// Builds packages; with a target triple they are linked statically.
pub fn cargo_build(folder: &Path, profile: &str, packages: &[&str], static_for: Option<&str>) -> Outcome {
    build_with(folder, profile, packages, static_for, &[])
}

/// The same with features, which nothing that is installed has.
pub fn build_with(
    folder: &Path,
    profile: &str,
    packages: &[&str],
    static_for: Option<&str>,
    features: &[&str],
) -> Outcome {
    let mut command = cargo();
    command.args(["build", "--locked", "--profile", profile, "--target-dir"]).arg(folder);
    // Cargo shows a bar where somebody looks; in a log its lines would bury ours.
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    for feature in features {
        command.args(["--features", feature]);
    }
    if let Some(triple) = static_for {
        command.args(["--target", triple]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    }
    crate::shell::run(&mut command)
}

/// Every program's name, as the executable itself lists them, becomes a link to it.
pub fn link_programs(bin: &Path) -> Outcome {
    for name in output(Command::new(bin.join("corten")).arg("programs"))?.lines().filter(|name| *name != "corten") {
        let link = bin.join(name);
        let _ = fs::remove_file(&link);
        symlink("corten", &link).map_err(|why| format!("could not link {}: {why}", link.display()))?;
    }
    Ok(())
}

/// The executable must name no interpreter, or an image's `LD_PRELOAD` would reach it (docs/security.md).
pub fn refuse_interpreter(executable: &Path) -> Outcome {
    let bytes = fs::read(executable).map_err(|why| format!("could not read {}: {why}", executable.display()))?;
    let file =
        ElfBytes::<AnyEndian>::minimal_parse(&bytes).map_err(|why| format!("{}: {why}", executable.display()))?;
    let segments = file.segments().ok_or_else(|| format!("{} has no segments", executable.display()))?;
    match segments.iter().any(|segment| segment.p_type == elf::abi::PT_INTERP) {
        false => Ok(()),
        true => Err(format!("{} is not static: it names an interpreter", executable.display())),
    }
}

/// The target triple of this machine.
pub fn host_triple() -> Result<String, String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Outcome {
    fs::create_dir_all(path).map_err(|why| format!("could not make {}: {why}", path.display()))
}

/// Puts a file in place by renaming, since the one there may be running.
pub fn install(from: &Path, to: &Path) -> Outcome {
    let beside = to.with_extension("new");
    fs::copy(from, &beside)
        .and_then(|_| fs::rename(&beside, to))
        .map_err(|why| format!("could not put {} at {}: {why}", from.display(), to.display()))
}
