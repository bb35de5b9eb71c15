//! Legacy mode: the prestart hook and `nvidia-container-cli` prepare the container, under both low-level runtimes.

use crate::stage::{LISTS, RUNTIMES, Stage, assert_lists, stderr, stdout};
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

/// The hook hands names on as they were written, and the command line knows them as the runtime does.
#[test]
fn names_are_the_same_as_in_other_modes() {
    let parent = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c";
    let mig = format!("MIG-{parent}/7/0");
    for (machine, name, want) in [
        ("two-gpus", "GPU-4404041a", "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c"),
        ("mig", "MIG-0f6b3a52", "MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22"),
        ("mig", &mig, "MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22"),
    ] {
        let stage = stage(&["debian"], "runc");
        stage.edit(|document| document["process"]["args"] = json!(["nvidia-smi", "-L"]));
        stage.ask(&[&format!("NVIDIA_VISIBLE_DEVICES={name}")]);
        let done = stage.on_machine(machine, START);
        let printed = stdout(&done);
        let uuids = printed.lines().filter(|line| line.contains("UUID: ") && !line.contains(parent));
        let uuids: Vec<_> = uuids.filter_map(|line| line.split("UUID: ").nth(1)).collect();
        assert_eq!(uuids, [format!("{want})")], "{name}: {printed}{}", stderr(&done));
    }
}
