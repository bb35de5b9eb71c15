//! The folder of MPS lies in `/tmp`, where anybody may make a name: it is mounted only where nobody but root can have made it
//! what it is, and no spec that is kept speaks of it.

use crate::stage::{CREATE, Stage, assert_prints};

/// A `/tmp` of the machine's own, with the stage in it where it was.
const OWN_TMP: &str = r#"mkdir /run/kept && mount --bind "$D" /run/kept && mount -t tmpfs -o mode=1777 none /tmp &&
    mkdir -m 755 "$D" && mount --move /run/kept "$D" && cd "$D" || exit 1
"#;

/// Says who mounts the folder: the shim, engines by a spec, `nvidia-container-cli`.
const LOOK: &str = r#"cp first "$B/config.json"; "$SHIM" --log "$D/log" create --bundle "$B" "$ID" || exit 1
    mounted() { tr , '\n' <"$B/config.json" | grep -c '"source":"/tmp/nvidia-mps"'; }
    echo "shim $(mounted), spec $("$CTK" --quiet cdi generate | grep -c 'nvidia-mps$'), cli $("${SHIM%/*}/nvidia-container-cli" list -i | grep -vc socket)"
"#;

#[test]
fn only_a_folder_of_roots_is_mounted() {
    let script = format!(
        r#"{OWN_TMP} cp "$B/config.json" first; look() {{ {LOOK} }}
        look
        ln -s /root /tmp/nvidia-mps; look; rm /tmp/nvidia-mps
        mkdir /tmp/nvidia-mps; chown 1000 /tmp/nvidia-mps; look; chown 0 /tmp/nvidia-mps; look
        chmod 777 /tmp; look"#
    );
    let nobody = "shim 0, spec 0, cli 0\n";
    let want = format!("{nobody}{nobody}{nobody}shim 1, spec 0, cli 1\n{nobody}");
    assert_prints(
        "nothing, a link, another's, root's, open to all",
        &Stage::without_runtime(&["bare"]).on(&[], &script),
        &want,
    );
}

/// Whoever names the folder knows whose it is, and not what lies there later.
#[test]
fn a_folder_that_is_named_is_one() {
    let script = format!(
        r#"{OWN_TMP} list() {{ CUDA_MPS_PIPE_DIRECTORY=$1 "${{SHIM%/*}}/nvidia-container-cli" list -i | grep -v socket; }}
        mkdir /tmp/mine /tmp/open; chown 1000 /tmp/mine; chmod 777 /tmp/open; mkdir /tmp/open/pipes; ln -s /root /tmp/link
        list /tmp/mine; list /tmp/open/pipes; list /tmp/link; list /tmp/link/; list /tmp/none; true"#
    );
    assert_prints("named", &Stage::without_runtime(&["bare"]).on(&[], &script), "/tmp/mine\n");
}

/// A daemon that is started makes no spec older.
#[test]
fn a_spec_does_not_depend_on_it() {
    let stage = Stage::without_runtime(&["bare"]);
    stage.configure("/bin/true", "mode = 'cdi'");
    let script = format!(
        r#"{OWN_TMP} mkdir -p /etc/cdi; "$CTK" --quiet cdi generate --output=/etc/cdi/nvidia.yaml || exit 1
        mkdir /tmp/nvidia-mps; {CREATE}; grep -c 'is older than' log; grep -c nvidia-mps "$B/config.json""#
    );
    let done = stage.on(&[], &format!("{script}; true"));
    assert_prints("a daemon starts", &done, "0\n0\n");
}
