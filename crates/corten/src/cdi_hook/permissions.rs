//! `chmod`: permissions of folders in the container, for old Podman (reference: runtime-and-hook.md, 8.3).

use super::{Run, arguments::usage};
use crate::fault::{Fault, Result};
use plan::hook_values;
use root::Permissions;

/// The hook's name.
pub const NAME: &str = "chmod";

/// Every path is tried; the first failure is reported.
pub fn run(run: &Run) -> Result<()> {
    let bits = bits(run.value("mode").unwrap_or_default())?;
    let paths = hook_values::paths(run.values("path"))?;
    let root = run.root()?;
    let mut failed = Ok(());
    for path in paths {
        let what = match root.set_permissions(&path, bits) {
            Ok(Permissions::Changed) => "has new permissions",
            Ok(Permissions::Unchanged) => "has these permissions already",
            Ok(Permissions::Absent) => "is not there",
            // As in the original: a whole /dev of the host's may be mounted there, in a container without privileges.
            Ok(Permissions::NotOurs) => "belongs to somebody else, and stays as it is",
            Err(error) => {
                failed = failed.and(Err(Fault::from(error)));
                continue;
            }
        };
        run.verbosity.explain(&format!("{path} in the container {what}"));
    }
    failed
}

/// Permission bits with those for set-uid, set-gid and sticky.
fn bits(text: &str) -> Result<u32> {
    if text.trim().is_empty() {
        return Err(usage("a non-empty mode must be specified".to_owned()));
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(text, 8) {
        Ok(bits) if digits && bits <= 0o7777 => Ok(bits),
        _ => Err(usage(format!("failed to parse mode as octal: {text:?} is none of 0 to 7777"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, want) in [("755", Some(0o755)), ("0755", Some(0o755)), ("1777", Some(0o1777)), ("0", Some(0))] {
            assert_eq!(bits(text).ok(), want, "{text}");
        }
        for wrong in ["", " ", "8", "+755", "-1", "0o755", "10000", "99999999999999999999", "u+x"] {
            assert!(bits(wrong).is_err(), "{wrong}");
        }
    }
}
