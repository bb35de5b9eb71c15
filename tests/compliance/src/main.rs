//! `compliance inner PLAN RESULTS`: the half of the differential suite that runs inside the lab. People run
//! `cargo test -p corten-compliance` instead.

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [word, plan, results] = arguments.as_slice() else { return usage() };
    if word != "inner" {
        return usage();
    }
    match compliance::inner::run(Path::new(plan), Path::new(results)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("Usage: compliance inner PLAN RESULTS (the suite calls this; run `cargo test -p corten-compliance`)");
    ExitCode::from(2)
}
