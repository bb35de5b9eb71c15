//! The shim in place of runc on the command line, word for word as it is documented: one GPU of two is seen.

use compliance::outer;

/// `sudo` is a function, since the test is root already, and `script` gives the container the terminal that `spec` asks
/// for. The lines between the marks are the documented ones.
const EXAMPLE: &str = r#"
cat > example.sh <<'END'
set -e
sudo() { "$@"; }
lab rootfs --kind debian --to root-made-here
cd $(mktemp -d -p .) && mkdir rootfs
cp -a ../root-made-here/. rootfs
# documented from here
nvidia-container-runtime spec
sed -i 's;"sh";"nvidia-smi";' config.json
sed -i 's;\("TERM=xterm"\);\1, "NVIDIA_VISIBLE_DEVICES=0";' config.json
sudo nvidia-container-runtime run nvidia_smi
# to here
END
script -qec 'bash example.sh' /dev/null
"#;

#[test]
fn the_documented_command_line_shows_one_gpu_of_two() {
    let work = tempfile::tempdir().unwrap();
    let shown = outer::script("two-gpus", EXAMPLE, work.path()).unwrap_or_else(|error| panic!("{error}"));
    assert!(shown.contains("NVIDIA-SMI 550.54.14"), "{shown}");
    assert!(shown.contains("00000000:07:00.0"), "GPU 0 is missing: {shown}");
    assert!(!shown.contains("00000000:08:00.0"), "GPU 1 is shown: {shown}");
}
