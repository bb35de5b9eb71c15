//! What a task needs from the distribution: looked for first, installed without a question, and said.

use crate::shell::{Outcome, as_root, run, say};
use std::{env, path::Path, process::Command};

/// Something that a task needs: how to see that it is there, and what to install where it is not.
pub struct Need {
    /// A program on the PATH (or in an sbin folder), or an absolute path.
    pub probe: &'static str,
    /// The package, by package manager: apt, dnf, zypper, pacman. Empty where that one has none.
    pub package: [&'static str; 4],
    /// What it is for, said when it is installed.
    pub purpose: &'static str,
}

/// A low-level runtime.
pub const RUNC: Need =
    Need { probe: "runc", package: ["runc", "runc", "runc", "runc"], purpose: "the low-level runtime" };
/// Another one.
pub const CRUN: Need =
    Need { probe: "crun", package: ["crun", "crun", "crun", "crun"], purpose: "the other low-level runtime" };
/// The Docker engine.
pub const DOCKER: Need =
    Need { probe: "dockerd", package: ["docker.io", "moby-engine", "docker", "docker"], purpose: "the Docker engine" };
/// Podman.
pub const PODMAN: Need = Need {
    probe: "podman",
    package: ["podman", "podman", "podman", "podman"],
    purpose: "Podman, which reads CDI specs",
};
/// LXC, whose hook calls `nvidia-container-cli` by itself.
pub const LXC: Need =
    Need { probe: "lxc-execute", package: ["lxc", "lxc", "lxc", "lxc"], purpose: "LXC and its hook for NVIDIA GPUs" };
/// Watches system calls.
pub const STRACE: Need = Need {
    probe: "strace",
    package: ["strace", "strace", "strace", "strace"],
    purpose: "tests of what is opened and executed",
};
/// The musl loader.
pub const MUSL: Need = Need {
    probe: "/lib/ld-musl-x86_64.so.1",
    package: ["musl", "musl-libc", "musl", "musl"],
    purpose: "container roots like Alpine's",
};
/// Reads ELF files.
pub const BINUTILS: Need = Need {
    probe: "readelf",
    package: ["binutils", "binutils", "binutils", "binutils"],
    purpose: "checks of what we build",
};
/// Compiles libFuzzer.
pub const CXX: Need = Need {
    probe: "c++",
    package: ["g++", "gcc-c++", "gcc-c++", "gcc"],
    purpose: "building libFuzzer for the fuzz targets",
};
/// Checks unit files; it need not be running.
pub const SYSTEMD: Need = Need {
    probe: "systemd-analyze",
    package: ["systemd", "systemd", "systemd", "systemd"],
    purpose: "checks of our unit files",
};
/// Reports the memory of a process.
pub const TIME: Need =
    Need { probe: "/usr/bin/time", package: ["time", "time", "time", "time"], purpose: "memory figures" };

/// Package managers: program, arguments that install without a question.
const MANAGERS: [(&str, &[&str]); 4] = [
    ("apt-get", &["install", "--yes", "--no-install-recommends"]),
    ("dnf", &["install", "--assumeyes"]),
    ("zypper", &["--non-interactive", "install"]),
    ("pacman", &["--sync", "--noconfirm"]),
];

/// Installs what is missing of `needs`.
pub fn ensure(needs: &[&Need]) -> Outcome {
    let missing: Vec<_> = needs.iter().filter(|need| find(need.probe).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|need| need.probe).collect();
    let manager = MANAGERS.iter().position(|(program, _)| find(program).is_some()).ok_or_else(|| {
        format!("{} missing, and no package manager known to us is here: install it by hand", names.join(", "))
    })?;
    let (program, install) = MANAGERS[manager];
    for need in &missing {
        say(&format!("installing {} ({}): {}", need.probe, need.package[manager], need.purpose));
    }
    if program == "apt-get" {
        run(as_root(program).arg("update").arg("-qq"))?;
    }
    let packages = missing.iter().map(|need| need.package[manager]);
    // A package's service must not start here: tests start their own engines, in their own namespaces.
    run(as_root(program).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args(install).args(packages))?;
    match missing.iter().find(|need| find(need.probe).is_none()) {
        None => Ok(()),
        Some(need) => Err(format!("{} is still missing after its package was installed", need.probe)),
    }
}

/// Where a program is: as given if absolute, else on the PATH or in the folders for administrators.
pub fn find(program: &str) -> Option<String> {
    if program.starts_with('/') {
        return Path::new(program).exists().then(|| program.to_owned());
    }
    let path = env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"])
        .map(|folder| format!("{folder}/{program}"))
        .find(|candidate| Path::new(candidate).is_file())
}

/// The driver that is loaded on this machine, in the kernel's words.
pub fn real_driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    text.lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether `cargo NAME` is there (rustfmt and clippy are components that an installation can lack).
pub fn has_cargo_component(name: &str) -> bool {
    Command::new("cargo").args([name, "--version"]).output().is_ok_and(|done| done.status.success())
}
