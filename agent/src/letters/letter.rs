//! One dead letter.

use jiff::Timestamp;
use rangemap::RangeInclusiveSet;
use schemas::{DeadLetter, Exchange, KeptLetter, LetterState, Number, NumberRange, Outcome, Place};
use uuid::Uuid;

use super::RANGES_MAX;
use crate::Moment;
use crate::driver::Purge;
use crate::stretch::Numbers;

/// So much of what a cache said is kept.
const REASON_BYTES_MAX: usize = 512;

/// Why a cache did not purge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Why<'a> {
    /// In words.
    pub(crate) reason: &'a str,
    /// What it answered, if it did.
    pub(crate) exchange: Option<&'a Exchange>,
}

impl<'a> Why<'a> {
    /// It was not asked.
    pub(crate) fn of(reason: &'a str) -> Self {
        Self { reason, exchange: None }
    }
}

/// Why the cache did not purge, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// Why.
    pub(crate) why: Why<'a>,
    /// On the wall clock.
    pub(crate) time: Timestamp,
    /// On the lane's clock.
    pub(crate) now: Moment,
}

/// One selector that was refused, for every number that asked for it.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) purge: Purge,
    pub(super) reason: String,
    pub(super) exchange: Option<Box<Exchange>>,
    pub(super) first_seen: Timestamp,
    pub(super) last_tried: Timestamp,
    pub(super) tries: u32,
    pub(super) state: LetterState,
    /// How its numbers end once it is gone.
    pub(super) outcome: Outcome,
    pub(super) latest: Place,
    pub(super) numbers: Numbers,
    /// Only a purge that began then or later has heard of all its numbers.
    pub(super) refused_at: Moment,
}

impl Letter {
    /// One that stands for nothing yet.
    pub(super) fn new(purge: Purge, latest: Place, Refusal { time, now, .. }: Refusal<'_>) -> Self {
        Self {
            purge,
            reason: String::new(),
            exchange: None,
            first_seen: time,
            last_tried: time,
            tries: 0,
            state: LetterState::Refused,
            outcome: Outcome::Purged,
            latest,
            numbers: Numbers::new(),
            refused_at: now,
        }
    }

    /// It was refused once more, for these places. Answers those that it did not stand for yet.
    pub(super) fn refuse(&mut self, places: &[Place], refusal: Refusal<'_>) -> Vec<Place> {
        let Why { reason, exchange } = refusal.why;
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        reason[..end].clone_into(&mut self.reason);
        self.exchange = exchange.cloned().map(Box::new);
        self.last_tried = refusal.time;
        self.tries = self.tries.saturating_add(1);
        self.state = LetterState::Refused;
        self.refused_at = refusal.now;
        self.latest = places.last().copied().unwrap_or(self.latest);
        places.iter().copied().filter(|place| self.add(*place)).collect()
    }

    /// It stands for that one too. Answers whether it did not yet.
    pub(super) fn add(&mut self, Place { line, number }: Place) -> bool {
        let of_line = self.numbers.entry(line).or_default();
        let new = !of_line.contains(&number);
        of_line.insert(number..=number);
        new
    }

    /// How many numbers it stands for.
    pub(super) fn count(&self) -> u64 {
        let ranges = self.numbers.values().flat_map(|ranges| ranges.iter());
        ranges.map(|range| range.end() - range.start() + 1).sum()
    }

    /// Whether it may stand for no more.
    pub(super) fn is_full(&self) -> bool {
        self.numbers.values().map(RangeInclusiveSet::len).sum::<usize>() >= RANGES_MAX
    }

    /// For the report.
    pub(super) fn told(&self, id: Uuid) -> DeadLetter {
        let Purge { site, selector, mode, .. } = self.purge.clone();
        DeadLetter {
            id,
            site,
            selector,
            mode,
            reason: self.reason.clone(),
            first_seen: self.first_seen,
            last_tried: self.last_tried,
            tries: self.tries,
            state: self.state,
            place: self.latest,
            invalidations: self.count(),
            exchange: self.exchange.as_deref().cloned(),
        }
    }

    /// For its file.
    pub(super) fn kept(&self, id: Uuid) -> KeptLetter {
        let numbers = self.numbers.iter().flat_map(|(line, ranges)| {
            let range = |first: &Number, last: &Number| NumberRange { first: *first, last: *last };
            ranges.iter().map(move |numbers| (*line, range(numbers.start(), numbers.end())))
        });
        KeptLetter { letter: self.told(id), numbers: numbers.collect() }
    }
}
