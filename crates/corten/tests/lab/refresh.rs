//! `nvidia-ctk cdi refresh`: at any moment in the life of a machine, what it leaves is what the machine has.

use crate::stage::{Stage, assert_prints, stderr, stdout};
use std::process::Output;

/// `$REFRESH` writes `$D/cdi/nvidia.yaml`; `wait_for` waits until a command succeeds, and not for ever. What runs as
/// `$pid` when the script ends, ends too: it holds the script's output, which the test reads to its end.
pub const HELPERS: &str = r#"
    trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || :' EXIT
    SPEC=$D/cdi/nvidia.yaml
    REFRESH="$CTK cdi refresh --output=$SPEC --nvidia-cdi-hook-path=/usr/bin/hook"
    wait_for() {
        tries=0
        until eval "$1"; do
            tries=$((tries + 1))
            if [ $tries -gt 1200 ]; then
                echo "waited in vain for: $1" >&2
                cat "$D"/*.log "$SPEC" >&2
                exit 9
            fi
            sleep 0.05
        done
    }
"#;

fn on(machine: &str, script: &str) -> (Stage, Output) {
    let stage = Stage::new(&["bare"]);
    let done = stage.on_machine(machine, &format!("{HELPERS}{script}"));
    (stage, done)
}

#[test]
fn without_gpus_it_is_quiet_and_successful() {
    let (stage, done) = on("no-gpu", "$REFRESH; echo $?");
    assert_prints("no GPU", &done, "0\n");
    assert_eq!(stderr(&done), "");
    assert!(!stage.path("cdi").exists());
}

#[test]
fn a_file_that_is_right_is_left_alone() {
    let (stage, done) = on("mig", "$REFRESH 2>$D/first && stat -c %i $SPEC && $REFRESH && stat -c %i $SPEC");
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(stderr(&done), "", "the second says nothing");
    assert_eq!(stage.read("first").lines().count(), 1, "{}", stage.read("first"));
    assert!(stage.read("first").contains("cdi/nvidia.yaml: written"), "{}", stage.read("first"));
    let printed = stdout(&done);
    let inodes: Vec<_> = printed.lines().collect();
    assert_eq!(inodes[0], inodes[1]);
}

/// Whoever only wants to look is sent to `generate`, and a variable that is meant for that one changes nothing here.
#[test]
fn explaining_is_not_refreshing() {
    let script = r#"
        $REFRESH 2>/dev/null; cp $SPEC $D/good; mv /proc/driver/nvidia/gpus /proc/driver/aside
        for how in refresh watch; do
            timeout 20 $CTK cdi $how --output=$SPEC --explain >/dev/null 2>>$D/log; echo $?
        done
        cmp $SPEC $D/good || exit 8
        mv /proc/driver/aside /proc/driver/nvidia/gpus; rm $SPEC
        NVIDIA_CTK_CDI_GENERATE_EXPLAIN=true $REFRESH 2>/dev/null; cmp $SPEC $D/good
    "#;
    let (stage, done) = on("small", script);
    assert_prints("--explain", &done, "1\n1\n");
    assert_eq!(
        stage.read("log").matches("flag provided but not defined: -explain").count(),
        2,
        "{}",
        stage.read("log")
    );
}

/// The driver goes in three ways, and comes back.
#[test]
fn a_spec_that_promises_what_is_gone_is_removed() {
    let libraries = r"find /usr/lib -name 'libcuda.so*' -o -name 'libnvidia-ml.so*'";
    for (what, gone, back) in [
        (
            "the module is unloaded",
            "mkdir /proc/driver/aside; mv /proc/driver/nvidia/gpus /proc/driver/nvidia/version /proc/driver/aside",
            "mv /proc/driver/aside/* /proc/driver/nvidia",
        ),
        (
            "the libraries are removed",
            &format!("tar -cPf $D/saved.tar $({libraries}); rm $({libraries}); ldconfig"),
            "tar -xPf $D/saved.tar; ldconfig",
        ),
        (
            "all GPUs are in MIG mode, without a device",
            "\"$LAB/lab\" repartition --machine $MACHINES/mig.toml --set gpu.0.mig=[]",
            "\"$LAB/lab\" repartition --machine $MACHINES/mig.toml",
        ),
    ] {
        let script = format!(
            "$REFRESH 2>/dev/null; grep -v '^# ' $SPEC >$D/good; {gone}; $REFRESH 2>$D/removed || exit 7; [ ! -e $SPEC ] || exit 6
             $REFRESH 2>$D/again || exit 5; {back}; $REFRESH 2>/dev/null; grep -v '^# ' $SPEC | cmp - $D/good"
        );
        let (stage, done) = on("mig", &script);
        assert_prints(what, &done, "");
        let said = stage.read("removed");
        assert!(said.lines().count() == 1 && said.contains("cdi/nvidia.yaml: removed: "), "{what}: {said}");
        assert_eq!(stage.read("again"), "", "{what}");
    }
}

/// What a command line asks for may be wrong, or about something else: that says nothing about the file.
#[test]
fn a_spec_that_is_true_outlives_other_orders() {
    let script = r#"
        $REFRESH 2>/dev/null; cp $SPEC $D/good
        for order in --device-id=9 --mode=gds --driver-root=/run/nvidia/driver --device-name-strategy=x; do
            $REFRESH $order 2>>$D/log; echo "$order $?"; cmp $SPEC $D/good
        done
    "#;
    let (stage, done) = on("small", script);
    let want = "--device-id=9 1\n--mode=gds 0\n--driver-root=/run/nvidia/driver 0\n--device-name-strategy=x 1\n";
    assert_prints(&stage.read("log"), &done, want);
    assert_eq!(stage.read("log").lines().count(), 2, "{}", stage.read("log"));
}

/// The service runs before a driver container has made the folder, and after it has taken it away.
#[test]
fn a_driver_root_that_is_not_there_is_no_driver() {
    let script = r#"
        REFRESH="$REFRESH --driver-root=/run/nvidia/driver"
        mv /run/nvidia/driver /run/aside
        $REFRESH; echo $?; ls $D/cdi 2>/dev/null
        mv /run/aside /run/nvidia/driver
        $REFRESH 2>/dev/null; ls $D/cdi
        mv /run/nvidia/driver /run/aside
        $REFRESH 2>$D/log; echo $?; ls $D/cdi
    "#;
    let (stage, done) = on("other-root", script);
    assert_prints(&stage.read("log"), &done, "0\nnvidia.yaml\n0\n");
    assert_eq!(stderr(&done), "");
    let said = stage.read("log");
    assert!(said.lines().count() == 1 && said.contains("removed: cannot use /run/nvidia/driver"), "{said}");
}

/// Specs of a part promise the same devices once more.
#[test]
fn parts_go_with_the_whole() {
    let script = r#"
        REFRESH="$REFRESH --feature-flag=enable-coherent-annotations"
        $REFRESH 2>/dev/null; ls $D/cdi
        printf 'cdiVersion: 0.5.0\nkind: vendor.com/gpu\ndevices:\n- name: a\n' >$D/cdi/nvidia.coherent.yaml
        printf '  containerEdits: {env: [A=b]}\n' >>$D/cdi/nvidia.coherent.yaml
        mv /proc/driver/nvidia/gpus /proc/driver/aside
        $REFRESH 2>/dev/null; echo $?; ls $D/cdi
    "#;
    let (_, done) = on("small", script);
    assert_prints("parts", &done, "nvidia.noncoherent.yaml\nnvidia.yaml\n0\nnvidia.coherent.yaml\n");
}

/// The kernel announces a module while it is being loaded. A refresh that is started then sees GPUs that come later.
#[test]
fn modules_that_are_being_loaded_are_waited_for() {
    let script = r#"
        if [ ! -e /proc/modules ]; then echo "this kernel has no modules"; exit 0; fi
        sed 's/Live/Loading/' /proc/modules >$D/loading; mount --bind $D/loading /proc/modules
        mv /proc/driver/nvidia/gpus /proc/driver/aside
        NVIDIA_CTK_DEBUG=true $REFRESH 2>$D/refresh.log & pid=$!
        wait_for "grep -q 'nvidia.* is not ready; waiting' $D/refresh.log"
        mv /proc/driver/aside /proc/driver/nvidia/gpus
        umount /proc/modules
        wait $pid && grep -c 'path: /dev/nvidia[0-9]*$' $SPEC
    "#;
    let (_, done) = on("small", script);
    assert!(done.status.success(), "{}", stderr(&done));
    if stdout(&done).contains("no modules") {
        left_out::say("waiting for a module that is being loaded", "a kernel without modules; a unit test shows it");
    }
}

#[test]
fn missing_nodes_and_modules_are_no_obstacle() {
    let script = r#"
        $REFRESH 2>/dev/null; grep -A3 nvidia-modeset $SPEC >$D/with
        grep -v nvidia-uvm /proc/devices >$D/devices && mount --bind $D/devices /proc/devices
        rm -rf /dev/nvidia*
        printf '#!/bin/sh\necho "$*" >>%s/called\numount /proc/devices\n' $D >/usr/bin/nvidia-modprobe
        chmod 755 /usr/bin/nvidia-modprobe
        $REFRESH 2>$D/log || exit 8
        for name in nvidia0 nvidiactl nvidia-modeset nvidia-uvm; do grep -c "path: /dev/$name\$" $SPEC; done
        grep -A2 'path: /dev/nvidia-modeset' $SPEC | grep -c 'type: c'
    "#;
    let (stage, done) = on("small", script);
    assert!(done.status.success(), "{}{}", stderr(&done), stage.read("log"));
    assert_eq!(stage.read("called"), "-u -c=0\n");
    assert!(stdout(&done).lines().all(|line| line != "0"), "{}", stdout(&done));
}

/// A third MIG device, as settings of `lab repartition` and `lab describe`.
pub fn added(uuid: &str) -> String {
    let mig = [
        "index=0,uuid=\"MIG-b3f1ad9e-9a3a-5c7c-8b5e-6f2c5b8f0a11\",gpu-instance=1,profile=\"3g.20gb\"",
        "index=1,uuid=\"MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22\",gpu-instance=7,profile=\"1g.5gb\"",
        &format!("index=2,uuid=\"{uuid}\",gpu-instance=9,profile=\"1g.5gb\""),
    ];
    format!("--set 'gpu.0.mig=[{}]'", mig.map(|mig| format!("{{{mig},compute-instance=0}}")).join(","))
}

const ADDED: &str = "MIG-22222222-2d0f-5a0c-9c55-0d5f7f3b7e22";

/// The service is started when the first node of a new device is there, and NVML is not always that fast.
#[test]
fn nvml_is_waited_for() {
    let added = added(ADDED);
    let script = format!(
        r#"
        "$LAB/lab" repartition --machine $MACHINES/mig.toml {added}
        "$LAB/lab" describe --machine $MACHINES/mig.toml >/proc/driver/corten-lab.json
        NVIDIA_CTK_DEBUG=true $REFRESH 2>$D/refresh.log & pid=$!
        wait_for "grep -qs 'kernel lists; trying again' $D/refresh.log"
        grep -c {ADDED} $SPEC
        "$LAB/lab" describe --machine $MACHINES/mig.toml {added} >/proc/driver/corten-lab.json
        wait $pid; echo $?; pid=
        grep -c 'name: {ADDED}' $SPEC
    "#
    );
    let (stage, done) = on("mig", &script);
    assert_prints(&stage.read("refresh.log"), &done, "0\n0\n1\n");
}

/// But not for ever, and each thing that is wrong is said once.
#[test]
fn nvml_that_never_reports_a_device_does_not_spoil_the_rest() {
    let script = r#"
        "$LAB/lab" describe --machine $MACHINES/mig.toml --set gpu.0.mig.1.gpu-instance=9 >/proc/driver/corten-lab.json
        $REFRESH; echo $?; grep -c 'name: MIG-b3f1ad9e' $SPEC
    "#;
    let (_, done) = on("mig", script);
    assert_prints("NVML lists another device", &done, "0\n1\n");
    let said = stderr(&done);
    for what in ["instance 7, compute instance 0 of GPU 0 is left", "no names by index", "written", "refresh it again"]
    {
        assert_eq!(said.matches(what).count(), 1, "{what}: {said}");
    }
}

/// systemd does not hear of a change that comes while the service is at work. Here one comes after NVML was asked.
#[test]
fn what_changes_meanwhile_is_not_missed() {
    let added = added(ADDED);
    let script = format!(
        r#"
        mkdir -m 777 $D/open; mkdir $D/bin
        cp "$(dirname "$CTK")/corten" $D/bin/nvidia-ctk
        # The program that asks NVML is the one that lies beside ours.
        real=$(dirname "$(readlink -f "$(dirname "$CTK")/corten")")/corten-nvml
        printf '#!/bin/sh
answer=$("%s" "$@") || exit 1
touch %s/open/asked
' "$real" $D >$D/bin/corten-nvml
        printf 'while [ ! -e %s/open/go ]; do sleep 0.02; done
echo "$answer"
' $D >>$D/bin/corten-nvml
        chmod 755 $D/bin/*
        $D/bin/nvidia-ctk cdi refresh --output=$SPEC 2>$D/refresh.log & pid=$!
        wait_for "[ -e $D/open/asked ]"
        "$LAB/lab" repartition --machine $MACHINES/mig.toml {added}
        touch $D/open/go
        wait $pid; echo $?; pid=
        grep -c 'name: {ADDED}' $SPEC
    "#
    );
    let (stage, done) = on("mig", &script);
    assert_prints(&stage.read("refresh.log"), &done, "0\n1\n");
}

/// NVML does not report for a moment what the kernel lists. Nothing that can be told of such a moment is better than
/// the file.
#[test]
fn a_good_file_outlives_an_nvml_that_reports_nothing() {
    let script = r#"
        state() { "$LAB/lab" describe --machine $MACHINES/mig.toml "$@" >/proc/driver/corten-lab.json; }
        $REFRESH 2>/dev/null; cp $SPEC $D/good
        state --set gpu.0.mig=[]; rm -rf /run/corten
        $REFRESH; echo $?; cmp $SPEC $D/good
        NVIDIA_CTK_DEBUG=true $REFRESH 2>$D/refresh.log & pid=$!
        wait_for "grep -qs 'no device is left.*trying again' $D/refresh.log"
        state
        wait $pid; echo $?; pid=; cmp $SPEC $D/good
    "#;
    let (stage, done) = on("mig", script);
    assert_prints(&stage.read("refresh.log"), &done, "1\n0\n");
    assert!(stderr(&done).lines().count() == 1 && stderr(&done).ends_with("[CORTEN-E047]\"\n"), "{}", stderr(&done));
}

/// Whatever is wrong with NVML may pass; until then the last file stays, and the failure is told.
#[test]
fn a_good_file_outlives_a_failure() {
    let script = r#"
        $REFRESH 2>/dev/null; cp $SPEC $D/good
        "$LAB/lab" describe --machine $MACHINES/mig.toml --set nvml.init-error=999 >/proc/driver/corten-lab.json
        rm -rf /run/corten; $REFRESH; echo $?; cmp $SPEC $D/good
    "#;
    let (_, done) = on("mig", script);
    assert_prints("NVML fails", &done, "1\n");
    assert!(stderr(&done).lines().count() == 1 && stderr(&done).ends_with("[CORTEN-E045]\"\n"), "{}", stderr(&done));
}
