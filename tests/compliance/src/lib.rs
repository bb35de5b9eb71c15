//! The differential suite: the same bundles are started with the original's v1.20.0 programs and with ours on the lab's
//! machines, and what the container sees is compared.
//!
//! A *case* ([`case`]) is data, in `cases/TOPIC.toml`. Running one gives *facts* ([`facts`]): named lists of lines, such
//! as which device nodes exist and whether they open. The original's facts are recorded in `facts/TOPIC.json`, so that
//! the suite runs where the original is absent. A *verdict* ([`verdict`]) compares the two, and lets a difference pass
//! only where the case names the entry of `docs/differences.md` that explains it.
//!
//! The pure part (what a bundle looks like, what facts follow from what was seen, what they amount to) is here and in
//! unit tests; [`inner`] is the only part that starts containers, and it runs inside the lab.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod case;
pub mod config;
pub mod error_class;
pub mod facts;
pub mod inner;
pub mod observe;
pub mod outer;
pub mod probe;
pub mod programs;
pub mod root;
pub mod specs;
pub mod upper;
pub mod verdict;
