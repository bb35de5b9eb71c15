//! Mode cdi: the devices that a container names, as the CDI specs in the spec folders describe them (reference:
//! runtime-and-hook.md 3.9).
//!
//! A spec says all there is to say, hooks included; only a device node without numbers is taken from the host's node of that
//! path. But a spec was written at some earlier time: [`fresh`] makes anew what we wrote ourselves and what is out of date, and
//! [`crate::claims`] holds every other to this machine.

mod fresh;
mod unresolved;

use crate::{
    claims,
    codes::Code,
    fault::{Fault, Result},
};
use cdi::{ApplyError, ContainerEdits, HostNode, QualifiedName, Registry};
use oci::{Document, HostPath};
use plan::{Config, Edits, Reason, Request, SpecEdits, request::ImexRequest};
use rustix::{fs::FileType, io::Errno};
use std::{collections::HashSet, path::PathBuf};
use unresolved::Searched;

/// The environment of a hook whose spec gives it none. The runtime would hand it the image's instead, with an
/// `LD_PRELOAD` that it obeys as root on the host (CVE-2025-23266).
const HOOK_ENV: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The original's prefix of this mode's errors.
const STAGE: &str = "error modifying OCI spec: failed to inject CDI devices";

/// Looks the request's names up in the spec folders. Kernel modules are loaded only if a container is about to `start`.
pub fn decide(request: &Request, config: &Config, start: bool) -> Result<Edits> {
    let mut registry = Registry::load(&folders(config)?);
    let names = request.cdi_names(&config.runtime.cdi_default_kind);
    let mut remarks = fresh::review(&mut registry, &names, config, start);
    let mut edits = lookup(&registry, &names)?;
    remarks.extend(without_effect(request));
    remarks.extend(seal_hooks(&mut edits));
    let reason = Reason { request: request.asked.clone(), rule: "the CDI specs say so".to_owned() };
    Ok(Edits { spec: SpecEdits::because(edits, &reason), remarks, ..Edits::default() })
}

/// Puts the edits into `config.json`; what they leave open comes from the host's nodes.
pub fn apply(edits: ContainerEdits, document: &mut Document) -> Result<()> {
    cdi::apply_with(edits, document, Some(&host_node)).map_err(|error| match error {
        ApplyError::UnknownNode { host_path, reason, .. } => Fault::new(
            Code::CdiNodeMissing,
            // Word for word the original's: people search for it.
            format!("{STAGE}: failed to inject devices: failed to stat CDI host device {host_path:?}: {reason}"),
        ),
        ApplyError::Document(_) => Fault::from_error(Code::SpecInvalid, &error),
        _ => Fault::from_error(Code::CdiSpecUnusable, &error),
    })
}

fn folders(config: &Config) -> Result<Vec<PathBuf>> {
    let folder = |path: &String| {
        HostPath::new(path).map(|folder| folder.as_path().to_owned()).map_err(|error| {
            Fault::new(Code::ConfigInvalid, format!("nvidia-container-runtime.modes.cdi.spec-dirs: {error}"))
                .next("Give absolute paths; /etc/cdi and /var/run/cdi are the usual ones")
        })
    };
    config.runtime.cdi_spec_dirs.iter().map(folder).collect()
}

/// The edits for these names, in one piece and in the order of application. A name that is malformed (nobody checks the
/// default kind before) is as unknown as one that no spec has.
fn lookup(registry: &Registry, names: &[String]) -> Result<ContainerEdits> {
    let parsed: Vec<_> = names.iter().filter_map(|name| QualifiedName::parse(name).ok()).collect();
    let found = registry.resolve(&parsed);
    let unknown: HashSet<String> =
        found.as_ref().err().into_iter().flat_map(|error| &error.names).map(ToString::to_string).collect();
    let is_missing = |name: &&String| unknown.contains(*name) || QualifiedName::parse(name).is_err();
    let missing: Vec<_> = names.iter().filter(is_missing).cloned().collect();
    match found {
        Ok(list) if missing.is_empty() => {
            claims::check(&list).map_err(|fault| fault.within(STAGE))?;
            let mut edits = ContainerEdits::default();
            list.into_iter().for_each(|found| edits.append(found.edits.clone()));
            Ok(edits)
        }
        _ => Err(Searched::of(registry, &missing).fault(&missing)),
    }
}

/// What the container asks for besides devices, and a spec cannot give.
fn without_effect(request: &Request) -> Option<String> {
    let imex = !matches!(&request.imex, ImexRequest::Channels(channels) if channels.is_empty());
    let mut variables: Vec<_> = request.gated.iter().map(|group| group.variable()).collect();
    variables.extend(imex.then_some("NVIDIA_IMEX_CHANNELS"));
    variables.extend(&request.mig_left_out);
    let listed = variables.join(", ");
    (!listed.is_empty()).then(|| format!("Without effect in mode cdi: {listed}; name a CDI device that gives the same"))
}

/// Gives every hook an environment, and says which had none.
fn seal_hooks(edits: &mut ContainerEdits) -> Option<String> {
    if !root::Defence::HookEnvironment.stands() {
        return None;
    }
    let mut bare = Vec::new();
    for hook in edits.hooks.iter_mut().filter(|hook| hook.env.is_empty()) {
        hook.env = vec![HOOK_ENV.to_owned()];
        bare.push(hook.path.clone());
    }
    bare.dedup();
    (!bare.is_empty()).then(|| {
        let hooks = bare.join(", ");
        format!("A CDI spec gives its hook {hooks} no environment, so that it would run with the image's (CVE-2025-23266); it runs with {HOOK_ENV}")
    })
}

/// What `lstat(2)` says, as the CDI specification asks: a link is no device.
pub fn host_node(path: &str) -> std::result::Result<HostNode, String> {
    let found = rustix::fs::lstat(path).map_err(as_the_original_says)?;
    let kind = match FileType::from_raw_mode(found.st_mode) {
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        _ => return Err("it is no device node".to_owned()),
    };
    let (major, minor) = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    Ok(HostNode { kind, major: major.into(), minor: minor.into(), file_mode: found.st_mode & 0o7777 })
}

/// `no such file or directory`, where Rust says `No such file or directory (os error 2)`.
fn as_the_original_says(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
