//! Legacy mode: the prestart hook and `nvidia-container-cli` prepare the container, under both low-level runtimes.

use crate::stage::{LISTS, RUNTIMES, Stage, assert_lists, stderr};
use serde_json::json;
use std::fs;

/// A stage in legacy mode, with our own programs.
fn stage(root: &[&str], runtime: &str) -> Stage {
    let stage = Stage::new(root);
    stage.edit(|document| document["process"]["args"] = json!(["/bin/sh", "-c", LISTS]));
    let bin = crate::stage::folder("CORTEN_BIN");
    stage.configure(
        runtime,
        &format!(
            "mode = 'legacy'\n[nvidia-container-runtime-hook]\npath = {:?}\n[nvidia-container-cli]\npath = {:?}",
            bin.join("nvidia-container-runtime-hook"),
            bin.join("nvidia-container-cli")
        ),
    );
    stage
}

const DEBIAN: &str = "/usr/lib/x86_64-linux-gnu";

const START: &str = r#"[ -f "$D/spec" ] || cp "$B/config.json" "$D/spec"; cp "$D/spec" "$B/config.json"
    "$SHIM" --root "$D/state" --log "$D/log" run --bundle "$B" "$ID""#;

/// Both starts of it list the GPU, and libcuda in this folder.
fn assert_twice(what: &str, stage: &Stage, folder: &str) {
    let done = stage.on(&[], &format!("{START} && {START}"));
    let once = ["libcuda.so.1", "libcuda.so"].map(|name| format!("{name} {folder}/{name}"));
    assert_lists(what, &done, &[once.clone(), once].concat());
    assert!(stage.read("bundle/config.json").contains("/nvidia-container-runtime-hook"), "{what}: not in legacy mode");
}

#[test]
fn containers_have_their_gpus() {
    for (root, folder) in [("debian", DEBIAN), ("rhel", "/usr/lib64"), ("arch", "/usr/lib64")] {
        for runtime in RUNTIMES {
            let stage = stage(&[root], runtime);
            assert_twice(&format!("{root} {runtime}"), &stage, folder);
        }
    }
}

#[test]
fn a_read_only_container_has_its_gpus() {
    for runtime in RUNTIMES {
        let stage = stage(&["debian"], runtime);
        stage.edit(|document| document["root"]["readonly"] = json!(true));
        assert_twice(runtime, &stage, DEBIAN);
    }
}

#[test]
fn a_read_only_container_whose_etc_is_a_volume() {
    for runtime in RUNTIMES {
        let stage = stage(&["debian"], runtime);
        assert!(stage.on(&[], START).status.success());
        let root = stage.path("bundle/rootfs");
        fs::remove_file(root.join("etc/ld.so.cache")).unwrap();
        let done =
            stage.on(&[], "ldconfig -X -r \"$B/rootfs\" && mv \"$B/rootfs/etc\" \"$D/etc\" && mkdir \"$B/rootfs/etc\"");
        assert!(done.status.success(), "{}", stderr(&done));
        fs::rename(stage.path("spec"), stage.path("bundle/config.json")).unwrap();
        stage.edit(|document| {
            document["root"]["readonly"] = json!(true);
            document["mounts"].as_array_mut().unwrap().push(json!({
                "destination": "/etc", "type": "bind", "options": ["bind", "ro"], "source": stage.path("etc"),
            }));
        });
        assert_twice(runtime, &stage, DEBIAN);
    }
}
