//! A cursor taken back with the cursor of the inner lane: what that one has to do again may have been stored anew in
//! the outer cache since, and is done again there too.

use rangemap::RangeInclusiveSet;
use schemas::{Cursor, LineCursor, Number, NumberRange, ResumeHint};

use super::Machine;
use crate::floor::Floor;

impl Machine {
    /// Its cursor without what that of the `inner` lane does not hold; `None` where that holds it all.
    pub(crate) fn taken_back_with(&self, inner: &Cursor) -> Option<Cursor> {
        taken_back(&self.cursor(), inner)
    }
}

fn taken_back(own: &Cursor, inner: &Cursor) -> Option<Cursor> {
    let lines: Vec<_> = own.lines.iter().map(|line| line_taken_back(line, own, inner)).collect();
    if lines == own.lines {
        return None;
    }
    let hints = own.hints.iter().map(|hint| earlier(hint, inner)).collect();
    Some(Cursor { lines, hints, ..own.clone() })
}

fn line_taken_back(line: &LineCursor, own: &Cursor, inner: &Cursor) -> LineCursor {
    let known = inner.lines.iter().find(|known| known.line == line.line);
    let mut closed = own.closed.iter().chain(&inner.closed);
    if known.is_none() && closed.any(|closed| closed.line == line.line) {
        // The inner lane has forgotten it, and will not hear of it again.
        return line.clone();
    }
    let held =
        known.map_or_else(Floor::default, |known| Floor::restored(known.floor, &known.settled));
    let mut kept = settled(line);
    let highest = kept.last().map_or(0, |range| *range.end());
    for gap in held.gaps(highest) {
        kept.remove(gap.first..=gap.last);
    }
    settled_as(line, kept)
}

/// The line without these numbers: they are not settled.
pub(crate) fn without_numbers(line: &LineCursor, numbers: &[Number]) -> LineCursor {
    let mut kept = settled(line);
    for number in numbers {
        kept.remove(*number..=*number);
    }
    settled_as(line, kept)
}

/// The numbers that are finally settled.
pub(super) fn settled(line: &LineCursor) -> RangeInclusiveSet<Number> {
    let mut settled = RangeInclusiveSet::new();
    settled.insert(0..=line.floor);
    settled.extend(line.settled.iter().map(|numbers| numbers.first..=numbers.last));
    settled
}

/// The line where `kept` is settled, and nothing else but what lies up to its base.
fn settled_as(line: &LineCursor, mut kept: RangeInclusiveSet<Number>) -> LineCursor {
    kept.insert(0..=line.base);
    let mut ranges = kept.into_iter();
    let floor = ranges.next().map_or(0, |range: std::ops::RangeInclusive<Number>| *range.end());
    let settled = ranges.map(|range| NumberRange { first: *range.start(), last: *range.end() });
    LineCursor { floor, settled: settled.collect(), ..line.clone() }
}

/// Where reading goes on: no later than the inner lane does.
fn earlier(hint: &ResumeHint, inner: &Cursor) -> ResumeHint {
    let theirs = inner.hints.iter().find(|theirs| theirs.partition == hint.partition);
    match theirs {
        Some(theirs) if theirs.position < hint.position => *theirs,
        Some(_) => *hint,
        None => ResumeHint { position: 0, ..*hint },
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use schemas::{ClosedLine, LineId};

    use super::*;
    use crate::Moment;
    use crate::config::LaneConfig;
    use crate::machine::samples;

    fn line(floor: Number, settled: &[(Number, Number)]) -> LineCursor {
        let settled =
            settled.iter().map(|(first, last)| NumberRange { first: *first, last: *last });
        let (line, settled) = (LineId::from_bytes([1; 16]), settled.collect());
        LineCursor { line, base: 2, floor, settled, refused: Vec::new(), exceptions: Vec::new() }
    }

    fn cursor(lines: Vec<LineCursor>, position: u64) -> Cursor {
        let purpose = samples::purpose(LaneConfig::default(), Vec::new());
        let rng = fastrand::Rng::with_seed(1);
        let empty = Machine::new(purpose, None, None, rng, Moment::ZERO).cursor();
        let hints = vec![ResumeHint { partition: 0, position, time: Timestamp::UNIX_EPOCH }];
        Cursor { lines, hints, ..empty }
    }

    #[test]
    fn what_the_inner_cursor_lacks_is_taken_back_and_read_from_there() {
        let own = cursor(vec![line(10, &[(12, 20)])], 100);
        let inner = cursor(vec![line(5, &[(8, 14)])], 40);
        let back = taken_back(&own, &inner).expect("it goes back");
        assert_eq!(back, cursor(vec![line(5, &[(8, 10), (12, 14)])], 40));
        assert_eq!(taken_back(&back, &inner), None);
        assert_eq!(taken_back(&own, &own), None);
    }

    #[test]
    fn a_line_that_the_inner_cursor_does_not_know_begins_anew_unless_it_is_closed() {
        let mut own = cursor(vec![line(10, &[])], 100);
        let inner = cursor(Vec::new(), 300);
        assert_eq!(taken_back(&own, &inner), Some(cursor(vec![line(2, &[])], 100)));
        let (line, since) = (LineId::from_bytes([1; 16]), Timestamp::UNIX_EPOCH);
        own.closed = vec![ClosedLine { line, last: 10, since }];
        assert_eq!(taken_back(&own, &inner), None);
    }

    fn has(line: &LineCursor, number: Number) -> bool {
        number <= line.floor || line.settled.iter().any(|range| range.contains(number))
    }

    proptest! {
        #[test]
        fn only_what_both_hold_is_kept(
            floors in (2u64..20, 2u64..20),
            settled in prop::collection::vec((3u64..40, 0u64..5), 0..5),
            theirs in prop::collection::vec((3u64..40, 0u64..5), 0..5),
        ) {
            let of = |floor, settled: &[(Number, Number)]| {
                let ranges = settled.iter().map(|(first, more)| (*first, first + more));
                line(floor, &ranges.collect::<Vec<_>>())
            };
            let (own, inner) = (of(floors.0, &settled), of(floors.1, &theirs));
            let (own, inner) = (cursor(vec![own], 9), cursor(vec![inner], 5));
            let back = taken_back(&own, &inner).unwrap_or_else(|| own.clone());
            for number in 1..50 {
                let both = has(&own.lines[0], number) && has(&inner.lines[0], number);
                prop_assert_eq!(has(&back.lines[0], number), both || number <= 2, "{}", number);
            }
        }
    }
}
