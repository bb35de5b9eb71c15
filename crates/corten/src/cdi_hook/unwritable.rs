//! A root that cannot be written: a file of the loader gets its new content as a mount over it.
//!
//! That is possible only where the image has such a file. Where it has none, the hook fails as the original's does, and
//! with it the container: it would lack what its spec promises, and nobody would say so, since a low-level runtime shows
//! what a hook says only when it fails.

use crate::{
    codes::Code,
    fault::{Fault, Result},
};
use oci::ContainerPath;
use root::{ContainerRoot, Done, Step};

/// Makes by mounts what is [`Done::needed`], and returns what has no place. `root` is the one that the container sees
/// ([`super::Run::root`]): a mount in a copy of it would be nobody's.
pub fn cover(root: &ContainerRoot, done: &mut Done) -> Result<Vec<ContainerPath>> {
    let mut left = Vec::new();
    for step in std::mem::take(&mut done.needed) {
        let path = step.path().clone();
        match step {
            Step::File { content, .. } if root.is_file(&path) => root.cover(&path, &content)?,
            // Read as a file that says nothing, and so as none.
            Step::Remove(_) if root.is_file(&path) => root.cover(&path, b"")?,
            _ => {
                left.push(path);
                continue;
            }
        }
        done.changed.push(path);
    }
    Ok(left)
}

/// As [`cover`], where everything must have a place.
pub fn cover_all(root: &ContainerRoot, done: &mut Done, hook: &str) -> Result<()> {
    match cover(root, done)?.first() {
        None => Ok(()),
        Some(path) => Err(Fault::new(
            Code::RootNotPrepared,
            format!("cannot create {path} in the container: Read-only file system (os error 30)"),
        )
        .next(next(hook))),
    }
}

/// What to do about such a root.
pub fn next(hook: &str) -> String {
    format!(
        "Give the container a root that can be written (an overlay), or make the spec without this hook \
         (nvidia-ctk cdi generate --disable-hook={hook})"
    )
}
