//! How numbers of a line ended otherwise than by a purge of their own. Bounded: what does not fit is told in wider
//! ranges, so that nothing is told to have ended better than it did.

use rangemap::RangeInclusiveMap;
use schemas::{LineCursor, Number, NumberRange, Outcome};

use crate::floor::Floor;

/// Most ranges remembered per line.
const NOTES_MAX: usize = 1_000;
/// So many of them are left where there are too many: the next time is not at once.
const NOTES_LEFT: usize = 900;
/// Most ranges in one cursor, of all lines together; more only where more lines than that have one each.
const STORED_MAX: usize = 1_000;

/// These numbers ended so.
pub(crate) type Note = (NumberRange, Outcome);

/// The notes of one line.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    ended: RangeInclusiveMap<Number, Outcome>,
}

impl Notes {
    /// As an earlier life told them of what it had `settled`: where they contradict each other, the worse counts.
    pub(crate) fn restored(told: &[Note], settled: &Floor) -> Self {
        let highest = settled.highest();
        let mut told: Vec<Note> = told.to_vec();
        told.retain(|(numbers, _)| numbers.first <= highest);
        told.sort_by_key(|(_, outcome)| *outcome);
        let mut whole = Self::default();
        for (numbers, outcome) in told {
            whole.ended.insert(numbers.first..=numbers.last.min(highest), outcome);
        }
        let mut notes = Self::default();
        notes.replace(in_few(whole.of(settled), NOTES_MAX));
        notes
    }

    /// These numbers ended so.
    pub(crate) fn note(&mut self, numbers: NumberRange, outcome: Outcome) {
        self.ended.insert(numbers.first..=numbers.last, outcome);
        if self.ended.len() > NOTES_MAX {
            self.replace(in_few(self.all().collect(), NOTES_LEFT));
        }
    }

    /// A part of this number ended so: of several the worst counts.
    pub(crate) fn worsen(&mut self, number: Number, outcome: Outcome) {
        let known = self.ended.get(&number).copied();
        let worst = known.map_or(outcome, |known| known.max(outcome));
        self.note(NumberRange { first: number, last: number }, worst);
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = Note> + '_ {
        self.ended.iter().map(|(numbers, outcome)| {
            (NumberRange { first: *numbers.start(), last: *numbers.end() }, *outcome)
        })
    }

    /// Those of what is `settled`, in order.
    pub(crate) fn of(&self, settled: &Floor) -> Vec<Note> {
        if self.ended.is_empty() {
            return Vec::new();
        }
        let floor = NumberRange { first: 1, last: settled.number() };
        let ranges = (floor.last > 0).then_some(floor).into_iter().chain(settled.above());
        let within = |range: NumberRange| {
            let noted = self.ended.overlapping(range.first..=range.last);
            noted.map(move |(numbers, outcome)| {
                let (first, last) =
                    (range.first.max(*numbers.start()), range.last.min(*numbers.end()));
                (NumberRange { first, last }, *outcome)
            })
        };
        ranges.flat_map(within).collect()
    }

    fn replace(&mut self, notes: Vec<Note>) {
        self.ended.clear();
        for (numbers, outcome) in notes {
            self.ended.insert(numbers.first..=numbers.last, outcome);
        }
    }
}

/// Leaves no more notes in these lines of a cursor than it may hold: the lines that have most give way.
pub(crate) fn fit_in_cursor(lines: &mut [LineCursor]) {
    let mut most = NOTES_MAX;
    let all = |most| lines.iter().map(|line| line.exceptions.len().min(most)).sum::<usize>();
    while most > 1 && all(most) > STORED_MAX {
        most /= 2;
    }
    for line in lines.iter_mut().filter(|line| line.exceptions.len() > most) {
        line.exceptions = in_few(std::mem::take(&mut line.exceptions), most);
    }
}

/// The same in at most so many ranges: of all but the newest half, each two neighbours become one, with what lies
/// between them and the worse outcome. Those first of which the cache holds nothing any more: who was left alone stays
/// told apart from them as long as there is room.
fn in_few(mut notes: Vec<Note>, most: usize) -> Vec<Note> {
    for alike in [true, false] {
        while notes.len() > most {
            let before = notes.len();
            let newest = notes.split_off(before - most / 2);
            notes = paired(notes, |one, other| !alike || is_gone(one) && is_gone(other));
            notes.extend(newest);
            if notes.len() == before {
                break;
            }
        }
    }
    notes
}

/// Neighbours that `may` be told as one are.
fn paired(notes: Vec<Note>, may: impl Fn(Outcome, Outcome) -> bool) -> Vec<Note> {
    let mut notes = notes.into_iter().peekable();
    let mut paired = Vec::with_capacity(notes.len());
    while let Some((mut numbers, mut outcome)) = notes.next() {
        if let Some((next, other)) = notes.next_if(|(_, other)| may(outcome, *other)) {
            numbers.last = next.last;
            outcome = outcome.max(other);
        }
        paired.push((numbers, outcome));
    }
    paired
}

/// Whether the cache holds nothing any more of a number that ended so.
pub(crate) fn is_gone(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Purged | Outcome::Covered | Outcome::Flushed)
}

#[cfg(test)]
mod tests;
