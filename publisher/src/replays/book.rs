//! The replays there are: those that run, and the latest that have ended.

use std::collections::BTreeMap;

use daemon::Stop;
use jiff::{SignedDuration, Timestamp};
use schemas::api::{Replay, ReplayFilter, ReplayState};
use uuid::Uuid;

use super::walk::Cursor;

/// Most that run at once.
const RUNNING_MAX: usize = 4;
/// Most that have ended and are remembered, and for how long.
const ENDED_MAX: usize = 100;
const ENDED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why one does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// This one is about some of the same.
    Overlaps(Uuid),
    /// As many run as may.
    Full,
}

/// A replay.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As it is told.
    pub(super) replay: Replay,
    /// Where it is in the log.
    pub(super) cursor: Cursor,
    /// Asked for when a human stops it.
    pub(super) cancel: Stop,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Book(BTreeMap<Uuid, Entry>);

impl Entry {
    pub(super) fn new(replay: Replay, cursor: Cursor) -> Self {
        Self { replay, cursor, cancel: Stop::new() }
    }
}

impl Book {
    pub(super) fn get(&self, id: Uuid) -> Option<&Entry> {
        self.0.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: Uuid) -> Option<&mut Entry> {
        self.0.get_mut(&id)
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.0.insert(entry.replay.id, entry);
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        self.0.remove(&id);
    }

    /// All of them, the latest first.
    pub(super) fn replays(&self) -> Vec<Replay> {
        let mut replays: Vec<Replay> = self.0.values().map(|entry| entry.replay.clone()).collect();
        replays.sort_by_key(|replay| std::cmp::Reverse((replay.started_at, replay.id)));
        replays
    }

    /// Those that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Replay> {
        let replays = self.0.values().map(|entry| &entry.replay);
        replays.filter(|replay| replay.state == ReplayState::Running)
    }

    /// Whether one about that may run beside those that do.
    pub(super) fn fits(&self, filter: &ReplayFilter) -> Result<(), Unfit> {
        if let Some(other) = self.running().find(|replay| overlap(&replay.filter, filter)) {
            return Err(Unfit::Overlaps(other.id));
        }
        if self.running().count() >= RUNNING_MAX { Err(Unfit::Full) } else { Ok(()) }
    }

    /// Forgets what ended long ago, or before many others.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<Uuid> {
        let ended =
            self.0.values().filter_map(|entry| Some((entry.replay.ended_at?, entry.replay.id)));
        let mut ended: Vec<(Timestamp, Uuid)> = ended.collect();
        ended.sort_unstable();
        let too_many = ended.len().saturating_sub(ENDED_MAX);
        let old = |(at, _): &(Timestamp, Uuid)| now.duration_since(*at) > ENDED_FOR;
        let gone = ended.iter().enumerate().filter(|(at, ended)| *at < too_many || old(ended));
        let gone: Vec<Uuid> = gone.map(|(_, (_, id))| *id).collect();
        for id in &gone {
            self.remove(*id);
        }
        gone
    }
}

/// Whether both may be about one invalidation for one cache.
fn overlap(one: &ReplayFilter, other: &ReplayFilter) -> bool {
    fn meet<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
        one.zip(other).is_none_or(|(one, other)| one == other)
    }
    one.since <= other.until
        && other.since <= one.until
        && meet(one.site.as_ref(), other.site.as_ref())
        && meet(one.region.as_ref(), other.region.as_ref())
        && meet(one.agent.as_ref(), other.agent.as_ref())
        && meet(one.cache.as_ref(), other.cache.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{replay, replay_filter};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn filter(since: i64, until: i64) -> ReplayFilter {
        replay_filter(at(since), at(until))
    }

    fn entry(id: u128, filter: ReplayFilter, ended_at: Option<Timestamp>) -> Entry {
        let state = if ended_at.is_some() { ReplayState::Done } else { ReplayState::Running };
        let replay = Replay { state, ended_at, ..replay(id, filter) };
        Entry::new(replay, Cursor::default())
    }

    #[test]
    fn what_may_meet_in_one_invalidation_for_one_cache_overlaps() {
        let mut book = Book::default();
        let region = |name: &str| Some(name.parse().unwrap());
        book.put(entry(1, ReplayFilter { region: region("eu"), ..filter(10, 20) }, None));
        book.put(entry(2, filter(30, 40), Some(at(50))));
        let overlaps = Err(Unfit::Overlaps(Uuid::from_u128(1)));
        assert_eq!(book.fits(&filter(20, 25)), overlaps, "one moment is enough");
        assert_eq!(book.fits(&filter(0, 9)), Ok(()));
        assert_eq!(book.fits(&ReplayFilter { region: region("us"), ..filter(10, 20) }), Ok(()));
        let tag = Some("a".parse().unwrap());
        assert_eq!(book.fits(&ReplayFilter { tag, ..filter(15, 16) }), overlaps);
        assert_eq!(book.fits(&filter(30, 40)), Ok(()), "that one has ended");
    }

    #[test]
    fn only_so_many_run_and_only_so_many_ended_ones_are_remembered() {
        let mut book = Book::default();
        for (id, since) in (1_000..1_004).zip([0, 10, 20, 30]) {
            book.put(entry(id, filter(since, since + 1), None));
        }
        assert_eq!(book.fits(&filter(500, 600)), Err(Unfit::Full));
        for (id, ended) in (0..103).zip(0..) {
            book.put(entry(id, filter(0, 1), Some(at(ended))));
        }
        let gone = book.forget(at(200));
        assert_eq!(gone, [0, 1, 2].map(Uuid::from_u128));
        assert_eq!(book.forget(at(200 + 31 * 24 * 3_600)).len(), 100);
        assert_eq!(book.running().count(), 4, "what runs stays");
    }
}
