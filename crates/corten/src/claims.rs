//! What a spec claims about this machine, checked before a container gets it: whoever wrote the spec, its mounts must be there
//! and its nodes must have the numbers that it gives. A number that is out of date belongs to another driver's device by now.

use crate::{
    cdi_mode::host_node,
    codes::Code,
    fault::{Fault, Result},
};
use cdi::{Found, Host, Seen};
use std::{fs, os::unix::fs::PermissionsExt};

/// The machine that this runs on, as specs speak of it.
pub struct ThisMachine {
    /// The version of the loaded NVIDIA kernel module, where that matters.
    pub driver: Option<String>,
}

impl Host for ThisMachine {
    fn look(&self, path: &str) -> Option<Seen> {
        if let Ok(node) = host_node(path) {
            return Some(Seen::Node(node));
        }
        let found = fs::metadata(path).ok()?;
        match found.is_file() {
            true => Some(Seen::File { executable: found.permissions().mode() & 0o111 != 0 }),
            false => Some(Seen::Other),
        }
    }

    fn driver_version(&self) -> Option<&str> {
        self.driver.as_deref()
    }
}

/// Checks everything that a container would get, except from specs that were found to fit by other means: they go by what the
/// kernel says, and a node that is left over from an earlier driver is no argument against that.
pub fn check(found: &[Found]) -> Result<()> {
    let host = ThisMachine { driver: None };
    let unreviewed = found.iter().filter(|found| !found.reviewed);
    match unreviewed.filter_map(|found| Some((found.file, cdi::mismatch(found.edits, &host)?))).next() {
        None => Ok(()),
        Some((file, what)) => {
            let file = file.display();
            Err(Fault::new(Code::CdiSpecStale, format!("the CDI spec {file} does not fit this machine: {what}")).next(format!(
                "Have it made anew by the tool that wrote it; for NVIDIA GPUs, `nvidia-ctk cdi generate --output={file}`"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cdi::{ContainerEdits, DeviceNode, Mount};
    use std::path::Path;

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
        let text = mount("/no/such/file", "rbind");
        assert!(
            text.contains("/etc/cdi/x.yaml does not fit this machine: the source \"/no/such/file\" of a mount"),
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
            assert!(text.contains("\"/dev/null\" is 1:3, but the spec says 1:"), "{text}");
        }
    }
}
