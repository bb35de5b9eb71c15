//! What the kernel and the driver publish in procfs: total, and whatever it says, nothing that is no bus id becomes a name.

use crate::parts;
use host::procfs::{
    Information, Majors, Params, below, bus_id, bus_numbers, cgroups::device_groups, mig_minor, mig_minors_of,
    module_in_motion, module_loaded, of_kernel, seen_through, was_made_read_only,
};
use root::params::switched_off;

/// An input of two parts: the text of any of these files, a name.
pub fn procfs(input: &[u8]) {
    let (text, name) = parts(input);
    let (text, name) = (String::from_utf8_lossy(text), String::from_utf8_lossy(name));
    let name = name.trim();
    gpu(name, &text);
    let params = Params::parse(&text);
    assert_eq!(params.mode & !0o777, 0);
    hidden(&text);
    let majors = Majors::parse(&text);
    assert!(majors.get("nvidia").is_none_or(|major| major == majors.nvidia()));
    let minors = (0..3).flat_map(|gpu| mig_minors_of(&text, gpu));
    assert!(minors.count() <= text.lines().count());
    let _ = (mig_minor(&text, name), module_loaded(&text, name));
    assert!(module_in_motion(&text).is_none_or(|module| module.starts_with("nvidia")));
    if let Some(version) = of_kernel(&text) {
        assert!(version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    }
    // Which groups, and where they are mounted.
    if let Ok(groups) = device_groups(name, &text) {
        assert!((1..=2).contains(&groups.len()));
    }
    let ids = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).take(8);
    for id in ids {
        let _ = was_made_read_only(&text, id);
        let _ = below(&text, id);
        if let Ok(id) = u32::try_from(id) {
            assert!([0, id].contains(&seen_through(&text, id)));
        }
    }
}

fn gpu(folder: &str, text: &str) {
    let safe = |id: &str| {
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)), "{id:?} is no bus id");
        assert_eq!(bus_id(id).as_deref(), Some(id), "a bus id has another form");
        assert!(bus_numbers(id).is_some());
    };
    if let Some(id) = bus_id(folder) {
        safe(&id);
    }
    if let Some(gpu) = Information::parse(folder, text) {
        safe(&gpu.bus_id);
        assert!(!gpu.uuid.contains(['?', '\n']) && !gpu.model.contains('\n'));
    }
}

/// The copy of the parameters that a container sees.
fn hidden(text: &str) {
    let Some(copy) = switched_off(text) else { return };
    assert_eq!(switched_off(&copy), None, "twice is not once");
    assert_eq!((copy.len(), copy.split('\n').count()), (text.len(), text.split('\n').count()));
    assert!(!Params::parse(&copy).modify || Params::parse(text).modify);
}
