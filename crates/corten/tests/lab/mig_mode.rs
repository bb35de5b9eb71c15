//! MIG mode, which only NVML tells where there is no MIG device; GPUs that nobody has used since boot, of which only it tells more
//! than where they are; and devices that change while it is asked.

use crate::stage::{CREATE, Stage, assert_prints};

/// `switch on` and `switch off`: the mode of the first GPU of `two-gpus`, which has no MIG device before or after. `names`: of the
/// devices of a spec. `start NAME`: of the container's GPUs, which asks for it.
const WORDS: &str = r#"
    switch() { "$LAB/lab" repartition --machine $MACHINES/two-gpus.toml --set gpu.0.mig-enabled=$1; }
    names() { grep -o '^    - name: .*' | cut -d: -f2- | tr -d '\n"'; echo; }
    generate() { "$CTK" --quiet cdi generate --device-name-strategy=index "$@"; }
    cp "$B/config.json" first
    start() {
        sed "s,NVIDIA_VISIBLE_DEVICES=0,NVIDIA_VISIBLE_DEVICES=$1," first >"$B/config.json"
        if "$SHIM" --log "$D/log" create --bundle "$B" "$ID" 2>said
        then tr , '\n' <"$B/config.json" | grep -o '"/dev/nvidia[0-9]"' | tr -d '\n'; echo
        else grep -o 'CORTEN-E...' said; fi
    }
    SPEC=/etc/cdi/nvidia.yaml
"#;

fn on_two_gpus(config: &str, script: &str) -> std::process::Output {
    let stage = Stage::without_runtime(&["bare"]);
    stage.configure("/bin/true", config);
    stage.command_on("two-gpus", &[], &format!("{WORDS}{script}")).output().unwrap()
}

/// What was said while the mode was on is not believed after it is off.
#[test]
fn a_gpu_without_mig_mode_is_whole_again() {
    let script = "switch true; generate | names; start all; switch false; start all; generate | names";
    let want = " 1 all\n\"/dev/nvidia1\"\n\"/dev/nvidia0\"\"/dev/nvidia1\"\n 0 1 all\n";
    assert_prints("off again", &on_two_gpus("", script), want);
}

/// Whoever makes a spec asks again, and what is said then is known to those that start afterwards. The device that was described
/// is not there any more, so the file that has it is no better one.
#[test]
fn a_gpu_in_mig_mode_is_not_described_whole() {
    let script = r#"generate --output=$SPEC; names <$SPEC; start all; switch true; generate --output=$SPEC; names <$SPEC; start all
        "$CTK" cdi refresh --output=$SPEC; names <$SPEC"#;
    let want = " 0 1 all\n\"/dev/nvidia0\"\"/dev/nvidia1\"\n 1 all\n\"/dev/nvidia1\"\n 1 GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c all\n";
    assert_prints("on", &on_two_gpus("", script), want);
}

/// The mode is part of what a spec is held to.
#[test]
fn a_spec_of_a_whole_gpu_is_out_of_date_in_mig_mode() {
    let script = r#"generate --output=$SPEC; start all; switch true; generate >/dev/null; start all; start 0
        switch false; start all; switch true; rm /run/corten/nvml.json; start all
        echo garbage >/proc/driver/corten-lab.json; rm /run/corten/nvml.json; start all; grep -c 'so it is not known' log"#;
    let (both, other) = ("\"/dev/nvidia0\"\"/dev/nvidia1\"\n", "\"/dev/nvidia1\"\n");
    let want = format!("{both}{other}CORTEN-E037\n{both}{other}{both}1\n");
    assert_prints("on", &on_two_gpus("mode = 'cdi'", script), &want);
}

/// What the kernel says of a GPU before its first use after boot; where GPUs can be partitioned, that shows as late.
const UNUSED: &str = r#"sed -i 's/GPU-[0-9a-f-]*/GPU-????????-????-????-????-????????????/' /proc/driver/nvidia/gpus/*/information
    unseen() { rm -r /proc/driver/nvidia/capabilities/gpu*; }
"#;

#[test]
fn gpus_that_nobody_has_used_have_all_their_names() {
    const GPUS: [&str; 2] = ["GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c", "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c"];
    let [first, second] = GPUS;
    let script = format!(
        r#"{UNUSED}
        for round in 1 2; do
            "$CTK" --quiet cdi generate | names; "$CTK" cdi refresh --output=$SPEC; names <$SPEC; rm $SPEC
            start all; start {second}; start GPU-4cf8db2d; start 1; unseen 2>/dev/null || true
        done"#
    );
    let names = format!(" 0 1 {second} {first} all\n").repeat(2);
    let starts = "\"/dev/nvidia0\"\"/dev/nvidia1\"\n\"/dev/nvidia1\"\n\"/dev/nvidia0\"\n\"/dev/nvidia1\"\n";
    assert_prints("unused", &on_two_gpus("", &script), &format!("{names}{starts}").repeat(2));
}

/// One that is in MIG mode since before the boot is not handed out whole, though the kernel does not even show that it could be.
#[test]
fn an_unused_gpu_may_be_in_mig_mode() {
    let script = format!("{UNUSED} switch true; unseen; start all; generate | names");
    assert_prints("unused", &on_two_gpus("", &script), "\"/dev/nvidia1\"\n 1 all\n");
}

/// While it waits for NVML's answer, the device that the answer is about is made anew with the same ids.
#[test]
fn a_spec_of_a_device_that_was_just_made_anew_is_not_current() {
    const OLD: &str = "MIG-0f6b3a52-2d0f-5a0c-9c55-0d5f7f3b7e22";
    const NEW: &str = "MIG-11111111-2d0f-5a0c-9c55-0d5f7f3b7e22";
    let stage = Stage::without_runtime(&["bare"]);
    stage.configure("/bin/true", "mode = 'cdi'");
    stage.ask(&[&format!("NVIDIA_VISIBLE_DEVICES={NEW}")]);
    // The helper runs as nobody, and knows its folder by its own name alone.
    stage.write(
        "late",
        "#!/bin/sh\nhere=${0%/*}\nanswer=$(\"$here/asks\" \"$@\") || exit\n: >\"$here/answered/now\"\n\
         until [ -e \"$here/go\" ]; do sleep 0.01; done\nprintf %s \"$answer\"\n",
    );
    let script = format!(
        r#"mkdir -p /etc/cdi; cp -a "${{CTK%/*}}" slow && chmod 755 slow && mv slow/corten-nvml slow/asks && mkdir -m 777 slow/answered &&
        install -m 755 late slow/corten-nvml || exit 1
        slow/nvidia-ctk --quiet cdi generate --output=/etc/cdi/nvidia.yaml & until [ -e slow/answered/now ]; do sleep 0.01; done
        "$LAB/lab" repartition --machine $MACHINES/mig.toml --set gpu.0.mig.1.uuid={NEW}; : >slow/go; wait
        grep -c {OLD} /etc/cdi/nvidia.yaml; {CREATE} && echo started"#
    );
    assert_prints("made anew", &stage.on_machine("mig", &script), "1\nstarted\n");
}
