//! `nvidia-ctk cdi generate` on every machine of the lab, in every mode and with every flag that has an effect: the same
//! bytes as the original's, but for what `docs/differences.md` lists.
//!
//! There are hundreds of such specifications, most of them alike, so of what the original wrote only a hash is recorded,
//! in `facts/cdi-matrix.txt`. Where `CORTEN_THEIRS` names its programs, they run too, must still give that hash, and what
//! differs is shown; with `CORTEN_RECORD` set, the hashes are recorded anew.

use compliance::{
    outer, programs,
    specs::{as_in_the_root, without_more_files, without_origin},
};
use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf};

/// For every machine.
const FLAGS: &[&str] = &[
    "",
    "--mode=nvml",
    "--mode=management",
    "--mode=gds",
    "--mode=mofed",
    "--mode=gdrcopy",
    "--mode=nvswitch",
    "--mode=imex",
    "--mode=imex --device-name-strategy=uuid --no-all-device",
    "--device-name-strategy=index",
    "--device-name-strategy=uuid",
    "--device-name-strategy=type-index",
    "--device-name-strategy=type-index,index,uuid",
    "--no-all-device",
    "--device-id=0",
    "--device-id=0,1 --no-all-device",
    "--device-id=none",
    "--device-id=1:0",
    "--device-id=7",
    "--vendor=example.com --class=gpu.part",
    "--disable-hook=all",
    "--disable-hook=create-symlinks,update-ldcache",
    "--disable-hook=enable-cuda-compat --disable-hook=disable-device-node-modification",
    "--disable-hook=all --enable-hook=update-application-profile",
    "--enable-hook=chmod",
    "--ldconfig-path=/opt/ldconfig",
    "--nvidia-cdi-hook-path=/opt/bin/nvidia-ctk",
    "--feature-flag=enable-explicit-driver-libraries",
    "--feature-flag=no-additional-gids-for-device-nodes",
    "--feature-flag=disable-ipc-discoverer",
    "--feature-flag=disable-nvsandboxutils,disable-multiple-csv-devices",
    "--feature-flag=enable-coherent-annotations",
    "--feature-flag=enable-coherent-annotations --output=out/nvidia.yaml",
    "--driver-root=/run/nvidia/driver",
    "--driver-root=/run/nvidia/driver --mode=management",
    "--driver-root=/run/nvidia/driver --dev-root=/",
    "--library-search-path=/usr/lib/x86_64-linux-gnu",
    "--config-search-path=/usr/share",
];

/// Machines, each with changes.
const MACHINES: &[(&str, &[&str])] = &[
    ("broken-nvml", &[]),
    ("debian-alternatives", &[]),
    ("eight-gpus-nvswitch", &[]),
    ("mig", &[]),
    ("mixed", &[]),
    ("no-gpu", &[]),
    ("old-frontend", &[]),
    ("other-root", &[]),
    ("small", &[]),
    ("two-gpus", &[]),
    ("mixed", &["gpu.0.addressing=ats", "gpu.2.addressing=hmm"]),
    ("mig", &["gpu.0.mig.0.profile=3g.20gb+gfx"]),
    ("old-frontend", &["driver.device-nodes=true"]),
    ("two-gpus", &["driver.drm=false", "driver.sockets=false", "driver.modify-device-files=false"]),
    ("two-gpus", &["driver.layout=lib64", "driver.compat32=true", "majors.uvm=234"]),
];

/// What a line comes to there depends on the distribution that the test runs on: the vendor-neutral libraries are its own where the
/// driver has none.
const OF_THE_HOST: (&str, &str) = ("small", "--feature-flag=enable-explicit-driver-libraries");

/// Where the original gives up and we need not: how lines begin, what they hold, and the entry of the page.
const ONLY_OURS: &[(&str, &str, &str)] = &[
    ("broken-nvml", "", "D-80"),
    ("old-frontend", "", "D-52"),
    ("debian-alternatives", "--library-search-path", "D-16"),
    ("mig gpu.0.mig.0.profile=3g.20gb+gfx", "", "D-82"),
];

/// Where both have an answer, and not the same.
const OTHERWISE: &[(&str, &str, &str)] =
    &[("small", "--enable-hook=chmod", "D-84"), ("two-gpus driver.drm=false", "--enable-hook=chmod", "D-84")];

/// One side's answer: the specification (and the files), or that there is none.
type Answers = BTreeMap<String, String>;

const FAILS: &str = "fails";

#[test]
fn every_machine_mode_and_flag() {
    let theirs = programs::theirs().unwrap_or_else(|error| panic!("{error}"));
    let mut recorded = recorded();
    let (mut wrong, mut used) = (String::new(), BTreeMap::<&str, usize>::new());
    for (machine, settings) in MACHINES {
        let ours = answers(machine, settings, "nvidia-ctk");
        let seen = theirs.as_ref().map(|folder| answers(machine, settings, &format!("{folder}/nvidia-ctk")));
        for (line, ours) in &ours {
            let seen = seen.as_ref().and_then(|seen| seen.get(line));
            if let Some(seen) = seen {
                let now = hash(seen);
                if env::var_os("CORTEN_RECORD").is_some() {
                    recorded.insert(line.clone(), now.clone());
                }
                assert_eq!(
                    recorded.get(line),
                    Some(&now),
                    "{line}: the original writes something else than is recorded"
                );
            }
            let original = recorded.get(line).map_or("", String::as_str);
            if original == hash(ours) {
                continue;
            }
            let differences = if original == FAILS { ONLY_OURS } else { OTHERWISE };
            match differences.iter().find(|(begin, flags, _)| line.starts_with(begin) && line.contains(flags)) {
                Some((begin, ..)) => *used.entry(begin).or_default() += 1,
                None => {
                    let shown = seen.map_or("(set CORTEN_THEIRS to see how)".to_owned(), |seen| only(seen, ours));
                    let _ = writeln!(wrong, "{line}: not the same\n{shown}");
                }
            }
        }
        assert_eq!(ours.len(), lines(machine).count());
    }
    if env::var_os("CORTEN_RECORD").is_some() {
        let lines: String = recorded.iter().map(|(line, hash)| format!("{hash}  {line}\n")).collect();
        fs::write(facts(), lines).unwrap();
    }
    assert_eq!(recorded.len(), MACHINES.iter().map(|(machine, _)| lines(machine).count()).sum::<usize>());
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(used.len(), ONLY_OURS.len() + OTHERWISE.len(), "differences that there are none of any more: {used:?}");
}

/// The lines of flags for a machine.
fn lines(machine: &str) -> impl Iterator<Item = &'static str> {
    FLAGS.iter().copied().filter(move |flags| (machine, *flags) != OF_THE_HOST)
}

/// Runs every line of flags on one machine.
fn answers(machine: &str, settings: &[&str], program: &str) -> Answers {
    let work = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut script = "umask 022\n".to_owned();
    for (number, flags) in lines(machine).enumerate() {
        let _ = writeln!(
            script,
            "mkdir {number}; cd {number}; echo '=== {number}'; \
             {program} --quiet cdi generate --nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook {flags} 2>err || echo {FAILS}; \
             for file in out/*; do [ ! -e $file ] || {{ echo \"== $file\"; cat $file; }}; done; cd .."
        );
    }
    let said = outer::script_on(machine, settings, &script, work.path()).unwrap_or_else(|error| panic!("{error}"));
    let mut parts = said.split("=== ").skip(1);
    let answer = |flags: &str| {
        let part = parts.next().and_then(|part| part.split_once('\n')).map_or("", |(_, text)| text);
        let line = [&[machine], settings, &[flags]].concat().join(" ");
        (line.trim_end().to_owned(), without_more_files(&as_in_the_root(&without_origin(part))))
    };
    lines(machine).map(answer).collect()
}

/// Told apart is what differs by accident, which is all that is wanted here.
fn hash(text: &str) -> String {
    if text.trim_end() == FAILS {
        return FAILS.to_owned();
    }
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

fn facts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("facts/cdi-matrix.txt")
}

fn recorded() -> BTreeMap<String, String> {
    let text = fs::read_to_string(facts()).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once("  "));
    pairs.map(|(hash, line)| (line.to_owned(), hash.to_owned())).collect()
}

/// The first lines that only one of them has.
fn only(theirs: &str, ours: &str) -> String {
    let of = |mark: char, a: &str, b: &str| -> Vec<String> {
        let other: Vec<_> = b.lines().collect();
        a.lines().filter(|line| !other.contains(line)).map(|line| format!("  {mark} {line}\n")).take(6).collect()
    };
    let lines = [of('-', theirs, ours), of('+', ours, theirs)].concat();
    if lines.is_empty() { "  the same lines, otherwise arranged\n".to_owned() } else { lines.concat() }
}
