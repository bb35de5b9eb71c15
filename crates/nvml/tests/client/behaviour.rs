//! The client against a helper that hangs, crashes, lies and talks without end; and how it confines it.

use crate::stage::{self, Stage};
use nvml::{Problem, User, facts};
use std::time::{Duration, Instant};

fn error_of(behaviour: &str) -> String {
    let stage = Stage::new();
    let mut ask = stage.ask(behaviour);
    ask.timeout = Duration::from_millis(400);
    facts(&ask).expect_err(behaviour).to_string()
}

#[test]
fn each_bad_helper_has_its_error() {
    for (behaviour, parts) in [
        ("hang", &["NVML did not answer within 0.4 s in nvmlInit_v2 and was stopped", "Xid"][..]),
        ("crash", &["NVML crashed in nvmlInit_v2 (signal 6)", "reinstall the driver"]),
        ("garbage", &["no usable answer"]),
        ("endless", &["longer than 1 MiB"]),
        ("refuse", &["nvmlInit_v2 failed: Driver/library version mismatch (NVML code 18)", "reboot"]),
    ] {
        let text = error_of(behaviour);
        for part in parts.iter().chain(&["cannot learn the UUIDs of MIG devices: "]) {
            assert!(text.contains(part), "{behaviour}: {part:?} in {text:?}");
        }
        assert!(!text.contains('\n'), "{text:?}");
    }
}

#[test]
fn a_missing_helper_is_named() {
    let mut ask = Stage::new().ask("answer");
    ask.helper = "/nonexistent/corten-nvml".into();
    let error = facts(&ask).unwrap_err();
    assert!(matches!(error.problem, Problem::HelperMissing(_)), "{error}");
    assert!(error.to_string().contains("/nonexistent/corten-nvml does not exist"));
}

#[test]
fn the_end_of_a_long_stderr_is_read_and_the_answer_with_it() {
    let stage = Stage::new();
    assert_eq!(facts(&stage.ask("chatty")).unwrap().driver_version, "550.54.14");
}

#[test]
fn descendants_die_with_the_helper() {
    let mut ask = Stage::new().ask("hang-with-child");
    ask.timeout = Duration::from_millis(300);
    let Err(error) = facts(&ask) else { panic!("it hangs") };
    let Problem::TimedOut { said, .. } = error.problem else { panic!("{error}") };
    let child: u32 = said.trim().parse().expect("the child's number");
    stage::wait_until(|| !is_running(child));
}

#[test]
fn a_descendant_that_keeps_the_pipes_open_delays_nobody() {
    let stage = Stage::new();
    let ask = stage.ask("leave-child-behind");
    let start = Instant::now();
    assert_eq!(facts(&ask).unwrap().driver_version, "550.54.14");
    // Waiting for the pipes to close would last as long as the time limit.
    assert!(start.elapsed() < ask.timeout);
}

fn is_running(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn the_helper_has_nothing_to_misuse() {
    // A descriptor without close-on-exec, as engines leave them.
    let (leaked, _other) = rustix::pipe::pipe().unwrap();
    let users = if rustix::process::geteuid().is_root() {
        vec![(Some(User::NOBODY), 65534), (Some(User::ROOT), 0), (Some(User { uid: 1234, gid: 99 }), 1234)]
    } else {
        eprintln!("NOTICE: not root, so changing user is not tested");
        vec![(None, rustix::process::geteuid().as_raw())]
    };
    for (user, uid) in users {
        let stage = Stage::new();
        let mut ask = stage.ask("describe-yourself");
        ask.user = user;
        let description = facts(&ask).unwrap().driver_version;
        let mut wanted = vec![
            format!("Uid: {uid} {uid} {uid} {uid};"),
            "CapPrm: 0000000000000000;".into(),
            "CapEff: 0000000000000000;".into(),
            "CapAmb: 0000000000000000;".into(),
            "NoNewPrivs: 1;".into(),
            "Variables: 0;".into(),
            "Descriptors: 3;".into(),
            "Stdin: 0".into(),
        ];
        if let Some(user) = user {
            wanted.push("Groups:  ;".into());
            wanted.push(format!("Gid: {0} {0} {0} {0};", user.gid));
        }
        for part in wanted {
            assert!(description.contains(&part), "{user:?}: {part:?} in {description:?}");
        }
    }
    drop(leaked);
}
