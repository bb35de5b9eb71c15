//! Fields that the version which a spec names does not have. An engine of that version refuses the whole file, even where
//! such a field is empty, which the rule about the least version does not see.

use super::Finding;
use super::lines::Lines;
use crate::place::Place;
use crate::spec::Spec;
use crate::version::age;

/// Fields of edits, and the version that brought each.
const OF_EDITS: [(&str, &str); 3] = [("netDevices", "1.1.0"), ("intelRdt", "0.7.0"), ("additionalGids", "0.7.0")];

pub(super) fn newer_fields<'a>(spec: &'a Spec, lines: &'a Lines) -> impl Iterator<Item = Finding> + 'a {
    let declared = age(&spec.cdi_version);
    let candidates = candidates(spec).into_iter();
    let newer = candidates.filter(move |(_, _, version)| declared.is_some() && age(version) > declared);
    newer.filter(|(place, field, _)| lines.has_member(place, field)).map(|(place, field, version)| {
        let text = format!("{field} came with CDI {version}, and the spec says {}", spec.cdi_version);
        Finding::warning("newer-field", place.then(field), text)
    })
}

/// Every field that not all versions have, wherever it could stand.
fn candidates(spec: &Spec) -> Vec<(Place, &'static str, &'static str)> {
    let mut found = vec![(Place::default(), "annotations", "0.6.0")];
    let devices = (0..spec.devices.len()).map(|index| Place::field("devices").item(index));
    let devices: Vec<Place> = devices.collect();
    found.extend(devices.iter().map(|device| (device.clone(), "annotations", "0.6.0")));
    let bases = std::iter::once(Place::default()).chain(devices).map(|place| place.then("containerEdits"));
    for (base, edits) in bases.zip(spec.all_edits()) {
        found.extend(OF_EDITS.map(|(field, version)| (base.clone(), field, version)));
        found.extend(["schemata", "enableMonitoring"].map(|field| (base.clone().then("intelRdt"), field, "1.1.0")));
        let nodes = (0..edits.device_nodes.len()).map(|index| base.clone().then("deviceNodes").item(index));
        found.extend(nodes.map(|node| (node, "hostPath", "0.5.0")));
        let mounts = (0..edits.mounts.len()).map(|index| base.clone().then("mounts").item(index));
        found.extend(mounts.map(|mount| (mount, "type", "0.4.0")));
    }
    found
}
