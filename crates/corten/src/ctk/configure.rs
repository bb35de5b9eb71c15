//! `nvidia-ctk runtime configure`: makes the nvidia runtime known to an engine (reference: cdi-and-ctk.md 1.5). Docker so
//! far; and the file that tells engines of the prestart hook.

use super::flags::{Flag, Values};
use crate::{
    codes::Code,
    engine_config::{Wanted, docker},
    fault::{Fault, Result},
    stdout,
};
use oci::create_or_replace_file;
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

pub const FLAGS: &[Flag] = &[
    Flag::text("runtime", "", "the engine: docker (containerd and crio: not yet)").by_default("docker"),
    // It hides the global flag of its other name, and must not take that one's variable for its own.
    Flag::text("engine-config", "", "its configuration file, if another than the usual one").or("config"),
    Flag::text("drop-in-config", "", "a file of its own for what is added; not for docker")
        .by_default("RUNTIME_SPECIFIC_DEFAULT"),
    Flag::text("config-source", "", "where the present configuration comes from: file or command").by_default("file"),
    Flag::text("executable-path", "", "the engine's program, for --config-source=command"),
    Flag::text("config-mode", "", "config-file, or oci-hook: write what starts the prestart hook"),
    Flag::text("oci-hook-path", "", "the file for oci-hook; standard output without it"),
    Flag::text("nvidia-runtime-name", "", "name of the runtime").by_default("nvidia"),
    Flag::text("nvidia-runtime-path", "", "its program").or("runtime-path").by_default("nvidia-container-runtime"),
    Flag::text("nvidia-runtime-hook-path", "", "the prestart hook, for oci-hook")
        .by_default("/usr/bin/nvidia-container-runtime-hook"),
    Flag::switch("nvidia-set-as-default", "", "make it the engine's default runtime").or("set-as-default"),
    Flag::switch("cdi.enabled", "", "let the engine read CDI specs").or("cdi.enable").or("enable-cdi"),
    Flag::switch("dry-run", "", "print what would be written"),
];

/// Larger than any configuration of an engine.
const LARGEST: u64 = 16 << 20;

pub fn run(values: &Values) -> Result<()> {
    let engine = values.text("runtime");
    let wrong = |message: String, next: &'static str| Err(Fault::new(Code::Usage, message).next(next));
    match values.text("config-mode").as_str() {
        "" | "config" | "config-file" => {}
        "oci-hook" | "hook" => return oci_hook(values),
        other => log::warn!("Ignoring unknown config mode {other}"),
    }
    if !matches!(engine.as_str(), "docker" | "containerd" | "crio") {
        return wrong(format!("unrecognized runtime '{engine}'"), "Give docker, containerd or crio");
    }
    if !matches!(values.text("config-source").as_str(), "file" | "command") {
        return wrong(format!("unrecognized Config Source: {}", values.text("config-source")), "Give file or command");
    }
    if engine != "docker" {
        return Err(Fault::new(
            Code::NotYet,
            format!("nvidia-ctk runtime configure --runtime={engine} is not in this version yet"),
        )
        .next("See docs/engines.md for what to write into its configuration"));
    }
    if values.is_given("drop-in-config") && !values.text("drop-in-config").is_empty() {
        return wrong(
            "runtime docker does not support drop-in configs".to_owned(),
            "Leave --drop-in-config out, or name the file with --config",
        );
    }
    if values.text("config-source") == "command" {
        log::warn!("Docker cannot be asked for its configuration; reading the file");
    }
    if values.is_given("executable-path") {
        log::warn!("Ignoring --executable-path: no program of Docker's is run");
    }
    let wanted = Wanted {
        name: values.text("nvidia-runtime-name"),
        path: values.text("nvidia-runtime-path"),
        default: values.is_set("nvidia-set-as-default"),
        cdi: values.is_set("cdi.enabled"),
    };
    let file = Some(values.text("engine-config")).filter(|file| !file.is_empty());
    configure_docker(Path::new(file.as_deref().unwrap_or("/etc/docker/daemon.json")), &wanted, values.is_set("dry-run"))
}

fn configure_docker(file: &Path, wanted: &Wanted, dry: bool) -> Result<()> {
    let old = read(file)?;
    let new = docker::configure(old.as_deref().unwrap_or_default(), wanted)
        .map_err(|error| Fault::from_error(Code::EngineConfigInvalid, &error).within(&file.display().to_string()))?;
    if dry {
        return print(&new);
    }
    if old.as_ref() == Some(&new) {
        log::info!("{} says so already", file.display());
        return Ok(());
    }
    write(file, &new)?;
    log::info!("Wrote updated config to {}", file.display());
    log::info!("It is recommended that docker daemon be restarted.");
    Ok(())
}

/// The file's text; `None` if there is no file.
fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error: io::Error| {
        Fault::from_error(Code::InputUnreadable, &error).within(&format!("cannot read {}", file.display()))
    };
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.is_file() => return Err(failed(io::Error::other("it is no regular file"))),
        Ok(_) => {}
    }
    let mut text = Vec::new();
    File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text)).map_err(failed)?;
    match text.len() as u64 > LARGEST {
        true => Err(failed(io::ErrorKind::FileTooLarge.into())),
        false => Ok(Some(text)),
    }
}

/// Replaces the file in one step, or makes it, with its folder.
fn write(file: &Path, text: &[u8]) -> Result<()> {
    let failed = |error: &dyn std::error::Error| Fault::from_error(Code::OutputNotWritten, error);
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)
            .map_err(|error| failed(&error).within(&format!("cannot make {}", folder.display())))?;
    }
    create_or_replace_file(file, text, 0o644).map_err(|error| failed(&error))
}

fn print(text: &[u8]) -> Result<()> {
    let end: &[u8] = if text.ends_with(b"\n") { b"" } else { b"\n" };
    stdout::print([text, end].concat())
}

/// A hook as `oci-hooks(5)` describes it, its members in the original's order.
#[derive(Serialize)]
struct OciHook<'a> {
    version: &'a str,
    hook: Run<'a>,
    when: When<'a>,
    stages: [&'a str; 1],
}

#[derive(Serialize)]
struct Run<'a> {
    path: &'a str,
    args: [&'a str; 2],
    env: [&'a str; 1],
}

#[derive(Serialize)]
struct When<'a> {
    always: bool,
    commands: [&'a str; 1],
}

/// The file by which Podman and CRI-O of old were told of the prestart hook. Its environment is set, so that the hook finds
/// its programs and gets nothing else.
fn oci_hook(values: &Values) -> Result<()> {
    log::warn!("The oci-hook config-mode is deprecated: engines that read CDI specs need no hook");
    let hook = values.text("nvidia-runtime-hook-path");
    let (folder, name) = match hook.rsplit_once('/') {
        Some((folder, name)) if hook.starts_with('/') => (folder, name),
        _ => {
            let message = format!("the NVIDIA runtime hook path \"{hook}\" is not an absolute path");
            return Err(Fault::new(Code::Usage, message).next("Give --nvidia-runtime-hook-path with a leading slash"));
        }
    };
    let mut folders = crate::runtime::lowlevel::SYSTEM_FOLDERS.to_vec();
    if !folders.contains(&folder) {
        folders.push(folder);
    }
    let path = format!("PATH={}", folders.join(":"));
    let run = Run { path: &hook, args: [name, "prestart"], env: [&path] };
    let when = When { always: true, commands: [".*"] };
    let text = crate::machine::to_json(&OciHook { version: "1.0.0", hook: run, when, stages: ["prestart"] });
    match values.text("oci-hook-path").as_str() {
        "" => print(text.as_bytes()),
        _ if values.is_set("dry-run") => print(text.as_bytes()),
        file => write(Path::new(file), text.as_bytes()),
    }
}
