//! A reader's own place in a stream, and where a new consumer begins because of it.
//!
//! All partitions of a log lie in one stream and share its sequence, so one number says where to go on.

use std::collections::BTreeMap;

use async_nats::datetime::{self, DateTime};
use async_nats::jetstream::consumer::DeliverPolicy;
use jiff::Timestamp;

use crate::{Partition, Start, TopicKind};

/// What is known of a stream when a consumer is made.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// The oldest message kept.
    pub(super) first: u64,
    /// The next message to be written.
    pub(super) end: u64,
    /// When the stream was made: another one has another time.
    pub(super) created: DateTime,
}

/// Where a reader is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    kind: TopicKind,
    start: Start,
    /// The next message of the stream; none until the first came, where the server looks the start up.
    next: Option<u64>,
    /// Messages of a partition before this were not asked for.
    floors: BTreeMap<Partition, u64>,
    created: Option<DateTime>,
}

impl Place {
    pub(super) fn new(kind: TopicKind, start: Start) -> Self {
        Self { kind, start, next: None, floors: BTreeMap::new(), created: None }
    }

    /// Whether the partitions present decide where to begin.
    pub(super) fn needs_partitions(&self) -> bool {
        self.created.is_none() && self.kind == TopicKind::Log && matches!(self.start, Start::At(_))
    }

    /// Where to begin in the stream as it is now. True with it: this is not where the reader was, for the stream is
    /// another one, or lost what the reader had already read.
    pub(super) fn begin(
        &mut self,
        sight: &Sight,
        partitions: &[Partition],
    ) -> (DeliverPolicy, bool) {
        let known = self.created.replace(sight.created);
        match known {
            None => (self.begin_first(sight, partitions), false),
            Some(created) => {
                let other = created != sight.created;
                let back = self.next.is_some_and(|next| next > sight.end);
                if other || back { (self.begin_oldest(sight), true) } else { (self.go_on(), false) }
            }
        }
    }

    fn begin_first(&mut self, sight: &Sight, partitions: &[Partition]) -> DeliverPolicy {
        match (&self.start, self.kind) {
            (Start::Newest, _) => self.next = Some(sight.end),
            (Start::Oldest, TopicKind::Log) => self.next = Some(sight.first),
            (Start::At(positions), TopicKind::Log) => {
                // Outside of what is kept, on either side: the oldest.
                let within = |at: u64| if at > sight.end { sight.first } else { at };
                let named = positions.iter().map(|(&partition, at)| (partition, within(at.0)));
                self.floors = named.collect();
                let unnamed = partitions.iter().any(|it| !self.floors.contains_key(it));
                let lowest = self.floors.values().copied().min().filter(|_| !unnamed);
                self.next = Some(lowest.map_or(sight.first, |lowest| lowest.max(sight.first)));
            }
            (_, TopicKind::Board) | (Start::Since(_), TopicKind::Log) => {}
        }
        self.go_on()
    }

    fn begin_oldest(&mut self, sight: &Sight) -> DeliverPolicy {
        self.floors.clear();
        self.start = Start::Oldest;
        self.next = (self.kind == TopicKind::Log).then_some(sight.first);
        self.go_on()
    }

    fn go_on(&self) -> DeliverPolicy {
        match (self.next, &self.start) {
            (Some(next), _) => DeliverPolicy::ByStartSequence { start_sequence: next.max(1) },
            (None, Start::Since(time)) if self.kind == TopicKind::Log => since(*time),
            (None, _) if self.kind == TopicKind::Board => DeliverPolicy::LastPerSubject,
            (None, _) => DeliverPolicy::All,
        }
    }

    /// A message came; whether it was asked for.
    pub(super) fn came(&mut self, partition: Partition, sequence: u64) -> bool {
        self.next = Some(sequence.saturating_add(1));
        self.floors.get(&partition).is_none_or(|&floor| sequence >= floor)
    }

    /// The next message of the stream, where it is known.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }
}

fn since(time: Timestamp) -> DeliverPolicy {
    // Before the epoch there is nothing, and years below zero cannot be written.
    let nanoseconds = time.as_nanosecond().max(0);
    match datetime::from_nanos(nanoseconds) {
        Ok(start_time) => DeliverPolicy::ByStartTime { start_time },
        Err(_) => DeliverPolicy::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Position, Positions};

    const ALL: [Partition; 2] = [Partition(0), Partition(1)];

    fn sight(first: u64, end: u64, created: i128) -> Sight {
        Sight { first, end, created: datetime::from_nanos(created).unwrap() }
    }

    fn from(sequence: u64) -> DeliverPolicy {
        DeliverPolicy::ByStartSequence { start_sequence: sequence }
    }

    fn at(positions: &[(u32, u64)]) -> Place {
        let positions: Positions =
            positions.iter().map(|&(it, at)| (Partition(it), Position(at))).collect();
        Place::new(TopicKind::Log, Start::At(positions))
    }

    #[test]
    fn each_partition_begins_where_it_was_named_or_at_its_oldest() {
        for (positions, begins, asked) in [
            // Within; at the end; beyond it; trimmed; unnamed.
            (vec![(0, 7), (1, 6)], 6, [(0, 6, false), (0, 7, true), (1, 6, true)]),
            (vec![(0, 10), (1, 10)], 10, [(0, 9, false), (1, 9, false), (1, 10, true)]),
            (vec![(0, 11), (1, 9)], 3, [(0, 3, true), (1, 8, false), (1, 9, true)]),
            (vec![(0, 1), (1, 9)], 3, [(0, 3, true), (1, 8, false), (1, 9, true)]),
            (vec![(0, 7)], 3, [(0, 6, false), (0, 7, true), (1, 3, true)]),
            (vec![], 3, [(0, 3, true), (1, 3, true), (1, 4, true)]),
        ] {
            let mut place = at(&positions);
            let (policy, moved) = place.begin(&sight(3, 10, 1), &ALL);
            assert_eq!((policy, moved), (from(begins), false), "{positions:?}");
            for (partition, sequence, wanted) in asked {
                let came = place.clone().came(Partition(partition), sequence);
                assert_eq!(came, wanted, "{positions:?}: {sequence} of {partition}");
            }
        }
    }

    #[test]
    fn a_reader_goes_on_behind_what_came_last() {
        for start in [Start::Oldest, Start::Newest, Start::Since(Timestamp::UNIX_EPOCH)] {
            for kind in [TopicKind::Log, TopicKind::Board] {
                let mut place = Place::new(kind, start.clone());
                place.begin(&sight(1, 5, 1), &ALL);
                place.came(Partition(0), 7);
                assert_eq!(
                    place.begin(&sight(1, 8, 1), &ALL),
                    (from(8), false),
                    "{start:?} {kind:?}"
                );
            }
        }
    }

    #[test]
    fn before_the_first_message_a_reader_goes_on_where_it_began() {
        let mut newest = Place::new(TopicKind::Log, Start::Newest);
        assert_eq!(newest.begin(&sight(1, 5, 1), &ALL), (from(5), false));
        assert_eq!(newest.begin(&sight(1, 9, 1), &ALL), (from(5), false));
        let mut oldest = Place::new(TopicKind::Log, Start::Oldest);
        assert_eq!(oldest.begin(&sight(0, 1, 1), &ALL), (from(1), false));
        let time = Timestamp::from_second(1_000).unwrap();
        let mut since = Place::new(TopicKind::Log, Start::Since(time));
        let first = since.begin(&sight(1, 5, 1), &ALL);
        assert!(matches!(first, (DeliverPolicy::ByStartTime { .. }, false)));
        assert_eq!(since.begin(&sight(1, 9, 1), &ALL), first);
    }

    #[test]
    fn another_stream_or_one_that_went_back_is_read_from_its_oldest() {
        let mut place = at(&[(0, 7), (1, 7)]);
        place.begin(&sight(1, 9, 1), &ALL);
        place.came(Partition(0), 8);
        let back = place.clone().begin(&sight(2, 8, 1), &ALL);
        assert_eq!(back, (from(2), true));
        let other = place.begin(&sight(2, 30, 2), &ALL);
        assert_eq!(other, (from(2), true));
        assert!(place.came(Partition(1), 2), "floors were of the old stream");
        assert_eq!(place.begin(&sight(2, 30, 2), &ALL), (from(3), false));
    }

    #[test]
    fn a_board_gives_the_latest_of_every_key_unless_only_the_newest_are_wanted() {
        let positions = [(Partition(0), Position(4))].into();
        for start in [Start::Oldest, Start::At(positions), Start::Since(Timestamp::MAX)] {
            let mut place = Place::new(TopicKind::Board, start);
            assert_eq!(place.begin(&sight(1, 9, 1), &[]), (DeliverPolicy::LastPerSubject, false));
            place.came(Partition(0), 8);
            assert_eq!(place.begin(&sight(1, 3, 1), &[]), (DeliverPolicy::LastPerSubject, true));
        }
        let mut newest = Place::new(TopicKind::Board, Start::Newest);
        assert_eq!(newest.begin(&sight(1, 9, 1), &[]), (from(9), false));
    }

    #[test]
    fn any_time_can_be_asked_for() {
        for time in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            assert!(matches!(since(time), DeliverPolicy::ByStartTime { .. }), "{time}");
        }
    }
}
