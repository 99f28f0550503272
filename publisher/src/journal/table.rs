//! The tables. A *stream* is one topic partition; its frames are counted by *sequence*, from 0 on. Streams of
//! partitions that are no longer configured stay, so that their frames are forwarded to the end and repaired.
//!
//! ```text
//! journal.lines        line                     -> (topic, partition, last number, closed at)
//! journal.streams      (topic, partition)       -> (end, forwarded, bytes of frames)
//! journal.frames       (topic, partition, seq)  -> (line, first, last, committed at, frame)
//! journal.numbers      (line, first number)     -> seq
//! journal.ids          id                       -> (line, number)
//! journal.replays      (origin, id)             -> ()
//! journal.keys         digest of who and key    -> (digest of request, id, line, number, accepted at)
//! journal.key_times    (accepted at, digest)    -> ()
//! journal.announced    ()                       -> the latest incarnation, as it stands on the board
//! journal.ahead        ()                       -> the name of the records that follow, in the file before the store
//! ```
//!
//! Times are microseconds. `forwarded` and `end` are the next sequences to forward and to commit.

use jiff::Timestamp;
use redb::{Database, Error, ReadableTable, TableDefinition, WriteTransaction};
use schemas::{LineId, Number, Place};

use super::stream::Stream;

pub(super) type StreamKey = (&'static str, u32);
pub(super) type LineRow = (&'static str, u32, u64, i64);
pub(super) type FrameKey = (&'static str, u32, u64);
pub(super) type FrameRow = (u128, u64, u64, i64, &'static [u8]);
pub(super) type KeyRow = ([u8; 32], u128, u128, u64, i64);

pub(super) const LINES: TableDefinition<u128, LineRow> = TableDefinition::new("journal.lines");
pub(super) const STREAMS: TableDefinition<StreamKey, (u64, u64, u64)> =
    TableDefinition::new("journal.streams");
pub(super) const FRAMES: TableDefinition<FrameKey, FrameRow> =
    TableDefinition::new("journal.frames");
pub(super) const NUMBERS: TableDefinition<(u128, u64), u64> =
    TableDefinition::new("journal.numbers");
pub(super) const IDS: TableDefinition<u128, (u128, u64)> = TableDefinition::new("journal.ids");
pub(super) const REPLAYS: TableDefinition<(u128, u128), ()> =
    TableDefinition::new("journal.replays");
pub(super) const KEYS: TableDefinition<[u8; 32], KeyRow> = TableDefinition::new("journal.keys");
pub(super) const KEY_TIMES: TableDefinition<(i64, [u8; 32]), ()> =
    TableDefinition::new("journal.key_times");
pub(super) const ANNOUNCED: TableDefinition<(), &'static [u8]> =
    TableDefinition::new("journal.announced");
pub(super) const AHEAD: TableDefinition<(), u128> = TableDefinition::new("journal.ahead");

/// The time at which a line that still grows is closed.
pub(super) const OPEN: i64 = i64::MAX;

/// How far a stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StreamState {
    /// The next sequence to commit.
    pub(super) end: u64,
    /// The next sequence to forward; what lies below, the broker has.
    pub(super) forwarded: u64,
    /// Bytes of the frames kept.
    pub(super) bytes: u64,
}

impl From<(u64, u64, u64)> for StreamState {
    fn from((end, forwarded, bytes): (u64, u64, u64)) -> Self {
        Self { end, forwarded, bytes }
    }
}

impl StreamState {
    pub(super) fn row(self) -> (u64, u64, u64) {
        (self.end, self.forwarded, self.bytes)
    }

    /// One more frame of so many bytes; answers its sequence.
    pub(super) fn append(&mut self, bytes: usize) -> u64 {
        self.bytes += bytes as u64;
        self.end += 1;
        self.end - 1
    }
}

/// A transaction that is on the disk when it commits, and costs no long repair after a crash.
pub(super) fn write(database: &Database) -> Result<WriteTransaction, Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Makes every table and these streams exist, so that reads need not ask.
pub(super) fn create(
    database: &Database,
    wanted: impl Iterator<Item = Stream>,
) -> Result<(), Error> {
    let transaction = write(database)?;
    transaction.open_table(LINES)?;
    transaction.open_table(FRAMES)?;
    transaction.open_table(NUMBERS)?;
    transaction.open_table(IDS)?;
    transaction.open_table(REPLAYS)?;
    transaction.open_table(KEYS)?;
    transaction.open_table(KEY_TIMES)?;
    transaction.open_table(ANNOUNCED)?;
    let mut streams = transaction.open_table(STREAMS)?;
    for stream in wanted {
        let missing = streams.get(stream.key())?.is_none();
        if missing {
            streams.insert(stream.key(), StreamState::default().row())?;
        }
    }
    drop(streams);
    transaction.commit()?;
    Ok(())
}

/// A line as a key.
pub(super) fn line_key(line: LineId) -> u128 {
    u128::from_be_bytes(line.to_bytes())
}

/// A place from its columns.
pub(super) fn place(line: u128, number: Number) -> Place {
    Place { line: line_of(line), number }
}

/// A line from its key.
pub(super) fn line_of(key: u128) -> LineId {
    LineId::from_bytes(key.to_be_bytes())
}

/// A time from its column.
pub(super) fn time(microseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| Error::Corrupted(format!("a time of {microseconds} microseconds")))
}
