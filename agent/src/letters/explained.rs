//! Numbers that a cursor says were refused, though no letter tells what: they are done again.

use std::collections::HashMap;

use schemas::{Cursor, KeptLetter, LineCursor, LineId, Number, NumberRange};

use crate::machine::without_numbers;

/// More of them than that are made up for by beginning without a cursor.
const DONE_AGAIN_MAX: usize = 1_000;

/// What is to be gone on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Explained {
    /// The cursor as it is.
    Whole,
    /// So many numbers are not settled after all: a new life.
    Less(Box<Cursor>, usize),
    /// Too many.
    Nothing(usize),
}

/// What is to be gone on from where these letters are all that is known.
pub(crate) fn explained(cursor: &Cursor, letters: &[KeptLetter]) -> Explained {
    let known = Known::of(letters);
    let mut missing = 0;
    let lines = cursor.lines.iter().map(|line| {
        let unexplained = |number: &Number| !known.has(line.line, *number);
        let numbers: Vec<Number> =
            line.refused.iter().map(|(number, _)| *number).filter(unexplained).collect();
        missing += numbers.len();
        if numbers.is_empty() {
            return line.clone();
        }
        let refused = line.refused.iter().filter(|(number, _)| !unexplained(number));
        let refused = refused.cloned().collect();
        LineCursor { refused, ..without_numbers(line, &numbers) }
    });
    let lines = lines.collect();
    match missing {
        0 => Explained::Whole,
        DONE_AGAIN_MAX.. => Explained::Nothing(missing),
        _ => {
            let cursor = Cursor { lines, life: cursor.life.wrapping_add(1), ..cursor.clone() };
            Explained::Less(Box::new(cursor), missing)
        }
    }
}

/// The numbers of all letters; whoever wrote them, they may be any.
struct Known(HashMap<LineId, Vec<NumberRange>>);

impl Known {
    fn of(letters: &[KeptLetter]) -> Self {
        let mut lines: HashMap<LineId, Vec<NumberRange>> = HashMap::new();
        for (line, range) in letters.iter().flat_map(|kept| &kept.numbers) {
            lines.entry(*line).or_default().push(*range);
        }
        for ranges in lines.values_mut() {
            ranges.sort_unstable();
            let mut last = 0;
            for range in ranges {
                last = last.max(range.last);
                range.last = last;
            }
        }
        Self(lines)
    }

    /// Each range goes as far as any that begins before it does: the last that begins in time decides.
    fn has(&self, line: LineId, number: Number) -> bool {
        let Some(ranges) = self.0.get(&line) else { return false };
        let begun = ranges.partition_point(|range| range.first <= number);
        begun.checked_sub(1).is_some_and(|at| ranges[at].last >= number)
    }
}
