//! What a spec claims about this machine, checked before a container gets it: whoever wrote the spec, its mounts must be there
//! and its nodes must have the numbers that it gives. A number that is out of date belongs to another driver's device by now.

use crate::{
    cdi_mode,
    codes::Code,
    fault::{Fault, Result},
};
use cdi::{DeviceNode, Found, HostNode, Mount};
use std::path::Path;

/// Checks everything that a container would get, except from specs that were found to fit by other means: they go by what the
/// kernel says, and a node that is left over from an earlier driver is no argument against that.
pub fn check(found: &[Found]) -> Result<()> {
    for Found { file, edits, .. } in found.iter().filter(|found| !found.reviewed) {
        edits.mounts.iter().try_for_each(|mount| check_mount(mount, file))?;
        edits.device_nodes.iter().try_for_each(|node| check_node(node, file))?;
    }
    Ok(())
}

/// Only what is bound has a source on the host.
fn check_mount(mount: &Mount, file: &Path) -> Result<()> {
    let bound = mount.options.iter().any(|option| option == "bind" || option == "rbind");
    let source = Path::new(&mount.host_path);
    match bound && source.is_absolute() && source.symlink_metadata().is_err() {
        true => Err(stale(file, format!("{} does not exist", mount.host_path))),
        false => Ok(()),
    }
}

/// A node that is not there is made from its numbers.
fn check_node(node: &DeviceNode, file: &Path) -> Result<()> {
    let path = node.host_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(&node.path);
    let (Some(major), Ok(HostNode { major: host_major, minor: host_minor, .. })) =
        (node.major, cdi_mode::host_node(path))
    else {
        return Ok(());
    };
    let minor = node.minor.unwrap_or_default();
    match (major, minor) == (host_major, host_minor) || major == 0 {
        true => Ok(()),
        false => Err(stale(file, format!("{path} is device {host_major}:{host_minor} now, not {major}:{minor}"))),
    }
}

fn stale(file: &Path, what: String) -> Fault {
    let file = file.display();
    Fault::new(Code::CdiSpecStale, format!("the CDI spec {file} does not fit this machine: {what}")).next(format!(
        "Have it made anew by the tool that wrote it; for NVIDIA GPUs, `nvidia-ctk cdi generate --output={file}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cdi::ContainerEdits;

    fn checked(edits: ContainerEdits) -> String {
        let found = [Found { file: Path::new("/etc/cdi/x.yaml"), edits: &edits, reviewed: false }];
        check(&found).map_or_else(|fault| fault.to_string(), |()| "fits".to_owned())
    }

    fn mount(host_path: &str, option: &str) -> String {
        let mount = Mount {
            host_path: host_path.to_owned(),
            container_path: "/x".to_owned(),
            options: vec![option.to_owned()],
            ..Mount::default()
        };
        checked(ContainerEdits { mounts: vec![mount], ..ContainerEdits::default() })
    }

    fn node(path: &str, host_path: Option<&str>, major: i64, minor: i64) -> String {
        let node = DeviceNode {
            path: path.to_owned(),
            host_path: host_path.map(str::to_owned),
            major: Some(major),
            minor: Some(minor),
            ..DeviceNode::default()
        };
        checked(ContainerEdits { device_nodes: vec![node], ..ContainerEdits::default() })
    }

    #[test]
    fn mounts_need_their_source() {
        assert_eq!(mount("/dev/null", "bind"), "fits");
        assert_eq!(mount("/no/such/file", "ro"), "fits", "not a bind mount");
        assert_eq!(mount("tmpfs", "rbind"), "fits", "the runtime's to judge");
        let text = mount("/no/such/file", "rbind");
        assert!(
            text.contains("/etc/cdi/x.yaml does not fit this machine: /no/such/file does not exist. Have"),
            "{text}"
        );
    }

    #[test]
    fn nodes_need_their_numbers() {
        assert_eq!(node("/dev/null", None, 1, 3), "fits");
        assert_eq!(node("/dev/no-such-node", None, 1, 3), "fits", "it is made from the numbers");
        assert_eq!(node("/dev/anything", Some("/dev/null"), 1, 3), "fits");
        assert_eq!(node("/dev/null", None, 0, 0), "fits", "taken from the host");
        for text in [node("/dev/null", None, 1, 4), node("/dev/zero", Some("/dev/null"), 1, 5)] {
            assert!(text.contains("/dev/null is device 1:3 now, not 1:"), "{text}");
        }
    }
}
