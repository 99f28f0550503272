//! Every parser of what comes from outside, each in a target that takes any bytes, and what must hold whatever they are:
//! no panic, bounded memory, and what was understood means the same when it is written and read again.
//!
//! `tests/fuzz/run` feeds the targets with what libFuzzer thinks of; `tests/fuzz/tests/corpus.rs` with what is kept of that.

mod memory;
mod targets;

use std::path::PathBuf;

pub use targets::TARGETS;

/// One or several parsers of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Parses. Panics where something does not hold.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Where its inputs are kept.
    pub fn corpus(&self) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "corpus", self.name].iter().collect()
    }
}
