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
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
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
    let made = compile(&image.outside("etc/executed")).map(|library| image.program("evil.so", library));
    if let Err(why) = made {
        panic!("the trap cannot be made: {why}");
    }
}

/// The library that leaves its mark there. On a machine with a system of its own the compiler is that of the machine below,
/// which is seen at `/host`.
fn compile(mark: &Path) -> Result<Vec<u8>, String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tmp/corten-trap-{}-{number}.so", std::process::id());
    let below = Path::new(if Path::new("/host/usr").is_dir() { "/host" } else { "/" });
    let mut cc = Command::new("chroot");
    cc.arg(below).args(["cc", "-shared", "-fPIC", "-w", "-x", "c", "-o"]).arg(format!("/{name}"));
    cc.arg(format!("-DMARK={mark:?}")).arg("-").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cc.spawn().map_err(|why| format!("chroot: {why}"))?;
    // Dropped at once, so that the compiler sees its end. It says itself if it did not get all of it.
    let _ = child.stdin.take().map(|mut input| input.write_all(CODE.as_bytes()));
    let done = child.wait_with_output().map_err(|why| why.to_string())?;
    let library = below.join(name);
    let content = fs::read(&library);
    let _ = fs::remove_file(library);
    content.map_err(|why| format!("cc, which Rust links with: {why}: {}", String::from_utf8_lossy(&done.stderr)))
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
