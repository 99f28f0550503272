//! Reads the log once: what a time is about, up to where the log ended when the walk began.
//!
//! A cursor says where it is to the invalidation, so that whoever goes on after a crash leaves nothing out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Broker, BrokerError, Delivery, Partition, Position, Start, Subscription};
use jiff::Timestamp;
use schemas::Priority;
use tokio::time::timeout;

use crate::journal::Stream;
use crate::search::{SLACKS, later};

/// Most messages read at once.
const READ_MAX: usize = 64;
/// Heartbeats come each second: a log that is silent for longer is not there.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of one place of a cursor.
const PLACE_BYTES: usize = 1 + 4 + 8 + 8 + 8 + 4;
/// A cursor's format, and what stands for a walk of a partition that has not begun.
const FORMAT: u8 = 1;
const NOT_BEGUN: u64 = u64::MAX;

/// Why a walk does not go on now.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    /// It may, later.
    #[error("the log cannot be read")]
    Broker(#[from] BrokerError),
    /// It may, later.
    #[error("the log is silent")]
    Silent,
    /// It never will.
    #[error("the log no longer holds what comes next; replay what it holds")]
    Overtaken,
}

/// Where a walk is in one partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Where it began, and the next message; `None` where none has come yet.
    begun: Option<(u64, u64)>,
    /// So many invalidations of that message are done.
    within: u32,
    /// Where the log ended.
    end: u64,
}

/// Where a walk is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor(BTreeMap<Stream, Place>);

/// A walk.
#[derive(Debug)]
pub(super) struct Walk {
    broker: Arc<dyn Broker>,
    since: Timestamp,
    cursor: Cursor,
    reading: Option<(Priority, Box<dyn Subscription>)>,
    /// What lies behind their end was read: they are over once all that came with it is done.
    ending: BTreeSet<Stream>,
}

impl Place {
    fn is_over(&self) -> bool {
        self.begun.is_some_and(|(_, next)| next >= self.end)
    }
}

impl Cursor {
    /// At the beginning of a walk to the log's present end.
    pub(super) async fn begin(broker: &dyn Broker) -> Result<Self, BrokerError> {
        let mut places = BTreeMap::new();
        for priority in Priority::ALL {
            let topic = Stream { priority, partition: Partition(0) }.topic();
            for (partition, bounds) in broker.bounds(topic).await? {
                if bounds.end > bounds.first {
                    let place = Place { begun: None, within: 0, end: bounds.end.0 };
                    places.insert(Stream { priority, partition }, place);
                }
            }
        }
        Ok(Self(places))
    }

    /// How many messages were read, and how many there are, as far as known.
    pub(super) fn progress(&self) -> (u64, u64) {
        let begun = self.0.values().filter_map(|place| Some((place.begun?, place.end)));
        begun.fold((0, 0), |(read, all), ((first, next), end)| {
            let all_here = end.saturating_sub(first);
            (read + next.saturating_sub(first).min(all_here), all + all_here)
        })
    }

    /// How many invalidations of the message at this position are done.
    pub(super) fn done_of(&self, stream: Stream, position: Position) -> u32 {
        let place = self.0.get(&stream);
        let at = place.filter(|place| place.begun.is_some_and(|(_, next)| next == position.0));
        at.map_or(0, |place| place.within)
    }

    /// The message at this position is done up to, and without, its invalidation `within`.
    pub(super) fn pass_within(&mut self, stream: Stream, position: Position, within: u32) {
        self.pass_to(stream, position.0, position.0, within);
    }

    /// The message at this position is done.
    pub(super) fn pass(&mut self, stream: Stream, position: Position) {
        self.pass_to(stream, position.0, position.0.saturating_add(1), 0);
    }

    /// Everything up to its end is done.
    fn pass_all(&mut self, stream: Stream) {
        if let Some(&Place { end, .. }) = self.0.get(&stream) {
            self.pass_to(stream, end, end, 0);
        }
    }

    fn pass_to(&mut self, stream: Stream, position: u64, next: u64, within: u32) {
        let Some(place) = self.0.get_mut(&stream) else { return };
        let (first, before) = place.begun.unwrap_or((position, 0));
        if next >= before {
            place.begun = Some((first, next));
            place.within = within;
        }
    }

    fn open(&self, priority: Priority) -> impl Iterator<Item = (Partition, &Place)> {
        let all = self.0.iter().filter(move |(stream, _)| stream.priority == priority);
        all.filter(|(_, place)| !place.is_over()).map(|(stream, place)| (stream.partition, place))
    }

    /// For a store.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for (stream, place) in &self.0 {
            let (first, next) = place.begun.unwrap_or((NOT_BEGUN, NOT_BEGUN));
            bytes.push(u8::from(stream.priority == Priority::Normal));
            bytes.extend(stream.partition.0.to_be_bytes());
            for number in [first, next, place.end] {
                bytes.extend(number.to_be_bytes());
            }
            bytes.extend(place.within.to_be_bytes());
        }
        bytes
    }

    /// As told by [`Cursor::to_bytes`]; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&FORMAT, rows) = bytes.split_first()? else { return None };
        let (rows, []) = rows.as_chunks::<PLACE_BYTES>() else { return None };
        let mut places = BTreeMap::new();
        for row in rows {
            let number =
                |at: usize| row[at..].first_chunk().map(|eight| u64::from_be_bytes(*eight));
            let short = |at: usize| row[at..].first_chunk().map(|four| u32::from_be_bytes(*four));
            let priority = if row[0] == 0 { Priority::Critical } else { Priority::Normal };
            let (first, next, end) = (number(5)?, number(13)?, number(21)?);
            let begun = (next != NOT_BEGUN).then_some((first, next));
            let stream = Stream { priority, partition: Partition(short(1)?) };
            places.insert(stream, Place { begun, within: short(29)?, end });
        }
        Some(Self(places))
    }
}

impl Walk {
    /// Of what was accepted since then, on from the cursor.
    pub(super) fn new(broker: Arc<dyn Broker>, since: Timestamp, cursor: Cursor) -> Self {
        Self { broker, since, cursor, reading: None, ending: BTreeSet::new() }
    }

    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    pub(super) fn cursor_mut(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    /// The next messages, and of which priority; `None` at the end. Whoever asks has done all that came before. After
    /// an error it goes on at its cursor.
    pub(super) async fn next(&mut self) -> Result<Option<(Priority, Vec<Delivery>)>, WalkError> {
        for stream in std::mem::take(&mut self.ending) {
            self.cursor.pass_all(stream);
        }
        let mut unread = Priority::ALL.into_iter();
        let unread = unread.find(|priority| self.cursor.open(*priority).next().is_some());
        let Some(priority) = unread else { return Ok(None) };
        let mut subscription = match self.reading.take() {
            Some((at, subscription)) if at == priority => subscription,
            _ => self.subscribe(priority).await?,
        };
        let read = timeout(READ_WITHIN, subscription.read(READ_MAX)).await;
        let deliveries = read.map_err(|_| WalkError::Silent)??;
        self.reading = Some((priority, subscription));
        Ok(Some((priority, self.wanted(priority, deliveries))))
    }

    /// Those that are not done yet, and from before the end; what comes after it ends its partition, and not before
    /// these are done.
    fn wanted(&mut self, priority: Priority, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        let mut wanted = Vec::new();
        for delivery in deliveries {
            let stream = Stream { priority, partition: delivery.partition };
            let Some(place) = self.cursor.0.get(&stream).copied() else { continue };
            if delivery.position.0 >= place.end {
                self.ending.insert(stream);
            } else if place.begun.is_none_or(|(_, next)| delivery.position.0 >= next) {
                wanted.push(delivery);
            }
        }
        wanted
    }

    async fn subscribe(&mut self, priority: Priority) -> Result<Box<dyn Subscription>, WalkError> {
        let topic = Stream { priority, partition: Partition(0) }.topic();
        let since = later(self.since, -SLACKS[1]);
        let bounds = timeout(READ_WITHIN, self.broker.bounds(topic)).await;
        let bounds = bounds.map_err(|_| WalkError::Silent)??;
        let mut places = BTreeMap::new();
        for (partition, place) in self.cursor.open(priority) {
            let Some((_, next)) = place.begun else { continue };
            if bounds.get(&partition).is_some_and(|bounds| next < bounds.first.0) {
                return Err(WalkError::Overtaken);
            }
            places.insert(partition, Position(next));
        }
        let start = if places.is_empty() { Start::Since(since) } else { Start::At(places) };
        let subscribed = timeout(READ_WITHIN, self.broker.subscribe(topic, start)).await;
        Ok(subscribed.map_err(|_| WalkError::Silent)??)
    }
}

#[cfg(test)]
mod tests {
    use broker_adapter::{Embedded, EmbeddedConfig, Message};
    use bytes::Bytes;
    use daemon::Clock;

    use super::*;

    const NORMAL: Stream = Stream { priority: Priority::Normal, partition: Partition(3) };
    const CRITICAL: Stream = Stream { priority: Priority::Critical, partition: Partition(0) };
    const ONLY: Stream = Stream { priority: Priority::Normal, partition: Partition(0) };

    fn cursor() -> Cursor {
        let place = |end| Place { begun: None, within: 0, end };
        Cursor([(NORMAL, place(20)), (CRITICAL, place(9))].into())
    }

    #[test]
    fn a_cursor_goes_forward_to_the_invalidation_and_never_back() {
        let mut cursor = cursor();
        assert_eq!((cursor.done_of(NORMAL, Position(10)), cursor.progress()), (0, (0, 0)));
        cursor.pass_within(NORMAL, Position(10), 7);
        assert_eq!((cursor.done_of(NORMAL, Position(10)), cursor.progress()), (7, (0, 10)));
        cursor.pass(NORMAL, Position(10));
        assert_eq!((cursor.done_of(NORMAL, Position(11)), cursor.progress()), (0, (1, 10)));
        cursor.pass(NORMAL, Position(4));
        assert_eq!(cursor.progress(), (1, 10), "an older one is none");
        cursor.pass(NORMAL, Position(19));
        assert!(cursor.open(Priority::Normal).next().is_none());
        assert!(cursor.open(Priority::Critical).next().is_some());
    }

    #[test]
    fn a_stored_cursor_comes_back_and_other_bytes_are_none() {
        let mut cursor = cursor();
        cursor.pass_within(NORMAL, Position(10), 7);
        let bytes = cursor.to_bytes();
        assert_eq!(Cursor::from_bytes(&bytes), Some(cursor));
        for length in [0, 2, bytes.len() - 1] {
            assert_eq!(Cursor::from_bytes(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Cursor::from_bytes(&[2]), None);
    }

    async fn publish(log: &Embedded, count: usize) {
        let message = Message { key: None, id: None, body: Bytes::from_static(b"x") };
        log.publish(ONLY.topic(), ONLY.partition, vec![message; count]).await.unwrap();
    }

    /// A walk on from there, and the positions that it reads first.
    async fn read_on(log: &Embedded, cursor: Cursor) -> (Walk, Vec<u64>) {
        let mut walk = Walk::new(Arc::new(log.clone()), Timestamp::UNIX_EPOCH, cursor);
        let (_, read) = walk.next().await.unwrap().unwrap();
        let read = read.iter().map(|delivery| delivery.position.0).collect();
        (walk, read)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_among_messages_that_came_with_the_end_goes_on_among_them() {
        let config = EmbeddedConfig::default();
        let log = Embedded::in_memory(config, || Timestamp::UNIX_EPOCH).unwrap();
        publish(&log, 4).await;
        let cursor = Cursor::begin(&log).await.unwrap();
        publish(&log, 2).await;
        let (mut walk, all) = read_on(&log, cursor).await;
        assert_eq!(all.len(), 4, "what came later is none of it");
        let half_done = Position(all[1]);
        walk.cursor_mut().pass(ONLY, Position(all[0]));
        walk.cursor_mut().pass_within(ONLY, half_done, 7);

        let stored = Cursor::from_bytes(&walk.cursor().to_bytes()).unwrap();
        let (mut walk, left) = read_on(&log, stored).await;
        assert_eq!((left.as_slice(), walk.cursor().done_of(ONLY, half_done)), (&all[1..], 7));
        for position in left {
            walk.cursor_mut().pass(ONLY, Position(position));
        }
        assert_eq!((walk.next().await.unwrap(), walk.cursor().progress()), (None, (4, 4)));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_of_its_time_what_comes_later_ends_it() {
        let clock = Clock::following(Timestamp::UNIX_EPOCH + Duration::from_hours(1));
        let log = Embedded::in_memory(EmbeddedConfig::default(), move || clock.now()).unwrap();
        publish(&log, 1).await;
        tokio::time::advance(Duration::from_hours(1)).await;
        let cursor = Cursor::begin(&log).await.unwrap();
        publish(&log, 1).await;
        let mut walk = Walk::new(Arc::new(log), clock.now(), cursor);
        assert_eq!(walk.next().await.unwrap(), Some((Priority::Normal, Vec::new())));
        assert_eq!(walk.next().await.unwrap(), None);
    }
}
