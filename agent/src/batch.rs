//! What waits to be purged: equal selectors once, narrower ones riding on wider ones, packed into batches.

mod stops;

use std::collections::{BTreeSet, VecDeque};

use ahash::RandomState;
use hashbrown::HashTable;
use jiff::Timestamp;
use schemas::{Mode, Place, SelectorKind, SiteName};
use uuid::Uuid;

use crate::Moment;
use crate::driver::{Batch, Purge};
use crate::map::Map;
use crate::sequence::Sequence;

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
    hash: u64,
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
    waiting: Sequence<Entry>,
    /// What does not go out now: all of the paused sites.
    aside: Sequence<Entry>,
    paused: BTreeSet<SiteName>,
    /// The turn of each purge that waits; its entry knows the hash.
    turns: HashTable<u64>,
    hasher: RandomState,
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
        let hash = self.hasher.hash_one(&purge);
        let known = self.turn(hash, &purge);
        let turn = known.unwrap_or_else(|| {
            let turn = self.next_turn;
            self.next_turn += 1;
            let (waiters, riders) = (Vec::with_capacity(1), Vec::new());
            self.insert(Entry { purge, waiters, riders, hash, turn, since: now, rebound: false });
            turn
        });
        self.waiting.get_mut(turn).or_else(|| self.aside.get_mut(turn))
    }

    fn turn(&self, hash: u64, purge: &Purge) -> Option<u64> {
        let is = |turn: &u64| self.get(*turn).is_some_and(|entry| entry.purge == *purge);
        self.turns.find(hash, is).copied()
    }

    fn get(&self, turn: u64) -> Option<&Entry> {
        self.waiting.get(turn).or_else(|| self.aside.get(turn))
    }

    fn has(&self, purge: &Purge) -> bool {
        self.turn(self.hasher.hash_one(purge), purge).is_some()
    }

    fn insert(&mut self, entry: Entry) {
        self.broad += usize::from(is_broad(&entry.purge));
        let Self { waiting, aside, turns, .. } = self;
        let (hash, turn) = (entry.hash, entry.turn);
        if self.paused.contains(&entry.purge.site) {
            aside.insert(turn, entry);
        } else {
            waiting.insert(turn, entry);
        }
        let hash_of = |turn: &u64| {
            let entry = waiting.get(*turn).or_else(|| aside.get(*turn));
            entry.map_or(0, |entry| entry.hash)
        };
        turns.insert_unique(hash, turn, hash_of);
    }

    fn remove(&mut self, purge: &Purge) -> Option<Entry> {
        let turn = self.turn(self.hasher.hash_one(purge), purge)?;
        let entry = self.waiting.remove(turn).or_else(|| self.aside.remove(turn))?;
        self.removed(&entry);
        Some(entry)
    }

    /// This one does not wait any more.
    fn removed(&mut self, entry: &Entry) {
        self.broad -= usize::from(is_broad(&entry.purge));
        if let Ok(turn) = self.turns.find_entry(entry.hash, |turn| *turn == entry.turn) {
            turn.remove();
        }
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
        while let Some(first) = self.waiting.first().map(|(_, entry)| &entry.purge) {
            let first = first.clone();
            let here = |wider: &Purge| places.contains_key(wider) || self.has(wider);
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
            && let Some(entry) = self.waiting.pop_first()
        {
            self.removed(&entry);
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
    pub(crate) fn split(&mut self, entries: Vec<Entry>) {
        let mut entries = self.keep_back(entries);
        let second = entries.split_off(entries.len() / 2);
        if !second.is_empty() {
            self.halves.push_front(second);
        }
        if !entries.is_empty() {
            self.halves.push_front(entries);
        }
    }

    /// Takes out every entry that `unable` names, with its waiters.
    pub(crate) fn extract(&mut self, unable: impl Fn(&Purge) -> bool) -> Vec<Entry> {
        let all = self.waiting.values().chain(self.aside.values()).map(|entry| &entry.purge);
        let purges: Vec<Purge> = all.filter(|purge| unable(purge)).cloned().collect();
        purges.iter().filter_map(|purge| self.remove(purge)).collect()
    }

    /// How many selectors wait and may go out.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.halves.iter().map(Vec::len).sum::<usize>()
    }

    /// Since when the first in turn waits.
    pub(crate) fn waiting_since(&self) -> Option<Moment> {
        if let Some(half) = self.halves.front() {
            return half.first().map(|entry| entry.since);
        }
        self.waiting.first().map(|(_, entry)| entry.since)
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
    if entry.waiters.iter().any(expired) {
        late.extend(entry.waiters.extract_if(.., |waiter| expired(waiter)));
    }
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
mod tests;
