//! What the options of hooks hold that may be given several times, and whose values may hold several things: `--link`,
//! `--folder`, `--path`. [`crate::spec`] writes them, one thing in each.
//!
//! The original splits every such value at its commas, so no path can have one (Q28). Specs rely on the splitting at
//! most in the forms that are split here; every spec that a program wrote gives one thing per option.

use crate::edits::Link;
use oci::ContainerPath;
use std::collections::HashMap;

/// A value that says nothing that can be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Not `TARGET::LINK`.
    #[error("invalid symlink specification {0}")]
    Link(String),
    /// A list with nothing in one of its places.
    #[error("paths must not be empty")]
    Path,
}

/// `TARGET::LINK`. A value with one `::` is one link, commas and all; one with several is split at its commas, and each
/// part must have one. Of two links in one place the later counts and stands at its own place in the order, as if they were
/// made one after the other.
///
/// # Errors
/// [`InvalidValue::Link`].
pub fn links<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<Link>, InvalidValue> {
    let mut links: Vec<Link> = Vec::new();
    for value in values {
        match value.matches("::").count() {
            0 | 1 => links.push(link(value)?),
            _ => value.split(',').try_for_each(|part| link(part).map(|link| links.push(link)))?,
        }
    }
    let last: HashMap<_, _> = links.iter().enumerate().map(|(place, link)| (link.at.clone(), place)).collect();
    let mut place = 0..;
    links.retain(|link| last.get(&link.at).copied() == place.next());
    Ok(links)
}

fn link(text: &str) -> Result<Link, InvalidValue> {
    let invalid = || InvalidValue::Link(text.to_owned());
    let (target, at) = text.split_once("::").filter(|(_, at)| !at.contains("::")).ok_or_else(invalid)?;
    // A relative one is taken from the container's root.
    let at = ContainerPath::root().join(at);
    match target.is_empty() || at == ContainerPath::root() {
        true => Err(invalid()),
        false => Ok(Link { at, target: target.to_owned() }),
    }
}

/// Absolute paths. A comma separates only where a slash follows, so a path may have one anywhere but at the end of a
/// component that is not its last.
///
/// # Errors
/// [`InvalidValue::Path`].
pub fn paths<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<ContainerPath>, InvalidValue> {
    let mut paths = Vec::new();
    for value in values {
        let mut rest = value;
        while let Some(at) = rest.find(",/") {
            paths.push(path(&rest[..at])?);
            rest = &rest[at + 1..];
        }
        paths.push(path(rest)?);
    }
    Ok(paths)
}

fn path(text: &str) -> Result<ContainerPath, InvalidValue> {
    match text.trim().is_empty() {
        true => Err(InvalidValue::Path),
        false => Ok(ContainerPath::root().join(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(values: &[&str]) -> Result<String, InvalidValue> {
        let links = links(values.iter().copied())?;
        Ok(links.iter().map(|link| format!("{}<-{}", link.target, link.at)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn links_are_split_only_where_there_are_several() {
        for (values, want) in [
            (&["a::/b"][..], "a<-/b"),
            (&["../x,1::/b,c"], "../x,1<-/b,c"),
            (&["a::/b,c::/d"], "a<-/b c<-/d"),
            (&["a::/b", "c::/b"], "c<-/b"),
            (&["a::/b", "c::/d", "a::/b"], "c<-/d a<-/b"),
            (&["-x::relative/../../y"], "-x<-/y"),
            (&["t::/../../host/evil"], "t<-/host/evil"),
        ] {
            assert_eq!(written(values).unwrap(), want, "{values:?}");
        }
        for wrong in ["", "a", "a:b", "::/b", "a::", "a::/", "a::b::c", "a::/b,c,d::/e", "a:::/b::c"] {
            let fault = written(&[wrong]).unwrap_err().to_string();
            assert!(fault.starts_with("invalid symlink specification"), "{wrong}: {fault}");
        }
    }

    #[test]
    fn paths_may_have_commas() {
        for (value, want) in [
            ("/a", &["/a"][..]),
            ("/a,/b", &["/a", "/b"]),
            ("/opt/x,y/z,/b", &["/opt/x,y/z", "/b"]),
            ("lib,lib64", &["/lib,lib64"]),
            ("-dash", &["/-dash"]),
            ("/a,", &["/a,"]),
            ("/a,b", &["/a,b"]),
        ] {
            let paths = paths([value].into_iter()).unwrap();
            assert_eq!(paths.iter().map(ContainerPath::as_str).collect::<Vec<_>>(), want, "{value}");
        }
        for wrong in ["", " ", ",/a"] {
            let fault = paths([wrong].into_iter()).unwrap_err().to_string();
            assert!(fault.starts_with("paths must not be empty"), "{wrong}: {fault}");
        }
    }
}
