//! Code of the image that waits for a loader: `LD_PRELOAD` and its like in the image's environment (CVE-2025-23266).
//!
//! Two things keep it from running. Our hook has no loader; the build that is attacked without defences has one, so that it
//! is seen that the trap works. And every hook gets an environment; a third party's dynamic hook is protected by that.

use crate::{
    attack::{ATTACK, Attack},
    container::{Setting, Way, run},
    image::Image,
    programs::Build,
};
use root::Defence::HookEnvironment;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// A library that leaves a mark as soon as it is loaded. It needs no header, as machines without any can link.
const CODE: &str = r#"
extern int open(const char *, int, ...);
extern long write(int, const void *, unsigned long);
__attribute__((constructor)) static void leave_a_mark(void) {
    write(open(MARK, 01 | 0100 | 02000, 0644), "loaded\n", 7);
}
/* What a library for LD_AUDIT must have. */
unsigned la_version(unsigned version) { return version; }
"#;

/// The image that has it, where `LD_PRELOAD` and `LD_AUDIT` of its environment point.
pub const ATTACK_23266: Attack = Attack { name: "cve-2025-23266", image: trap, ..ATTACK };

fn trap(image: &Image) {
    let (source, library) = (image.folder.join("evil.c"), image.path("evil.so"));
    let made = fs::write(&source, CODE).map_err(|why| why.to_string()).and_then(|()| {
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(&source);
        cc.arg(format!("-DMARK={:?}", image.outside("etc/executed")));
        let done = cc.output().map_err(|why| format!("cc, which Rust links with: {why}"))?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    });
    made.unwrap_or_else(|why| panic!("the trap cannot be made: {why}"));
}

/// Programs of ours with the image's environment. (The shim becomes runc in the environment that the engine gave it.)
///
/// # Errors
/// Which of them ran the image's code.
pub fn our_programs_load_nothing(folder: &Path, build: Build) -> Result<(), String> {
    let image = Image::make(folder, crate::image::Outward::Absolute, &crate::trial::library()?);
    trap(&image);
    for program in ["nvidia-cdi-hook", "nvidia-ctk", "corten"] {
        let mut command = Command::new(build.folder()?.join(program));
        command.arg("--version").env("LD_PRELOAD", image.path("evil.so")).env("LD_AUDIT", image.path("evil.so"));
        command.env("LD_LIBRARY_PATH", image.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir(image.path("")).status().map_err(|why| format!("{program}: {why}"))?;
        if image.outside("etc/executed").exists() {
            return Err(format!("{program} loaded the image's code"));
        }
    }
    Ok(())
}

/// Containers whose hooks run beside the trap.
pub fn settings() -> Vec<(&'static str, Setting, Option<&'static str>)> {
    let ours = |runtime, bare| Setting { runtime, way: Way::Spec, shim: Build::Shipped, hooks: Build::Shipped, bare };
    let dynamic = Build::Without(&[]);
    vec![
        ("our_hooks_under_runc", ours("runc", false), None),
        ("our_hooks_under_crun", ours("crun", false), None),
        ("our_hooks_without_environment_under_runc", ours("runc", true), None),
        ("our_hooks_without_environment_under_crun", ours("crun", true), None),
        ("a_dynamic_hook_without_environment_under_runc", Setting { hooks: dynamic, ..ours("runc", true) }, None),
        (
            "a_dynamic_hook_bites_without_hook-environment",
            Setting { shim: Build::Without(&[HookEnvironment]), hooks: dynamic, ..ours("runc", true) },
            Some("outside changed"),
        ),
        // Being static is enough by itself.
        (
            "our_hook_is_static_without_hook-environment",
            Setting { shim: Build::Without(&[HookEnvironment]), ..ours("runc", true) },
            None,
        ),
    ]
}

/// Starts one of them. All must start, but those whose hook the trap has hit.
///
/// # Errors
/// What does not hold.
pub fn start(folder: &Path, setting: &Setting, sees: Option<&str>) -> Result<(), String> {
    match (run(folder, &ATTACK_23266, setting, sees.is_none()), sees) {
        (done, None) => done,
        (Ok(()), Some(_)) => Err("the attack does not succeed: the test could not fail".to_owned()),
        (Err(why), Some(sees)) if why.starts_with(sees) => Ok(()),
        (Err(why), Some(sees)) => Err(format!("it fails otherwise than by {sees:?}: {why}")),
    }
}
