//! Specs that `nvidia-ctk cdi generate` wrote are looked at before they are used: a driver update, a MIG device made or
//! destroyed, or a mere reboot may have made them wrong, and whoever refreshes the files may not have come to it yet.
//!
//! The file says for which machine it was made and how. Where this machine is another by now, the spec is made anew, in memory
//! only: the file belongs to whoever wrote it.

use crate::{
    codes::Code,
    fault::{Fault, Result},
    modules,
    recipe::{Likeness, Recipe},
};
use cdi::{Origin, Registry, Review, Spec};
use host::SharedNodes;
use plan::Config;
use std::{collections::HashSet, path::Path};

/// Brings the specs that describe any of `names` up to date, and says in a sentence each which were not. Kernel modules that
/// they need are loaded only if a container is about to `start`.
pub fn review(registry: &mut Registry, names: &[String], config: &Config, start: bool) -> Vec<String> {
    let kinds: HashSet<&str> = names.iter().filter_map(|name| Some(name.split_once('=')?.0)).collect();
    let mut remarks = Vec::new();
    registry.review(&kinds, |path, spec, origin| {
        // Without a recipe that we can follow it is as a spec of somebody else's.
        let Some(recipe) = Recipe::of(origin) else { return Review::Unknown };
        match renewed(spec, origin, &recipe, config, start) {
            Ok(None) => Review::Holds,
            Ok(Some(new)) => {
                remarks.push(remark(path, spec, &new));
                Review::Replaced(Box::new(new))
            }
            Err(fault) => Review::Unusable(fault.message().to_owned()),
        }
    });
    remarks
}

/// What the spec would be now, if that is something else.
fn renewed(spec: &Spec, origin: &Origin, recipe: &Recipe, config: &Config, start: bool) -> Result<Option<Spec>> {
    let mut look = recipe.look()?;
    let nodes = &look.inventory.nodes;
    if start && nodes.ctl.is_some() && modules::load(&gone(spec, nodes), config) {
        look = recipe.look()?;
    }
    let likeness = look.likeness(origin);
    if likeness == Likeness::Same {
        return Ok(None);
    }
    match recipe.ask_nvml(&mut look, config, false) {
        // Nothing speaks against it.
        Err(fault) if likeness == Likeness::Perhaps => {
            log::warn!(
                "{fault}; so it is not known whether a GPU has been switched to MIG mode since the spec was made"
            );
            return Ok(None);
        }
        asked => asked?,
    }
    if look.likeness(origin) == Likeness::Same {
        return Ok(None);
    }
    let new = recipe.spec(&look.inventory)?.ok_or_else(|| {
        Fault::new(Code::DeviceUnknown, "none of its devices is on this machine any more").next("Remove the file")
    })?;
    Ok(Some(new).filter(|new| new.digest() != origin.content))
}

/// Modules whose nodes the spec has and this machine has not.
fn gone(spec: &Spec, nodes: &SharedNodes) -> Vec<&'static str> {
    let has = |name: &str| spec.all_edits().flat_map(|edits| &edits.device_nodes).any(|node| node.path == name);
    let modules =
        [("nvidia-uvm", "/dev/nvidia-uvm", &nodes.uvm), ("nvidia-modeset", "/dev/nvidia-modeset", &nodes.modeset)];
    modules.into_iter().filter(|(_, path, node)| node.is_none() && has(path)).map(|(module, ..)| module).collect()
}

fn remark(path: &Path, old: &Spec, new: &Spec) -> String {
    let names = |spec: &Spec| spec.devices.iter().map(|device| device.name.clone()).collect::<HashSet<_>>();
    let (before, now) = (names(old), names(new));
    let list = |what: &str, names: HashSet<&String>| {
        let mut names: Vec<_> = names.into_iter().map(String::as_str).collect();
        names.sort_unstable();
        if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
    };
    format!(
        "The CDI spec {path} is older than this machine's present state, so what it would say now is used{new}{gone}; \
         `nvidia-ctk cdi generate --output={path}`, or the service nvidia-cdi-refresh, brings the file up to date",
        path = path.display(),
        new = list("new devices", now.difference(&before).collect()),
        gone = list("devices that are gone", before.difference(&now).collect()),
    )
}
