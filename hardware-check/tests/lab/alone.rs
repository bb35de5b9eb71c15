//! The folder needs nothing but what is in it, and leaves nothing behind.

use crate::stage::{folder, read, script};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// What a machine looks like, as far as the check could change it and nobody else does meanwhile.
const LOOK: &str = "ls -a /run /dev /etc; ls -lR /run/corten 2>&1 || true; cat /proc/self/mounts";

#[test]
fn nothing_is_left_behind() {
    for kept in ["", "mkdir -m 755 /run/corten; echo '{}' > /run/corten/nvml.json"] {
        let steps = format!(
            r#"{kept}
            look() {{ {LOOK}; }}
            before=$(look)
            "$CHECK" > /dev/null & wait $!
            test "$before" = "$(look)" || {{ echo "$before"; echo; look; exit 1; }}
            test -z "$(find /sys/fs/cgroup -name "*corten-check-*-$!")""#
        );
        let output = script("two-gpus", &[], &steps);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The folder is larger than nothing and smaller than what may be handed on, and its program needs no loader.
#[test]
fn the_folder_is_small() {
    let size = size(&folder("CORTEN_HARDWARE_CHECK"));
    assert!((5_000_000..60_000_000).contains(&size), "{size}");
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let found = fs::symlink_metadata(&path).unwrap();
            if found.is_dir() { size(&path) } else { found.len() }
        })
        .sum()
}

/// A root with `/proc`, `/sys`, `/dev`, the driver and a copy of the folder, and nothing else: no C library, no shell.
/// The lab's hook is there too, since containers would not see the simulated procfs otherwise; it is static.
#[test]
fn it_runs_where_there_is_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let lab = folder("CORTEN_LAB").join("lab-static");
    let steps = format!(
        r#"
        R={root}
        mount -t tmpfs none $R
        mkdir -p $R/proc $R/sys $R/dev $R/usr/local/nvidia $R{lab_folder}
        mount --rbind /proc $R/proc; mount --rbind /sys $R/sys; mount --rbind /dev $R/dev
        cp -a /usr/local/nvidia/. $R/usr/local/nvidia
        cp -aT "$(dirname "$CHECK")" $R{lab_folder}/the-folder
        cp {lab} $R{lab}
        ls $R > {scratch}/before
        chroot $R {lab_folder}/the-folder/hardware-check --json
        ls $R | diff {scratch}/before - >&2"#,
        root = root.display(),
        lab = lab.display(),
        lab_folder = lab.parent().unwrap().display(),
        scratch = scratch.path().display(),
    );
    let mut command = std::process::Command::new(&lab);
    command.env("CORTEN_LAB_DIR", folder("CORTEN_LAB"));
    command.env("CHECK", folder("CORTEN_HARDWARE_CHECK").join("hardware-check"));
    command.args(["run", "--machine"]).arg(folder("CORTEN_MACHINES").join("local-nvidia.toml"));
    let output = command.args(["--", "sh", "-ec", &steps]).output().unwrap();
    let report = read(&output);
    assert_eq!(report.outcomes(), ["pass"; 14], "{report:?}");
    assert_eq!(report.document["driver_root"], "/usr/local/nvidia");
    assert_eq!(report.status, Some(0), "{output:?}");
}
