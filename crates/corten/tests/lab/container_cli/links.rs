//! The links that `configure` makes beside libraries: what it leaves as it is, and where it can make none.

use super::CONTAINER;
use crate::stage::{Stage, assert_prints};

/// Shows what these names say in the folder for libraries.
const SHOW: &str = r#"
    links() { (cd "$R/usr/lib/x86_64-linux-gnu" && for name in "$@"; do echo "$name $(readlink $name)"; done); }
"#;

/// A volume over `/etc` that cannot be written holds the loader's files and none of the links.
#[test]
fn an_etc_that_cannot_be_written_keeps_no_link_back() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} {SHOW} container "$B/rootfs"
        nsenter -t $PID -m sh -c 'mount --bind "$1/etc" "$1/etc" && mount -o remount,bind,ro "$1/etc"' sh "$R"
        configure -cvu -d 0 || exit 1; links libcuda.so libnvidia-opticalflow.so
        nsenter -t $PID -m sh -c 'ldconfig -p -C "$1/etc/ld.so.cache" | grep -c "libcuda.so \|libnvidia-opticalflow.so "' sh "$R"
        kill $PID"#
    );
    let want = "libcuda.so libcuda.so.1\nlibnvidia-opticalflow.so libnvidia-opticalflow.so.1\n2\n";
    assert_prints("etc", &stage.on_machine("two-gpus", &script), want);
}

/// Where the folder for libraries has no place for a link, the log names it.
#[test]
fn what_cannot_be_made_is_in_the_log() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} container "$B/rootfs"; configure -cu -d 0 || exit 1; kill $PID
        rm "$B/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so"; container "$B/rootfs"
        nsenter -t $PID -m mount -o remount,bind,ro "$R"
        NVC_DEBUG_FILE="$D/debug" configure -cu -d 0 || exit 1; kill $PID
        sed -n 's/.*] \(.* cannot be made\).*/\1/p' "$D/debug""#
    );
    let want = "/usr/lib/x86_64-linux-gnu/libcuda.so -> libcuda.so.1 cannot be made\n";
    assert_prints("read-only", &stage.on_machine("two-gpus", &script), want);
}

/// A name that the image has itself is the image's business, wherever it leads. One that an earlier version of the driver
/// left is nobody's.
#[test]
fn links_of_the_image_stay() {
    let stage = Stage::new(&["debian"]);
    let script = format!(
        r#"{CONTAINER} {SHOW} R=$B/rootfs; L=$R/usr/lib/x86_64-linux-gnu; mkdir -p "$L"
        ln -s /opt/my/libcuda.so "$L/libcuda.so"; ln -s libcuda.so.535.54.03 "$L/libcuda.so.1"
        ln -s libGLX_nvidia.so.535.54.03 "$L/libGLX_indirect.so.0"; : >"$L/libnvidia-opticalflow.so"
        container "$R"; configure -cgvu -d 0 || exit 1
        links libcuda.so libcuda.so.1 libGLX_indirect.so.0 libnvidia-opticalflow.so; kill $PID
        rm "$L/libGLX_indirect.so.0"; ln -s libGLX_mesa.so.0 "$L/libGLX_indirect.so.0"
        container "$R"; configure -g -d 0 || exit 1; links libGLX_indirect.so.0; kill $PID"#
    );
    let want = "libcuda.so /opt/my/libcuda.so\nlibcuda.so.1 libcuda.so.550.54.14\n\
                libGLX_indirect.so.0 libGLX_nvidia.so.550.54.14\nlibnvidia-opticalflow.so \n\
                libGLX_indirect.so.0 libGLX_mesa.so.0\n";
    assert_prints("links", &stage.on_machine("two-gpus", &script), want);
}
