//! The original's command line program on our library and on its own: the same output, the same containers.

use crate::{
    facts::NEWER,
    programs::{Library, difference, lab, rootfs},
};
use std::path::PathBuf;

/// Where it is, beside the library.
fn program(theirs: &Library) -> PathBuf {
    theirs.folder.parent().unwrap().join("bin/nvidia-container-cli")
}

/// Both outputs' difference, but for the library that is newer than theirs.
fn left(theirs: &str, ours: &str) -> Vec<String> {
    let mut left = difference(theirs, ours);
    left.retain(|line| !line.contains(NEWER));
    left
}

#[test]
fn it_prints_the_same() {
    let Some(theirs) = Library::theirs() else { return };
    let run = |library: &Library, words: &str| {
        let mut command = lab("mig");
        command.arg("env").arg(format!("LD_LIBRARY_PATH={}", library.folder.display())).arg(program(&theirs));
        let output = command.args(words.split(' ')).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        format!("{}\n{}", output.status, String::from_utf8(text).unwrap())
    };
    for words in [
        "info",
        "info --csv",
        "list",
        "list --device all",
        "list --device 0:1",
        "list --device 9",
        "list --device all --mig-config all",
        "list --binaries --libraries --compat32",
        "list --imex-channel=0",
        "--load-kmods list --ipcs",
        "--user=0:0 info",
        "--root=/absent info",
        "--ldcache=/etc/passwd list",
    ] {
        assert_eq!(left(&run(&theirs, words), &run(&Library::ours(), words)), [""; 0], "{words}");
    }
}

/// A process whose mount namespace is a container's before its root is entered; the program; and the mounts afterwards.
const CONFIGURE: &str = r#"
unshare --mount --propagation private sh -c '
    mount --bind $R $R && mount --rbind /proc $R/proc && mount -t tmpfs tmpfs $R/dev && touch $R/ready && exec sleep 1000
' & container=$!
while [ ! -e $R/ready ] && kill -0 $container; do sleep 0.01; done
LD_LIBRARY_PATH=$LIBRARY $PROGRAM $GLOBAL configure $WORDS --pid=$container $R
echo status $?
cut -d ' ' -f 5,6 /proc/$container/mountinfo | grep "^$R"
find $R -xdev -type l -path '*libcuda*' -printf '%P %l\n'
kill $container
"#;

#[test]
fn it_configures_the_same() {
    let Some(theirs) = Library::theirs() else { return };
    let run = |library: &Library, global: &str, words: &str| {
        let root = tempfile::tempdir().unwrap();
        rootfs("debian", root.path());
        let mut command = lab("two-gpus");
        command.env("R", root.path()).env("LIBRARY", &library.folder).env("PROGRAM", program(&theirs));
        command.env("GLOBAL", global).env("WORDS", words).args(["sh", "-c", CONFIGURE]);
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        text.replace(root.path().to_str().unwrap(), "ROOT")
    };
    for (global, words) in [
        ("", "--no-cgroups --utility --compute --device=all"),
        ("--no-pivot", "--no-cgroups --utility --device=1"),
        ("--load-kmods", "--no-cgroups --no-devbind --compute --video --graphics --device=0"),
        ("", "--no-cgroups --compute --require=cuda>=99.0"),
        ("", "--no-cgroups --compute --device=7"),
    ] {
        let (theirs, ours) = (run(&theirs, global, words), run(&Library::ours(), global, words));
        assert!(ours.contains("status "), "{ours}");
        assert_eq!(left(&theirs, &ours), [""; 0], "{words}");
    }
}
