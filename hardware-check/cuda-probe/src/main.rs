//! `cuda-probe`: what a CUDA program needs before it can compute anything, tried and told.
//!
//! It loads `libcuda.so.1` by its bare name, as CUDA's own runtime does, so that a missing library or a stale loader
//! cache shows; initialises it; and on each device makes a context, allocates memory, and copies a pattern there and
//! back. Built without CUDA's headers: the few functions are declared in [`driver`].
//!
//! Each line on standard output is one finding: `version 12040`, `device 0 UUID NAME`, `memory 0 BYTES`; the last one of
//! a failure is `failed FUNCTION CODE NAME`, or `missing WORDS` where the library does not load, and the exit status 1.

mod driver;

use driver::{Driver, Failure};
use std::{io::Write, process::ExitCode};

/// As much as is copied to each device and back.
const PATTERN: usize = 1 << 20;

fn main() -> ExitCode {
    match probe() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn probe() -> Result<(), Failure> {
    let cuda = Driver::open()?;
    cuda.init()?;
    say(&format!("version {}", cuda.version()?));
    for ordinal in 0..cuda.count()? {
        let device = cuda.device(ordinal)?;
        let uuid: String = cuda.uuid(device)?.iter().map(|byte| format!("{byte:02x}")).collect();
        say(&format!("device {ordinal} {uuid} {}", cuda.name(device)?));
        let sent: Vec<u8> = (0..PATTERN).map(|at| (at % 251) as u8).collect();
        let back = cuda.there_and_back(device, &sent)?;
        if back != sent {
            return Err(Failure::Garbled { ordinal });
        }
        say(&format!("memory {ordinal} {}", sent.len()));
    }
    Ok(())
}

/// At once, so that a later hang or crash leaves what came before.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
