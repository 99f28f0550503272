//! The tables, and every access to them.
//!
//! ```text
//! broker.messages    (topic, partition, position)  -> (time, key, body)
//! broker.partitions  (topic, partition)            -> (end, newest time, bytes of bodies, board)
//! broker.latest      (topic, partition, key)       -> position, of boards
//! ```
//!
//! A board removes a key's old message when it stores the new one, so a reader of positions finds the latest of
//! each key and nothing else. Positions outlive their messages: `end` never goes back.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use redb::{
    Database, Error, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};

use crate::{
    Bounds, Delivery, Message, Partition, PartitionBounds, Position, Positions, Start, Topic,
    TopicKind,
};

pub(super) type MessageKey = (&'static str, u32, u64);
pub(super) type MessageValue = (i128, Option<&'static str>, &'static [u8]);

pub(super) const MESSAGES: TableDefinition<MessageKey, MessageValue> =
    TableDefinition::new("broker.messages");
pub(super) const PARTITIONS: TableDefinition<(&str, u32), (u64, i128, u64, bool)> =
    TableDefinition::new("broker.partitions");
const LATEST: TableDefinition<(&str, u32, &str), u64> = TableDefinition::new("broker.latest");

/// A read takes no more bytes of bodies than this, but always one message.
const READ_BYTES_MAX: usize = 4 << 20;

/// What is remembered of a partition when its messages are gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) end: u64,
    pub(super) newest: i128,
    pub(super) bytes: u64,
    pub(super) board: bool,
}

impl State {
    fn empty(board: bool) -> Self {
        Self { end: 0, newest: i128::MIN, bytes: 0, board }
    }

    pub(super) fn row(self) -> (u64, i128, u64, bool) {
        (self.end, self.newest, self.bytes, self.board)
    }
}

impl From<(u64, i128, u64, bool)> for State {
    fn from((end, newest, bytes, board): (u64, i128, u64, bool)) -> Self {
        Self { end, newest, bytes, board }
    }
}

/// A transaction that is on the disk when it commits, and costs no long repair after a crash.
pub(super) fn write(database: &Database) -> Result<WriteTransaction, Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Makes every table exist, so that reads need not ask.
pub(super) fn create_tables(database: &Database) -> Result<(), Error> {
    let transaction = write(database)?;
    transaction.open_table(MESSAGES)?;
    transaction.open_table(PARTITIONS)?;
    transaction.open_table(LATEST)?;
    transaction.commit()?;
    Ok(())
}

/// Numbers and stores `messages`.
pub(super) fn append(
    transaction: &WriteTransaction,
    topic: Topic,
    partition: Partition,
    messages: &[Message],
    now: Timestamp,
) -> Result<(), Error> {
    let mut kept = transaction.open_table(MESSAGES)?;
    let mut latest = transaction.open_table(LATEST)?;
    let mut partitions = transaction.open_table(PARTITIONS)?;
    let place = (topic.name(), partition.0);
    let board = topic.kind() == TopicKind::Board;
    let mut state =
        partitions.get(place)?.map_or_else(|| State::empty(board), |row| row.value().into());
    state.newest = state.newest.max(now.as_nanosecond());
    for message in messages {
        let key = message.key.as_deref();
        if let (true, Some(key)) = (board, key)
            && let Some(old) = latest.insert((place.0, place.1, key), state.end)?
            && let Some(old) = kept.remove((place.0, place.1, old.value()))?
        {
            state.bytes -= old.value().2.len() as u64;
        }
        kept.insert((place.0, place.1, state.end), (state.newest, key, message.body.as_ref()))?;
        state.bytes += message.body.len() as u64;
        state.end += 1;
    }
    partitions.insert(place, state.row())?;
    Ok(())
}

/// First and next position of every partition.
pub(super) fn bounds(database: &Database, topic: Topic) -> Result<Bounds, Error> {
    bounds_in(&database.begin_read()?, topic)
}

/// Where a subscription begins in every partition that exists; one that comes later begins at its oldest.
pub(super) fn positions(
    database: &Database,
    topic: Topic,
    start: &Start,
) -> Result<Positions, Error> {
    let transaction = database.begin_read()?;
    let kept = transaction.open_table(MESSAGES)?;
    let mut positions = Positions::new();
    for (partition, PartitionBounds { first, end }) in bounds_in(&transaction, topic)? {
        let position = match start {
            Start::Newest => end,
            _ if topic.kind() == TopicKind::Board => first,
            Start::Oldest => first,
            Start::At(named) => match named.get(&partition) {
                Some(&position) if (first..=end).contains(&position) => position,
                _ => first,
            },
            Start::Since(time) => {
                let range = first.0..end.0;
                Position(first_since(&kept, topic, partition, range, *time)?)
            }
        };
        positions.insert(partition, position);
    }
    Ok(positions)
}

/// Up to `max` messages at or after `positions`; partitions take turns, beginning after `last`.
pub(super) fn read(
    database: &Database,
    topic: Topic,
    positions: &Positions,
    last: Option<Partition>,
    max: usize,
) -> Result<Vec<Delivery>, Error> {
    let transaction = database.begin_read()?;
    let kept = transaction.open_table(MESSAGES)?;
    let mut partitions: Vec<_> = bounds_in(&transaction, topic)?.into_keys().collect();
    let turn = partitions.partition_point(|partition| Some(*partition) <= last);
    partitions.rotate_left(turn);
    let mut batch = Vec::new();
    let mut bytes = 0;
    for partition in partitions {
        let from = positions.get(&partition).copied().unwrap_or_default();
        for row in kept.range(places(topic, partition, from))? {
            let (place, message) = row?;
            let (time, key, body) = message.value();
            bytes += body.len();
            if batch.len() == max || (bytes > READ_BYTES_MAX && !batch.is_empty()) {
                return Ok(batch);
            }
            batch.push(Delivery {
                partition,
                position: Position(place.value().2),
                time: timestamp(time)?,
                key: key.map(str::to_owned),
                body: Bytes::copy_from_slice(body),
            });
        }
    }
    Ok(batch)
}

fn bounds_in(transaction: &ReadTransaction, topic: Topic) -> Result<Bounds, Error> {
    let kept = transaction.open_table(MESSAGES)?;
    let partitions = transaction.open_table(PARTITIONS)?;
    let mut bounds = Bounds::new();
    for row in partitions.range((topic.name(), 0)..=(topic.name(), u32::MAX))? {
        let (place, state) = row?;
        let partition = Partition(place.value().1);
        let end = Position(State::from(state.value()).end);
        let first = match kept.range(places(topic, partition, Position(0)))?.next() {
            Some(row) => Position(row?.0.value().2),
            None => end,
        };
        bounds.insert(partition, PartitionBounds { first, end });
    }
    Ok(bounds)
}

/// The first of `positions` stored at `time` or later. A log's positions have no gaps and its times never go back.
fn first_since(
    kept: &ReadOnlyTable<MessageKey, MessageValue>,
    topic: Topic,
    partition: Partition,
    positions: Range<u64>,
    time: Timestamp,
) -> Result<u64, Error> {
    let Range { mut start, mut end } = positions;
    while start < end {
        let middle = start + (end - start) / 2;
        let stored = kept.get((topic.name(), partition.0, middle))?;
        if stored.is_some_and(|message| message.value().0 >= time.as_nanosecond()) {
            end = middle;
        } else {
            start = middle + 1;
        }
    }
    Ok(start)
}

fn places(
    topic: Topic,
    partition: Partition,
    from: Position,
) -> std::ops::RangeInclusive<MessageKey> {
    (topic.name(), partition.0, from.0)..=(topic.name(), partition.0, u64::MAX)
}

fn timestamp(nanosecond: i128) -> Result<Timestamp, Error> {
    Timestamp::from_nanosecond(nanosecond)
        .map_err(|_| Error::Corrupted(format!("a message of time {nanosecond}")))
}
