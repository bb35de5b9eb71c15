//! The two kinds of path, which never meet: [`HostPath`] names something on this machine,
//! [`ContainerPath`] names something as a process inside the container sees it.
//!
//! Most escapes of this class (CVE-2024-0132, CVE-2025-23359 and their kin) began with a container's path joined to
//! a host's and handed to the kernel, which then followed a link that the image had planted. So no function here
//! joins one to the other, and none converts between them. What lies behind a [`ContainerPath`] is reached only
//! through the descriptor of the container's root, in `crates/root`.
//!
//! Both are text: they end up in `config.json`, which is UTF-8 by definition.

use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// An absolute path on this machine, cleaned lexically (no `.`, no `..`, no doubled or trailing `/`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPath(String);

/// An absolute path inside a container, cleaned lexically. `..` at the top stays at the top, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerPath(String);

/// A text that is not an absolute path: relative, empty, not UTF-8 or holding a NUL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an absolute path")]
pub struct NotAbsolute(pub String);

/// What [`clean`] would leave as it is. Nearly every path is, and a start looks at a thousand.
fn is_clean(path: &str) -> bool {
    path == "/" || path.strip_prefix('/').is_some_and(is_clean_below)
}

/// The same of what follows the slash.
fn is_clean_below(rest: &str) -> bool {
    let mut parts = rest.as_bytes().split(|byte| *byte == b'/');
    parts.all(|part| !matches!(part, b"" | b"." | b"..")) && !rest.as_bytes().contains(&0)
}

/// `path` without `.`, `..` and doubled slashes; `None` when it is not absolute or holds a NUL.
fn clean(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut cleaned = String::with_capacity(path.len());
    for part in parts {
        cleaned.push('/');
        cleaned.push_str(part);
    }
    if cleaned.is_empty() {
        cleaned.push('/');
    }
    Some(cleaned)
}

macro_rules! path_type {
    ($name:ident) => {
        impl $name {
            /// Takes an absolute path and cleans it lexically.
            ///
            /// # Errors
            /// [`NotAbsolute`] for anything else.
            pub fn new(path: impl AsRef<str>) -> Result<Self, NotAbsolute> {
                Self::try_from(path.as_ref().to_owned())
            }

            /// The root directory, `/`.
            pub fn root() -> Self {
                Self("/".to_owned())
            }

            /// The path as text; always begins with `/`.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// This path followed by `rest`, which may begin with a slash. `..` in `rest` cannot climb above `self`.
            pub fn join(&self, rest: &str) -> Self {
                if is_clean_below(rest) {
                    let base = if self.0 == "/" { "" } else { &self.0 };
                    return Self([base, "/", rest].concat());
                }
                let below = clean(&format!("/{rest}")).unwrap_or_else(|| "/".to_owned());
                match (self.0.as_str(), below.as_str()) {
                    (_, "/") => self.clone(),
                    ("/", _) => Self(below),
                    (base, _) => Self(format!("{base}{below}")),
                }
            }

            /// The folder that holds this path; the root's is the root.
            pub fn parent(&self) -> Self {
                match self.0.rsplit_once('/') {
                    None | Some(("", _)) => Self::root(),
                    Some((parent, _)) => Self(parent.to_owned()),
                }
            }

            /// The last component; empty for the root.
            pub fn file_name(&self) -> &str {
                self.0.rsplit_once('/').map_or("", |(_, name)| name)
            }

            /// What follows `base` in this path, without a leading slash, matched at whole components:
            /// `/a/bc` is not below `/a/b`.
            pub fn strip_prefix(&self, base: &Self) -> Option<&str> {
                if base.0 == "/" {
                    return Some(&self.0[1..]);
                }
                match self.0.strip_prefix(&base.0)? {
                    "" => Some(""),
                    rest => rest.strip_prefix('/'),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAbsolute;
            fn try_from(path: String) -> Result<Self, NotAbsolute> {
                if is_clean(&path) {
                    return Ok(Self(path));
                }
                clean(&path).map(Self).ok_or(NotAbsolute(path))
            }
        }

        impl From<$name> for String {
            fn from(path: $name) -> String {
                path.0
            }
        }
    };
}

path_type!(HostPath);
path_type!(ContainerPath);

impl HostPath {
    /// The path for calls of the operating system. Only a host's path has this.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl AsRef<Path> for HostPath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_lexically() {
        for (given, want) in [("/", "/"), ("//a/./b/", "/a/b"), ("/a/../../b", "/b"), ("/..", "/")] {
            assert_eq!(ContainerPath::new(given).unwrap().as_str(), want);
        }
        for bad in ["", "a", "./a", "/a\0b"] {
            assert!(HostPath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_clean_is_what_cleaning_leaves_alone() {
        let parts = ["", ".", "..", "a", ".a", "..b", "\0", "a\0"];
        for index in 0..parts.len().pow(3) {
            let part = |place: usize| parts[index / parts.len().pow(place as u32) % parts.len()];
            let (first, second, third) = (part(0), part(1), part(2));
            for path in [format!("/{first}/{second}/{third}"), format!("/{first}"), format!("{first}/{second}")] {
                assert_eq!(is_clean(&path), clean(&path).is_some_and(|cleaned| cleaned == path), "{path:?}");
            }
        }
    }

    #[test]
    fn join_never_climbs() {
        assert_eq!(ContainerPath::root().join("a").as_str(), "/a");
        let base = ContainerPath::new("/usr/lib").unwrap();
        for (rest, want) in [("x", "/usr/lib/x"), ("/x/", "/usr/lib/x"), ("../../x", "/usr/lib/x"), ("", "/usr/lib")] {
            assert_eq!(base.join(rest).as_str(), want);
        }
    }

    #[test]
    fn prefixes_end_at_components() {
        let path = HostPath::new("/run/nvidia/driver-backup/x").unwrap();
        assert_eq!(path.strip_prefix(&HostPath::new("/run/nvidia/driver").unwrap()), None);
        assert_eq!(path.strip_prefix(&HostPath::new("/run/nvidia").unwrap()), Some("driver-backup/x"));
        assert_eq!(path.strip_prefix(&HostPath::root()), Some("run/nvidia/driver-backup/x"));
    }
}
