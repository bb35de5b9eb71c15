//! Moving the roots of a spec's paths (cdi-and-ctk.md 1.4): `nvidia-ctk cdi transform root`, and specs that are made in a
//! container for the host around it.
//!
//! Which text is a path of which side is what the CDI specification says. As in the original, arguments of
//! `createContainer` and `startContainer` hooks belong to the container, so that moving the host's root leaves the links of
//! `create-symlinks` as they are. That is right for a link's target, which the container resolves; only a link whose *text*
//! holds a path of the host, which the original's generator makes by mistake and ours does not, would want it. Whether a text
//! is such a one cannot be told from the spec, and changing one that is none would break a good link, so that none is changed.

use crate::edits::{ContainerEdits, Hook};
use crate::spec::Spec;

/// Which side's paths move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelativeTo {
    /// Those of the host: sources of mounts and nodes, hooks that run there.
    Host,
    /// Those of the container: destinations, hooks that run in it.
    Container,
}

impl Spec {
    /// Replaces the root `from` of all paths of one side by `to`, where a path is `from` or lies below it; an empty root is
    /// `/`. The same root twice changes nothing. The version stays; a device node that names its host path for the first time
    /// may need a newer one ([`Spec::minimum_version`]).
    pub fn transform_root(&mut self, from: &str, to: &str, relative_to: RelativeTo) {
        if from == to {
            return;
        }
        let transform = Transform { from, to, relative_to };
        transform.edits(&mut self.container_edits);
        self.devices.iter_mut().for_each(|device| transform.edits(&mut device.container_edits));
    }
}

struct Transform<'a> {
    from: &'a str,
    to: &'a str,
    relative_to: RelativeTo,
}

impl Transform<'_> {
    fn edits(&self, edits: &mut ContainerEdits) {
        for node in &mut edits.device_nodes {
            match self.relative_to {
                RelativeTo::Container => self.path(&mut node.path),
                RelativeTo::Host => {
                    let given = node.host_path.take().filter(|path| !path.is_empty());
                    self.path(node.host_path.insert(given.unwrap_or_else(|| node.path.clone())));
                }
            }
        }
        for mount in &mut edits.mounts {
            self.path(match self.relative_to {
                RelativeTo::Host => &mut mount.host_path,
                RelativeTo::Container => &mut mount.container_path,
            });
        }
        edits.hooks.iter_mut().for_each(|hook| self.hook(hook));
    }

    fn hook(&self, hook: &mut Hook) {
        let program_is_inside = hook.hook_name == "startContainer";
        let arguments_are_inside = program_is_inside || hook.hook_name == "createContainer";
        if self.is_about(program_is_inside) {
            self.path(&mut hook.path);
        }
        if self.is_about(arguments_are_inside) {
            hook.args.iter_mut().for_each(|argument| self.argument(argument));
        }
    }

    fn is_about(&self, is_inside: bool) -> bool {
        (self.relative_to == RelativeTo::Container) == is_inside
    }

    /// A path, or two of them with `::` between, as the links of `create-symlinks`.
    fn argument(&self, argument: &mut String) {
        match argument.split_once("::") {
            None => self.path(argument),
            Some((target, link)) => {
                let (mut target, mut link) = (target.to_owned(), link.to_owned());
                self.path(&mut target);
                self.path(&mut link);
                *argument = format!("{target}::{link}");
            }
        }
    }

    /// Only absolute paths lie below a root; a flag or a relative link's text does not.
    fn path(&self, path: &mut String) {
        if !path.starts_with('/') {
            return;
        }
        if let Some(rest) = below(&clean(path), &clean(self.from)) {
            *path = clean(&format!("{}/{rest}", self.to));
        }
    }
}

/// What of a clean path lies below a clean root: nothing, if it is the root. `/usr` is not below `/us`; the original moves it.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let root = root.trim_end_matches('/');
    let rest = path.strip_prefix(root)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// A path without doubled `/`, `.` and what `..` takes back. Links are not asked: the path may lie on another machine.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
