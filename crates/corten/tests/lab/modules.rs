//! Kernel modules that are not loaded yet.

use crate::stage::{RUN, Stage, assert_prints, stderr, stdout};

/// A machine whose nvidia-uvm is not loaded, and an nvidia-modprobe that writes down how it was called and "loads" it.
const UNLOADED: &str = r#"
    grep -v nvidia-uvm /proc/devices >"$D/devices" && mount --bind "$D/devices" /proc/devices
    rm -f /dev/nvidia-uvm /dev/nvidia-uvm-tools
    cat >/usr/bin/nvidia-modprobe <<END
#!/bin/sh
{ echo "\$*"; env | grep -c SHIM; ls /proc/self/fd | wc -l; } >>"$D/called"
$LOADS
END
    chmod 755 /usr/bin/nvidia-modprobe
"#;

/// Prints what the container has of nvidia-uvm.
fn looking() -> Stage {
    let stage = Stage::new(&["debian"]);
    stage.edit(|document| document["process"]["args"] = serde_json::json!(["/bin/sh", "-c", "echo /dev/nvidia-uvm*"]));
    stage
}

#[test]
fn a_missing_module_is_loaded_on_the_host() {
    let stage = looking();
    let done = stage.on(&[], &format!("LOADS='umount /proc/devices'; {UNLOADED} exec 9</dev/null; {RUN}"));
    assert_prints("loaded", &done, "/dev/nvidia-uvm /dev/nvidia-uvm-tools\n");
    // Its arguments; nothing of the caller's environment; three descriptors, and the one that lists them.
    assert_eq!(stage.read("called"), "-u -c=0\n0\n4\n");
}

#[test]
fn it_is_left_alone_where_that_is_configured() {
    let stage = looking();
    let config = stage.read("config.toml");
    stage.write("config.toml", &format!("[nvidia-container-cli]\nload-kmods = false\n{config}"));
    let done = stage.on(&[], &format!("LOADS='umount /proc/devices'; {UNLOADED} {RUN}"));
    assert_prints("not loaded", &done, "/dev/nvidia-uvm*\n");
    assert_eq!(stage.read("called"), "");
    assert!(stage.read("log").contains("modprobe nvidia-uvm"), "{}", stage.read("log"));
}

#[test]
fn a_module_that_cannot_be_loaded_is_named_and_stops_nobody() {
    for (loads, says) in
        [("echo no such module >&2; exit 1", "no such module"), ("sleep 1000", "did not end within 5 s")]
    {
        let stage = looking();
        let done = stage.on(&[], &format!("LOADS='{loads}'; {UNLOADED} {RUN}"));
        assert_prints(loads, &done, "/dev/nvidia-uvm*\n");
        let log = stage.read("log");
        assert!(
            log.contains("/usr/bin/nvidia-modprobe -u -c=0 did not load nvidia-uvm: ") && log.contains(says),
            "{log}"
        );
    }
}

#[test]
fn looking_at_a_plan_loads_nothing() {
    let stage = looking();
    let script = format!("LOADS='exit 0'; {UNLOADED} \"${{SHIM%/*}}/corten\" plan --bundle \"$B\"");
    let done = stage.on(&[], &script);
    assert!(stdout(&done).contains("modprobe nvidia-uvm"), "{}{}", stdout(&done), stderr(&done));
    assert_eq!(stage.read("called"), "");
}
