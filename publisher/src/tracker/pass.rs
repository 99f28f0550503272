//! One pass of a lane over a line: which numbers are settled, and when a report first said so.

use jiff::{SignedDuration, Timestamp};
use rangemap::{RangeInclusiveMap, RangeInclusiveSet};
use schemas::{Number, NumberRange};

use super::range::{HIGHEST, Numbers, within_bounds};

/// Most ranges of numbers whose time is remembered, per lane, line and pass.
pub(super) const TIMES_MAX: usize = 1_280;

/// How many are left when there were more: so that thinning is rare.
const THINNED_TO: usize = TIMES_MAX / 8 * 7;

/// When times are thinned, neighbours this close together become one, with the later time.
const THINNED: SignedDuration = SignedDuration::from_secs(2);

/// When times are stored, neighbours this close together become one, with the later time.
const STORED: SignedDuration = SignedDuration::from_secs(1);

/// What is settled in one pass, and since when. A time is that of the first report: an upper bound.
#[derive(Debug, Clone, Default)]
pub(super) struct Pass {
    settled: RangeInclusiveSet<Number>,
    times: RangeInclusiveMap<Number, Timestamp>,
    /// The lowest number whose time is not stored as it stands here.
    unstored: Option<Number>,
}

/// Numbers and when they were first reported settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    /// The numbers.
    pub(super) numbers: NumberRange,
    /// When.
    pub(super) at: Timestamp,
}

/// Times to store: they replace all from `from` on; what lies below `kept_from` is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnstoredTimes {
    pub(super) kept_from: Number,
    pub(super) from: Number,
    pub(super) times: Vec<Timed>,
}

impl Pass {
    /// Whether `number` is settled.
    pub(super) fn has(&self, number: Number) -> bool {
        self.settled.contains(&number)
    }

    /// All numbers up to here are settled.
    pub(super) fn floor(&self) -> Number {
        self.settled.first().filter(|range| *range.start() == 1).map_or(0, |range| *range.end())
    }

    /// What is settled above the floor.
    pub(super) fn above(&self) -> Vec<NumberRange> {
        let above = self.settled.iter().filter(|range| *range.start() > 1);
        above.map(|range| NumberRange { first: *range.start(), last: *range.end() }).collect()
    }

    /// Everything settled.
    pub(super) fn settled(&self) -> &RangeInclusiveSet<Number> {
        &self.settled
    }

    /// When `number` was first reported settled, where that is still known.
    pub(super) fn time(&self, number: Number) -> Option<Timestamp> {
        self.times.get(&number).copied()
    }

    /// Takes a report; answers what it settles that was not settled before.
    pub(super) fn report(
        &mut self,
        floor: Number,
        above: &[NumberRange],
        at: Timestamp,
    ) -> Vec<Numbers> {
        let news: Vec<Numbers> = reported(floor, above)
            .iter()
            .flat_map(|range| self.settled.gaps(range).collect::<Vec<_>>())
            .collect();
        for range in &news {
            self.settled.insert(range.clone());
            self.times.insert(range.clone(), at);
            let merged = self.times.get_key_value(range.start());
            self.unstored_from(merged.map_or(*range.start(), |(range, _)| *range.start()));
        }
        self.thin();
        news
    }

    /// Forgets all that is not settled in a report of a new life: floors may have gone back.
    pub(super) fn relapse(&mut self, floor: Number, above: &[NumberRange]) {
        let still = reported(floor, above);
        let lost: Vec<Numbers> = still.gaps(&(1..=HIGHEST)).collect();
        for range in lost {
            self.settled.remove(range.clone());
            self.times.remove(range);
        }
        self.unstored_from(0);
    }

    /// Takes times from a store, for those numbers that are settled.
    pub(super) fn restore(&mut self, times: impl IntoIterator<Item = Timed>) {
        self.times.clear();
        for Timed { numbers, at } in times {
            if let Some(range) = within_bounds(numbers) {
                self.times.insert(range, at);
            }
        }
        let unsettled: Vec<Numbers> = self.settled.gaps(&(1..=HIGHEST)).collect();
        for range in unsettled {
            self.times.remove(range);
        }
        self.unstored = None;
    }

    /// What has changed since this was last asked, coalesced.
    pub(super) fn take_unstored(&mut self) -> Option<UnstoredTimes> {
        let from = self.unstored.take()?;
        let changed = self.times.iter().filter(|(range, _)| *range.start() >= from);
        let times = coalesced(changed.map(timed), STORED);
        let kept_from = self.times.first_range_value().map_or(from, |(range, _)| *range.start());
        Some(UnstoredTimes { kept_from, from, times })
    }

    /// How many ranges it remembers.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.settled.len() + self.times.len()
    }

    fn unstored_from(&mut self, number: Number) {
        self.unstored = Some(self.unstored.map_or(number, |from| from.min(number)));
    }

    /// Over the limit, the lower half loses precision, then the lowest are forgotten.
    fn thin(&mut self) {
        if self.times.len() <= TIMES_MAX {
            return;
        }
        let half = self.times.len() / 2;
        let mut times = coalesced(self.times.iter().take(half).map(timed), THINNED);
        times.extend(self.times.iter().skip(half).map(timed));
        let forgotten = times.len().saturating_sub(THINNED_TO);
        let kept = times.drain(forgotten..);
        self.times = kept.map(|Timed { numbers, at }| (numbers.first..=numbers.last, at)).collect();
        self.unstored_from(0);
    }
}

fn reported(floor: Number, above: &[NumberRange]) -> RangeInclusiveSet<Number> {
    let floor = NumberRange { first: 1, last: floor.min(HIGHEST) };
    above.iter().copied().chain([floor]).filter_map(within_bounds).collect()
}

fn timed((range, at): (&Numbers, &Timestamp)) -> Timed {
    Timed { numbers: NumberRange { first: *range.start(), last: *range.end() }, at: *at }
}

/// Makes one of neighbours whose times lie within the same span; the later time stays.
fn coalesced(times: impl Iterator<Item = Timed>, span: SignedDuration) -> Vec<Timed> {
    let bucket = |at: Timestamp| at.as_microsecond().div_euclid(micros(span));
    let mut merged: Vec<Timed> = Vec::new();
    for next in times {
        match merged.last_mut() {
            Some(last)
                if last.numbers.last + 1 == next.numbers.first
                    && bucket(last.at) == bucket(next.at) =>
            {
                last.numbers.last = next.numbers.last;
                last.at = last.at.max(next.at);
            }
            _ => merged.push(next),
        }
    }
    merged
}

fn micros(span: SignedDuration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    fn range(first: Number, last: Number) -> NumberRange {
        NumberRange { first, last }
    }

    #[test]
    fn a_number_settled_out_of_order_counts_from_the_first_report_that_shows_it() {
        let mut pass = Pass::default();
        pass.report(1, &[range(3, 4)], at(0));
        pass.report(5, &[], at(100));
        assert_eq!(
            (1..=5).map(|number| pass.time(number)).collect::<Vec<_>>(),
            [0, 100, 0, 0, 100].map(|time| Some(at(time)))
        );
        assert_eq!((pass.floor(), pass.above()), (5, vec![]));
    }

    #[test]
    fn ranges_that_no_agent_would_send_do_no_harm() {
        let mut pass = Pass::default();
        pass.report(u64::MAX, &[range(9, 3), range(0, 0), range(u64::MAX, u64::MAX)], at(0));
        assert!(pass.has(1) && pass.has(HIGHEST) && !pass.has(0));
    }

    #[test]
    fn what_a_new_life_has_not_settled_is_no_longer_settled() {
        let mut pass = Pass::default();
        pass.report(10, &[range(20, 30)], at(0));
        pass.relapse(5, &[range(25, 26)]);
        assert_eq!((pass.floor(), pass.above()), (5, vec![range(25, 26)]));
        assert_eq!((pass.time(5), pass.time(6)), (Some(at(0)), None));
        pass.report(30, &[], at(100));
        assert_eq!(
            (pass.time(5), pass.time(6), pass.time(25)),
            (Some(at(0)), Some(at(100)), Some(at(0)))
        );
    }

    #[test]
    fn thinned_times_are_late_by_two_seconds_at_most_and_never_early() {
        let mut pass = Pass::default();
        let reports = 20_000;
        for number in 1..=reports {
            pass.report(number, &[], at(number.cast_signed() * 50));
        }
        assert!(pass.entries() <= TIMES_MAX + 1, "{} entries", pass.entries());
        let known = (1..=reports).filter(|number| pass.time(*number).is_some()).count();
        assert!(known > 15 * 60 * 20, "only {known} times are known");
        for number in 1..=reports {
            let Some(time) = pass.time(number) else { continue };
            let late = time.duration_since(at(number.cast_signed() * 50));
            assert!(!late.is_negative() && late <= THINNED, "{number} is {late} late");
        }
        assert_eq!(pass.time(reports - 100), Some(at((reports.cast_signed() - 100) * 50)));
    }

    proptest! {
        #[test]
        fn stored_times_come_back_at_most_a_second_late(
            steps in prop::collection::vec((0u64..40, 1u64..60, 0u64..8, 0i64..1_500, any::<bool>()), 1..40)
        ) {
            let mut pass = Pass::default();
            let mut stored: Vec<Timed> = Vec::new();
            let mut now = 0;
            for (floor, first, more, wait, relapses) in steps {
                now += wait;
                let above = [range(first, first + more)];
                if relapses {
                    pass.relapse(floor, &above);
                }
                pass.report(floor, &above, at(now));
                if let Some(unstored) = pass.take_unstored() {
                    stored.retain(|row| {
                        row.numbers.first >= unstored.kept_from && row.numbers.first < unstored.from
                    });
                    stored.extend(unstored.times);
                }
            }
            let mut restored = Pass { settled: pass.settled.clone(), ..Pass::default() };
            restored.restore(stored);
            for number in 0..80 {
                let late = match (pass.time(number), restored.time(number)) {
                    (Some(true_time), Some(time)) => time.duration_since(true_time),
                    (None, None) => SignedDuration::ZERO,
                    other => return Err(TestCaseError::fail(format!("{number}: {other:?}"))),
                };
                prop_assert!(!late.is_negative() && late <= STORED);
            }
        }
    }
}
