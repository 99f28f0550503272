//! What lanes lack and nobody has been sent of late. Pure: time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rangemap::{RangeInclusiveMap, RangeInclusiveSet};
use schemas::{LineId, Number, NumberRange, Priority};

/// One answer serves all lanes that lack the same numbers.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Most holes that wait; they are reported again anyway.
const WAITING_MAX: usize = 256;
/// A hole of more bytes than this is flushed sooner than it is filled: no more is sent of a line within `LINE_WINDOW`.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// As long as lanes wait for a hole to be filled.
const LINE_WINDOW: Duration = Duration::from_mins(1);

/// Numbers that some lane lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) line: LineId,
    pub(super) priority: Priority,
    pub(super) numbers: NumberRange,
}

/// The holes to be answered, each at most once within ten seconds.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    waiting: VecDeque<Hole>,
    lines: HashMap<LineId, Line>,
}

/// What was answered on a line of late.
#[derive(Debug)]
struct Line {
    /// In whole seconds, rounded up, so that neighbours are one range.
    answered: RangeInclusiveMap<Number, u64>,
    /// Bytes sent since the window began.
    sent: u64,
    since: Duration,
}

impl Wanted {
    /// Takes a reported hole, but for what is answered or waits already, and for what is no hole.
    pub(super) fn add(&mut self, hole: Hole, now: Duration) {
        let NumberRange { first, last } = hole.numbers;
        // Maps of ranges look one number further than the last.
        if first == 0 || first > last || last == Number::MAX {
            return;
        }
        let mut known = RangeInclusiveSet::new();
        let waiting = self.waiting.iter().filter(|waiting| waiting.line == hole.line);
        known.extend(waiting.map(|waiting| waiting.numbers.first..=waiting.numbers.last));
        if let Some(line) = self.lines.get(&hole.line) {
            let answered = line.answered.overlapping(first..=last);
            let fresh = answered.filter(|(_, at)| now < Duration::from_secs(**at) + AGAIN_AFTER);
            known.extend(fresh.map(|(numbers, _)| numbers.clone()));
        }
        for gap in known.gaps(&(first..=last)) {
            if self.waiting.len() < WAITING_MAX {
                let numbers = NumberRange { first: *gap.start(), last: *gap.end() };
                self.waiting.push_back(Hole { numbers, ..hole });
            }
        }
    }

    /// The next hole to be answered.
    pub(super) fn next(&mut self) -> Option<Hole> {
        self.waiting.pop_front()
    }

    /// What is left of a hole comes after the others.
    pub(super) fn later(&mut self, hole: Hole) {
        self.waiting.push_back(hole);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether more of this line may be sent for now.
    pub(super) fn may_send(&self, line: LineId, now: Duration) -> bool {
        self.lines.get(&line).is_none_or(|line| {
            line.sent < LINE_BYTES_MAX || now.saturating_sub(line.since) >= LINE_WINDOW
        })
    }

    /// These numbers were answered, with so many bytes.
    pub(super) fn answered(
        &mut self,
        line: LineId,
        numbers: NumberRange,
        bytes: u64,
        now: Duration,
    ) {
        let new = || Line { answered: RangeInclusiveMap::new(), sent: 0, since: now };
        let line = self.lines.entry(line).or_insert_with(new);
        if now.saturating_sub(line.since) >= LINE_WINDOW {
            (line.sent, line.since) = (0, now);
        }
        line.sent += bytes;
        let at = now.as_secs() + u64::from(now.subsec_nanos() > 0);
        line.answered.insert(numbers.first..=numbers.last, at);
    }

    /// Forgets what does not matter any more.
    pub(super) fn forget(&mut self, now: Duration) {
        let fresh = |at: u64| now < Duration::from_secs(at) + AGAIN_AFTER;
        self.lines.retain(|_, line| {
            let answered = std::mem::take(&mut line.answered);
            line.answered = answered.into_iter().filter(|(_, at)| fresh(*at)).collect();
            !line.answered.is_empty() || now.saturating_sub(line.since) < LINE_WINDOW
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hole(first: Number, last: Number) -> Hole {
        let line = LineId::from_bytes([1; 16]);
        Hole { line, priority: Priority::Normal, numbers: NumberRange { first, last } }
    }

    fn all(wanted: &mut Wanted) -> Vec<(Number, Number)> {
        let holes = std::iter::from_fn(|| wanted.next());
        holes.map(|hole| (hole.numbers.first, hole.numbers.last)).collect()
    }

    #[test]
    fn holes_of_many_lanes_are_answered_once_in_ten_seconds() {
        let mut wanted = Wanted::default();
        wanted.add(hole(5, 10), SECOND);
        wanted.add(hole(1, 7), SECOND);
        assert_eq!(all(&mut wanted), [(5, 10), (1, 4)]);
        wanted.answered(hole(1, 10).line, NumberRange { first: 1, last: 10 }, 9, SECOND);
        wanted.add(hole(1, 12), SECOND * 2);
        assert_eq!(all(&mut wanted), [(11, 12)], "only what is new");
        wanted.forget(SECOND * 10);
        wanted.add(hole(1, 10), SECOND * 10);
        assert!(wanted.is_empty());
        wanted.forget(SECOND * 11);
        wanted.add(hole(1, 10), SECOND * 11);
        assert_eq!(all(&mut wanted), [(1, 10)], "it is still missing");
    }

    #[test]
    fn what_is_no_hole_is_ignored() {
        let mut wanted = Wanted::default();
        for (first, last) in [(0, 3), (4, 3), (1, Number::MAX)] {
            wanted.add(hole(first, last), SECOND);
        }
        assert!(wanted.is_empty());
        wanted.add(hole(1, Number::MAX - 1), SECOND);
        assert_eq!(all(&mut wanted).len(), 1);
    }

    #[test]
    fn no_more_waits_and_no_more_is_sent_than_the_limits_say() {
        let mut wanted = Wanted::default();
        (1..2_000).for_each(|n| wanted.add(hole(n * 2, n * 2), SECOND));
        assert_eq!(all(&mut wanted).len(), WAITING_MAX);
        let line = hole(1, 1).line;
        wanted.answered(line, NumberRange { first: 1, last: 9 }, LINE_BYTES_MAX - 1, SECOND);
        assert!(wanted.may_send(line, SECOND));
        wanted.answered(line, NumberRange { first: 10, last: 19 }, 1, SECOND * 2);
        wanted.forget(SECOND * 60);
        assert!(!wanted.may_send(line, SECOND * 60));
        assert!(wanted.may_send(line, SECOND * 61));
    }
}
