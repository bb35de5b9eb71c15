//! Where the device group of a process is, from `/proc/PID/cgroup` and `mountinfo` (cgroups(7), proc(5); reference: 17).
//! Total: any text gives a result.
//!
//! Unlike the original's, the answer may be two groups. Where the kernel has the `devices` hierarchy of version 1, BPF
//! programs of version 2 rule as well, and engines use what they see mounted; so what decides is what is mounted here.

use super::mounts::Line;
use oci::HostPath;

/// Which interface a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `devices.allow` and `devices.deny`.
    V1,
    /// BPF programs.
    V2,
}

/// A device group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its interface.
    pub version: Version,
    /// Its folder on this machine.
    pub path: HostPath,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The process has no group that could rule devices.
    #[error("failed to get device cgroup version: no devices or unified cgroup entries found")]
    NoEntry,
    /// The mount shows a part of the hierarchy that begins outside our cgroup namespace.
    #[error("relative path in mount prefix: {0}; run in the host's cgroup namespace, or without device cgroups")]
    Outside(String),
    /// The hierarchy is not mounted, or not the part of it that holds the group.
    #[error("the device cgroup {0} is under no cgroup mount; mount it, or do without device cgroups")]
    NotMounted(String),
}

/// The groups, given `/proc/PID/cgroup` of the process and a `mountinfo` of this one; never an empty list.
///
/// # Errors
/// [`FindError`]. A process in the topmost group of version 1, which cannot be restricted, needs no mount for that.
pub fn device_groups(groups: &str, mounts: &str) -> Result<Vec<Group>, FindError> {
    let first = entry(groups, |controllers| controllers.split(',').any(|controller| controller == "devices"));
    let second = entry(groups, str::is_empty);
    let wanted = [(Version::V1, first), (Version::V2, second)];
    let looked: Vec<_> = wanted
        .into_iter()
        .filter_map(|(version, path)| Some((version, path?)))
        .map(|(version, path)| (version, path, locate(version, path, mounts)))
        .collect();
    let mut found = Vec::new();
    let mut missing = None;
    for (version, path, located) in looked {
        match located {
            Ok(path) => found.push(Group { version, path }),
            // Nothing rules the topmost group. It counts only where there is nothing else to be said.
            Err(_) if version == Version::V1 && path == "/" => missing = missing.or(Some(FindError::NoEntry)),
            // A group of version 1 that we cannot reach restricts nevertheless.
            Err(error) if version == Version::V1 => return Err(error),
            Err(error) => missing = Some(error),
        }
    }
    match found.is_empty() {
        true => Err(missing.unwrap_or(FindError::NoEntry)),
        false => Ok(found),
    }
}

/// The path in the first line `number:controllers:path` whose controllers are the wanted ones.
fn entry(groups: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        wanted(controllers).then_some(path)
    })
}

/// The folder that shows the group `path`.
fn locate(version: Version, path: &str, mounts: &str) -> Result<HostPath, FindError> {
    let mut problem = FindError::NotMounted(path.to_owned());
    for mount in mounts.lines().filter_map(Line::read).filter(|mount| shows(mount, version)) {
        if mount.root == "/.." || mount.root.starts_with("/../") {
            problem = FindError::Outside(mount.root);
            continue;
        }
        // The group is above what this mount shows, or beside it; a later mount may show it.
        let Some(rest) = below(path, &mount.root) else { continue };
        if rest.split('/').any(|part| part == "..") {
            problem = FindError::Outside(path.to_owned());
            continue;
        }
        if let Ok(folder) = HostPath::new(format!("{}/{rest}", mount.point)) {
            return Ok(folder);
        }
    }
    Err(problem)
}

/// What of `path` lies below `root`; `None` if it does not.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// It is a mount of that hierarchy.
fn shows(mount: &Line, version: Version) -> bool {
    match version {
        Version::V1 => mount.kind == "cgroup" && mount.system_options.split(',').any(|option| option == "devices"),
        Version::V2 => mount.kind == "cgroup2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HYBRID: &str = "\
31 30 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 30 0:27 / /sys/fs/cgroup/devices rw,relatime shared:9 - cgroup cgroup rw,devices
33 30 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const UNIFIED: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    fn group(version: Version, path: &str) -> Group {
        Group { version, path: HostPath::new(path).unwrap() }
    }

    #[test]
    fn the_first_version_is_the_line_of_the_controller() {
        let groups = "9:name=systemd:/x\n5:devices:/docker/abc\n";
        let want = group(Version::V1, "/sys/fs/cgroup/devices/docker/abc");
        assert_eq!(device_groups(groups, HYBRID), Ok(vec![want.clone()]));
        // Some machines mount controllers together.
        let mounts = HYBRID.replace("rw,devices", "rw,devices,freezer").replace("cgroup/devices", "cgroup/both");
        let want = group(Version::V1, "/sys/fs/cgroup/both/docker/abc");
        assert_eq!(device_groups("5:freezer,devices:/docker/abc\n", &mounts), Ok(vec![want]));
        // Not one that is only called alike.
        assert_eq!(device_groups("5:name=devices:/docker/abc\n", HYBRID), Err(FindError::NoEntry));
    }

    #[test]
    fn the_second_version_is_the_line_without_controllers() {
        let want = group(Version::V2, "/sys/fs/cgroup/system.slice/docker-abc.scope");
        assert_eq!(device_groups("0::/system.slice/docker-abc.scope\n", UNIFIED), Ok(vec![want]));
    }

    #[test]
    fn a_machine_with_both_has_both() {
        let groups = "5:devices:/docker/abc\n0::/docker/abc\n";
        let (first, second) = ("/sys/fs/cgroup/devices/docker/abc", "/sys/fs/cgroup/unified/docker/abc");
        assert_eq!(device_groups(groups, HYBRID), Ok(vec![group(Version::V1, first), group(Version::V2, second)]));
        // In the topmost group of a hierarchy that is not mounted, nothing is to be done there.
        let groups = "5:devices:/\n0::/docker/abc\n";
        assert_eq!(device_groups(groups, UNIFIED), Ok(vec![group(Version::V2, "/sys/fs/cgroup/docker/abc")]));
        // Elsewhere it restricts.
        let groups = "5:devices:/docker\n0::/docker/abc\n";
        assert_eq!(device_groups(groups, UNIFIED), Err(FindError::NotMounted("/docker".into())));
    }

    #[test]
    fn a_mounts_own_beginning_is_taken_off() {
        let mounts = "32 30 0:27 /docker/abc /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
        let want = group(Version::V1, "/sys/fs/cgroup/devices/inner");
        assert_eq!(device_groups("5:devices:/docker/abc/inner\n", mounts), Ok(vec![want]));
        assert_eq!(
            device_groups("5:devices:/docker/abc\n", mounts),
            Ok(vec![group(Version::V1, "/sys/fs/cgroup/devices")]),
            "the group itself"
        );
        let error = FindError::NotMounted("/docker/abcd".into());
        assert_eq!(device_groups("5:devices:/docker/abcd\n", mounts), Err(error), "another that only begins alike");
        // A second mount may show what the first does not.
        let both = format!("{mounts}{HYBRID}");
        let want = group(Version::V1, "/sys/fs/cgroup/devices/docker/abcd");
        assert_eq!(device_groups("5:devices:/docker/abcd\n", &both), Ok(vec![want]));
    }

    #[test]
    fn what_is_outside_our_namespace_is_refused() {
        for root in ["/..", "/../../docker"] {
            let mounts = UNIFIED.replace(" / ", &format!(" {root} "));
            let error = device_groups("0::/x\n", &mounts).unwrap_err();
            assert_eq!(error, FindError::Outside(root.into()));
            assert!(error.to_string().starts_with("relative path in mount prefix"), "{error}");
        }
        assert_eq!(device_groups("0::/../x\n", UNIFIED), Err(FindError::Outside("/../x".into())));
        let dots = group(Version::V2, "/sys/fs/cgroup/..x/y..");
        assert_eq!(device_groups("0::/..x/y..\n", UNIFIED), Ok(vec![dots]), "names with dots are only names");
    }

    #[test]
    fn names_may_hold_blanks_and_colons() {
        let mounts = UNIFIED.replace("/sys/fs/cgroup", r"/a\040b\134c");
        let want = group(Version::V2, r"/a b\c/cri-containerd:abc:x y");
        assert_eq!(device_groups("0::/cri-containerd:abc:x y\n", &mounts), Ok(vec![want]));
    }

    #[test]
    fn a_process_without_groups_is_told() {
        let error = device_groups("", HYBRID).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to get device cgroup version: no devices or unified cgroup entries found"
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(groups in "([0-9]:(devices)?:[/.a\\\\0-9]{0,9}\n?){0,3}.{0,9}", mounts in "(3 3 0:1 [/.\\\\0-9a]{1,6} /[\\\\0-9é]{0,5} - cgroup2? x devices\n){0,3}.{0,20}") {
            if let Ok(found) = device_groups(&groups, &mounts) {
                prop_assert!(!found.is_empty());
            }
        }
    }
}
