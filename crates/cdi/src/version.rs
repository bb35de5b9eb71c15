//! Versions of the CDI specification, and which of them a spec needs (cdi-and-ctk.md 3.2).

use crate::edits::ContainerEdits;
use crate::spec::{Device, Spec};

/// All released versions, oldest first. Their order is the order of the numbers in them.
const RELEASED: [&str; 10] = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/// The newest version that this crate reads.
pub const NEWEST: &str = "1.1.0";

/// What a spec may contain that older versions do not have: the version that brought it, and whether it is there.
const FEATURES: [(&str, IsUsed); 5] = [
    ("1.1.0", has_net_devices_or_new_rdt),
    ("0.7.0", has_rdt_or_gids),
    ("0.6.0", has_annotations_or_dotted_class),
    ("0.5.0", has_digit_name_or_host_path),
    ("0.4.0", has_mount_type),
];

type IsUsed = fn(&Spec) -> bool;

impl Spec {
    /// The oldest version, from 0.3.0 on, that knows everything this spec contains.
    pub fn minimum_version(&self) -> &'static str {
        FEATURES.iter().find(|(_, is_used)| is_used(self)).map_or("0.3.0", |(version, _)| version)
    }
}

/// How old a version is: its place among the released ones. A leading `v` is allowed; `None` is a version nobody released.
pub(crate) fn age(version: &str) -> Option<usize> {
    let bare = version.strip_prefix('v').unwrap_or(version);
    RELEASED.iter().position(|released| *released == bare)
}

fn has_net_devices_or_new_rdt(spec: &Spec) -> bool {
    let has_new_rdt = |edits: &ContainerEdits| {
        edits.intel_rdt.as_ref().is_some_and(|rdt| !rdt.schemata.is_empty() || rdt.enable_monitoring)
    };
    spec.all_edits().any(|edits| !edits.net_devices.is_empty() || has_new_rdt(edits))
}

fn has_rdt_or_gids(spec: &Spec) -> bool {
    spec.all_edits().any(|edits| edits.intel_rdt.is_some() || !edits.additional_gids.is_empty())
}

fn has_annotations_or_dotted_class(spec: &Spec) -> bool {
    let class = spec.kind.split_once('/').map_or("", |(_, class)| class);
    let is_annotated = |device: &Device| !device.annotations.is_empty();
    !spec.annotations.is_empty() || spec.devices.iter().any(is_annotated) || class.contains('.')
}

fn has_digit_name_or_host_path(spec: &Spec) -> bool {
    let begins_with_digit = |device: &Device| device.name.starts_with(|c: char| c.is_ascii_digit());
    let has_host_path = |edits: &ContainerEdits| {
        edits.device_nodes.iter().any(|node| node.host_path.as_deref().is_some_and(|path| !path.is_empty()))
    };
    spec.devices.iter().any(begins_with_digit) || spec.all_edits().any(has_host_path)
}

fn has_mount_type(spec: &Spec) -> bool {
    let has_type = |edits: &ContainerEdits| {
        edits.mounts.iter().any(|mount| mount.kind.as_deref().is_some_and(|kind| !kind.is_empty()))
    };
    spec.all_edits().any(has_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimum(kind: &str, device: &str, common: &str) -> &'static str {
        let text = format!(
            r#"{{"cdiVersion":"0.3.0","kind":"{kind}","devices":[{{"name":"a",{device}}}],"containerEdits":{{{common}}}}}"#
        );
        serde_json::from_str::<Spec>(&text.replace("\"name\":\"a\",\"name\"", "\"name\"")).unwrap().minimum_version()
    }

    #[test]
    fn the_content_tells_the_version() {
        let node = r#""deviceNodes":[{"path":"/d","hostPath":"/d"}]"#;
        let mount = r#""mounts":[{"hostPath":"/a","containerPath":"/a","type":"tmpfs"}]"#;
        let edits = |inner: &str| format!(r#""containerEdits":{{{inner}}}"#);
        let plain = edits("");
        let table = [
            ("v/c", plain.clone(), "", "0.3.0"),
            ("v/c", edits(mount), "", "0.4.0"),
            ("v/c", plain.clone(), mount, "0.4.0"),
            ("v/c", r#""name":"0""#.to_owned(), "", "0.5.0"),
            ("v/c", edits(node), "", "0.5.0"),
            ("v/c", plain.clone(), node, "0.5.0"),
            ("v/c.d", plain.clone(), node, "0.6.0"),
            ("v.w/c", plain.clone(), "", "0.3.0"),
            ("v/c", r#""annotations":{"k":"v"}"#.to_owned(), "", "0.6.0"),
            ("v/c", edits(r#""additionalGids":[44]"#), mount, "0.7.0"),
            ("v/c", plain.clone(), r#""intelRdt":{}"#, "0.7.0"),
            ("v/c", plain.clone(), r#""intelRdt":{"schemata":["L3:0=f"]}"#, "1.1.0"),
            ("v/c", edits(r#""intelRdt":{"enableMonitoring":true}"#), "", "1.1.0"),
            ("v/c", edits(r#""netDevices":[{"hostInterfaceName":"a","name":"b"}]"#), "", "1.1.0"),
        ];
        for (kind, device, common, want) in table {
            assert_eq!(minimum(kind, &device, common), want, "{kind} {device} {common}");
        }
    }

    #[test]
    fn versions_are_ordered() {
        assert!(age("0.5.0") < age("v0.7.0") && age("0.8.0") < age("1.0.0"));
        assert_eq!(age(NEWEST), Some(RELEASED.len() - 1));
        for unknown in ["", "v", "0.5", "1.2.0", "vv0.5.0", "0.5.0 "] {
            assert_eq!(age(unknown), None);
        }
    }
}
