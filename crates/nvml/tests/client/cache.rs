//! When a kept answer is used, and when NVML is asked again.

use crate::stage::Stage;
use nvml::{Ask, CachePlace, Expected, facts};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    os::unix::fs::chown,
    os::unix::fs::symlink,
    path::Path,
    thread,
};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_second_question_is_answered_from_the_cache() {
    let stage = Stage::new();
    let first = facts(&stage.ask("answer")).unwrap();
    let second = facts(&stage.ask("answer")).unwrap();
    assert_eq!((first, stage.runs()), (second, 1));
    assert_eq!(fs::metadata(stage.file()).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn a_changed_machine_is_asked_anew() {
    let stage = Stage::new();
    let mut ask = stage.ask("answer");
    facts(&ask).unwrap();
    ask.fingerprint = "another boot".into();
    facts(&ask).unwrap();
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 2);
}

/// The fingerprint that is really used, whose times need more digits than most JSON numbers have.
#[test]
fn the_hosts_fingerprint_survives_the_file() {
    let stage = Stage::new();
    let ask = stage.ask("answer");
    let identity = host::FileIdentity {
        path: ask.library.clone().unwrap(),
        dev: u64::MAX,
        ino: 1,
        size: 2,
        modified_ns: i128::from(i64::MAX) * 1000,
    };
    let gpu = host::GpuFingerprint {
        bus_id: "0".into(),
        uuid: "GPU-1".into(),
        minor: 0,
        mig: vec![(1, 2)],
        made: vec![Some(host::Making { ino: 3, changed_ns: i128::from(i64::MAX) * 1000 })],
    };
    let fingerprint =
        host::Fingerprint { boot_id: "b".into(), kernel_version: None, gpus: vec![gpu], nvml: Some(identity) };
    let ask = Ask {
        fingerprint,
        wanted: ask.wanted,
        helper: ask.helper,
        library: ask.library,
        user: ask.user,
        expected: ask.expected.clone(),
        anew: false,
        timeout: ask.timeout,
        cache: ask.cache,
    };
    facts(&ask).unwrap();
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 1);
}

#[test]
fn without_a_place_nothing_is_kept() {
    let stage = Stage::new();
    let mut ask = stage.ask("answer");
    ask.cache = CachePlace::NONE;
    facts(&ask).unwrap();
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 2);
    assert!(!stage.file().exists());
}

#[test]
fn a_failure_is_not_kept() {
    let stage = Stage::new();
    facts(&stage.ask("refuse")).unwrap_err();
    facts(&stage.ask("answer")).unwrap();
    assert_eq!(stage.runs(), 2);
}

/// Each makes a good cache bad; the answer must come from the helper then, and not from the file.
#[test]
fn what_cannot_be_trusted_is_not_believed() {
    type Spoil = fn(&Stage);
    let spoilers: [(&str, Spoil); 7] = [
        ("others can write the file", |stage| mode(&stage.file(), 0o646)),
        ("the group can write the file", |stage| mode(&stage.file(), 0o664)),
        ("others can write the folder", |stage| mode(&stage.folder(), 0o777)),
        ("others can write the folder above", |stage| mode(stage.folder().parent().unwrap(), 0o777)),
        ("the file is a link", |stage| {
            let elsewhere = stage.file().with_file_name("elsewhere");
            fs::rename(stage.file(), &elsewhere).unwrap();
            symlink(&elsewhere, stage.file()).unwrap();
        }),
        ("the folder is a link", |stage| {
            let elsewhere = stage.folder().with_file_name("elsewhere");
            fs::rename(stage.folder(), &elsewhere).unwrap();
            symlink(&elsewhere, stage.folder()).unwrap();
        }),
        ("the file is a fifo", |stage| {
            fs::remove_file(stage.file()).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(rustix::fs::CWD, stage.file(), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
    ];
    for (what, spoil) in spoilers {
        assert_asked_again(what, spoil);
    }
}

#[test]
fn what_makes_no_sense_is_not_used() {
    for content in ["", "{", "[]", "null", "\u{0}", "{\"format\":1}"] {
        assert_asked_again(content, |stage| fs::write(stage.file(), content).unwrap());
    }
    assert_asked_again("another format", |stage| {
        let text = fs::read_to_string(stage.file()).unwrap();
        let format = |number: u32| format!("\"format\":{number}");
        assert!(text.contains(&format(nvml::cache::FORMAT)), "{text}");
        let other = text.replace(&format(nvml::cache::FORMAT), &format(nvml::cache::FORMAT - 1));
        fs::write(stage.file(), other).unwrap();
    });
    assert_asked_again("too long", |stage| {
        let mut text = fs::read_to_string(stage.file()).unwrap();
        text.push_str(&" ".repeat(5 << 20));
        fs::write(stage.file(), text).unwrap();
    });
}

#[test]
fn a_foreigners_files_are_not_believed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOTICE: not root, so files of other users are not tested");
        return;
    }
    assert_asked_again("the file's owner", |stage| chown(stage.file(), Some(1234), None).unwrap());
    assert_asked_again("the folder's owner", |stage| chown(stage.folder(), Some(1234), None).unwrap());
    assert_asked_again("the owner of the folder above", |stage| {
        chown(stage.folder().parent().unwrap(), Some(1234), None).unwrap();
    });
}

fn assert_asked_again(what: &str, spoil: impl FnOnce(&Stage)) {
    let stage = Stage::new();
    facts(&stage.ask("answer")).unwrap();
    spoil(&stage);
    facts(&stage.ask("answer")).unwrap();
    assert_eq!(stage.runs(), 2, "{what}");
}

#[test]
fn many_at_once_run_the_helper_once() {
    let stage = Stage::new();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..32).map(|_| scope.spawn(|| facts(&stage.ask("slow")).unwrap())).collect();
        for caller in callers {
            assert_eq!(caller.join().unwrap().driver_version, "550.54.14");
        }
    });
    assert_eq!(stage.runs(), 1);
}

#[test]
fn who_waits_too_long_for_the_lock_asks_without_the_cache() {
    let stage = Stage::new();
    let mut ask = stage.ask("answer");
    facts(&ask).unwrap();
    fs::remove_file(stage.file()).unwrap();
    let held = fs::OpenOptions::new().write(true).open(stage.file().with_file_name("nvml.lock")).unwrap();
    held.lock().unwrap();
    ask.timeout = std::time::Duration::from_millis(200);
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 2);
    assert!(!stage.file().exists(), "only the holder of the lock writes");
}

#[test]
fn root_asks_where_nobody_may_not_and_remembers() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOTICE: not root, so asking again as root is not tested");
        return;
    }
    let stage = Stage::new();
    let mut ask = stage.ask("closed-to-nobody");
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 2, "as nobody, then as root");
    ask.fingerprint = "another boot".into();
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 3, "as root at once");
}

#[test]
fn too_few_devices_are_asked_for_again_and_believed_in_the_end() {
    let stage = Stage::new();
    let mut ask = stage.ask("answer");
    ask.expected = Expected(BTreeMap::from([("0000:07:00.0".into(), BTreeSet::new())]));
    assert_eq!(facts(&ask).unwrap().gpus.len(), 0);
    let once = if rustix::process::geteuid().is_root() { 2 } else { 1 };
    assert_eq!(stage.runs(), once);
    facts(&ask).unwrap();
    assert_eq!(stage.runs(), 2 * once, "an answer that contradicts the kernel is not kept");
}

/// The kernel's files are the same whether MIG mode is on or off, as long as there is no MIG device.
#[test]
fn mig_mode_that_nothing_tells_of_is_asked_again_where_it_matters() {
    for (behaviour, anew, runs) in [
        ("not-switchable", true, 1),
        ("mig-off", false, 1),
        ("mig-off", true, 2),
        ("mig-on-and-empty", false, 2),
        ("mig-on-and-empty", true, 2),
    ] {
        let stage = Stage::new();
        let mut ask = stage.ask(behaviour);
        ask.expected = Expected(BTreeMap::from([("0000:07:00.0".into(), BTreeSet::new())]));
        facts(&ask).unwrap();
        ask.anew = anew;
        facts(&ask).unwrap();
        assert_eq!(stage.runs(), runs, "{behaviour}, {anew}");
    }
}

/// As where device nodes are missing.
#[test]
fn where_nvml_does_not_answer_anew_its_last_word_counts() {
    for (behaviour, counts) in [("mig-off", true), ("mig-on-and-empty", false)] {
        let stage = Stage::new();
        let mut ask = stage.ask(behaviour);
        ask.expected = Expected(BTreeMap::from([("0000:07:00.0".into(), BTreeSet::new())]));
        facts(&ask).unwrap();
        let (library, anew) = (stage.ask("refuse").library, true);
        assert_eq!(facts(&Ask { library, anew, ..ask }).is_ok(), counts, "{behaviour}");
    }
}
