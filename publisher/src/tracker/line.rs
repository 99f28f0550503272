//! One line of a lane: how far it has come, how numbers ended, and what the cache could do then.

use jiff::Timestamp;
use rangemap::{RangeInclusiveMap, RangeInclusiveSet};
use schemas::{LineId, LineReport, Number, NumberRange, Outcome};

use super::pass::Pass;
use super::range::{HIGHEST, Numbers, within_bounds};
use super::scope::{Duty, KindAbilities};

/// Most ranges of numbers per line that were settled under other abilities than the present ones.
const JUDGED_MAX: usize = 1_024;

/// One line of a lane.
#[derive(Debug)]
pub(super) struct Line {
    /// Where the lane's present life began.
    pub(super) base: Number,
    /// Where the first lane of this name began: it and its successors owe what lies above.
    pub(super) owed_from: Number,
    /// First pass.
    pub(super) applied: Pass,
    /// Last pass.
    pub(super) finished: Pass,
    /// Numbers that have not arrived.
    pub(super) holes: RangeInclusiveSet<Number>,
    /// Outcomes other than purged.
    pub(super) exceptions: RangeInclusiveMap<Number, Outcome>,
    /// What was settled under abilities other than the present ones, with those.
    pub(super) judged: RangeInclusiveMap<Number, KindAbilities>,
    /// Whether it is not stored as it stands here.
    pub(super) unstored: bool,
    heard_at: Timestamp,
}

/// How a lane stands to an invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not its business.
    NotOwed,
    /// It has not settled it.
    Owes,
    /// It has.
    Settled {
        /// How.
        outcome: Outcome,
        /// Whether its last pass is done too.
        finished: bool,
    },
}

/// What a report of a lane settles that was not settled before.
#[derive(Debug)]
pub(super) struct News {
    pub(super) line: LineId,
    pub(super) applied: Vec<Numbers>,
    pub(super) finished: Vec<Numbers>,
}

/// A cache's abilities before and after a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) before: Option<KindAbilities>,
    pub(super) after: Option<KindAbilities>,
}

impl Change {
    /// None.
    pub(super) const NONE: Self = Self { before: None, after: None };

    /// Before and after, where what it could do is no longer what it can do.
    fn in_kinds(self) -> Option<(KindAbilities, KindAbilities)> {
        self.before.zip(self.after).filter(|(before, after)| before != after)
    }
}

impl Line {
    /// A line that begins at `base`.
    pub(super) fn new(base: Number, at: Timestamp) -> Self {
        Self {
            base,
            owed_from: base,
            applied: Pass::default(),
            finished: Pass::default(),
            holes: RangeInclusiveSet::new(),
            exceptions: RangeInclusiveMap::new(),
            judged: RangeInclusiveMap::new(),
            unstored: true,
            heard_at: at,
        }
    }

    /// Takes its latest report, or the first of a new life.
    pub(super) fn report(
        &mut self,
        report: &LineReport,
        relapsed: bool,
        change: Change,
        at: Timestamp,
    ) -> News {
        let kept = self.kept();
        self.unstored |= relapsed;
        if relapsed {
            self.relapse(report);
        }
        self.heard_at = at;
        self.base = report.base;
        self.owed_from = self.owed_from.min(report.base);
        self.holes = report.holes.iter().copied().filter_map(within_bounds).collect();
        if !self.knows(&report.exceptions) {
            let before = self.exceptions.clone();
            self.take_exceptions(report);
            self.unstored |= before != self.exceptions;
        }
        let settled_before = change.in_kinds().map(|kinds| (kinds, self.applied.settled().clone()));
        let applied = self.applied.report(report.applied, &report.applied_above, at);
        let finished = self.finished.report(report.finished, &report.finished_above, at);
        if let Some(((before, after), settled_before)) = settled_before {
            self.judge_by(settled_before.iter(), before);
            self.judge_by(applied.iter(), before.worse(after));
        }
        self.unstored |= kept != self.kept() || !applied.is_empty() || !finished.is_empty();
        News { line: report.line, applied, finished }
    }

    /// A new life shows nothing of it: nothing is settled, and what was owed still is.
    pub(super) fn take_back(&mut self) {
        self.base = self.owed_from;
        self.applied.relapse(0, &[]);
        self.finished.relapse(0, &[]);
        self.holes.clear();
        self.exceptions.clear();
        self.judged.clear();
        self.unstored = true;
    }

    /// How a lane with this duty stands to `number`.
    pub(super) fn standing(&self, number: Number, duty: Duty, lane_ready: bool) -> Standing {
        if number <= self.owed_from {
            return Standing::NotOwed;
        }
        let began_later = number <= self.base;
        if !self.applied.has(number) || (began_later && !lane_ready) {
            return Standing::Owes;
        }
        let outcome = if began_later { Outcome::Flushed } else { self.outcome(number, duty) };
        Standing::Settled { outcome, finished: self.finished.has(number) }
    }

    /// The highest number that it shows to exist.
    pub(super) fn highest(&self) -> Number {
        let settled = self.applied.settled().last().map_or(0, |range| *range.end());
        let missing = self.holes.last().map_or(0, |range| *range.end());
        self.base.max(settled).max(missing)
    }

    /// The kinds of selector it could purge when it settled `number`, if they were others than now.
    pub(super) fn judged(&self, number: Number) -> Option<KindAbilities> {
        self.judged.get(&number).copied()
    }

    /// When a report last showed it.
    pub(super) fn heard_at(&self) -> Timestamp {
        self.heard_at
    }

    fn outcome(&self, number: Number, duty: Duty) -> Outcome {
        let outcome = self.exceptions.get(&number).copied().unwrap_or(Outcome::Purged);
        match (duty, outcome) {
            (_, Outcome::Flushed) | (Duty::NotOurs | Duty::Purge, _) => outcome,
            (Duty::Unsupported, _) => outcome.max(Outcome::Unsupported),
        }
    }

    /// A new life knows only what its report shows.
    fn relapse(&mut self, report: &LineReport) {
        self.applied.relapse(report.applied, &report.applied_above);
        self.finished.relapse(report.finished, &report.finished_above);
        self.exceptions.clear();
        let lost: Vec<Numbers> = self.applied.settled().gaps(&(1..=HIGHEST)).collect();
        for range in lost {
            self.judged.remove(range);
        }
    }

    /// Remembers what a cache could do when it settled these numbers, where that is not known yet.
    fn judge_by<'a>(
        &mut self,
        settled: impl Iterator<Item = &'a Numbers>,
        abilities: KindAbilities,
    ) {
        for range in settled {
            for gap in self.judged.gaps(range).collect::<Vec<_>>() {
                self.judged.insert(gap, abilities);
            }
        }
        while self.judged.len() > JUDGED_MAX {
            let mut lowest = self.judged.iter().take(2).map(|(range, at)| (range.clone(), *at));
            let (Some((first, one)), Some((second, other))) = (lowest.next(), lowest.next()) else {
                return;
            };
            drop(lowest);
            self.judged.insert(*first.start()..=*second.end(), one.worse(other));
        }
    }

    /// What the report settles ends as the report says; what only earlier ones of this life settled
    /// ends as those said.
    fn take_exceptions(&mut self, report: &LineReport) {
        let floor = NumberRange { first: 1, last: report.applied.min(HIGHEST) };
        let settled = report.applied_above.iter().copied().chain([floor]);
        for range in settled.filter_map(within_bounds) {
            self.exceptions.remove(range);
        }
        let mut exceptions = report.exceptions.clone();
        exceptions.sort_by_key(|(_, outcome)| *outcome);
        for (numbers, outcome) in exceptions {
            if let Some(range) = within_bounds(numbers) {
                self.exceptions.insert(range, outcome);
            }
        }
    }

    /// Whether these are the exceptions that are known: most reports say again what the last one said, and the
    /// outcomes of a cache that is down for long are many.
    fn knows(&self, exceptions: &[(NumberRange, Outcome)]) -> bool {
        let said = exceptions.iter().map(|(numbers, outcome)| (within_bounds(*numbers), outcome));
        said.eq(self.exceptions.iter().map(|(range, outcome)| (Some(range.clone()), outcome)))
    }

    /// Of what a store keeps beside the passes and the exceptions, enough to see a change.
    fn kept(&self) -> (Number, Number, usize) {
        (self.base, self.owed_from, self.judged.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: Number) -> NumberRange {
        NumberRange { first: number, last: number }
    }

    #[test]
    fn outcomes_are_stored_again_where_they_are_others_only() {
        let id = LineId::from_bytes([1; 16]);
        let (mut line, mut report) = (Line::new(0, Timestamp::UNIX_EPOCH), LineReport::new(id));
        report.applied = 3;
        let mut stores = |exceptions: &[(NumberRange, Outcome)]| {
            line.unstored = false;
            report.exceptions = exceptions.to_vec();
            line.report(&report, false, Change::NONE, Timestamp::UNIX_EPOCH);
            let told = line.exceptions.iter().map(|(range, outcome)| (range.clone(), *outcome));
            let expected = exceptions.iter().map(|(at, outcome)| (at.first..=at.last, *outcome));
            assert!(told.eq(expected), "{:?}", line.exceptions);
            line.unstored
        };
        assert!(stores(&[]), "the floor is news");
        assert!(!stores(&[]));
        let refused = [(one(1), Outcome::Refused), (one(3), Outcome::Refused)];
        assert!(stores(&refused));
        assert!(!stores(&refused));
        assert!(stores(&[(one(1), Outcome::Cancelled), (one(3), Outcome::Refused)]));
        assert!(stores(&refused[1..]), "the first was purged after all");
        assert!(stores(&[]));
    }
}
