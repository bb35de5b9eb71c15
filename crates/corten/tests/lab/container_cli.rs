//! `nvidia-container-cli configure` as a hook of real runtimes, again and again, by many at once, and when something fails.

mod links;
mod old_nvml;
mod parts;
mod rights;

use crate::stage::{GPU_0, RUNTIMES, Stage, assert_prints, assert_same, stderr, stdout, tree};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink, path::Path};

/// `container ROOT` makes a process in a mount namespace of its own where it looks as a low-level runtime leaves it before
/// the container's first program: `$PID`. `mounts` shows what it has mounted there, `configure WORDS` configures it.
const CONTAINER: &str = r#"
    CLI="${SHIM%/*}/nvidia-container-cli"
    container() {
        rm -f "$1.ready"
        unshare -m --propagation private sh -c '
            mount --bind "$1" "$1" && mount -t tmpfs dev "$1/dev" && mount -t proc proc "$1/proc" &&
            mount --bind /proc/driver "$1/proc/driver" && : >"$1.ready" && exec sleep 1000' sh "$1" </dev/null >/dev/null 2>&1 &
        PID=$! R=$1; until [ -e "$1.ready" ]; do sleep 0.01; done
    }
    mounts() { nsenter -t $PID -m sh -c 'cut -d" " -f4-6 /proc/self/mountinfo'; }
    configure() { $under "$CLI" configure --no-cgroups --pid=$PID "$@" "$R"; }
"#;

/// The first command as a prestart hook, which learns the process from the state that it is given.
const HOOK: &str = r#"#!/bin/sh
pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1)
exec "$CLI" $BEFORE configure --pid="$pid" $WORDS "$ROOT"
"#;

/// A stage whose container is prepared by our command line as a hook, and not by the shim.
fn by_hook(runtime_words: &str) -> Stage {
    let stage = Stage::new(&["debian"]);
    stage.write("hook", HOOK);
    fs::set_permissions(stage.path("hook"), fs::Permissions::from_mode(0o755)).unwrap();
    let cli = crate::stage::folder("CORTEN_BIN").join("nvidia-container-cli");
    let env = [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("CLI={}", cli.display()),
        format!("BEFORE=--debug={}", stage.path("debug").display()),
        format!("WORDS={runtime_words}"),
        format!("ROOT={}", stage.path("bundle/rootfs").display()),
    ];
    stage.edit(|document| {
        document["hooks"] = json!({"prestart": [{"path": stage.path("hook"), "args": ["hook"], "env": env}]});
    });
    stage
}

const RUN_BARE: &str = r#"$RUNTIME --root "$D/state" run --bundle "$B" "$ID""#;

#[test]
fn runtimes_call_it_as_a_hook() {
    for runtime in RUNTIMES {
        called_as_a_hook(runtime, "", "] detected cgroupv");
    }
}

/// With nothing of version 1 in sight; crun wants more of the system for that than some machines that run tests have.
#[test]
fn programs_of_cgroups_version_2_are_extended() {
    let before = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 1; ";
    called_as_a_hook("runc", before, "] detected cgroupv2\n");
}

/// The container gets the first GPU, and nothing opens the second.
fn called_as_a_hook(runtime: &str, before: &str, version: &str) {
    let stage = by_hook("--utility --compute --device=0");
    stage.edit(|document| {
        let script = r#"try() { ( : <$1 ) 2>&1 | { read -r line; echo "${line##*: }"; }; }
            nvidia-smi -L; try /dev/nvidia0; try /nvidia1
            while read -r line; do case $line in Modify*) echo "$line";; esac; done </proc/driver/nvidia/params
            for name in /dev/nvidia*; do echo $name; done; ( : >/usr/bin/nvidia-smi ) 2>/dev/null || echo read-only"#;
        document["process"]["args"] = json!(["/bin/sh", "-c", script]);
    });
    let node = makedev(195, 1);
    mknodat(CWD, stage.path("bundle/rootfs/nvidia1"), FileType::CharacterDevice, Mode::RWXU, node).unwrap();
    let done = stage.command(&[], &format!("{before}RUNTIME={runtime}; {RUN_BARE}")).output().unwrap();
    let log = stage.read("debug");
    let nodes = ["-uvm", "-uvm-tools", "0", "ctl"].map(|name| format!("/dev/nvidia{name}\n")).concat();
    let refused = "No such device or address\nOperation not permitted\nModifyDeviceFiles: 0\n";
    let want = format!("{GPU_0}{refused}{nodes}read-only\n");
    assert_prints(&format!("{runtime}: {log}"), &done, &want);
    assert!(log.contains("\n-- WARNING, the following logs are for debugging purposes only --\n\nI"), "{log}");
    for text in ["] using root /\n", "] configuring container with 'utility compute supervised'\n", version] {
        assert!(log.contains(text), "{runtime}: {text}: {log}");
    }
}

/// What is there already is not mounted again, and the root is not written.
#[test]
fn twice_is_once() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} container "$B/rootfs"
        for time in 1 2 3; do
            configure -cuvgDn --compat32 --device=all || exit 1
            mounts >"$D/mounts$time"; cp -a "$B/rootfs" "$D/root$time"
        done; kill $PID"#
    );
    let done = stage.on_machine("two-gpus", &script);
    assert!(done.status.success(), "{}", stderr(&done));
    let first = (stage.read("mounts1"), tree(&stage.path("root1")));
    assert!(first.0.lines().count() > 70, "{}", first.0);
    for time in [2, 3] {
        assert_eq!(stage.read(&format!("mounts{time}")), first.0, "{time}");
        assert_same("the root", &first.1, &tree(&stage.path(&format!("root{time}"))));
    }
}

#[test]
fn many_at_once_all_succeed() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER}
        for number in $(seq 64); do
            cp -al "$B/rootfs" "$D/root$number"; container "$D/root$number"; pids="$pids $PID"
        done
        number=0 jobs=
        for PID in $pids; do
            number=$((number + 1)); R=$D/root$number
            configure --utility --compute --device=all & jobs="$jobs $!"
        done
        for job in $jobs; do wait $job || echo failed; done
        for PID in $pids; do mounts | grep -c " $D/root[0-9]*/"; done | sort | uniq -c
        kill $pids"#
    );
    let done = stage.on(&[], &script);
    assert!(done.status.success(), "{}", stderr(&done));
    let (count, kind) = (stdout(&done).trim().to_owned(), stderr(&done));
    assert!(count.starts_with("64 ") && count.lines().count() == 1, "{count}: {kind}");
}

/// A path in the image, what lies there, and how it is put there.
type Obstacle = (&'static str, &'static str, fn(&Path));

/// Things that are in the way.
const OBSTACLES: &[Obstacle] = &[
    ("usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14", "a folder", |path| fs::create_dir_all(path).unwrap()),
    ("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.14", "a link to the host", |path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/etc/hostname", path).unwrap();
    }),
    ("usr/bin/nvidia-smi", "a link out of the root", |path| symlink("../../../../../../bin/true", path).unwrap()),
    ("etc/ld.so.cache", "a folder instead of the cache", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
];

#[test]
fn what_is_in_the_way_fails_and_leaves_nothing() {
    for (path, what, place) in OBSTACLES {
        let stage = Stage::new(&["debian"]);
        place(&stage.path("bundle/rootfs").join(path));
        let before = stage.tree();
        let script = format!(
            r#"{CONTAINER} container "$B/rootfs"; mounts >"$D/before"
            configure -cu --device=all; status=$?; mounts >"$D/after"; kill $PID; exit $status"#
        );
        let done = stage.on(&[], &script);
        assert_eq!(done.status.code(), Some(1), "{what}: {}", stderr(&done));
        let category = if path.ends_with("cache") { "ldcache" } else { "mount" };
        let said = stderr(&done);
        assert!(said.starts_with(&format!("nvidia-container-cli: {category} error: ")), "{what}: {said}");
        assert!(said.contains(&format!("/{path}")) && said.lines().count() == 1, "{what}: {said}");
        assert_eq!(stage.read("before"), stage.read("after"), "{what}");
        assert_same(what, &before, &stage.tree());
    }
}

/// Each call of the kernel that changes something fails once. Either nothing stays, or it did not matter.
#[test]
fn every_step_that_fails_takes_the_others_back() {
    for etc in ["rw", "ro"] {
        let stage = Stage::new(&["debian"]);
        fs::rename(stage.path("bundle/rootfs"), stage.path("pristine")).unwrap();
        if etc == "ro" {
            // What cannot be made there. Its cache is mounted over then.
            fs::create_dir_all(stage.path("pristine/etc/nvidia/nvidia-application-profiles-rc.d")).unwrap();
        }
        let script = format!(
            r#"{CONTAINER}
            reset() {{
                [ -z "$PID" ] || kill $PID; rm -rf "$B/rootfs"; cp -a "$D/pristine" "$B/rootfs"; container "$B/rootfs"
                nsenter -t $PID -m sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,{etc} "$1"' sh "$R/etc"
                mounts >"$D/before"
            }}
            reset; under="strace -qq -f -o $D/trace"; configure -cug --device=0 || exit 1
            reset; failed=0
            for call in open_tree mount_setattr move_mount fsopen fsmount mkdirat symlinkat renameat renameat2 setns unshare fchown fchmod; do
                count=$(grep -c " $call(" "$D/trace"); nth=0
                while [ $nth -lt $count ]; do
                    nth=$((nth + 1))
                    under="strace -qq -f -o /dev/null -e inject=$call:error=EIO:when=$nth"
                    if configure -cug --device=0 2>"$D/said"; then reset; continue; fi
                    failed=$((failed + 1)); mounts >"$D/after"
                    cmp -s "$D/before" "$D/after" || {{ echo "$call $nth: mounts"; diff "$D/before" "$D/after"; exit 1; }}
                    rest=$(cd "$B/rootfs" && find . | sort | diff - "$D/names") || {{ echo "$call $nth: $rest"; exit 1; }}
                    case $(cat "$D/said") in "nvidia-container-cli: mount error: "*|"nvidia-container-cli: ldcache error: "*) ;; *) cat "$D/said"; exit 1 ;; esac
                done
            done; kill $PID; [ $failed -gt 60 ] || echo "only $failed"
            "#
        );
        let names = format!(r#"(cd "$D/pristine" && find . | sort) >"$D/names"; {script}"#);
        let done = stage.on(&[], &names);
        assert_prints(&format!("steps that fail, /etc is {etc}"), &done, "");
    }
}

/// What is wrong with the machine or the call, and the one line that says so.
#[test]
fn bad_input_has_the_originals_words_and_status() {
    let stage = Stage::new(&["debian"]);
    let absent = "load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory";
    let jetson =
        format!("initialization error: {absent}; containers on Jetson systems need mode csv or a CDI specification");
    const WSL: &str = "mknod /dev/dxg c 10 127";
    let not_on_wsl = "WSL systems are not in this version yet; keep the original there, or watch the changelog for the \
                      version that brings them";
    let cases: &[(&[&str], &str, &str, &str)] = &[
        (&["nvml.absent=true"], ": >/etc/nv_tegra_release", "list", &jetson),
        (&["nvml.absent=true"], "", "list", &format!("initialization error: {absent}")),
        (&["nvml.absent=true"], WSL, "list", &format!("initialization error: {absent}; {not_on_wsl}")),
        (
            &[],
            &format!("mount -t tmpfs x /proc/driver; {WSL}"),
            "configure --pid=$$ $B/rootfs",
            &format!("initialization error: nvml error: driver not loaded; {not_on_wsl}"),
        ),
        (&["nvml.hang=true"], "", "info", "initialization error: driver rpc error: timed out"),
        (&["nvml.crash=true"], "", "info", "initialization error: driver rpc error: failed to process request"),
        (&["nvml.init-error=15"], "", "info", "initialization error: nvml error: gpu is lost"),
        (
            &["nvml.crash=true"],
            "",
            "configure --require='cuda>=12' --pid=$$ $B/rootfs",
            "initialization error: driver rpc error: failed to process request",
        ),
        (&[], "mount -t tmpfs x /proc/driver", "list", "initialization error: nvml error: driver not loaded"),
        (
            &[],
            "rm /dev/nvidiactl",
            "configure --pid=$$ $B/rootfs",
            "initialization error: nvml error: driver not loaded",
        ),
        (
            &[],
            "sed s/550.54.14/550.90.07/ /proc/driver/nvidia/version >v; mount --bind v /proc/driver/nvidia/version",
            "list",
            "initialization error: nvml error: rm has detected an nvml/rm version mismatch.",
        ),
        (
            &[],
            ": >e; mount --bind e /usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14",
            "list",
            "detection error: elf file read error: /usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14: failed to fill whole buffer",
        ),
        (&[], "unset PATH", "list", "detection error: environment variable PATH not found"),
        (
            &[],
            "",
            "configure --pid=99999999 $B/rootfs",
            "container error: open failed: /proc/99999999/root/: no such file or directory",
        ),
        (
            &[],
            "",
            "configure --pid=$$ $B/nowhere",
            "container error: open failed: /proc/PID/root/nowhere: no such file or directory",
        ),
        (
            &[],
            "",
            "configure --pid=$$ $B/config.json",
            "container error: open failed: /proc/PID/root/config.json: not a directory",
        ),
        (&[], "", "configure --pid=$$ --device=7 $B/rootfs", "device error: 7: unknown device"),
        (
            &[],
            "",
            "configure --pid=$$ --mig-config=0 $B/rootfs",
            "mig-config error: 0: only 'all' devices are currently supported",
        ),
        (
            &[],
            "",
            "configure --pid=$$ --imex-channel=3 $B/rootfs",
            "mount error: stat failed: /dev/nvidia-caps-imex-channels/channel3: no such file or directory",
        ),
        (
            &[],
            "",
            "configure --pid=$$ --imex-channel=1048576 $B/rootfs",
            "error parsing IMEX info: unsupported IMEX channel value: 1048576",
        ),
        (
            &[],
            "",
            "configure --pid=$$ --cuda-compat-mode=x $B/rootfs",
            "container error: invalid option: cuda-compat-mode=x",
        ),
        (&[], "", "configure --pid=x $B/rootfs", "input error: parse pid failed: invalid argument"),
        (&[], "", "configure --pid=$$ /", "input error: invalid rootfs directory"),
        (
            &[],
            "",
            "configure --pid=$$ --device=0 --require='cuda>=99 brand=x' $B/rootfs",
            "requirement error: unsatisfied condition: cuda>=99, please update your driver to a newer version, or use an earlier cuda container",
        ),
        (
            &[],
            "",
            "configure --pid=$$ -d 0 --require=driver\\<1 $B/rootfs",
            "requirement error: unsatisfied condition: driver<1",
        ),
        (&[], "", "configure --pid=$$ --require=cuda==12 $B/rootfs", "requirement error: invalid expression"),
        (
            &[],
            "",
            "configure --pid=$$ $(for n in $(seq 33); do echo --require=; done) $B/rootfs",
            "input error: too many requirements",
        ),
        (
            &[],
            "set -- setpriv --reuid=65534 --regid=65534 --clear-groups",
            "configure --pid=$$ $B/rootfs",
            "permission error: capability change failed: operation not permitted",
        ),
        (
            &[],
            "rm /dev/nvidia0; mknod /dev/nvidia0 c 1 3",
            "configure --no-cgroups --pid=$$ -d 0 $B/rootfs",
            "mount error: invalid device node: /dev/nvidia0",
        ),
    ];
    let before = stage.tree();
    for (machine, prepare, call, want) in cases {
        let script = format!(
            r#"CLI="${{SHIM%/*}}/nvidia-container-cli"; cd "$D"; {prepare}
            /bin/cat /proc/self/mountinfo >before; "$@" "$CLI" {call} >out 2>err; echo $?
            PATH=/usr/sbin:/usr/bin:/sbin:/bin
            cmp before /proc/self/mountinfo; sed "s,$B,,; s,/proc/$$/,/proc/PID/," err"#
        );
        let done = stage.on(machine, &script);
        let status = if want.contains("Jetson") { 255 } else { 1 };
        assert_prints(call, &done, &format!("{status}\nnvidia-container-cli: {want}\n"));
        assert_same(call, &before, &stage.tree());
    }
}
