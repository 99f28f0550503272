//! Ranges of numbers as the maps of ranges take them: checked, since reports come from elsewhere.

use std::ops::RangeInclusive;

use schemas::{Number, NumberRange};

/// A range of numbers, as map keys.
pub(super) type Numbers = RangeInclusive<Number>;

/// Beyond every number that a publisher will ever give; one below the type's last, for maps that look one further.
pub(super) const HIGHEST: Number = Number::MAX - 1;

/// The range, if it is one: not backwards, and within 1 and [`HIGHEST`].
pub(super) fn within_bounds(numbers: NumberRange) -> Option<Numbers> {
    (1 <= numbers.first && numbers.first <= numbers.last && numbers.last <= HIGHEST)
        .then_some(numbers.first..=numbers.last)
}
