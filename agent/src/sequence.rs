//! Values under numbers that come in order and go nearly so: they lie in a row, and need no search.
//!
//! ```text
//! stragglers   first ................. next
//!   3  17      40 41 __ 43 __ __ 46 47          a row with empty places, never much longer than it holds
//! ```

use std::collections::{BTreeMap, VecDeque};

/// So many empty places more than full ones are let be.
const EMPTY_MAX: usize = 1_024;
/// A row that becomes empty keeps room for so many.
const ROOM_KEPT: usize = 64;

/// A value under each of some numbers.
#[derive(Debug)]
pub(crate) struct Sequence<T> {
    row: VecDeque<Option<T>>,
    /// The number of the first place in the row.
    first: u64,
    /// How many places of the row are full.
    full: usize,
    /// What came late, or was left behind by a row that had gone on.
    stragglers: BTreeMap<u64, T>,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self { row: VecDeque::new(), first: 0, full: 0, stragglers: BTreeMap::new() }
    }
}

impl<T> Sequence<T> {
    /// Puts `value` under `number`, in the place of what lay there.
    pub(crate) fn insert(&mut self, number: u64, value: T) {
        if let Some(before) = self.get_mut(number) {
            *before = value;
            return;
        }
        if self.full == 0 {
            self.row.clear();
            self.first = number;
        }
        if self.far(number) {
            self.leave_behind(0);
            self.first = number;
        }
        let Some(at) = self.place(number) else {
            self.stragglers.insert(number, value);
            return;
        };
        while self.row.len() <= at {
            self.row.push_back(None);
        }
        self.row[at] = Some(value);
        self.full += 1;
        self.leave_behind(self.length_max());
    }

    /// Whether the row is not worth being continued up to `number`.
    fn far(&self, number: u64) -> bool {
        let next = self.first.saturating_add(self.row.len() as u64);
        number.saturating_sub(next) > EMPTY_MAX as u64
    }

    fn length_max(&self) -> usize {
        2 * self.len() + EMPTY_MAX
    }

    /// Where in the row `number` lies, or would lie.
    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// Shortens the row from its front to `length`, and beyond empty places.
    fn leave_behind(&mut self, length: usize) {
        while self.row.len() > length || matches!(self.row.front(), Some(None)) {
            if let Some(value) = self.row.pop_front().flatten() {
                self.full -= 1;
                self.stragglers.insert(self.first, value);
            }
            self.first = self.first.saturating_add(1);
        }
    }

    /// What lies under `number`.
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let in_row = self.place(number).and_then(|at| self.row.get(at)?.as_ref());
        in_row.or_else(|| self.stragglers.get(&number))
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let at = self.place(number);
        match at.and_then(|at| self.row.get_mut(at)?.as_mut()) {
            Some(value) => Some(value),
            None => self.stragglers.get_mut(&number),
        }
    }

    /// Takes what lies under `number`.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let in_row = self.place(number).and_then(|at| self.row.get_mut(at)?.take());
        self.full -= usize::from(in_row.is_some());
        let value = in_row.or_else(|| self.stragglers.remove(&number));
        self.leave_behind(self.length_max());
        if self.row.is_empty() && self.row.capacity() > ROOM_KEPT {
            self.row = VecDeque::new();
        }
        value
    }

    /// What lies under the lowest number.
    pub(crate) fn first(&self) -> Option<(u64, &T)> {
        let straggler = self.stragglers.first_key_value().map(|(number, value)| (*number, value));
        // The first place of a row is full.
        let in_row = self.row.front().and_then(|value| Some((self.first, value.as_ref()?)));
        straggler.into_iter().chain(in_row).min_by_key(|(number, _)| *number)
    }

    /// Takes what lies under the lowest number.
    pub(crate) fn pop_first(&mut self) -> Option<T> {
        let (number, _) = self.first()?;
        self.remove(number)
    }

    /// All values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.stragglers.values().chain(self.row.iter().flatten())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.full + self.stragglers.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// Beyond the highest by so much.
        Insert(u64),
        InsertAt(u64),
        Replace(usize),
        Remove(usize),
        PopFirst,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (1u64..4).prop_map(Step::Insert),
            1 => (1_000u64..5_000).prop_map(Step::Insert),
            1 => Just(Step::Insert(u64::MAX / 8)),
            2 => (0u64..4_000).prop_map(Step::InsertAt),
            1 => any::<usize>().prop_map(Step::Replace),
            4 => any::<usize>().prop_map(Step::Remove),
            4 => Just(Step::PopFirst),
        ]
    }

    fn bounded(sequence: &Sequence<u64>) -> bool {
        sequence.row.len() <= sequence.length_max()
            && sequence.full == sequence.row.iter().flatten().count()
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..300)) {
            let (mut sequence, mut map) = (Sequence::default(), BTreeMap::new());
            for step in steps {
                let highest = map.last_key_value().map_or(0, |(number, _)| *number);
                match step {
                    Step::Insert(by) if highest < u64::MAX - by => {
                        sequence.insert(highest + by, by % 100);
                        map.insert(highest + by, by % 100);
                    }
                    Step::InsertAt(number) => {
                        sequence.insert(number, 7);
                        map.insert(number, 7);
                    }
                    Step::Insert(_) => {}
                    Step::Replace(at) => {
                        let Some(number) = map.keys().nth(at % (map.len() + 1)).copied() else { continue };
                        sequence.insert(number, 8);
                        map.insert(number, 8);
                    }
                    Step::Remove(at) => {
                        let number = map.keys().nth(at % (map.len() + 1)).copied().unwrap_or(highest + 1);
                        prop_assert_eq!(sequence.get(number), map.get(&number));
                        prop_assert_eq!(sequence.remove(number), map.remove(&number));
                        prop_assert_eq!(sequence.get_mut(number), None);
                    }
                    Step::PopFirst => {
                        prop_assert_eq!(sequence.pop_first(), map.pop_first().map(|(_, value)| value));
                    }
                }
                prop_assert!(bounded(&sequence));
                prop_assert_eq!(sequence.len(), map.len());
                let first = map.first_key_value().map(|(number, value)| (*number, value));
                prop_assert_eq!(sequence.first(), first);
                if let Some((number, value)) = map.iter_mut().next_back() {
                    *value += 1;
                    *sequence.get_mut(*number).expect("it is there") += 1;
                }
                prop_assert!(map.iter().all(|(number, value)| sequence.get(*number) == Some(value)));
                prop_assert_eq!(sequence.values().sum::<u64>(), map.values().sum::<u64>());
            }
        }
    }

    #[test]
    fn one_that_stays_does_not_make_the_row_long() {
        let mut sequence = Sequence::default();
        for number in 1..=100_000 {
            sequence.insert(number, number);
            assert!(number < 20 || sequence.remove(number - 10).is_some());
            assert!(bounded(&sequence));
        }
        assert_eq!((sequence.first(), sequence.len()), (Some((1, &1)), 19));
        assert_eq!(sequence.stragglers.len(), 9);
    }

    #[test]
    fn what_is_empty_gives_its_memory_back() {
        let mut sequence = Sequence::default();
        (0..10_000).for_each(|number| sequence.insert(number, number));
        assert!((0..10_000).all(|number| sequence.remove(number) == Some(number)));
        assert!(sequence.row.capacity() <= ROOM_KEPT);
    }
}
