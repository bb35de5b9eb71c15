//! Edits: the few changes that devices make to a container, each the smallest change of the text that does it.
//!
//! All take whole lists, so that a document with many mounts is looked through once. Doing one twice is doing it once. New
//! entries go behind existing ones, which keep their order.
//!
//! After an error a document may be edited in part: it is not to be written.

use super::{At, Document, DocumentError, first};
use crate::path::ContainerPath;
use crate::spec::{Device, DeviceRule, Hook, HookPoint, Mount};
use crate::tree::{Arena, Container, Members, Node, Shape};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

impl Document {
    /// Sets variables in `process.env`. Existing entries of a name become one, where the first of them stood; a new name
    /// goes to the end. Of several values for one name the last counts. Entries without `=` are nobody's variable and stay.
    ///
    /// # Errors
    /// [`DocumentError::WrongType`], here and in all the edits below.
    pub fn set_env(&mut self, variables: &[(&str, &str)]) -> Result<(), DocumentError> {
        const PATH: &[&str] = &["process", "env"];
        if variables.is_empty() {
            return Ok(());
        }
        let wanted: HashMap<&str, &str> = variables.iter().copied().collect();
        let mut seen: HashSet<&str> = HashSet::new();
        let mut list = self.make(PATH, Shape::Array)?;
        let mut index = 0;
        while index < list.len() {
            let text = list.text(index);
            let entry: String =
                serde_json::from_str(&text).map_err(|_| At::path(PATH).item(index).wrong("a string", first(&text)))?;
            let known = entry.split_once('=').and_then(|(name, value)| Some((wanted.get_key_value(name)?, value)));
            match known {
                Some(((name, _), _)) if !seen.insert(name) => {
                    list.remove(index);
                    continue;
                }
                Some(((name, want), value)) if *want != value => list.replace(index, &variable(name, want)),
                _ => {}
            }
            index += 1;
        }
        for (name, _) in variables {
            if seen.insert(name) {
                list.push(&variable(name, wanted[name]));
            }
        }
        Ok(())
    }

    /// Puts mounts at the end of `mounts`, in their order, in place of those with the same destination.
    /// Destinations are compared cleaned. Of several for one destination the last counts.
    pub fn put_mounts(&mut self, mounts: &[Mount]) -> Result<(), DocumentError> {
        self.put_by_path(&["mounts"], "destination", mounts, |mount| &mount.destination)
    }

    /// Puts devices at the end of `linux.devices`, in place of those with the same path.
    pub fn put_devices(&mut self, devices: &[Device]) -> Result<(), DocumentError> {
        self.put_by_path(&["linux", "devices"], "path", devices, |device| &device.path)
    }

    /// Adds rules to `linux.resources.devices`. A rule that is there already counts only if no rule that denies follows it,
    /// for later rules override earlier ones.
    pub fn allow_devices(&mut self, rules: &[DeviceRule]) -> Result<(), DocumentError> {
        if rules.is_empty() {
            return Ok(());
        }
        let existing = self.device_rules()?;
        let after_last_denial = existing.iter().rposition(|rule| !rule.allow).map_or(0, |index| index + 1);
        let mut effective = existing[after_last_denial..].to_vec();
        for rule in rules {
            if !effective.contains(rule) {
                self.make(&["linux", "resources", "devices"], Shape::Array)?.push(&json(rule));
                effective.push(rule.clone());
            }
        }
        Ok(())
    }

    /// Adds groups to `process.user.additionalGids`, unless they are there.
    pub fn add_gids(&mut self, gids: &[u32]) -> Result<(), DocumentError> {
        let mut existing = self.process_user()?.additional_gids;
        for gid in gids {
            if !existing.contains(gid) {
                self.make(&["process", "user", "additionalGids"], Shape::Array)?.push(&gid.to_string());
                existing.push(*gid);
            }
        }
        Ok(())
    }

    /// Adds hooks to a list, unless equal ones are there.
    pub fn add_hooks(&mut self, point: HookPoint, hooks: &[Hook]) -> Result<(), DocumentError> {
        let mut existing = self.hooks(point)?;
        for hook in hooks {
            if !existing.contains(hook) {
                self.make(&["hooks", point.name()], Shape::Array)?.push(&json(hook));
                existing.push(hook.clone());
            }
        }
        Ok(())
    }

    /// Removes from a list the hooks whose program has one of these file names, wherever it lies. A list that becomes empty
    /// goes too. Returns how many were removed.
    pub fn remove_hooks(&mut self, point: HookPoint, file_names: &[&str]) -> Result<usize, DocumentError> {
        let existing = self.hooks(point)?;
        let doomed = |hook: &Hook| file_names.contains(&hook.path.rsplit('/').next().unwrap_or_default());
        let removed = existing.iter().filter(|hook| doomed(hook)).count();
        match removed {
            0 => {}
            all if all == existing.len() => self.make(&["hooks"], Shape::Object)?.remove_member(point.name()),
            _ => {
                let mut list = self.make(&["hooks", point.name()], Shape::Array)?;
                for index in (0..existing.len()).rev().filter(|index| doomed(&existing[*index])) {
                    list.remove(index);
                }
            }
        }
        Ok(removed)
    }

    /// Moves a network interface of the host into the container, as `linux.netDevices` says; `name` is its name there.
    pub fn put_net_device(&mut self, host_interface: &str, name: &str) -> Result<(), DocumentError> {
        let text = serde_json::json!({ "name": name }).to_string();
        let mut devices = self.make(&["linux", "netDevices"], Shape::Object)?;
        // `eth0` and `ETH0` are two interfaces.
        let index = devices.container.position_exact(devices.arena, host_interface);
        devices.set(index, host_interface, &text);
        Ok(())
    }

    /// Sets `linux.intelRdt`, whatever stood there.
    pub fn set_intel_rdt<T: Serialize>(&mut self, rdt: &T) -> Result<(), DocumentError> {
        self.make(&["linux"], Shape::Object)?.set_member("intelRdt", &json(rdt));
        Ok(())
    }

    /// Makes the array at `path` end with `things`, after the existing items whose `key` is none of theirs.
    fn put_by_path<T: Serialize>(
        &mut self,
        path: &[&str],
        key: &str,
        things: &[T],
        key_of: impl Fn(&T) -> &str,
    ) -> Result<(), DocumentError> {
        if things.is_empty() {
            return Ok(());
        }
        let mut keys: HashSet<ContainerPath> = HashSet::new();
        let mut last_of_each: Vec<String> = Vec::new();
        for thing in things.iter().rev() {
            if keys.insert(cleaned(key_of(thing))) {
                last_of_each.push(json(thing));
            }
        }
        last_of_each.reverse();
        let mut list = self.make(path, Shape::Array)?;
        let replaced = list.positions(path, key, &keys)?;
        if list.ends_with(&replaced, &last_of_each) {
            return Ok(());
        }
        replaced.iter().rev().for_each(|index| list.remove(*index));
        last_of_each.iter().for_each(|text| list.push(text));
        Ok(())
    }

    /// Opens the container at `path` for editing; it and its parents are made if absent or `null`.
    fn make(&mut self, path: &[&str], shape: Shape) -> Result<Editor<'_>, DocumentError> {
        let Document { arena, root, edited, .. } = self;
        let mut node = root;
        for (depth, name) in path.iter().enumerate() {
            let parent = open(node, arena, Shape::Object, &path[..depth])?;
            let shape = if depth + 1 == path.len() { shape } else { Shape::Object };
            let mut editor = Editor { container: parent, arena, edited };
            let index = editor.member_or_empty(name, shape);
            node = parent.value_mut(index);
        }
        let container = open(node, arena, shape, path)?;
        Ok(Editor { container, arena, edited })
    }
}

pub(super) fn open<'a>(
    node: &'a mut Node,
    arena: &Arena,
    shape: Shape,
    path: &[&str],
) -> Result<&'a mut Container, DocumentError> {
    let found = node.first_byte(arena);
    let expected = match shape {
        Shape::Object => "an object",
        Shape::Array => "an array",
    };
    node.open(arena, shape).ok_or_else(|| At::path(path).wrong(expected, found))
}

/// A container that is being edited, with the arena that its text lies in.
pub(super) struct Editor<'a> {
    pub(super) container: &'a mut Container,
    pub(super) arena: &'a mut Arena,
    pub(super) edited: &'a mut bool,
}

impl Editor<'_> {
    fn len(&self) -> usize {
        self.container.len()
    }

    pub(super) fn text(&self, index: usize) -> Cow<'_, str> {
        self.container.value(index).text(self.arena)
    }

    fn push(&mut self, text: &str) {
        self.container.push(self.arena, None, text);
        *self.edited = true;
    }

    pub(super) fn push_member(&mut self, name: &str, text: &str) {
        self.container.push(self.arena, Some(name), text);
        *self.edited = true;
    }

    pub(super) fn replace(&mut self, index: usize, text: &str) {
        self.container.replace(self.arena, index, text);
        *self.edited = true;
    }

    /// Gives the member of that name this value.
    fn set_member(&mut self, name: &str, text: &str) {
        self.set(self.container.position(self.arena, name), name, text);
    }

    /// Gives the member at that index, or a new one, this value; where the text is the same already, nothing changes.
    fn set(&mut self, index: Option<usize>, name: &str, text: &str) {
        match index {
            None => self.push_member(name, text),
            Some(index) if self.text(index) == text => {}
            Some(index) => self.replace(index, text),
        }
    }

    fn remove(&mut self, index: usize) {
        self.container.remove(index);
        *self.edited = true;
    }

    fn remove_member(&mut self, name: &str) {
        while let Some(index) = self.container.position(self.arena, name) {
            self.remove(index);
        }
    }

    /// Where the member of that name stands, which is made empty if absent or `null`.
    fn member_or_empty(&mut self, name: &str, shape: Shape) -> usize {
        match self.container.position(self.arena, name) {
            None => self.push_member(name, shape.empty()),
            Some(index) if self.text(index) == "null" => {
                self.replace(index, shape.empty());
                return index;
            }
            Some(index) => return index,
        }
        self.len() - 1
    }

    /// Which items of this array, which stands at `path`, have one of these paths as their member `key`.
    fn positions(&self, path: &[&str], key: &str, paths: &HashSet<ContainerPath>) -> Result<Vec<usize>, DocumentError> {
        let mut positions = Vec::new();
        for index in 0..self.len() {
            let text = self.text(index);
            let at = At::path(path).item(index);
            let members = Members::parse(&text).ok_or_else(|| at.wrong("an object", first(&text)))?;
            let Some(value) = members.get(key) else { continue };
            let value: String =
                serde_json::from_str(value).map_err(|_| at.member(key).wrong("a string", first(value)))?;
            if paths.contains(&cleaned(&value)) {
                positions.push(index);
            }
        }
        Ok(positions)
    }

    /// Whether the items at `positions` are the last ones and read exactly like `texts`.
    fn ends_with(&self, positions: &[usize], texts: &[String]) -> bool {
        let tail = self.len() - positions.len()..self.len();
        positions.len() == texts.len()
            && positions.iter().copied().eq(tail.clone())
            && tail.zip(texts).all(|(index, text)| self.text(index) == *text)
    }
}

/// A path in a container as the runtime understands it: old specifications allow relative ones, which begin at the root.
fn cleaned(path: &str) -> ContainerPath {
    ContainerPath::root().join(path)
}

fn variable(name: &str, value: &str) -> String {
    serde_json::Value::String(format!("{name}={value}")).to_string()
}

/// The text of one of the plain values of `spec.rs`, whose serialisation has no way to fail.
fn json<T: Serialize>(thing: &T) -> String {
    serde_json::to_string(thing).unwrap_or_default()
}

#[cfg(test)]
mod tests;
