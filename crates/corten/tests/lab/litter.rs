//! What restarts leave behind: nothing that one start did not.

use crate::stage::{CREATE, GPU_0, RUN, Stage, Tree, assert_prints, assert_same, stderr};

#[test]
fn a_hundred_starts_leave_what_one_left() {
    let stage = Stage::without_runtime(&["debian"]);
    let done = stage.on(&[], CREATE);
    assert!(done.status.success(), "{}", stderr(&done));
    let (root, spec) = (stage.tree(), stage.read("bundle/config.json"));
    let done = stage.on(&[], &format!("for i in $(seq 99); do {CREATE} || exit 1; done"));
    assert!(done.status.success(), "{}", stderr(&done));
    assert_same("root", &root, &stage.tree());
    assert_eq!(stage.read("bundle/config.json"), spec);
}

/// The same container after an update of the driver: links lead to the new version. Of the old one stay empty mount points,
/// which the low-level runtime made, and their names in the loader cache, for which nobody asks any more: whether they
/// are the driver's or the image's own cannot be told from the name.
#[test]
fn a_new_driver_takes_the_old_ones_place() {
    let stage = Stage::new(&["debian"]);
    let original = stage.read("bundle/config.json");
    assert_prints("old driver", &stage.on(&[], RUN), GPU_0);
    stage.write("bundle/config.json", &original);
    assert_prints("new driver", &stage.on(&["driver.version=560.35.03"], RUN), GPU_0);
    let after = stage.tree();
    assert_eq!(text(&after, "/libcuda.so.1"), ["libcuda.so.560.35.03"]);
    for (path, (mode, _, _, content)) in &after {
        let name = path.to_string_lossy();
        let cache = name == "etc/ld.so.cache";
        assert!(cache || !String::from_utf8_lossy(content).contains("550.54.14"), "{name} speaks of the old driver");
        assert!(!name.contains(".corten"), "{name} is a left-over of ours");
        let regular = mode & 0o170_000 == 0o100_000;
        assert!(!name.contains("550.54.14") || (regular && content.is_empty()), "{name} is no mount point");
    }
}

fn text(tree: &Tree, end: &str) -> Vec<String> {
    let matching = tree.iter().filter(|(path, _)| path.to_string_lossy().ends_with(end));
    matching.map(|(_, (.., content))| String::from_utf8_lossy(content).into_owned()).collect()
}
