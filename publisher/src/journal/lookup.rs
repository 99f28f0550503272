//! Reads of the journal. All of them block on the disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{Database, Error, ReadTransaction, ReadableDatabase, ReadableTable};
use schemas::{Frame, Invalidation, LineId, LogMessage, Number, Place, Priority, wire};
use uuid::Uuid;

use super::stream::{Reach, Stream};
use super::table::{
    ANNOUNCED, FRAMES, IDS, LINES, NUMBERS, REPLAYS, STREAMS, StreamState, line_of, place,
};

/// A frame as it was committed, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFrame {
    /// Of its stream.
    pub(crate) sequence: u64,
    /// The place of its first invalidation.
    pub(crate) first: Place,
    /// The message on the log.
    pub(crate) bytes: Bytes,
}

/// The invalidation of that id, if its frame is kept.
pub(super) fn invalidation(
    database: &Database,
    id: Uuid,
) -> Result<Option<(Place, Invalidation)>, Error> {
    let transaction = database.begin_read()?;
    let Some(found) = transaction.open_table(IDS)?.get(id.as_u128())? else { return Ok(None) };
    let (line, number) = found.value();
    let Some((mut frame, _)) = frame_with(&transaction, line, number)? else { return Ok(None) };
    let Some(at) = position(&frame, number) else { return Ok(None) };
    Ok(Some((place(line, number), frame.invalidations.swap_remove(at))))
}

/// By which ids it was published again, as far as that is kept: the latest, newest first.
pub(super) fn replays_of(
    database: &Database,
    origin: Uuid,
    max: usize,
) -> Result<Vec<Uuid>, Error> {
    let origin = origin.as_u128();
    let replays = database.begin_read()?.open_table(REPLAYS)?;
    let latest = replays.range((origin, 0)..=(origin, u128::MAX))?.rev().take(max);
    latest.map(|row| Ok(Uuid::from_u128(row?.0.value().1))).collect()
}

/// The frame that carries a number, if it is kept, and how many bytes it has.
pub(super) fn frame_with(
    transaction: &ReadTransaction,
    line: u128,
    number: Number,
) -> Result<Option<(Frame, usize)>, Error> {
    let Some(row) = transaction.open_table(LINES)?.get(line)? else { return Ok(None) };
    let (topic, partition, _, _) = row.value();
    let numbers = transaction.open_table(NUMBERS)?;
    let Some(row) = numbers.range((line, 0)..=(line, number))?.next_back() else { return Ok(None) };
    let sequence = row?.1.value();
    let frames = transaction.open_table(FRAMES)?;
    let Some(row) = frames.get((topic, partition, sequence))? else { return Ok(None) };
    let (of_line, first, last, _, bytes) = row.value();
    if of_line != line || !(first..=last).contains(&number) {
        return Ok(None);
    }
    let Ok(LogMessage::Frame(frame)) = wire::decode_log(bytes) else { return Ok(None) };
    Ok(Some((frame, bytes.len())))
}

/// Where in a frame the invalidation of that number stands.
pub(super) fn position(frame: &Frame, number: Number) -> Option<usize> {
    let at = usize::try_from(number.checked_sub(frame.first)?).ok()?;
    (at < frame.invalidations.len()).then_some(at)
}

/// Frames of a stream from a sequence on, at most `bytes_max`, but at least one if there is one.
pub(super) fn frames_from(
    database: &Database,
    stream: Stream,
    sequence: u64,
    bytes_max: usize,
) -> Result<Vec<StoredFrame>, Error> {
    let (topic, partition) = stream.key();
    let frames = database.begin_read()?.open_table(FRAMES)?;
    let mut taken = Vec::new();
    let mut bytes_taken = 0;
    for row in frames.range((topic, partition, sequence)..=(topic, partition, u64::MAX))? {
        let (key, row) = row?;
        let (line, first, _, _, bytes) = row.value();
        bytes_taken += bytes.len();
        if bytes_taken > bytes_max && !taken.is_empty() {
            break;
        }
        taken.push(StoredFrame {
            sequence: key.value().2,
            first: place(line, first),
            bytes: Bytes::copy_from_slice(bytes),
        });
    }
    Ok(taken)
}

/// Every line that has numbers.
pub(super) fn lines(database: &Database) -> Result<Vec<(LineId, Priority)>, Error> {
    let mut lines = Vec::new();
    for row in database.begin_read()?.open_table(LINES)?.iter()? {
        let (line, row) = row?;
        let (topic, _, last, _) = row.value();
        let priority = Priority::ALL.into_iter().find(|priority| priority.as_str() == topic);
        let numbered = priority.filter(|_| last > 0);
        lines.extend(numbered.map(|priority| (line_of(line.value()), priority)));
    }
    Ok(lines)
}

/// What stands on the board for this publisher, once an incarnation has begun.
pub(super) fn announced(database: &Database) -> Result<Option<Bytes>, Error> {
    let announced = database.begin_read()?.open_table(ANNOUNCED)?;
    Ok(announced.get(())?.map(|row| Bytes::copy_from_slice(row.value())))
}

/// Every stream that was ever written or is wanted now, and how far it had come when that was last stored.
pub(super) fn reaches(database: &Database) -> Result<BTreeMap<Stream, Reach>, Error> {
    let mut reaches = BTreeMap::new();
    for row in database.begin_read()?.open_table(STREAMS)?.iter()? {
        let (key, row) = row?;
        let state = StreamState::from(row.value());
        reaches.extend(Stream::from_key(key.value()).map(|stream| (stream, state.into())));
    }
    Ok(reaches)
}
