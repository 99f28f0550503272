//! Hearing a line: which numbers are new, and which must exist but were not heard.
//!
//! ```text
//!        0 ........ head          numbers known to exist
//!        ====  ===  ==            heard
//!            --   --              missing: holes, each with the moment it was noticed
//! ```

use std::time::Duration;

use rangemap::RangeInclusiveMap;
use schemas::{Number, NumberRange};

use crate::Moment;
use crate::floor::Floor;

/// What is known of one line. Every number up to the head was either heard, once, or is missing.
#[derive(Debug, Clone)]
pub(crate) struct Hearing {
    head: Number,
    missing: RangeInclusiveMap<Number, Missing>,
}

/// Since when numbers are missing, and whether their publisher said that they are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing {
    since: Moment,
    lost: bool,
}

impl Hearing {
    /// A line of which all up to `base` is none of our business.
    pub(crate) fn from_base(base: Number) -> Self {
        Self { head: base, missing: RangeInclusiveMap::new() }
    }

    /// A line of which `settled` was heard in an earlier life; the gaps are missing since `now`.
    pub(crate) fn resumed(settled: &Floor, now: Moment) -> Self {
        let head = settled.highest();
        let mut missing = RangeInclusiveMap::new();
        for gap in settled.gaps(head) {
            missing.insert(gap.first..=gap.last, Missing { since: now, lost: false });
        }
        Self { head, missing }
    }

    /// Takes `numbers` from the log and answers which of them are new.
    pub(crate) fn hear(&mut self, numbers: NumberRange, now: Moment) -> Vec<NumberRange> {
        let NumberRange { first, last } = numbers;
        if first.checked_sub(1) == Some(self.head) && last >= first {
            self.head = last;
            return vec![numbers];
        }
        let mut new: Vec<NumberRange> = self
            .missing
            .overlapping(first..=last)
            .map(|(hole, _)| NumberRange {
                first: first.max(*hole.start()),
                last: last.min(*hole.end()),
            })
            .collect();
        self.missing.remove(first..=last);
        if last > self.head {
            let first_unknown = self.head + 1;
            self.learn_head(first.saturating_sub(1), now);
            new.push(NumberRange { first: first.max(first_unknown), last });
            self.head = last;
        }
        new
    }

    /// Numbers up to `head` exist: those never heard are missing from `now` on.
    pub(crate) fn learn_head(&mut self, head: Number, now: Moment) {
        if head > self.head {
            self.missing.insert(self.head + 1..=head, Missing { since: now, lost: false });
            self.head = head;
        }
    }

    /// `numbers` were heard, and are wanted once more.
    pub(crate) fn miss(&mut self, numbers: NumberRange, now: Moment) {
        self.missing.insert(numbers.first..=numbers.last, Missing { since: now, lost: false });
    }

    /// The publisher says that `numbers` are gone for good.
    pub(crate) fn lose(&mut self, numbers: NumberRange, now: Moment) {
        self.learn_head(numbers.last, now);
        let lost: Vec<_> = self
            .missing
            .overlapping(numbers.first..=numbers.last)
            .map(|(hole, missing)| {
                let first = numbers.first.max(*hole.start());
                let last = numbers.last.min(*hole.end());
                (first..=last, Missing { lost: true, ..*missing })
            })
            .collect();
        for (hole, missing) in lost {
            self.missing.insert(hole, missing);
        }
    }

    /// Nothing was heard until now: what is missing is so since `now`.
    pub(crate) fn begin(&mut self, now: Moment) {
        let missing: Vec<_> = self.missing.iter().map(|(hole, at)| (hole.clone(), *at)).collect();
        for (hole, at) in missing {
            self.missing.insert(hole, Missing { since: now, ..at });
        }
    }

    /// Whether any of `numbers` is missing.
    pub(crate) fn lacks(&self, numbers: NumberRange) -> bool {
        self.missing.overlaps(&(numbers.first..=numbers.last))
    }

    /// What is missing for `age` or longer.
    pub(crate) fn holes(&self, now: Moment, age: Duration) -> Vec<NumberRange> {
        self.missing
            .iter()
            .filter(|(_, missing)| now.saturating_sub(missing.since) >= age)
            .map(|(hole, _)| NumberRange { first: *hole.start(), last: *hole.end() })
            .collect()
    }

    /// Whether something is missing for `age` or longer.
    pub(crate) fn lacks_for(&self, now: Moment, age: Duration) -> bool {
        self.missing.iter().any(|(_, missing)| now.saturating_sub(missing.since) >= age)
    }

    /// Whether something is lost, or missing for `deadline` or longer: only a flush helps.
    pub(crate) fn overdue(&self, now: Moment, deadline: Duration) -> bool {
        self.missing
            .iter()
            .any(|(_, missing)| missing.lost || now.saturating_sub(missing.since) >= deadline)
    }

    /// Stops missing what lies at or below `head`, and answers what that was: a flush made up for it.
    pub(crate) fn forgive(&mut self, head: Number) -> Vec<NumberRange> {
        let forgiven: Vec<_> = self
            .missing
            .overlapping(0..=head)
            .map(|(hole, _)| NumberRange { first: *hole.start(), last: head.min(*hole.end()) })
            .collect();
        self.missing.remove(0..=head);
        forgiven
    }

    /// The highest number known to exist.
    pub(crate) fn head(&self) -> Number {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn range(first: Number, last: Number) -> NumberRange {
        NumberRange { first, last }
    }

    /// Frames of a line of `count` numbers: lost, repeated and permuted as the strategy likes.
    fn deliveries(count: u64) -> impl Strategy<Value = Vec<NumberRange>> {
        prop::collection::vec((1..=count, 0u64..5), 0..60).prop_map(move |frames| {
            frames
                .into_iter()
                .map(|(first, more)| range(first, (first + more).min(count)))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_number_is_new_once_or_reported_as_a_hole(frames in deliveries(50)) {
            let mut hearing = Hearing::from_base(0);
            let mut heard = BTreeSet::new();
            for frame in frames {
                for new in hearing.hear(frame, Moment::ZERO) {
                    for number in new.first..=new.last {
                        prop_assert!(heard.insert(number), "{} was new twice", number);
                        prop_assert!(frame.contains(number), "{} was never said", number);
                    }
                }
            }
            hearing.learn_head(50, Moment::ZERO);
            let holes: BTreeSet<_> = hearing
                .holes(GRACE, GRACE)
                .into_iter()
                .flat_map(|hole| hole.first..=hole.last)
                .collect();
            prop_assert!(holes.is_disjoint(&heard));
            prop_assert_eq!(holes.len() + heard.len(), 50);
        }
    }

    #[test]
    fn a_hole_is_reported_after_the_grace_only() {
        let mut hearing = Hearing::from_base(0);
        hearing.hear(range(1, 1), Moment::ZERO);
        hearing.hear(range(4, 4), Moment::from_secs(1));
        assert!(hearing.holes(Moment::from_secs(10), GRACE).is_empty());
        assert_eq!(hearing.holes(Moment::from_secs(11), GRACE), [range(2, 3)]);
    }

    #[test]
    fn the_last_numbers_of_a_line_are_missed_by_a_heartbeat() {
        let mut hearing = Hearing::from_base(0);
        hearing.hear(range(1, 2), Moment::ZERO);
        hearing.learn_head(5, Moment::ZERO);
        assert_eq!(hearing.holes(GRACE, GRACE), [range(3, 5)]);
    }

    #[test]
    fn a_filled_hole_keeps_the_age_of_what_is_left() {
        let mut hearing = Hearing::from_base(0);
        hearing.hear(range(10, 10), Moment::ZERO);
        hearing.hear(range(4, 5), Moment::from_secs(9));
        assert_eq!(hearing.holes(GRACE, GRACE), [range(1, 3), range(6, 9)]);
    }

    #[test]
    fn what_is_lost_is_overdue_at_once_and_forgiven_by_a_flush() {
        let mut hearing = Hearing::from_base(0);
        hearing.hear(range(5, 5), Moment::ZERO);
        assert!(!hearing.overdue(Moment::ZERO, GRACE));
        hearing.lose(range(2, 3), Moment::ZERO);
        assert!(hearing.overdue(Moment::ZERO, GRACE));
        assert_eq!(hearing.forgive(5).len(), 3, "1, 2 to 3 and 4");
        assert!(!hearing.overdue(GRACE, GRACE));
    }

    #[test]
    fn a_base_is_not_missed() {
        let mut hearing = Hearing::from_base(7);
        assert_eq!(hearing.hear(range(3, 9), Moment::ZERO), [range(8, 9)]);
        assert!(hearing.holes(GRACE, GRACE).is_empty());
    }

    #[test]
    fn a_resumed_line_hears_again_what_was_not_settled() {
        let settled = Floor::restored(3, &[range(6, 7)]);
        let mut hearing = Hearing::resumed(&settled, Moment::ZERO);
        assert_eq!(hearing.hear(range(1, 9), Moment::ZERO), [range(4, 5), range(8, 9)]);
    }
}
