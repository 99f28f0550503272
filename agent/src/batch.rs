//! What waits to be purged: equal selectors once, narrower ones riding on wider ones, packed into batches.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use schemas::{Mode, Place, SelectorKind};
use uuid::Uuid;

use crate::Moment;
use crate::driver::{Batch, Purge};
use crate::map::Map;

/// Who waits for a purge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Waiter {
    /// A number, of no use any more after `expires_at`.
    Number {
        /// Its place.
        place: Place,
        /// On its publisher's clock.
        expires_at: Option<Timestamp>,
    },
    /// The flush of this number.
    Flush(u64),
    /// A later pass of a number that was read again.
    Again(Place),
    /// A dead letter that was refused so often before.
    Letter {
        /// Its name.
        id: Uuid,
        /// How often.
        tries: u32,
    },
}

/// One selector on its way: its own waiters, and the narrower entries that it covers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What is purged.
    pub(crate) purge: Purge,
    /// Who waits for it.
    pub(crate) waiters: Vec<Waiter>,
    /// What it covers: heard before it started.
    pub(crate) riders: Vec<Entry>,
    turn: u64,
    since: Moment,
    rebound: bool,
}

/// A batch to send, and the waiters that came too late for it.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// To be given back whole, by [`Queue::restore`] or [`Queue::split`], unless it was purged.
    pub(crate) entries: Vec<Entry>,
    /// No longer worth purging for.
    pub(crate) expired: Vec<Waiter>,
}

impl Taken {
    /// The batch for the driver.
    pub(crate) fn batch(&self) -> Batch {
        Batch { purges: self.entries.iter().map(|entry| entry.purge.clone()).collect() }
    }
}

/// Everything that waits, in the order heard.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<u64, Entry>,
    turns: Map<Purge, u64>,
    halves: VecDeque<Vec<Entry>>,
    next_turn: u64,
    broad: usize,
}

impl Queue {
    /// `waiter` waits for `purge` from `now` on.
    pub(crate) fn add(&mut self, purge: Purge, waiter: Waiter, now: Moment) {
        if let Some(entry) = self.entry(purge, now) {
            entry.waiters.push(waiter);
        }
    }

    /// A later pass of `purge` is due.
    pub(crate) fn add_rebound(&mut self, purge: Purge, now: Moment) {
        if let Some(entry) = self.entry(purge, now) {
            entry.rebound = true;
        }
    }

    /// The entry of `purge`, which is always there.
    fn entry(&mut self, purge: Purge, now: Moment) -> Option<&mut Entry> {
        match self.turns.entry(purge) {
            Occupied(turn) => self.waiting.get_mut(turn.get()),
            Vacant(place) => {
                let turn = self.next_turn;
                self.next_turn += 1;
                let purge = place.key().clone();
                self.broad += usize::from(is_broad(&purge));
                place.insert(turn);
                let (waiters, riders) = (Vec::with_capacity(1), Vec::new());
                let entry = Entry { purge, waiters, riders, turn, since: now, rebound: false };
                Some(self.waiting.entry(turn).or_insert(entry))
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        self.broad += usize::from(is_broad(&entry.purge));
        self.turns.insert(entry.purge.clone(), entry.turn);
        self.waiting.insert(entry.turn, entry);
    }

    fn remove(&mut self, purge: &Purge) -> Option<Entry> {
        let turn = self.turns.remove(purge)?;
        self.broad -= usize::from(is_broad(purge));
        self.waiting.remove(&turn)
    }

    /// Takes the next batch of at most `max` selectors; what a wider one includes rides on it.
    pub(crate) fn take(&mut self, max: usize, expired: &impl Fn(&Waiter) -> bool) -> Taken {
        let mut taken = Taken::default();
        if let Some(half) = self.halves.pop_front() {
            taken.entries = half;
            return taken;
        }
        if self.broad == 0 {
            self.take_plain(max, expired, &mut taken);
            return taken;
        }
        let mut places: Map<Purge, usize> = Map::default();
        while let Some(first) = self.waiting.first_key_value().map(|(_, entry)| &entry.purge) {
            let first = first.clone();
            let here = |wider: &Purge| places.contains_key(wider) || self.turns.contains_key(wider);
            let next = coverers(&first).find(here).unwrap_or_else(|| first.clone());
            if let Some(place) = places.get(&next) {
                let rider = self.remove(&first);
                let rider = rider.and_then(|rider| alive(rider, expired, &mut taken.expired));
                taken.entries[*place].riders.extend(rider);
            } else if taken.entries.len() == max {
                break;
            } else if let Some(entry) = self.remove(&next)
                && let Some(entry) = alive(entry, expired, &mut taken.expired)
            {
                places.insert(next, taken.entries.len());
                taken.entries.push(entry);
            }
        }
        taken
    }

    /// Where nothing is broad, nothing rides.
    fn take_plain(&mut self, max: usize, expired: &impl Fn(&Waiter) -> bool, taken: &mut Taken) {
        while taken.entries.len() < max
            && let Some((_, entry)) = self.waiting.pop_first()
        {
            self.turns.remove(&entry.purge);
            taken.entries.extend(alive(entry, expired, &mut taken.expired));
        }
    }

    /// A batch that was not purged waits again, each selector by itself, at its old turn.
    pub(crate) fn restore(&mut self, entries: Vec<Entry>) {
        for mut entry in entries {
            self.restore(std::mem::take(&mut entry.riders));
            if let Some(newer) = self.remove(&entry.purge) {
                entry.waiters.extend(newer.waiters);
                entry.rebound |= newer.rebound;
            }
            self.insert(entry);
        }
    }

    /// A batch that was refused is tried again in halves, before anything else.
    pub(crate) fn split(&mut self, mut entries: Vec<Entry>) {
        let second = entries.split_off(entries.len() / 2);
        self.halves.push_front(second);
        if !entries.is_empty() {
            self.halves.push_front(entries);
        }
    }

    /// Takes out every entry that `unable` names, with its waiters.
    pub(crate) fn extract(&mut self, unable: impl Fn(&Purge) -> bool) -> Vec<Entry> {
        let waiting = self.waiting.values().map(|entry| &entry.purge);
        let purges: Vec<Purge> = waiting.filter(|purge| unable(purge)).cloned().collect();
        purges.iter().filter_map(|purge| self.remove(purge)).collect()
    }

    /// How many selectors wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.halves.iter().map(Vec::len).sum::<usize>()
    }

    /// Since when the first in turn waits.
    pub(crate) fn waiting_since(&self) -> Option<Moment> {
        if let Some(half) = self.halves.front() {
            return half.first().map(|entry| entry.since);
        }
        self.waiting.first_key_value().map(|(_, entry)| entry.since)
    }

    /// Whether halves of a refused batch come next.
    pub(crate) fn splitting(&self) -> bool {
        !self.halves.is_empty()
    }
}

/// The entry without the waiters for whom it is too `late`; `None` if nobody wants it any more.
fn alive(
    mut entry: Entry,
    expired: &impl Fn(&Waiter) -> bool,
    late: &mut Vec<Waiter>,
) -> Option<Entry> {
    late.extend(entry.waiters.extract_if(.., |waiter| expired(waiter)));
    (!entry.waiters.is_empty() || entry.rebound).then_some(entry)
}

/// Whether it may cover another by a wider selector, or be covered by its harder twin.
pub(crate) fn is_broad(purge: &Purge) -> bool {
    let wide = matches!(
        purge.selector.kind(),
        SelectorKind::UrlAnyQuery | SelectorKind::Prefix | SelectorKind::Everything
    );
    wide || purge.mode == Mode::Soft
}

/// What would purge all that `purge` does, widest first: wider or equal, and at least as hard.
pub(crate) fn coverers(purge: &Purge) -> impl Iterator<Item = Purge> {
    let same = purge.selector.clone();
    let (site, mode) = (purge.site.clone(), purge.mode);
    let with = move |selector, mode| Purge::new(site.clone(), selector, mode);
    let harder_twin = (mode == Mode::Soft).then(|| with(same, Mode::Hard));
    let wider = purge.selector.wider().into_iter().rev().flat_map(move |selector| {
        let softer = (mode == Mode::Soft).then(|| with(selector.clone(), Mode::Soft));
        std::iter::once(with(selector, Mode::Hard)).chain(softer)
    });
    wider.chain(harder_twin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::{LineId, Selector};

    use super::*;

    fn number(number: u64) -> Waiter {
        let place = Place { line: LineId::from_bytes([7; 16]), number };
        Waiter::Number { place, expires_at: None }
    }

    fn purge(selector: Selector) -> Purge {
        Purge::new("main".parse().expect("a name"), selector, Mode::Hard)
    }

    fn url(path: &str) -> Selector {
        let url: schemas::Url =
            format!("https://www.example.com{path}").parse().expect("a valid url");
        let query = schemas::QueryMatch::Exact(url.query);
        Selector::Url { scheme: url.scheme, host: url.host, path: url.path, query }
    }

    fn prefix(path: &str) -> Selector {
        Selector::Prefix {
            host: "www.example.com".parse().expect("a host"),
            path: path.parse().expect("a path"),
        }
    }

    fn selector() -> impl Strategy<Value = Selector> {
        let path =
            prop::collection::vec("[ab]", 0..4).prop_map(|parts| format!("/{}", parts.join("/")));
        prop_oneof![
            6 => path.clone().prop_map(|path| url(&path)),
            2 => path.prop_map(|path| prefix(&path)),
            2 => "[xy]".prop_map(|tag| Selector::Tag(tag.parse().expect("a tag"))),
            1 => Just(Selector::Everything),
        ]
    }

    /// What a purge of `wider` removes, said without the code under test.
    fn includes(wider: &Purge, narrower: &Purge) -> bool {
        let selectors = match (&wider.selector, &narrower.selector) {
            (a, b) if a == b => true,
            (Selector::Everything, _) => true,
            (
                Selector::Prefix { path, .. },
                Selector::Url { path: below, .. } | Selector::Prefix { path: below, .. },
            ) => {
                let (path, below) = (path.as_str(), below.as_str());
                path == below
                    || below
                        .strip_prefix(path)
                        .is_some_and(|rest| path.ends_with('/') || rest.starts_with('/'))
            }
            _ => false,
        };
        selectors && wider.mode >= narrower.mode
    }

    fn waiters_of(entries: &[Entry], told: &mut Vec<Waiter>) {
        for entry in entries {
            told.extend(entry.waiters.iter().cloned());
            waiters_of(&entry.riders, told);
        }
    }

    proptest! {
        #[test]
        fn every_waiter_is_served_once_by_a_purge_that_includes_its_own(
            heard in prop::collection::vec((selector(), any::<bool>()), 1..60),
            max in 1usize..8,
            failing in prop::collection::vec(0u8..3, 0..20),
        ) {
            let mut queue = Queue::default();
            let mut wanted = std::collections::HashMap::new();
            for (at, (selector, soft)) in heard.iter().enumerate() {
                let purge = Purge { mode: if *soft { Mode::Soft } else { Mode::Hard }, ..purge(selector.clone()) };
                wanted.insert(number(at as u64), purge.clone());
                queue.add(purge, number(at as u64), Moment::ZERO);
            }
            let mut failing = failing.into_iter();
            let mut served = Vec::new();
            while queue.len() > 0 {
                let taken = queue.take(max, &|_| false);
                prop_assert!(!taken.entries.is_empty() && taken.entries.len() <= max);
                match failing.next() {
                    Some(0) => queue.restore(taken.entries),
                    Some(1) if taken.entries.len() > 1 => queue.split(taken.entries),
                    _ => {
                        for entry in &taken.entries {
                            let mut told = Vec::new();
                            waiters_of(std::slice::from_ref(entry), &mut told);
                            for waiter in &told {
                                prop_assert!(includes(&entry.purge, &wanted[waiter]), "{} for {}", entry.purge.selector, wanted[waiter].selector);
                            }
                            served.extend(told);
                        }
                    }
                }
            }
            prop_assert_eq!(served.len(), wanted.len());
            for waiter in &served {
                wanted.remove(waiter);
            }
            prop_assert!(wanted.is_empty());
        }
    }

    #[test]
    fn equal_selectors_are_purged_once() {
        let mut queue = Queue::default();
        for at in 0..1_000 {
            queue.add(purge(url("/hot")), number(at), Moment::ZERO);
        }
        let taken = queue.take(100, &|_| false);
        assert_eq!(taken.batch().purges, [purge(url("/hot"))]);
        assert_eq!(taken.entries[0].waiters.len(), 1_000);
    }

    #[test]
    fn a_wider_selector_heard_later_is_purged_in_the_turn_of_the_narrower() {
        let mut queue = Queue::default();
        queue.add(purge(url("/blog/1")), number(1), Moment::ZERO);
        queue.add(purge(url("/shop")), number(2), Moment::ZERO);
        queue.add(purge(prefix("/blog")), number(3), Moment::ZERO);
        let taken = queue.take(1, &|_| false);
        assert_eq!(taken.batch().purges, [purge(prefix("/blog"))]);
        assert_eq!(taken.entries[0].riders.len(), 1);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_soft_purge_never_covers_a_hard_one() {
        let mut queue = Queue::default();
        queue.add(purge(url("/blog/1")), number(1), Moment::ZERO);
        queue.add(Purge { mode: Mode::Soft, ..purge(prefix("/blog")) }, number(2), Moment::ZERO);
        assert_eq!(queue.take(10, &|_| false).entries.len(), 2);
    }

    #[test]
    fn an_expired_wider_selector_covers_nothing() {
        let mut queue = Queue::default();
        queue.add(purge(url("/blog/1")), number(1), Moment::ZERO);
        queue.add(purge(prefix("/blog")), number(2), Moment::ZERO);
        let taken = queue.take(10, &|waiter| *waiter == number(2));
        assert_eq!(taken.batch().purges, [purge(url("/blog/1"))]);
        assert_eq!(taken.expired, [number(2)]);
    }

    #[test]
    fn a_refused_batch_comes_back_in_halves_until_the_culprit_is_alone() {
        let mut queue = Queue::default();
        for at in 0..8 {
            queue.add(purge(url(&format!("/{at}"))), number(at), Moment::ZERO);
        }
        let mut alone = Vec::new();
        let mut calls = 0;
        while queue.len() > 0 {
            calls += 1;
            let taken = queue.take(8, &|_| false);
            let bad = taken.entries.iter().any(|entry| entry.waiters.contains(&number(5)));
            match (bad, taken.entries.len()) {
                (false, _) => {}
                (true, 1) => alone.extend(taken.entries),
                (true, _) => queue.split(taken.entries),
            }
        }
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].waiters, [number(5)]);
        assert_eq!(calls, 7, "1 + 2 per halving");
    }
}
