//! How a process of a container comes to be there before an operation begins that works on it from outside.

use crate::{
    attack::Attack,
    operation::{Operation, Stage},
};

/// Shell lines that make places which are to be shared with a container into mounts that can be. `$VOLUMES` is what
/// [`volumes`] says.
pub const SHARE: &str = r#"
echo "$VOLUMES" | while read -r from at how; do
    [ "$how" = shared ] || continue
    mount --bind "$D/$from" "$D/$from" && mount --make-shared "$D/$from" || exit 99
done || exit 99
"#;

/// What the container sees before the operation: its volumes, unless there is no container yet, and its `/proc`, unless `$M`
/// ends so that it has another one.
const SHOW: &str = r#"
echo "$VOLUMES" | while read -r from at how; do
    case $M/$at in before/*|*/) continue;; esac
    mount --bind "$D/$from" "$R/$at" || exit 99
    [ "$how" != ro ] || mount -o remount,bind,ro "$R/$at" || exit 99
done || exit 99
case $M in *-with-proc)
    if [ -d "$R/proc" ] && [ ! -L "$R/proc" ]; then mount --rbind /proc "$R/proc" || exit 99; fi;;
esac
cat /proc/self/mountinfo >"$D/mounts.before"
"#;

/// Shell lines before the operation, which is `"$@"`. First the copies of other trials' mounts go: they would go by themselves
/// when their places are removed, and their numbers and their devices' would be given to new mounts.
/// `$V` is the folder in procfs of somebody who sees what the container sees. Beside the operation that is a process in a mount
/// namespace of its own; its number gets into the arguments and the state, and it ends with the PID namespace that this runs in.
pub const BEGIN: &str = r#"
others='$5 ~ "/corten-hostile-" && index($5, own "/") != 1 { print $5 }'
awk -v own="$D" "$others" /proc/self/mountinfo | xargs -r -d '\n' -n 1 umount --lazy 2>/dev/null
eval "$SHARE"
V=/proc/self
case $M in
beside*)
    cat /proc/self/mountinfo >"$D/host.before"
    P=$(unshare --mount --propagation unchanged /bin/sh -c "$SHOW"'
        read -r P rest </proc/self/stat; echo "$P"; exec sleep 600 </dev/null >/dev/null 2>&1' &)
    [ -n "$P" ] || exit 98
    V=/proc/$P
    sed -i "s/\"pid\":0/\"pid\":$P/" "$D/state"
    for word; do
        shift
        [ "$word" != '--pid=$P' ] || word=--pid=$P
        set -- "$@" "$word"
    done;;
*)
    eval "$SHOW";;
esac
"#;

/// Shell lines after it: what is mounted now, and what that is (device, inode, place).
pub const END: &str = r#"
cat "$V/mountinfo" >"$D/mounts.after"
case $M in beside*) cat /proc/self/mountinfo >"$D/host.after";; esac
cut -d ' ' -f 5 "$D/mounts.after" | grep -F "$R/" | sed "s|^|$V/root|" | xargs -r -d '\n' stat -c '%d %i %n' >"$D/mounted"
"#;

/// The variables that the lines above need, but for `$VOLUMES`. Without `with_proc` nothing is mounted on the image's `/proc`.
pub fn variables(operation: &Operation, with_proc: bool) -> [(&'static str, &'static str); 3] {
    let stage = match (operation.stage, with_proc) {
        (Stage::Before, _) => "before",
        (Stage::Hook, true) => "hook-with-proc",
        (Stage::Hook, false) => "hook",
        (Stage::Beside, true) => "beside-with-proc",
        (Stage::Beside, false) => "beside",
    };
    [("M", stage), ("SHARE", SHARE), ("SHOW", SHOW)]
}

/// A line for each volume: what, where, how.
pub fn volumes(attack: &Attack) -> String {
    attack.volumes.iter().map(|volume| format!("{} {} {}\n", volume.from, volume.at, volume.how.word())).collect()
}

/// The program that runs a script where what it mounts and starts is gone with it.
pub const ALONE: [&str; 8] =
    ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "/bin/sh"];
