//! Parts of `configure` and of the machine that most containers do not use: the image's own libcuda, partitioning, device
//! nodes that are missing, roots without a process, and unprivileged callers.

use super::CONTAINER;
use crate::stage::{Stage, assert_prints, assert_same, stderr, stdout};
use std::{fs, os::unix::fs::symlink};

/// What the loader would take for `libcuda.so.1`, by the cache's order.
const FIRST: &str = r#"ldconfig -p -C "$R/etc/ld.so.cache" | sed -n 's/.*libcuda.so.1 (.* => //p' | head -n 1"#;

/// The image has a libcuda of series 570 or 535; the driver is 550.
#[test]
fn the_images_libcuda_comes_first_where_it_is_newer_and_not_disabled() {
    let driver = "/usr/lib/x86_64-linux-gnu/libcuda.so.1\n";
    let image = "/usr/local/cuda-12.8/compat/libcuda.so.1\n";
    for (version, words, want) in [
        ("570.86.10", "--compute", image),
        ("570.86.10", "--compute --cuda-compat-mode=mount", image),
        ("570.86.10", "--compute --cuda-compat-mode=ldconfig", image),
        ("570.86.10", "--compute --cuda-compat-mode=disabled", driver),
        ("570.86.10", "--compute --no-cntlibs", driver),
        ("570.86.10", "--video", driver),
        ("535.54.03", "--compute", driver),
        ("550.90.07", "--compute", driver),
    ] {
        let stage = Stage::new(&["debian"]);
        let root = stage.path("bundle/rootfs");
        fs::create_dir_all(root.join("usr/local/cuda-12.8/compat")).unwrap();
        symlink("/usr/local/cuda-12.8", root.join("usr/local/cuda")).unwrap();
        let script = format!(
            r#"{CONTAINER} cp -L /usr/lib/x86_64-linux-gnu/libcuda.so.1 "$B/rootfs/usr/local/cuda-12.8/compat/libcuda.so.{version}"
            container "$B/rootfs"; configure {words} || exit 1; {FIRST}
            mounts | grep -c "$B/rootfs.* $B/rootfs/usr/lib"; kill $PID"#
        );
        let done = stage.on(&[], &script);
        // Nothing of the image is ever mounted.
        assert_prints(&format!("{version} {words}"), &done, &format!("{want}0\n"));
    }
}

/// Who may partition sees every capability and may use those of the GPUs that were selected.
#[test]
fn partitioning_shows_capabilities_once_and_read_only() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} container "$B/rootfs"; configure -u -d all --mig-config=all --mig-monitor=all || exit 1
        mounts | sed -n "s,.*rootfs/\(.*capabilities\|dev/nvidia-caps\) \([a-z,]*\).*,\1 \2,p" | sort
        nsenter -t $PID -m sh -c 'ls "$1/dev/nvidia-caps" | wc -l; cat "$1/proc/driver/nvidia/capabilities/mig/config" | head -n 1' sh "$R"
        kill $PID"#
    );
    let want = "dev/nvidia-caps ro,nosuid,noexec,relatime\n\
        proc/driver/nvidia/capabilities ro,nosuid,nodev,noexec,relatime\n6\nDeviceFileMinor: 1\n";
    assert_prints("mig", &stage.on_machine("mig", &script), want);
}

/// A list that does not say `all` asks for nothing, and takes nothing away: the selected MIG devices come.
#[test]
fn an_empty_list_partitions_nothing() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} for words in "" --mig-config= --mig-monitor=,; do
            "$CLI" list -d all $words | grep -c /access
            container "$B/rootfs"; configure -u -d all $words || exit 1; mounts | grep -c /access; kill $PID
        done"#
    );
    assert_prints("mig", &stage.on_machine("mig", &script), &"4\n4\n".repeat(3));
}

#[test]
fn missing_nodes_are_made_where_that_is_asked_for() {
    let stage = Stage::new(&["debian"]);
    let script = r#"CLI="${SHIM%/*}/nvidia-container-cli"; rm -rf /dev/nvidia* /dev/char/195:* /dev/char/51*
        "$CLI" list 2>&1; "$CLI" -k --no-create-imex-channels list --imex-channel 3 >/dev/null
        [ ! -e /dev/nvidia-caps-imex-channels ] || echo channels; "$CLI" -k list -d 0 --imex-channel=3
        for node in ctl 0 1 -uvm -uvm-tools -modeset -caps/nvidia-cap1 -caps-imex-channels/channel3; do
            stat -c '%n %F %t:%T %a' /dev/nvidia$node
        done; readlink /dev/char/195:255"#;
    let want = "nvidia-container-cli: initialization error: nvml error: driver not loaded\n\
        /dev/nvidiactl\n/dev/nvidia-uvm\n/dev/nvidia-uvm-tools\n/dev/nvidia-modeset\n/dev/nvidia2\n\
        /dev/nvidia-caps-imex-channels/channel3\n";
    let done = stage.on_machine("eight-gpus-nvswitch", script);
    let printed = stdout(&done);
    assert!(printed.starts_with(want), "{printed}{}", stderr(&done));
    let nodes: Vec<_> = printed[want.len()..].lines().collect();
    assert_eq!(nodes.len(), 9, "{nodes:?} {}", stderr(&done));
    assert!(nodes[..8].iter().all(|node| node.contains(" character special file ")), "{nodes:?}");
    assert!(nodes[0].ends_with(" c3:ff 666") && nodes[1].ends_with(" c3:0 666"), "{nodes:?}");
    assert_eq!(nodes[8], "../nvidiactl");
}

/// A root that no process of a container has: the caller's own namespace, and no supervisor.
#[test]
fn roots_without_a_process_are_configured_in_place() {
    let stage = Stage::new(&["debian"]);
    let script = r#"CLI="${SHIM%/*}/nvidia-container-cli"; R="$B/rootfs"; mount -t proc proc "$R/proc"
        mount --bind /proc/driver "$R/proc/driver"; "$CLI" configure --no-cgroups --utility -d 0 "$R" || exit 1
        grep -c "$R/" /proc/self/mountinfo; chroot "$R" /usr/bin/nvidia-smi -L"#;
    let done = stage.on(&[], script);
    assert_prints("standalone", &done, &format!("12\n{}", crate::stage::GPU_0));
}

/// Whoever asks may list what there is, and no more.
#[test]
fn those_who_are_not_root_may_list() {
    let stage = Stage::new(&["debian"]);
    let script = r#"CLI="${SHIM%/*}/nvidia-container-cli"; chmod 755 "$D"
        for words in info "info --csv" list "list -d 1 -lbi" "list --json"; do
            "$CLI" $words >root; setpriv --reuid=65534 --regid=65534 --clear-groups "$CLI" $words >nobody || echo failed
            cmp root nobody; wc -l <nobody
        done"#;
    let done = stage.on(&[], script);
    let lines: Vec<_> = stdout(&done).lines().map(|line| line.trim().to_owned()).collect();
    assert!(done.status.success() && lines.len() == 5, "{lines:?} {}", stderr(&done));
    assert!(lines.iter().all(|line| line.parse::<u32>().is_ok_and(|count| count > 5)), "{lines:?}");
}

/// Links of the image lead nowhere but into the image, and are not followed at their end.
#[test]
fn a_hostile_image_leads_nowhere() {
    let stage = Stage::new(&["debian"]);
    let root = stage.path("bundle/rootfs");
    fs::create_dir_all(stage.path("outside")).unwrap();
    fs::create_dir_all(root.join("usr/lib/firmware")).unwrap();
    fs::create_dir_all(root.join(stage.path("outside").strip_prefix("/").unwrap())).unwrap();
    let outside = stage.path("outside");
    // Folders that lead to the host's, absolute and by climbing.
    for (name, target) in [
        ("etc/nvidia", outside.to_str().unwrap().to_owned()),
        (
            "usr/lib/firmware/nvidia",
            format!("{}{}", "../".repeat(40), outside.to_str().unwrap().trim_start_matches('/')),
        ),
        ("run", "/../../../../../..".to_owned()),
    ] {
        let path = root.join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        }
        symlink(target, path).unwrap();
    }
    let before = crate::stage::tree(&outside);
    let script = format!(
        r#"{CONTAINER} container "$B/rootfs"; nsenter -t $PID -m cat /proc/self/mountinfo >all
        configure -cug -d all; echo $?; nsenter -t $PID -m cat /proc/self/mountinfo | cut -d" " -f5 | grep -v "^$R" | sort >after
        cut -d" " -f5 all | grep -v "^$R" | sort | cmp - after; kill $PID"#
    );
    let done = stage.on_machine("two-gpus", &script);
    assert_prints("hostile", &done, "0\n");
    assert_same("outside", &before, &crate::stage::tree(&outside));
}

/// Somebody who shares the image exchanges its folders for links to the host's while it is configured.
#[test]
fn folders_that_become_links_meanwhile_lead_nowhere() {
    let stage = Stage::new(&["debian"]);
    let outside = stage.path("outside");
    for folder in ["nvidia", "x86_64-linux-gnu", "550.54.14"] {
        fs::create_dir_all(outside.join(folder)).unwrap();
    }
    let before = crate::stage::tree(&outside);
    let script = format!(
        r#"{CONTAINER} container "$B/rootfs"; mkdir -p "$R/etc/nvidia" "$R/usr/lib/firmware/nvidia" "$R/usr/bin"
        exchange() {{
            ln -s "$D/outside" "$1.link"
            while :; do mv -T "$1" "$1.away" && mv -T "$1.link" "$1" && mv -T "$1" "$1.link"; mv -T "$1.away" "$1"; done
        }}
        for folder in etc/nvidia usr/lib/firmware/nvidia usr/bin; do exchange "$R/$folder" & jobs="$jobs $!"; done 2>/dev/null
        outside() {{ nsenter -t $PID -m cut -d" " -f5 /proc/self/mountinfo | grep -v "^$R" | sort; }}
        outside >"$D/mounts"; good=0 bad=0
        for time in $(seq 20); do
            if configure -cug -d all 2>>"$D/said"; then good=$((good + 1)); else bad=$((bad + 1)); fi
            nsenter -t $PID -m sh -c 'umount -l $(cut -d" " -f5 /proc/self/mountinfo | grep "^$1/[elu]")' sh "$R" 2>/dev/null
        done; kill $jobs; outside | cmp - "$D/mounts"; kill $PID; echo $((good + bad)); echo "$good good" >&2"#
    );
    let done = stage.on_machine("two-gpus", &script);
    assert_prints("exchanged", &done, "20\n");
    assert_same("outside", &before, &crate::stage::tree(&outside));
    for line in stage.read("said").lines() {
        assert!(line.starts_with("nvidia-container-cli: mount error: "), "{line}");
    }
}

/// A root that has all places and cannot be written: the loader's cache is a mount, too.
#[test]
fn roots_that_cannot_be_written_get_their_cache_as_a_mount() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} cp "$B/rootfs/etc/ld.so.cache" "$D/cache"; container "$B/rootfs"; configure -cu -d 0 || exit 1; kill $PID
        cp "$D/cache" "$B/rootfs/etc/ld.so.cache"; container "$B/rootfs"
        nsenter -t $PID -m mount -o remount,bind,ro "$R"
        for time in 1 2; do
            configure -cu -d 0 || exit 1
            nsenter -t $PID -m sh -c 'ldconfig -p -C "$1/etc/ld.so.cache" | grep -c "libcuda.so.1 "; grep -c "$1/" /proc/self/mountinfo' sh "$R"
        done; kill $PID; cmp "$D/cache" "$B/rootfs/etc/ld.so.cache"
        rm "$B/rootfs/etc/ld.so.cache"; container "$B/rootfs"; nsenter -t $PID -m mount -o remount,bind,ro "$R"
        configure -cu -d 0 && chroot /proc/$PID/root/"$R" /usr/bin/nvidia-smi -L; kill $PID"#
    );
    let done = stage.on(&[], &script);
    let printed = stdout(&done);
    let lines: Vec<_> = printed.lines().collect();
    assert!(done.status.success() && lines.len() == 5, "{printed}{}", stderr(&done));
    assert_eq!((lines[0], lines[1]), (lines[2], lines[3]));
    assert_eq!(lines[0], "1");
    // Without a cache its loader looks in the folder itself.
    assert_eq!(format!("{}\n", lines[4]), crate::stage::GPU_0);
}

/// Exactly the GPUs that were selected have a node and an entry of the kernel's, whatever the list looks like.
#[test]
fn a_container_has_the_gpus_that_were_selected_and_no_other() {
    let stage = Stage::new(&["debian"]);
    fs::rename(stage.path("bundle/rootfs"), stage.path("pristine")).unwrap();
    let script = format!(
        r#"{CONTAINER} while read -r list; do
            rm -rf "$D/root"; cp -a "$D/pristine" "$D/root"; container "$D/root"; configure -u --device="$list" || exit 1
            nsenter -t $PID -m sh -c 'cd "$1"; echo "[$2]" $(ls dev | grep "nvidia[0-9]") $(ls proc/driver/nvidia/gpus 2>/dev/null)' \
                sh "$R" "$list"; kill $PID
        done <<END

,
0
1,1,01
1,0
ALL
GPU-4404041A-04cf-1ccf-9e70-f139a9b1e23c
0000:07:00.0,00000000:07:00.0
END"#
    );
    let (first, second) = ("nvidia0 0000:07:00.0", "nvidia1 0000:08:00.0");
    let both = "nvidia0 nvidia1 0000:07:00.0 0000:08:00.0";
    let want = format!(
        "[]\n[,]\n[0] {first}\n[1,1,01] {second}\n[1,0] {both}\n[ALL] {both}\n\
        [GPU-4404041A-04cf-1ccf-9e70-f139a9b1e23c] {second}\n[0000:07:00.0,00000000:07:00.0] {first}\n"
    );
    assert_prints("lists", &stage.on(&[], &script), &want);
}

/// As enroot calls it: root only in a user namespace, for a root that belongs to an ordinary user.
#[test]
fn callers_in_a_user_namespace_configure_their_own_root() {
    let stage = Stage::new(&["debian"]);
    let script = r#"export CLI="${SHIM%/*}/nvidia-container-cli"; chmod 755 "$D"; chown -R 1000:1000 "$B"
        setpriv --reuid=1000 --regid=1000 --clear-groups unshare --user --map-root-user --mount sh -c '
            mount --bind "$B/rootfs" "$B/rootfs" && cd "$B/rootfs" && mount -t tmpfs dev dev && mount --rbind /proc proc || exit 1
            "$CLI" configure --no-cgroups --pid=$$ -cu -d 0 "$B/rootfs" || exit 1
            chroot . /usr/bin/nvidia-smi -L; readlink usr/lib/x86_64-linux-gnu/libcuda.so.1'
        stat -c %u "$B/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so.1""#;
    let want = format!("{}libcuda.so.550.54.14\n1000\n", crate::stage::GPU_0);
    assert_prints("enroot", &stage.on(&[], script), &want);
}

#[test]
fn variables_and_options_say_where_to_log_and_where_mps_is() {
    let stage = Stage::new(&["debian"]);
    let script = r#"CLI="${SHIM%/*}/nvidia-container-cli"; mkdir "$D/mps"; cd "$D"
        CUDA_MPS_PIPE_DIRECTORY=$D/mps "$CLI" list -i | sed "s,$D,D,"
        NVC_DEBUG_FILE=$D/first "$CLI" list -b >/dev/null; NVC_DEBUG_FILE=$D/none "$CLI" -d "$D/second" list -b >/dev/null
        "$CLI" -d /nowhere/log list -b | head -n 1; ls none 2>/dev/null
        for name in first second; do sed -n '1,3p;$p' $name | sed 's/^I.* container_cli/I container_cli/; s/:[0-9]*\]/:N]/'; done"#;
    let log = "\n-- WARNING, the following logs are for debugging purposes only --\n\n\
        I container_cli.rs:N] shutting down library context\n";
    let want = format!("/run/nvidia-persistenced/socket\nD/mps\n/usr/bin/nvidia-smi\n{log}{log}");
    assert_prints("variables", &stage.on(&[], script), &want);
}

/// GPUs that a later call brings join the application profile, which stays one file on one mount (section 15.2).
#[test]
fn a_later_gpu_joins_the_application_profile() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} container "$B/rootfs"; folder=etc/nvidia/nvidia-application-profiles-rc.d
        for words in "-u -d 0" "-g" "-g -d 0" "-g -d 1" "-D -d 1"; do
            configure $words || exit 1; mounts | grep -c $folder
            nsenter -t $PID -m sh -c 'cd "$1/$2" 2>/dev/null && ls -A && for file in *.conf; do stat -c %a "$file"; cat "$file"; echo; done' \
                sh "$R" $folder 2>/dev/null
        done; kill $PID; ls -A "$B/rootfs/$folder""#
    );
    let profile = |minors: &str| {
        let settings =
            format!(r#"{{ "profiles": [{{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", {minors}]}}]"#);
        format!(
            "1\n10-container.conf\n555\n{settings}, \"rules\": [{{\"pattern\": [], \"profile\": \"_container_\"}}]}}\n"
        )
    };
    let want = format!("0\n1\n\n{}{}{}", profile("0x1"), profile("0x3"), profile("0x3"));
    assert_prints("profiles", &stage.on_machine("two-gpus", &script), &want);
}
