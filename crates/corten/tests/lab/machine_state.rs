//! What is kept about the machine under /run/corten, and what happens when it cannot be believed.

use crate::stage::{GPU_0, RUN, Stage, assert_prints};

#[test]
fn a_cache_that_cannot_be_believed_is_not_used() {
    for (name, damage) in [
        ("garbage", "echo garbage >\"$f\""),
        ("empty", ": >\"$f\""),
        ("somebody else's", "chown 1000 \"$f\""),
        ("writable for all", "chmod 666 \"$f\""),
        ("a FIFO", "rm \"$f\"; mkfifo \"$f\""),
        ("a link", "mv \"$f\" \"$D/moved\"; echo garbage >\"$D/moved\"; ln -s \"$D/moved\" \"$f\""),
        ("without end", "truncate -s 10G \"$f\""),
        ("in a folder that all can write", "echo garbage >\"$f\"; chmod 777 /run/corten"),
    ] {
        let stage = Stage::new(&["debian"]);
        // A requirement, so that NVML's answer is kept too.
        stage.ask(&["NVIDIA_REQUIRE_CUDA=cuda>=12"]);
        let damaged =
            format!("ls /run/corten/*.json >/dev/null || exit 7; for f in /run/corten/*.json; do {damage}; done");
        let done = stage.on(
            &[],
            &format!("cp $B/config.json $D/first; {RUN} || exit 6; cp $D/first $B/config.json; {damaged}; {RUN}"),
        );
        assert_prints(name, &done, &format!("{GPU_0}{GPU_0}"));
    }
}
