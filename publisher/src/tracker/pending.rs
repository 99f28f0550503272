//! Accepted numbers of a line of our own that are not final everywhere yet, as a bounded sample, for latencies.
//!
//! Up to [`ENTRIES_MAX`] numbers it holds all of them. Beyond that it holds each with a chance of one in
//! `stride`, chosen by a hash of the number (so that no pattern in the numbers biases it), and lets each of
//! them stand for `stride`: percentiles stay true, and memory bounded, for any rate and any outage.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemas::Number;

use super::events::Subject;
use super::latency::LONGEST;
use super::range::Numbers;
use super::scope::Scope;

/// Most numbers held.
pub(super) const ENTRIES_MAX: usize = 65_536;

/// Most numbers held of another publisher's line: nothing but events hangs on them.
const OTHERS_ENTRIES_MAX: usize = 4_096;

/// Most regions whose latencies are measured: one bit each.
pub(super) const REGIONS_MAX: usize = 64;

/// A set of regions, by their places in a list.
pub(super) type RegionBits = u64;

/// One pass over the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Applied,
    Final,
}

/// The numbers of one line.
#[derive(Debug)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
    entries_max: usize,
    stride: u32,
    /// The last number that was swept.
    swept: Number,
}

/// What an invalidation has reached everywhere, to be told.
#[derive(Debug)]
pub(super) struct Milestone {
    pub(super) subject: Subject,
    pub(super) stage: Stage,
}

/// A number to be looked at.
#[derive(Debug)]
pub(super) struct Swept {
    pub(super) number: Number,
    pub(super) scope: Arc<Scope>,
}

/// What of an invalidation was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Published,
    Blocked,
    Applied,
    Final,
}

/// A number accepted, and where it has arrived.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: Number,
    pub(super) subject: Subject,
    /// How many numbers it stands for.
    pub(super) stands_for: u32,
    awaited: RegionBits,
    applied: RegionBits,
    finished: RegionBits,
    told: Told,
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

    /// What is news now that every region has reached `stage`.
    fn tell(&mut self, stage: Stage) -> Vec<Milestone> {
        let (told, news): (_, &[Stage]) = match stage {
            Stage::Applied if self.told < Told::Applied => (Told::Applied, &[Stage::Applied]),
            Stage::Final if self.told < Told::Applied => {
                (Told::Final, &[Stage::Applied, Stage::Final])
            }
            Stage::Final if self.told < Told::Final => (Told::Final, &[Stage::Final]),
            Stage::Applied | Stage::Final => return Vec::new(),
        };
        self.told = told;
        let milestone = |stage: &Stage| Milestone { subject: self.subject.clone(), stage: *stage };
        news.iter().map(milestone).collect()
    }

    /// The same, if every region has.
    fn tell_if_reached(&mut self, stage: Stage) -> Vec<Milestone> {
        let awaited = self.awaited;
        if awaited != 0 && *self.reached(stage) & awaited == awaited {
            self.tell(stage)
        } else {
            Vec::new()
        }
    }
}

impl Pending {
    /// No number yet.
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), entries_max: ENTRIES_MAX, stride: 1, swept: 0 }
    }

    /// The same, for a line of another publisher.
    pub(super) fn of_another() -> Self {
        Self { entries_max: OTHERS_ENTRIES_MAX, ..Self::new() }
    }

    /// `number`, higher than all before, was accepted and is owed by caches of the `awaited` regions.
    pub(super) fn accepted(&mut self, number: Number, subject: Subject, awaited: RegionBits) {
        self.forget_old(subject.accepted_at);
        if self.stride > 1 && self.entries.len() < self.entries_max / 8 {
            self.stride /= 2;
        }
        if !chosen(number, self.stride) {
            return;
        }
        let stands_for = self.stride;
        self.entries.push_back(Entry {
            number,
            subject,
            stands_for,
            awaited,
            applied: 0,
            finished: 0,
            told: Told::Published,
        });
        if self.entries.len() > self.entries_max {
            self.make_room();
        }
    }

    /// Gives each held number of `numbers` that `region` had not reached to `reached`, and remembers those
    /// for which it answers true: each is measured once. Answers what has thereby come as far everywhere.
    pub(super) fn measure(
        &mut self,
        stage: Stage,
        region: usize,
        numbers: &[Numbers],
        mut reached: impl FnMut(&Entry) -> bool,
    ) -> Vec<Milestone> {
        let mut milestones = Vec::new();
        let bit = 1 << region;
        for range in numbers {
            let first = self.entries.partition_point(|entry| entry.number < *range.start());
            let news = self.entries.range_mut(first..);
            for entry in news.take_while(|entry| entry.number <= *range.end()) {
                if *entry.reached(stage) & bit == 0 && reached(entry) {
                    *entry.reached(stage) |= bit;
                    milestones.extend(entry.tell_if_reached(stage));
                }
            }
        }
        while self.entries.front().is_some_and(Entry::done) {
            self.entries.pop_front();
        }
        milestones
    }

    /// At most `max` numbers accepted before then that are not known to be final, in turn.
    pub(super) fn sweep(&mut self, accepted_before: Timestamp, max: usize) -> Vec<Swept> {
        let waits = |entry: &&Entry| {
            entry.told < Told::Final && entry.subject.accepted_at < accepted_before
        };
        let after = self.entries.partition_point(|entry| entry.number <= self.swept);
        let (earlier, later) = (self.entries.range(..after), self.entries.range(after..));
        let some = later.chain(earlier).take(self.entries.len().min(max)).filter(waits);
        let swept =
            |entry: &Entry| Swept { number: entry.number, scope: Arc::clone(&entry.subject.scope) };
        let swept: Vec<Swept> = some.map(swept).collect();
        self.swept = match self.entries.get(after.saturating_add(max)) {
            Some(next) => next.number - 1,
            None => 0,
        };
        swept
    }

    /// A number has come so far everywhere; answers what of that is news.
    pub(super) fn tell(&mut self, number: Number, stage: Stage) -> Vec<Milestone> {
        let Some(entry) = self.entry(number) else { return Vec::new() };
        if stage == Stage::Final {
            entry.finished = entry.awaited;
        }
        entry.tell(stage)
    }

    /// A number is blocked; its subject, if that is news.
    pub(super) fn block(&mut self, number: Number) -> Option<Subject> {
        let entry = self.entry(number).filter(|entry| entry.told == Told::Published)?;
        entry.told = Told::Blocked;
        Some(entry.subject.clone())
    }

    /// Whether it holds none.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, number: Number) -> Option<&mut Entry> {
        let at = self.entries.partition_point(|entry| entry.number < number);
        self.entries.get_mut(at).filter(|entry| entry.number == number)
    }

    /// When the first held number of `numbers` was accepted.
    pub(super) fn accepted_at(&self, numbers: &Numbers) -> Option<Timestamp> {
        let first = self.entries.partition_point(|entry| entry.number < *numbers.start());
        let entry = self.entries.get(first).filter(|entry| numbers.contains(&entry.number))?;
        Some(entry.subject.accepted_at)
    }

    /// How many numbers it holds.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Forgets what was accepted too long ago to matter.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        let old = |entry: &Entry| now.duration_since(entry.subject.accepted_at) > LONGEST;
        while self.entries.front().is_some_and(old) {
            self.entries.pop_front();
        }
    }

    /// Drops what is done; if that is not enough, every second entry, the other standing for both.
    fn make_room(&mut self) {
        self.entries.retain(|entry| !entry.done());
        if self.entries.len() <= self.entries_max / 2 {
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
