//! `nvidia-ctk cdi watch`: the specification follows the machine.

use crate::refresh::{HELPERS, added as third};
use crate::stage::{Stage, assert_prints, stderr, stdout};

const FIRST: &str = "MIG-b3f1ad9e-9a3a-5c7c-8b5e-6f2c5b8f0a11";
const ADDED: &str = "MIG-22222222-2d0f-5a0c-9c55-0d5f7f3b7e22";

/// A third MIG device, as settings of `lab repartition`.
fn added() -> String {
    let third = format!("{{index=2,uuid=\"{ADDED}\",gpu-instance=9,compute-instance=0,profile=\"1g.5gb\"}}");
    let first = format!("{{index=0,uuid=\"{FIRST}\",gpu-instance=1,compute-instance=0,profile=\"3g.20gb\"}}");
    format!("--set 'gpu.0.mig=[{first},{third}]'")
}

/// `watch WORDS` starts it in the background as `$pid`; `made` says how often it has made a specification.
const START: &str = r#"
    watch() {
        "$CTK" --debug cdi watch --output=$SPEC --nvidia-cdi-hook-path=/usr/bin/hook "$@" 2>$D/watch.log & pid=$!
        wait_for "[ -s $SPEC ]"
    }
    made() { grep -c 'Generated CDI spec' $D/watch.log; }
    repartition() { "$LAB/lab" repartition --machine $MACHINES/mig.toml "$@"; }
    finish() { kill -$1 $pid; wait $pid; echo "ended with $?"; pid=; }
"#;

fn on(script: &str) -> (Stage, std::process::Output) {
    let stage = Stage::new(&["bare"]);
    let done = stage.on_machine("mig", &format!("{HELPERS}{START}{script}"));
    (stage, done)
}

/// No look but those that events ask for: a device that is made brings nodes.
#[test]
fn events_are_enough_for_new_devices_and_drivers() {
    let added = added();
    let script = format!(
        r#"
        watch --interval 3600 --settle 0.2
        grep -q {FIRST} $SPEC || exit 8
        repartition {added}
        wait_for "grep -q {ADDED} $SPEC"
        # A new driver takes the old one's place, and ldconfig comes last.
        find /usr/lib /usr/bin /usr/share -name '*550.54.14*' -delete
        "$LAB/lab" tree --machine $MACHINES/mig.toml --set driver.version=560.35.03 --to /
        sed -i s/550.54.14/560.35.03/ /proc/driver/nvidia/version
        ldconfig
        wait_for "grep -q libcuda.so.560.35.03 $SPEC && ! grep -q 550.54.14 $SPEC"
        # And goes.
        find /usr/lib -name 'libcuda.so*' -delete; find /usr/lib -name 'libnvidia-ml.so*' -delete; ldconfig
        # Which look removes the file is chance: one library of the two may be gone before the other. The last says why.
        wait_for "grep -q 'no NVIDIA driver was found under / (The kernel module 560' $D/watch.log"
        [ ! -e $SPEC ] && echo gone
        finish TERM
    "#
    );
    let (stage, done) = on(&script);
    assert_prints(&stage.read("watch.log"), &done, "gone\nended with 0\n");
}

/// Of a device that is removed, or made anew under its old ids, nobody tells: the regular looks find it.
#[test]
fn looks_find_what_no_event_tells() {
    let script = format!(
        r#"
        watch --interval 0.2
        repartition --set 'gpu.0.mig.1.uuid={ADDED}'
        wait_for "grep -q {ADDED} $SPEC"
        repartition --set gpu.0.mig=[]
        wait_for "[ ! -e $SPEC ]"
        repartition
        wait_for "grep -q {FIRST} $SPEC"
        finish INT
    "#
    );
    let (stage, done) = on(&script);
    assert_prints(&stage.read("watch.log"), &done, "ended with 0\n");
}

#[test]
fn a_burst_of_changes_is_one_regeneration() {
    let added = added();
    let script = format!(
        r#"
        watch --interval 3600 --settle 3 --at-most 60
        wait_for "[ $(made) -gt 0 ]"; before=$(made)
        for i in 1 2 3 4 5; do repartition {added}; rm -f /dev/nvidia-caps/*; repartition; rm -f /dev/nvidia-caps/*; done
        repartition {added}
        wait_for "grep -q {ADDED} $SPEC"
        echo $(($(made) - before))
        finish TERM
    "#
    );
    let (stage, done) = on(&script);
    assert_prints(&stage.read("watch.log"), &done, "1\nended with 0\n");
}

/// NVML stops answering: one line, and the file stays. It answers again: the file follows.
#[test]
fn failures_are_told_once_and_survived() {
    let added = added();
    let script = format!(
        r#"
        watch --interval 0.1
        cp $SPEC $D/good
        "$LAB/lab" describe --machine $MACHINES/mig.toml --set nvml.init-error=999 >/proc/driver/corten-lab.json
        repartition {added}
        wait_for "grep -q 'still so: ' $D/watch.log"
        cmp $SPEC $D/good || exit 8
        "$LAB/lab" describe --machine $MACHINES/mig.toml {added} >/proc/driver/corten-lab.json
        wait_for "grep -q {ADDED} $SPEC"
        grep -c 'level=error.*E045' $D/watch.log
        finish TERM
    "#
    );
    let (stage, done) = on(&script);
    assert_prints(&stage.read("watch.log"), &done, "1\nended with 0\n");
}

/// The kernel speaks of the driver: the machine is looked at. A message about a device that exists anyway is asked for
/// under a name of the driver's (kernel documentation, ABI/testing/sysfs-uevent).
#[test]
fn the_kernels_events_are_heard() {
    let script = r#"
        watch --interval 3600 --settle 0.1
        uevent=/sys/devices/virtual/mem/null/uevent
        if ! echo "change 00000000-0000-0000-0000-000000000000 A=nvidia" 2>/dev/null >$uevent; then
            echo "this kernel sends no events for us"; exit 0
        fi
        wait_for "grep -q 'looked: nothing has changed' $D/watch.log"
        finish TERM
    "#;
    let (stage, done) = on(script);
    let printed = stdout(&done);
    assert!(done.status.success(), "{printed}{}{}", stderr(&done), stage.read("watch.log"));
    if printed.starts_with("this kernel") {
        left_out::say("looking again on an event of the kernel", "sysfs cannot be written here");
    } else {
        assert_eq!(printed, "ended with 0\n");
    }
}

/// The kernel shows a device that NVML does not report yet. That it does later, nobody tells, and it shows nowhere.
#[test]
fn nvml_is_waited_for() {
    let added = third(ADDED);
    let script = format!(
        r#"
        state() {{ "$LAB/lab" describe --machine $MACHINES/mig.toml "$@" >/proc/driver/corten-lab.json; }}
        watch --interval 3600 --settle 0.1
        kill -STOP $pid; repartition {added}; state; kill -CONT $pid
        wait_for "[ \$(grep -c 'kernel lists; trying again' $D/watch.log) -ge 3 ]"
        grep -c {ADDED} $SPEC
        state {added}
        wait_for "grep -q 'name: {ADDED}' $SPEC"
        finish TERM
    "#
    );
    let (stage, done) = on(&script);
    assert_prints(&stage.read("watch.log"), &done, "0\nended with 0\n");
}

#[test]
fn a_file_that_somebody_removes_comes_back() {
    let script = r#"
        watch --interval 0.2
        cp $SPEC $D/good; rm $SPEC
        wait_for "cmp -s $SPEC $D/good"
        echo other >$SPEC
        wait_for "cmp -s $SPEC $D/good"
        wait_for "tail -n 1 $D/watch.log | grep -q 'looked: nothing has changed'"
        finish TERM
    "#;
    let (stage, done) = on(script);
    assert_prints(&stage.read("watch.log"), &done, "ended with 0\n");
}

/// It sleeps between events, and it is small. A loop that never waits would make its calls by the ten thousand.
#[test]
fn it_costs_next_to_nothing() {
    let added = added();
    let script = format!(
        r#"
        # With -D the process that we start is the one that is watched.
        strace -D -e trace=poll,ppoll -o $D/calls "$CTK" cdi watch --interval 3600 --settle 0.2 --output=$SPEC \
            --nvidia-cdi-hook-path=/usr/bin/hook 2>$D/watch.log & pid=$!
        wait_for "[ -s $SPEC ]"
        repartition {added}
        wait_for "grep -q {ADDED} $SPEC"
        grep VmHWM /proc/$pid/status
        finish TERM
        wait_for "grep -q exited $D/calls"
        wc -l <$D/calls
    "#
    );
    let (stage, done) = on(&script);
    let printed = stdout(&done);
    assert!(done.status.success(), "{printed}{}{}", stderr(&done), stage.read("watch.log"));
    let numbers: Vec<u64> =
        printed.lines().map(|line| line.split_whitespace().find_map(|word| word.parse().ok()).expect(line)).collect();
    let [most_memory_kb, status, polls] = numbers[..] else { panic!("{printed}") };
    assert_eq!(status, 0);
    assert!(polls < 500, "{polls} calls of poll");
    assert!(most_memory_kb < 16 << 10, "{most_memory_kb} kB");
}
