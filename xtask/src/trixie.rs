//! Debian trixie as a folder, `target/roots/trixie`: its engines read CDI specs by themselves, which those of an older
//! distribution do not. Made once, from the mirror that this machine's own apt uses; a machine of another distribution, or
//! without a network, has none, and says why.

use crate::{
    shell::{Outcome, as_root, output, run, say, workspace},
    system::{self, Need},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The release, as its mirrors call it.
const SUITE: &str = "trixie";

/// What is installed besides Debian's smallest system, with what it depends on: engines, a client, low-level runtimes.
const PACKAGES: [&str; 6] = ["docker.io", "docker-cli", "containerd", "podman", "crun", "runc"];

/// Makes the folder.
const DEBOOTSTRAP: Need = Need {
    probe: "debootstrap",
    package: ["debootstrap", "debootstrap", "debootstrap", "debootstrap"],
    purpose: "a folder with Debian trixie, whose engines read CDI specs",
};

/// For dpkg in the new folder: a half-made one is thrown away, so nothing need be synced, and nobody reads manuals there.
const DPKG: &str = "force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
";

/// What came of it.
pub enum Trixie {
    /// The folder.
    Made(PathBuf),
    /// Why there can be none on this machine.
    Absent(String),
}

/// The folder, made now if it is not there.
///
/// # Errors
/// When this machine could have it, and making it failed.
pub fn folder() -> Result<Trixie, String> {
    let folder = workspace().join("target/roots").join(SUITE);
    let recipe = format!("{SUITE}\n{}\n{DPKG}", PACKAGES.join("\n"));
    // Written last, so a folder without it is half made; with another list it lacks something.
    let marker = folder.join("recipe");
    if fs::read_to_string(&marker).is_ok_and(|made| made == recipe) {
        return Ok(Trixie::Made(folder));
    }
    let mirror = match mirror()? {
        Ok(mirror) => mirror,
        Err(why) => return Ok(Trixie::Absent(why)),
    };
    system::ensure(&[&DEBOOTSTRAP])?;
    make(&folder, &mirror)?;
    let written = folder.with_extension("recipe");
    fs::write(&written, recipe).map_err(|why| format!("could not write {}: {why}", written.display()))?;
    run(as_root("mv").arg(&written).arg(&marker))?;
    Ok(Trixie::Made(folder))
}

/// The mirror of Debian that apt uses here, if it has the release; else why there is none.
fn mirror() -> Result<Result<String, String>, String> {
    if system::find("apt-get").is_none() {
        return Ok(Err("this machine has no apt that would name a Debian mirror".into()));
    }
    let mut mirrors = mirrors()?;
    if mirrors.is_empty() {
        // Where a mirror comes from is known once its index was fetched, and a fresh image has none.
        if let Err(why) = run(as_root("apt-get").args(["update", "-qq"])) {
            return Ok(Err(why));
        }
        mirrors = self::mirrors()?;
    }
    if mirrors.is_empty() {
        return Ok(Err("this machine's apt uses no mirror of Debian".into()));
    }
    let found = mirrors.iter().find(|mirror| has_release(mirror)).cloned();
    Ok(found.ok_or_else(|| format!("{} cannot be reached, or has no {SUITE}", mirrors.join(", "))))
}

/// Every mirror of Debian's main archive in apt's configuration, in apt's own words.
fn mirrors() -> Result<Vec<String>, String> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"]);
    let mut mirrors: Vec<_> =
        output(&mut apt)?.lines().filter_map(|line| line.strip_prefix("Debian Debian ")).map(str::to_owned).collect();
    mirrors.sort();
    mirrors.dedup();
    Ok(mirrors)
}

/// Asks with apt's own means, so that its proxies and passwords count.
fn has_release(mirror: &str) -> bool {
    let to = workspace().join("target").join(format!("{SUITE}.InRelease"));
    let mut helper = Command::new("/usr/lib/apt/apt-helper");
    helper.args(["-o", "Acquire::Retries=2", "-o", "APT::Sandbox::User=root", "download-file"]);
    helper.arg(format!("{}/dists/{SUITE}/InRelease", mirror.trim_end_matches('/'))).arg(to);
    helper.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Makes the folder anew. Packages are kept beside it, so that a second try does not fetch them again.
fn make(folder: &Path, mirror: &str) -> Outcome {
    say(&format!("making {} from {mirror}, once (some 150 MB are fetched)", folder.display()));
    run(as_root("rm").args(["-rf", "--one-file-system"]).arg(folder))?;
    let (roots, packages) = (folder.with_file_name(""), folder.with_extension("packages"));
    fs::create_dir_all(&roots).map_err(|why| format!("could not make {}: {why}", roots.display()))?;
    let settings = folder.join("etc/dpkg/dpkg.cfg.d");
    run(as_root("mkdir").arg("-p").arg(&packages).arg(&settings))?;
    let dpkg = folder.with_extension("dpkg");
    fs::write(&dpkg, DPKG).map_err(|why| format!("could not write {}: {why}", dpkg.display()))?;
    run(as_root("mv").arg(dpkg).arg(settings.join("corten")))?;
    // In a mount namespace of its own: if it is killed, what it mounted in the folder goes with it.
    let mut debootstrap = as_root("unshare");
    debootstrap.args(["--mount", "debootstrap", "--variant=minbase", "--force-check-gpg"]);
    debootstrap.arg(format!("--include={}", PACKAGES.join(",")));
    debootstrap.arg(format!("--cache-dir={}", packages.display()));
    debootstrap.arg(SUITE).arg(folder).arg(mirror);
    let log = folder.with_extension("log");
    let file = fs::File::create(&log).map_err(|why| format!("could not write {}: {why}", log.display()))?;
    run(debootstrap.stdin(Stdio::null()).stdout(file)).map_err(|why| format!("{why}; see {}", log.display()))
}
