//! One line as a lane knows it: what was heard, what is settled, what is final, and how what was not purged ended.

use std::collections::BTreeMap;

use schemas::{
    ClosedLine, LineCursor, LineId, LineReport, Number, NumberRange, Outcome, PublisherName,
};

use crate::Moment;
use crate::floor::Floor;
use crate::hear::Hearing;
use crate::ledger::Account;
use crate::notes::{Note, Notes};
use crate::sequence::Sequence;

/// Numbers that run ahead by more than publishers have under way show that a part of the log was passed by.
const FAR: Number = 10_000;
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
    /// How numbers ended otherwise than by a purge of their own.
    pub(crate) notes: Notes,
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
            notes: Notes::default(),
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
            accounts: Sequence::default(),
            notes: Notes::restored(&cursor.exceptions, &finished),
            finished,
            refused: cursor.refused.iter().map(|(number, _)| (*number, 0)).collect(),
            heard: now,
            closed: None,
        };
        for numbers in flushed {
            line.notes.note(*numbers, Outcome::Flushed);
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

    /// One dead letter less stands for `number`, a part of which has ended so.
    pub(crate) fn absolve(&mut self, number: Number, outcome: Outcome) {
        let Some(letters) = self.refused.get_mut(&number) else { return };
        *letters = letters.saturating_sub(1);
        if *letters == 0 {
            self.refused.remove(&number);
        }
        if outcome != Outcome::Purged {
            self.notes.worsen(number, outcome);
        }
    }

    fn exceptions(&self) -> Vec<Note> {
        let refused = blocked(self.refused.keys().copied());
        let refused = refused.into_iter().map(|range| (range, Outcome::Refused));
        self.notes.all().chain(refused).collect()
    }

    /// For the cursor.
    pub(crate) fn cursor(&self, line: LineId) -> LineCursor {
        LineCursor {
            line,
            base: self.base,
            floor: self.finished.number(),
            settled: self.finished.above().collect(),
            refused: self.refused.keys().map(|number| (*number, String::new())).collect(),
            exceptions: self.notes.of(&self.finished),
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
    fn a_number_ends_as_the_worst_of_its_dead_letters_did_whichever_was_the_last() {
        let seven = NumberRange { first: 7, last: 7 };
        for ends in [Outcome::Cancelled, Outcome::Purged, Outcome::Cancelled].windows(2) {
            let mut line = Line::from_base(0);
            line.refused.insert(7, 2);
            line.absolve(7, ends[0]);
            assert!(line.exceptions().contains(&(seven, Outcome::Refused)));
            line.absolve(7, ends[1]);
            assert_eq!(line.exceptions(), [(seven, Outcome::Cancelled)]);
        }
    }
}
