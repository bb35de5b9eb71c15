//! Looks for inputs that take time with more than their length: pieces of the corpus, repeated, at two lengths.
//!
//!     cargo run --release -p corten-fuzz-targets --example growth [TARGET]...
//!
//! It measures, so it is no test; what it finds becomes one.

use fuzz_targets::TARGETS;
use std::{fs, io, path::Path, time::Duration};

const SHORT: usize = 64 << 10;
const LONG: usize = 4 * SHORT;

fn main() -> io::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, target) in
        TARGETS.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|one| one == name))
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let mut worst = (0.0, Duration::ZERO, String::new());
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let seed = fs::read(&path)?;
            for (what, input) in inputs(&seed) {
                let [short, long] = [SHORT, LONG].map(|length| time(target, &input(length)));
                let growth = long.as_secs_f64() / short.as_secs_f64().max(1e-5);
                if long > Duration::from_millis(20) && growth > worst.0 {
                    worst = (growth, long, format!("{} {what}", path.display()));
                }
            }
        }
        println!("{name:14} {:>6.1} {:>8.0} ms  {}", worst.0, worst.1.as_secs_f64() * 1e3, worst.2);
    }
    Ok(())
}

type Input<'a> = Box<dyn Fn(usize) -> Vec<u8> + 'a>;

/// Each line, and each byte that is no letter, again and again in its place.
fn inputs(seed: &[u8]) -> Vec<(String, Input<'_>)> {
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    let mut from = 0;
    for (at, byte) in seed.iter().enumerate() {
        if *byte == b'\n' {
            pieces.push((from, at + 1));
            from = at + 1;
        }
        if !byte.is_ascii_alphanumeric() && pieces.len() < 60 {
            pieces.push((at, at + 1));
            pieces.push((at.saturating_sub(7), at + 1));
        }
    }
    let repeated = |(from, to): (usize, usize)| -> (String, Input<'_>) {
        let input = move |length: usize| {
            let times = length.saturating_sub(seed.len()) / (to - from);
            [&seed[..from], &seed[from..to].repeat(times), &seed[from..]].concat()
        };
        (format!("{from}..{to}"), Box::new(input))
    };
    pieces.into_iter().filter(|(from, to)| from < to).map(repeated).collect()
}

fn time(target: fn(&[u8]), input: &[u8]) -> Duration {
    let begun = on_processor();
    target(input);
    on_processor().saturating_sub(begun)
}

/// How long this thread has run, whatever else the machine does (proc(5): the first field, in nanoseconds).
fn on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0))
}
