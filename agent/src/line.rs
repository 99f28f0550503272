//! One line as a lane knows it: what was heard, what is settled, what is final, and how what was not purged ended.

use std::collections::BTreeMap;

use rangemap::RangeInclusiveMap;
use schemas::{
    ClosedLine, LineCursor, LineId, LineReport, Number, NumberRange, Outcome, PublisherName,
};

use crate::Moment;
use crate::floor::Floor;
use crate::hear::Hearing;
use crate::ledger::Account;
use crate::sequence::Sequence;

/// Numbers that run ahead by more than publishers have under way show that a part of the log was passed by.
const FAR: Number = 10_000;
/// Most ranges of outcomes other than `purged` remembered per line; beyond it the older half is told in wider ranges:
/// none is dropped.
const NOTES_MAX: usize = 1_000;
/// Most ranges of dead letters told per line; beyond it the oldest are told as one range: none is dropped.
const BLOCKED_MAX: usize = 1_000;

/// One line as this lane knows it.
#[derive(Debug)]
pub(crate) struct Line {
    /// Who speaks on it, once known.
    pub(crate) publisher: Option<PublisherName>,
    /// Where the lane began.
    pub(crate) base: Number,
    /// What was heard of it.
    pub(crate) hearing: Hearing,
    /// What has been purged once.
    pub(crate) applied: Floor,
    /// What has had its last pass.
    pub(crate) finished: Floor,
    /// What is open of each number that was heard and is not final.
    pub(crate) accounts: Sequence<Account>,
    notes: RangeInclusiveMap<Number, Outcome>,
    /// Numbers that ended as dead letters, and how many letters stand for each.
    pub(crate) refused: BTreeMap<Number, u32>,
    /// When it was last heard of, in this life.
    pub(crate) heard: Moment,
    /// Whether its publisher has gone on to others.
    pub(crate) closed: Option<ClosedLine>,
}

impl Line {
    /// A line of which all up to `base` is none of our business.
    pub(crate) fn from_base(base: Number) -> Self {
        Self {
            publisher: None,
            base,
            hearing: Hearing::from_base(base),
            applied: Floor::at(base),
            finished: Floor::at(base),
            accounts: Sequence::default(),
            notes: RangeInclusiveMap::new(),
            refused: BTreeMap::new(),
            heard: Moment::ZERO,
            closed: None,
        }
    }

    /// The line as an earlier life left it: a flush that lacks its last pass made up for `flushed`.
    pub(crate) fn resumed(cursor: &LineCursor, flushed: &[NumberRange], now: Moment) -> Self {
        let finished = Floor::restored(cursor.floor, &cursor.settled);
        let mut applied = finished.clone();
        for numbers in flushed {
            applied.settle(*numbers);
        }
        let mut line = Self {
            publisher: None,
            base: cursor.base,
            hearing: Hearing::resumed(&applied, now),
            applied,
            finished,
            accounts: Sequence::default(),
            notes: RangeInclusiveMap::new(),
            refused: cursor.refused.iter().map(|(number, _)| (*number, 0)).collect(),
            heard: now,
            closed: None,
        };
        for numbers in flushed {
            line.note(*numbers, Outcome::Flushed);
        }
        line
    }

    /// Numbers up to `head` exist. Answers whether a part of the log seems to have been passed by.
    pub(crate) fn learn_head(&mut self, head: Number, now: Moment) -> bool {
        let before = self.hearing.head();
        self.hearing.learn_head(head, now);
        before > self.base && head.saturating_sub(before) > FAR
    }

    /// Whether nothing will ever be asked of it again: it is closed, finally settled up to its last number, nothing
    /// was refused, and nothing came after it was closed.
    pub(crate) fn over(&self) -> Option<ClosedLine> {
        let settled = |closed: &ClosedLine| {
            self.finished.number() >= closed.last
                && self.hearing.head() <= closed.last.max(self.base)
        };
        self.closed.filter(settled).filter(|_| self.refused.is_empty())
    }

    /// Numbers known to exist and not settled.
    pub(crate) fn lag(&self) -> u64 {
        let above: u64 = self.applied.above().map(|range| range.last - range.first + 1).sum();
        self.hearing.head().saturating_sub(self.applied.number()).saturating_sub(above)
    }

    /// These numbers ended otherwise than by a purge of their own.
    pub(crate) fn note(&mut self, numbers: NumberRange, outcome: Outcome) {
        self.notes.insert(numbers.first..=numbers.last, outcome);
        if self.notes.len() > NOTES_MAX {
            self.widen_older_notes();
        }
    }

    /// Of the older half of the notes each two neighbours become one, with what lies between them and the worse
    /// outcome: so the newest stay exact, and nothing is told to have ended better than it did.
    fn widen_older_notes(&mut self) {
        let older = self.notes.iter().take(NOTES_MAX / 2);
        let older: Vec<_> = older.map(|(range, outcome)| (range.clone(), *outcome)).collect();
        for pair in older.chunks_exact(2) {
            let [(first, one), (second, other)] = pair else { continue };
            self.notes.insert(*first.start()..=*second.end(), *one.max(other));
        }
    }

    /// One dead letter less stands for `number`, which has ended so if it was the last.
    pub(crate) fn absolve(&mut self, number: Number, outcome: Outcome) {
        let Some(letters) = self.refused.get_mut(&number) else { return };
        *letters = letters.saturating_sub(1);
        if *letters > 0 {
            return;
        }
        self.refused.remove(&number);
        if outcome != Outcome::Purged {
            self.note(NumberRange { first: number, last: number }, outcome);
        }
    }

    fn exceptions(&self) -> Vec<(NumberRange, Outcome)> {
        let notes = self.notes.iter().map(|(range, outcome)| {
            (NumberRange { first: *range.start(), last: *range.end() }, *outcome)
        });
        let refused = blocked(self.refused.keys().copied());
        notes.chain(refused.into_iter().map(|range| (range, Outcome::Refused))).collect()
    }

    /// For the cursor.
    pub(crate) fn cursor(&self, line: LineId) -> LineCursor {
        LineCursor {
            line,
            base: self.base,
            floor: self.finished.number(),
            settled: self.finished.above().collect(),
            refused: self.refused.keys().map(|number| (*number, String::new())).collect(),
        }
    }

    /// For the report.
    pub(crate) fn report(&self, line: LineId, holes: Vec<NumberRange>) -> LineReport {
        LineReport {
            line,
            base: self.base,
            applied: self.applied.number(),
            applied_above: self.applied.above().collect(),
            finished: self.finished.number(),
            finished_above: self.finished.above().collect(),
            exceptions: self.exceptions(),
            holes,
        }
    }
}

/// Numbers in ascending order as few ranges.
fn blocked(numbers: impl Iterator<Item = Number>) -> Vec<NumberRange> {
    let mut ranges: Vec<NumberRange> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == number => range.last = number,
            _ => ranges.push(NumberRange { first: number, last: number }),
        }
    }
    if let Some(surplus) = ranges.len().checked_sub(BLOCKED_MAX)
        && surplus > 0
    {
        let first = ranges[0].first;
        ranges.drain(..surplus);
        ranges[0].first = first;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_dead_letters_are_told_as_one_range() {
        let range = |first, last| NumberRange { first, last };
        assert_eq!(
            blocked([1, 2, 3, 7, 9, 10].into_iter()),
            [range(1, 3), range(7, 7), range(9, 10)]
        );
    }

    #[test]
    fn too_many_dead_letters_are_told_in_wider_ranges_and_never_dropped() {
        let numbers = || (1..=5_000).map(|number| number * 2);
        let ranges = blocked(numbers());
        assert_eq!(ranges.len(), BLOCKED_MAX);
        assert!(numbers().all(|number| ranges.iter().any(|range| range.contains(number))));
    }

    #[test]
    fn too_many_notes_are_told_in_wider_ranges_and_nothing_ends_better_than_it_did() {
        let ended = |number: Number| match number % 50 {
            0 => Outcome::Expired,
            _ => Outcome::Covered,
        };
        let mut line = Line::from_base(0);
        let all: Vec<Number> = (2..=20_000).step_by(2).collect();
        for number in &all {
            line.note(NumberRange { first: *number, last: *number }, ended(*number));
            assert!(line.notes.len() <= NOTES_MAX);
        }
        let exceptions = line.exceptions();
        let told = |number: Number| {
            exceptions.iter().find(|(range, _)| range.contains(number)).map(|(_, outcome)| *outcome)
        };
        assert!(all.iter().all(|number| told(*number) >= Some(ended(*number))));
        let newest = all.iter().rev().take(NOTES_MAX / 2);
        assert!(newest.clone().all(|number| told(*number) == Some(ended(*number))));
        assert!(newest.clone().all(|number| told(*number - 1).is_none()), "they are exact");
    }
}
