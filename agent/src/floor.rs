//! A floor: all numbers up to it are settled, and some above it may be too.

use rangemap::RangeInclusiveSet;
use schemas::{Number, NumberRange};

/// What is settled of one line. The floor never passes an unsettled number and never moves back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    floor: Number,
    above: RangeInclusiveSet<Number>,
}

impl Floor {
    /// Everything up to `floor` is settled, nothing above.
    pub(crate) fn at(floor: Number) -> Self {
        Self { floor, above: RangeInclusiveSet::new() }
    }

    /// As it was told by [`Floor::number`] and [`Floor::above`].
    pub(crate) fn restored(floor: Number, above: &[NumberRange]) -> Self {
        let mut restored = Self::at(floor);
        for numbers in above {
            restored.settle(*numbers);
        }
        restored
    }

    /// These numbers are settled now; those that were before do no harm.
    pub(crate) fn settle(&mut self, numbers: NumberRange) {
        let first = numbers.first.max(self.floor.saturating_add(1));
        if first > numbers.last {
            return;
        }
        let next = numbers.last.saturating_add(1);
        let apart = self.above.first().is_none_or(|range| *range.start() > next);
        if apart && first == self.floor.saturating_add(1) {
            self.floor = numbers.last;
            return;
        }
        self.above.insert(first..=numbers.last);
        if let Some(next) = self.above.first().filter(|range| *range.start() == self.floor + 1) {
            let next = next.clone();
            self.floor = *next.end();
            self.above.remove(next);
        }
    }

    /// Whether `number` is settled.
    pub(crate) fn has(&self, number: Number) -> bool {
        number <= self.floor || self.above.contains(&number)
    }

    /// All numbers up to here are settled.
    pub(crate) fn number(&self) -> Number {
        self.floor
    }

    /// What is settled above the floor, in order.
    pub(crate) fn above(&self) -> impl Iterator<Item = NumberRange> + '_ {
        self.above.iter().map(|range| NumberRange { first: *range.start(), last: *range.end() })
    }

    /// What is not settled up to `head`, in order.
    pub(crate) fn gaps(&self, head: Number) -> Vec<NumberRange> {
        if head <= self.floor {
            return Vec::new();
        }
        self.above
            .gaps(&(self.floor + 1..=head))
            .map(|range| NumberRange { first: *range.start(), last: *range.end() })
            .collect()
    }

    /// The highest settled number.
    pub(crate) fn highest(&self) -> Number {
        self.above.last().map_or(self.floor, |range| *range.end())
    }

    /// How many ranges lie above the floor: what it costs in memory.
    pub(crate) fn ranges(&self) -> usize {
        self.above.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_floor_is_the_longest_run_without_a_gap(
            ranges in prop::collection::vec((1u64..60, 0u64..6), 0..40)
        ) {
            let mut floor = Floor::default();
            let mut settled = BTreeSet::new();
            let mut last = 0;
            for (first, more) in ranges {
                floor.settle(NumberRange { first, last: first + more });
                settled.extend(first..=first + more);
                let expected = (1..=70).take_while(|n| settled.contains(n)).last().unwrap_or(0);
                prop_assert_eq!(floor.number(), expected);
                prop_assert!(floor.number() >= last);
                last = floor.number();
                for n in 1..70 {
                    prop_assert_eq!(floor.has(n), settled.contains(&n), "number {}", n);
                }
                let gaps: BTreeSet<_> =
                    floor.gaps(70).iter().flat_map(|gap| gap.first..=gap.last).collect();
                prop_assert_eq!(gaps, (1..=70).filter(|n| !settled.contains(n)).collect());
            }
            let above: Vec<_> = floor.above().collect();
            prop_assert_eq!(Floor::restored(floor.number(), &above), floor);
        }
    }
}
