//! A helper that behaves as badly as its `--library` argument says, for the tests of the client.
//!
//! The last component of the argument is the behaviour. Where a file `runs` lies beside it, each run leaves a byte there.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, exit},
    thread,
    time::Duration,
};

fn main() {
    let library = std::env::args().nth(2).unwrap_or_default();
    let library = Path::new(&library);
    if let Ok(mut runs) = fs::OpenOptions::new().append(true).open(library.with_file_name("runs")) {
        let _ = runs.write_all(b"x");
    }
    match library.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "answer" => answer("550.54.14"),
        "slow" => {
            thread::sleep(Duration::from_millis(300));
            answer("550.54.14");
        }
        "hang" => hang(),
        "hang-with-child" => {
            // The child holds our pipes and would outlive us; the test looks for it by its number.
            if let Ok(child) = Command::new("/proc/self/exe").args(["--library", "/hang"]).spawn() {
                eprintln!("{}", child.id());
            }
            hang();
        }
        "leave-child-behind" => {
            let _child = Command::new("/proc/self/exe").args(["--library", "/hang"]).spawn();
            answer("550.54.14");
        }
        "crash" => {
            eprintln!("at nvmlInit_v2");
            std::process::abort();
        }
        "garbage" => print!("Segmentation fault"),
        "endless" => loop {
            if std::io::stdout().write_all(&[b' '; 65536]).is_err() {
                exit(1);
            }
        },
        "chatty" => {
            for _ in 0..100_000 {
                eprintln!("one more line that nobody reads");
            }
            answer("550.54.14");
        }
        "closed-to-nobody" if is_nobody() => refuse(9, "Driver Not Loaded"),
        "closed-to-nobody" => answer("550.54.14"),
        "refuse" => refuse(18, "Driver/library version mismatch"),
        "not-switchable" => answer_with(&gpu(false, false)),
        "mig-off" => answer_with(&gpu(true, false)),
        "mig-on-and-empty" => answer_with(&gpu(true, true)),
        "describe-yourself" => answer(&description()),
        other => panic!("no such behaviour: {other}"),
    }
}

fn hang() {
    eprintln!("at nvmlInit_v2");
    loop {
        thread::park();
    }
}

fn answer(version: &str) {
    let version = version.replace('\n', ";").replace('\t', " ");
    println!(r#"{{"driver_version":"{version}","cuda_version":[12,4],"gpus":[]}}"#);
}

/// One GPU without MIG devices.
fn gpu(capable: bool, enabled: bool) -> String {
    format!(r#"{{"uuid":"GPU-1","bus_id":"0000:07:00.0","mig_capable":{capable},"mig_enabled":{enabled}}}"#)
}

fn answer_with(gpu: &str) {
    println!(r#"{{"driver_version":"550.54.14","gpus":[{gpu}]}}"#);
}

fn refuse(code: u32, words: &str) {
    println!(r#"{{"error":"{words}","code":{code},"step":"nvmlInit_v2"}}"#);
    exit(1);
}

fn is_nobody() -> bool {
    status().contains("Uid:\t65534\t")
}

fn status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// What the confinement left: identity, capabilities, environment, descriptors, stdin.
fn description() -> String {
    let status = status();
    let wanted = ["Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"];
    let mut lines: Vec<&str> =
        status.lines().filter(|line| line.split(':').next().is_some_and(|key| wanted.contains(&key))).collect();
    let variables = format!("Variables: {}", std::env::vars_os().count());
    // One is the folder being listed.
    let descriptors = format!("Descriptors: {}", fs::read_dir("/proc/self/fd").map_or(0, |list| list.count() - 1));
    let mut byte = [0];
    let stdin = format!("Stdin: {}", std::io::stdin().read(&mut byte).unwrap_or(9));
    lines.extend([variables.as_str(), descriptors.as_str(), stdin.as_str()]);
    lines.join("\n")
}
