//! Accepted numbers of a line of our own that are not final everywhere yet, as a bounded sample, for latencies.
//!
//! Up to [`ENTRIES_MAX`] numbers it holds all of them. Beyond that it holds each with a chance of one in
//! `stride`, chosen by a hash of the number (so that no pattern in the numbers biases it), and lets each of
//! them stand for `stride`: percentiles stay true, and memory bounded, for any rate and any outage.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemas::Number;

use super::latency::LONGEST;
use super::range::Numbers;
use super::scope::Scope;

/// Most numbers held.
pub(super) const ENTRIES_MAX: usize = 65_536;

/// Most regions whose latencies are measured: one bit each.
pub(super) const REGIONS_MAX: usize = 64;

/// A set of regions, by their places in a list.
pub(super) type RegionBits = u64;

/// One pass over the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Applied,
    Final,
}

/// The numbers of one line.
#[derive(Debug)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
    stride: u32,
}

/// A number accepted, and where it has arrived.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: Number,
    pub(super) accepted_at: Timestamp,
    pub(super) scope: Arc<Scope>,
    /// How many numbers it stands for.
    pub(super) stands_for: u32,
    awaited: RegionBits,
    applied: RegionBits,
    finished: RegionBits,
}

impl Entry {
    fn done(&self) -> bool {
        self.awaited != 0 && self.finished & self.awaited == self.awaited
    }

    fn reached(&mut self, stage: Stage) -> &mut RegionBits {
        match stage {
            Stage::Applied => &mut self.applied,
            Stage::Final => &mut self.finished,
        }
    }
}

impl Pending {
    /// No number yet.
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), stride: 1 }
    }

    /// `number`, higher than all before, was accepted and is owed by caches of the `awaited` regions.
    pub(super) fn accepted(
        &mut self,
        number: Number,
        accepted_at: Timestamp,
        scope: Arc<Scope>,
        awaited: RegionBits,
    ) {
        self.forget_old(accepted_at);
        if self.stride > 1 && self.entries.len() < ENTRIES_MAX / 8 {
            self.stride /= 2;
        }
        if !chosen(number, self.stride) {
            return;
        }
        let stands_for = self.stride;
        self.entries.push_back(Entry {
            number,
            accepted_at,
            scope,
            stands_for,
            awaited,
            applied: 0,
            finished: 0,
        });
        if self.entries.len() > ENTRIES_MAX {
            self.make_room();
        }
    }

    /// Gives each held number of `numbers` that `region` had not reached to `reached`, and remembers those
    /// for which it answers true: each is measured once.
    pub(super) fn measure(
        &mut self,
        stage: Stage,
        region: usize,
        numbers: &[Numbers],
        mut reached: impl FnMut(&Entry) -> bool,
    ) {
        let bit = 1 << region;
        for range in numbers {
            let first = self.entries.partition_point(|entry| entry.number < *range.start());
            let news = self.entries.range_mut(first..);
            for entry in news.take_while(|entry| entry.number <= *range.end()) {
                if *entry.reached(stage) & bit == 0 && reached(entry) {
                    *entry.reached(stage) |= bit;
                }
            }
        }
        while self.entries.front().is_some_and(Entry::done) {
            self.entries.pop_front();
        }
    }

    /// When the first held number of `numbers` was accepted.
    pub(super) fn accepted_at(&self, numbers: &Numbers) -> Option<Timestamp> {
        let first = self.entries.partition_point(|entry| entry.number < *numbers.start());
        let entry = self.entries.get(first).filter(|entry| numbers.contains(&entry.number))?;
        Some(entry.accepted_at)
    }

    /// How many numbers it holds.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    fn forget_old(&mut self, now: Timestamp) {
        let old = |entry: &Entry| now.duration_since(entry.accepted_at) > LONGEST;
        while self.entries.front().is_some_and(old) {
            self.entries.pop_front();
        }
    }

    /// Drops what is done; if that is not enough, every second entry, the other standing for both.
    fn make_room(&mut self) {
        self.entries.retain(|entry| !entry.done());
        if self.entries.len() <= ENTRIES_MAX / 2 {
            return;
        }
        self.stride = self.stride.saturating_mul(2);
        let stride = self.stride;
        self.entries.retain_mut(|entry| {
            entry.stands_for = entry.stands_for.max(stride);
            chosen(entry.number, stride)
        });
    }
}

/// Whether `number` is the one in `stride` (a power of two) that is held.
fn chosen(number: Number, stride: u32) -> bool {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    mixed & u64::from(stride - 1) == 0
}

/// Milliseconds and fractions from `accepted_at` to `at`; a clock that was set back gives 0.
pub(super) fn milliseconds(accepted_at: Timestamp, at: Timestamp) -> f64 {
    let latency = at.duration_since(accepted_at).max(SignedDuration::ZERO);
    latency.as_millis_f64()
}
