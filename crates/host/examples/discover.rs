//! Prints a machine as JSON, and on stderr how long it took to look at it (first time, then the best of many):
//! `cargo run --release -p corten-host --example discover [FOLDER]`, where FOLDER holds a machine's `/`.

use host::{Fingerprint, Roots, Wanted, discover};
use oci::HostPath;
use std::{
    error::Error,
    time::{Duration, Instant},
};

fn main() -> Result<(), Box<dyn Error>> {
    let roots = match std::env::args().nth(1) {
        Some(folder) => Roots::below(&HostPath::new(folder)?),
        None => Roots::default(),
    };
    let (first, machine) = timed(|| discover(&roots, Wanted::ALL));
    let machine = machine?;
    println!("{}", serde_json::to_string_pretty(&machine)?);
    let best = |look: &dyn Fn() -> Duration| (0..100).map(|_| look()).min().unwrap_or_default();
    eprintln!("discover: {first:?} the first time, {:?} at best", best(&|| timed(|| discover(&roots, Wanted::ALL)).0));
    eprintln!("fingerprint: {:?} at best", best(&|| timed(|| Fingerprint::take(&roots, &machine)).0));
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}
