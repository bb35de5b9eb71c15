//! Writing a spec is killed at every system call, and every system call of it fails, and the disk is full: the old file
//! stays whole, or the new one is; no scanner of specs ever finds a third.

use crate::stage::{Stage, stderr, stdout};

/// The ways to write a spec, each with words that make it write `$1`.
const COMMANDS: [&str; 2] = [
    r#""$BIN/nvidia-ctk" --quiet cdi generate --nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook --output="$1""#,
    r#""$BIN/nvidia-ctk" --quiet cdi transform root --from=/ --to=/host --input="$D/in.yaml" --output="$1""#,
];

/// What all scripts begin with: `write FILE` runs the command, behind the words in `$under`. `$points` are the system calls
/// from the first that changes something on, each as its name and how many of its name there were up to it.
const PRELUDE: &str = r#"
set -u
BIN=$(dirname "$SHIM"); export BIN
# The driver's files are remembered once they are some seconds old, which saves half of the system calls; a count from before
# would be wrong after that. Nothing is remembered where there is no folder.
rm -rf /run/corten; : >/run/corten
mkdir "$D/out"; cd "$D/out"
write() { $under sh -c "exec $COMMAND" sh "$1"; }
under=
"$BIN/nvidia-ctk" --quiet cdi generate --nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook --output="$D/in.yaml" || exit 1
write new.yaml || exit 1
sed 's/^cdiVersion.*/&\n# old/' new.yaml >"$D/old"; mv new.yaml "$D/new"
cp "$D/old" traced.yaml; under="strace -qq -o $D/trace"; write traced.yaml || exit 1
points=$(awk -F'(' '/^[a-z]/ { seen[$1]++; if (/\.corten-/) on = 1; if (on) print $1 ":" seen[$1] }' "$D/trace")
reset() { rm -rf "$D/out"; mkdir "$D/out"; cd "$D/out"; cp "$D/old" spec.yaml; }
# Says what is there, or that it is nothing that should be.
state() {
    set -- *.yaml *.json
    if [ "$*" != "spec.yaml *.json" ]; then echo "litter: $*"
    elif cmp -s spec.yaml "$D/old"; then echo old
    elif cmp -s spec.yaml "$D/new"; then echo new
    else echo torn; fi
}
"#;

/// Runs a script for a command; what it prints, one word a line.
fn run(command: &str, script: &str) -> Vec<String> {
    let stage = Stage::new(&["debian"]);
    let output = stage.command(&[], &format!("{PRELUDE}{script}")).env("COMMAND", command).output().unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn killed_at_every_system_call() {
    for command in COMMANDS {
        let found = run(
            command,
            r#"for point in $points; do
                reset; under="strace -qq -o /dev/null -e inject=${point%:*}:signal=KILL:when=${point#*:}"
                write spec.yaml 2>/dev/null && echo "$point was not killed"
                state
            done"#,
        );
        let count = |what: &str| found.iter().filter(|state| *state == what).count();
        assert_eq!(count("old") + count("new"), found.len(), "{command}: {found:?}");
        // Making the file, filling it, its mode, writing it through, and renaming it come before; the folder's turn after.
        assert!(count("old") >= 5 && count("new") >= 1, "{command}: {found:?}");
    }
}

#[test]
fn every_failing_system_call_leaves_the_old_file() {
    for command in COMMANDS {
        for error in ["ENOSPC", "EIO", "EDQUOT"] {
            let script = r#"for call in openat write fchmod fsync rename; do
                reset; before=$(grep -n '\.corten-' "$D/trace" | head -n 1 | cut -d: -f1)
                nth=$(head -n "$before" "$D/trace" | grep -c "^$call(")
                [ "$call" = openat ] || nth=$((nth + 1))
                under="strace -qq -o /dev/null -e inject=$call:error=ERROR:when=$nth"
                write spec.yaml 2>"$D/said"; echo "$? $(state) $(wc -l <"$D/said") $(grep -c CORTEN-E071 "$D/said") $(ls -A | wc -l)"
            done"#;
            // Status 1, the old file, one line with the code, and nothing beside the file, not even under a spare name.
            let found = run(command, &script.replace("ERROR", error));
            assert_eq!(found, ["1 old 1 1 1"; 5], "{command}: {error}");
        }
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    for command in COMMANDS {
        let script = r#"size=$(wc -c <"$D/new"); small=$(head -c 3000 "$D/old" | wc -c)
            for pages in $(seq 1 $((size / 4096 + 6))); do
                cd /; mkdir -p "$D/full"; mount -t tmpfs -o size=$((pages * 4096)) tmpfs "$D/full" || exit 1
                cd "$D/full"; head -c 3000 "$D/old" >spec.yaml; head -c 3000 "$D/old" >"$D/small"; under=
                if write spec.yaml 2>"$D/said"; then cmp -s spec.yaml "$D/new" && echo new || echo torn
                elif cmp -s spec.yaml "$D/small" && grep -q CORTEN-E071 "$D/said" && [ "$(ls -A)" = spec.yaml ]; then echo old
                else echo torn; ls -A; cat "$D/said"; fi
                cd /; umount "$D/full"
            done"#;
        let found = run(command, script);
        let full = found.iter().take_while(|state| *state == "old").count();
        assert!(
            full >= 1 && full < found.len() && found[full..].iter().all(|state| state == "new"),
            "{command}: {found:?}"
        );
    }
}
