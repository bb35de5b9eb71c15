//! `nvidia-container-cli` on the lab's machines: what it prints, its status, and what it leaves in a container are the
//! original's, byte for byte, but for what `docs/differences.md` lists.
//!
//! What the original (of 2024, 1.17) did is recorded in `facts/container-cli`. Where `CORTEN_THEIRS_CLI` names it, it runs too
//! and must still do that; with `CORTEN_RECORD` set, what it does is recorded anew.

use compliance::outer;
use std::{env, fs, path::PathBuf};

/// Command lines that are tried on machines that work.
const LINES: &str = include_str!("container_cli/lines.txt");

/// A driver so old that files of procfs are what opens MIG's capabilities.
const WITHOUT_CAPS: &str = "sed /nvidia-caps/d /proc/devices >devices; mount --bind devices /proc/devices";

/// What is recorded as, machines, what is changed there, and what is tried then.
const MACHINES: &[(&str, &str, &str, &str)] = &[
    ("two-gpus", "two-gpus", ":", LINES),
    ("mig", "mig", ":", LINES),
    ("mig-by-procfs", "mig", WITHOUT_CAPS, "list\nlist -d 0:1\nlist -d 0\nlist -d all --mig-config=all\n"),
    ("debian-alternatives", "debian-alternatives", ":", "list\ninfo\n"),
    ("other-root", "other-root", ":", OTHER_ROOT),
    ("old-frontend", "old-frontend", ":", "list\ninfo\nconfigure --pid=1 /root\nlist -d nonsense\n"),
    ("no-gpu", "no-gpu", ":", "list\ninfo\nconfigure --pid=1 /root\nlist --imex-channel=x\n"),
];

const OTHER_ROOT: &str =
    "list\n--root=/run/nvidia/driver list\n--root /run/nvidia/driver info\n-r/run/nvidia/driver -l/x list\n";

/// A container: which machine, what kind of root, and the words between `configure --pid=PID` and the root.
const CONTAINERS: &[(&str, &str, &str, &str)] = &[
    ("utility", "two-gpus", "debian", "--utility --device=0"),
    ("compute", "two-gpus", "debian", "-cu -d 0"),
    ("nothing", "two-gpus", "debian", ""),
    ("video", "two-gpus", "debian", "--video --device=all"),
    ("everything", "two-gpus", "debian", "-cuvgDn --compat32 --device=all"),
    ("rhel", "two-gpus", "rhel", "-cu --compat32 --device=1,0"),
    ("no-devbind", "two-gpus", "debian", "-cu --no-devbind --device=all"),
    ("less", "two-gpus", "debian", "-u --no-persistenced --no-fabricmanager --no-gsp-firmware -d all"),
    ("mig", "mig", "debian", "--utility --device=0:0"),
    ("all-mig", "mig", "debian", "-cu --device=all"),
    ("imex", "eight-gpus-nvswitch", "debian", "-u -d 1 --imex-channel=1"),
];

/// Makes `$R`, and a process in a mount namespace of its own where it looks as a low-level runtime leaves it before the
/// container's first program: `$PID`.
const CONTAINER: &str = r#"
    lab rootfs --kind "$KIND" --to "$PWD/root" >/dev/null; R=$PWD/root
    unshare -m --propagation private bash -c '
        mount --bind "$1" "$1" && mount -t tmpfs dev "$1/dev" && mount -t proc proc "$1/proc" &&
        mount --bind /proc/driver "$1/proc/driver" && : >ready && exec sleep 1000' bash "$R" </dev/null &
    PID=$!; trap "kill $PID" EXIT; until [ -e ready ]; do sleep 0.01; done
"#;

/// What the container has: mounts as `SOURCE TARGET OPTIONS`, links, nodes and files, and the loader's cache.
const LOOK: &str = r#"
    nsenter -t $PID -m bash -c 'cd "$1"; cut -d" " -f4-6 /proc/self/mountinfo | sed -n "s, $1/, /,p" | sort
        find . -path ./proc -prune -o -type l -printf "%p -> %l\n" | sort
        find proc/driver/nvidia dev etc/nvidia -printf "%p %M %U:%G\n" 2>/dev/null | sort
        grep ModifyDeviceFiles proc/driver/nvidia/params; cat etc/nvidia/*.d/* 2>/dev/null && echo
        ldconfig -p -C etc/ld.so.cache | grep -i "nv\|cuda\|_nvidia" | sort' bash "$R"
"#;

#[test]
fn what_is_printed_is_the_originals() {
    for (name, machine, before, lines) in MACHINES {
        compare(name, machine, |program| {
            let calls = lines.lines().map(|line| format!("echo '$ {line}'; {program} {line} || echo \"= $?\"\n"));
            format!("{before}\n{}", calls.collect::<String>())
        });
    }
}

#[test]
fn what_a_container_gets_is_the_originals() {
    for (name, machine, kind, words) in CONTAINERS {
        compare(&format!("configure-{name}"), machine, |program| {
            let call = format!("{program} configure --ldconfig=@/sbin/ldconfig --no-cgroups --pid=$PID {words} $R");
            format!("KIND={kind}; {CONTAINER} {call} || echo \"= $?\"; {LOOK}")
        });
    }
}

/// Holds what our program does to what is recorded of theirs.
#[track_caller]
fn compare(name: &str, machine: &str, script: impl Fn(&str) -> String) {
    let run = |program: &str| {
        let work = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let done = outer::script(machine, &script(program), work.path());
        without_numbers(&done.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    let facts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("facts/container-cli/{name}.txt"));
    if let Some(theirs) = env::var_os("CORTEN_THEIRS_CLI") {
        let seen = run(&theirs.to_string_lossy());
        if env::var_os("CORTEN_RECORD").is_some() {
            fs::write(&facts, &seen).unwrap_or_else(|error| panic!("{}: {error}", facts.display()));
        }
        let recorded = fs::read_to_string(&facts).unwrap_or_default();
        assert_eq!(recorded, seen, "{name}: the original does something else than is recorded");
    }
    let recorded = fs::read_to_string(&facts).unwrap_or_else(|error| panic!("{}: {error}", facts.display()));
    let (ours, theirs) = (comparable(&run("nvidia-container-cli")), comparable(&recorded));
    let only = |mark: char, a: &[String], b: &[String]| -> String {
        a.iter().filter(|line| !b.contains(line)).map(|line| format!("{mark} {line}\n")).collect()
    };
    assert!(ours == theirs, "{name}:\n{}{}", only('-', &theirs, &ours), only('+', &ours, &theirs));
}

/// Processes have other numbers each time.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split("/proc/");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| match part.trim_start_matches(|c: char| c.is_ascii_digit()) {
        same if same == part => format!("/proc/{part}"),
        cut => format!("/proc/PID{cut}"),
    });
    first + &rest.collect::<String>()
}

/// Without the library that came after the recorded release, the two links that the original's ldconfig only lists when it
/// runs a second time, and the line that names an unknown command (D-111).
fn comparable(text: &str) -> Vec<String> {
    let is_second =
        |line: &str| ["\tlibcuda.so (", "\tlibnvidia-opticalflow.so ("].iter().any(|name| line.starts_with(name));
    let is_ours = |line: &str| line.starts_with("nvidia-container-cli: there is no command ");
    let counts = |line: &&str| !line.contains("libnvidia-tileiras") && !is_second(line) && !is_ours(line);
    text.lines().filter(counts).map(str::to_owned).collect()
}
