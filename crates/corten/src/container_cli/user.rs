//! Whom `--user` means (reference: libnvidia-container.md 2.1).

use crate::machine::lookup;
use legacy::User;

/// `UID[:GID]` by number or name; without a value the caller. Names are looked up in the files only: a static program
/// cannot load what else `nsswitch.conf` may name.
///
/// # Errors
/// What the original says where a user or group is unknown.
pub fn parse(value: Option<&str>) -> Result<User, &'static str> {
    const UNKNOWN: &str = "no such file or directory";
    let Some(value) = value else {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        return Ok(User { uid, gid });
    };
    let (user, group) = value.split_once(':').map_or((value, None), |(user, group)| (user, Some(group)));
    let field = |file, name: &str, key: usize, field: usize| -> Option<u32> {
        lookup(file, key, name)?.get(field)?.parse().ok()
    };
    let uid = user.parse().ok().or_else(|| field("/etc/passwd", user, 0, 2)).ok_or(UNKNOWN)?;
    let gid = match group {
        Some(group) => group.parse().ok().or_else(|| field("/etc/group", group, 0, 2)),
        None => field("/etc/passwd", &uid.to_string(), 2, 3),
    };
    Ok(User { uid, gid: gid.ok_or(UNKNOWN)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_go_by_number_or_name() {
        for (text, want) in [
            ("0", Some((0, 0))),
            ("0:7", Some((0, 7))),
            ("root", Some((0, 0))),
            ("root:daemon", Some((0, 1))),
            ("4000000000:5", Some((4_000_000_000, 5))),
            ("4000000000", None),
            ("nobody-here", None),
            ("0:nobody-here", None),
            ("", None),
            ("-1:0", None),
        ] {
            assert_eq!(parse(Some(text)).ok().map(|user| (user.uid, user.gid)), want, "{text}");
        }
        assert!(parse(None).is_ok());
    }
}
