//! The fuzz targets without a fuzzer: over the committed inputs, and over mutations of them that are the same at each run.
#![allow(clippy::unwrap_used, reason = "a test without its inputs has failed")]

use fuzz_targets::TARGETS;
use std::{fs, path::Path};

/// For each input.
const MUTATIONS: usize = 150;

/// What mutations put in: what means something to one of the readers.
const WORDS: [&str; 40] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "- ",
    "\n",
    "\n  ",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "|\n",
    "'",
    "#",
    "0x1f",
    "null",
    "\n====\n",
    "::",
    "/..",
    "\0",
    "\u{2028}",
    "all",
    "none",
    "void",
    "0:1",
    "GPU-4cf8db2d",
    "nvidia.com/gpu=",
    "=",
    ">=",
    " ",
    "include ",
    "*",
    "[!a-",
    "/",
    "dev, ",
    "-1",
    "18446744073709551616",
];

#[test]
fn what_must_hold_holds_for_the_corpus_and_its_neighbours() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 4, "{name} has {} inputs", inputs.len());
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for input in &inputs {
            target(input);
            for _ in 0..MUTATIONS {
                target(&mutated(input, &inputs, &mut random));
            }
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One to four small changes.
fn mutated(input: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(12)).min(input.len());
        match random.below(6) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..end, WORDS[random.below(WORDS.len())].bytes())),
            3 => input.extend_from_within(at..end),
            4 if at < input.len() => input[at] = random.below(256) as u8,
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let piece = &other[from..(from + random.below(64)).min(other.len())];
                drop(input.splice(at..at, piece.iter().copied()));
            }
        }
    }
    input
}

/// Xorshift: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
