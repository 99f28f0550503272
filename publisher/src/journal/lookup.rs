//! Reads of the journal. All of them block on the disk.

use bytes::Bytes;
use redb::{Database, Error, ReadableDatabase, ReadableTable};
use schemas::{Invalidation, LineId, LogMessage, Number, NumberRange, Place, Priority, wire};
use uuid::Uuid;

use super::stream::Reach;
use super::table::{
    ANNOUNCED, FRAMES, IDS, LINES, NUMBERS, STREAMS, StreamState, line_key, line_of, place, stream,
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
    let numbers = transaction.open_table(NUMBERS)?;
    let Some(row) = numbers.range((line, 0)..=(line, number))?.next_back() else { return Ok(None) };
    let sequence = row?.1.value();
    let frames = transaction.open_table(FRAMES)?;
    for priority in Priority::ALL {
        let (topic, partition) = stream(priority);
        let Some(row) = frames.get((topic, partition, sequence))? else { continue };
        let (of_line, first, last, _, bytes) = row.value();
        if of_line == line && (first..=last).contains(&number) {
            return Ok(take(bytes, number).map(|taken| (place(line, number), taken)));
        }
    }
    Ok(None)
}

/// Frames of a stream from a sequence on, at most `bytes_max`, but at least one if there is one.
pub(super) fn frames_from(
    database: &Database,
    priority: Priority,
    sequence: u64,
    bytes_max: usize,
) -> Result<Vec<StoredFrame>, Error> {
    let (topic, partition) = stream(priority);
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

/// The frames that carry some of these numbers of a line, at most `max`; `None` for a line of someone else.
pub(super) fn frames_of(
    database: &Database,
    line: LineId,
    numbers: NumberRange,
    max: usize,
) -> Result<Option<(Priority, Vec<StoredFrame>)>, Error> {
    let transaction = database.begin_read()?;
    let Some(row) = transaction.open_table(LINES)?.get(line_key(line))? else { return Ok(None) };
    let topic = row.value().0;
    let Some(priority) = Priority::ALL.into_iter().find(|priority| priority.as_str() == topic)
    else {
        return Ok(None);
    };
    let (topic, partition) = stream(priority);
    let (index, frames) = (transaction.open_table(NUMBERS)?, transaction.open_table(FRAMES)?);
    let key = line_key(line);
    let start = match index.range((key, 0)..=(key, numbers.first))?.next_back() {
        Some(row) => row?.0.value().1,
        None => numbers.first,
    };
    let mut found = Vec::new();
    for row in index.range((key, start)..=(key, numbers.last))?.take(max) {
        let sequence = row?.1.value();
        let Some(row) = frames.get((topic, partition, sequence))? else { continue };
        let (_, first, last, _, bytes) = row.value();
        if last >= numbers.first {
            let bytes = Bytes::copy_from_slice(bytes);
            found.push(StoredFrame { sequence, first: Place { line, number: first }, bytes });
        }
    }
    Ok(Some((priority, found)))
}

/// Every line of a stream with the last number below the sequence `forwarded`, and how many numbers lie above it.
pub(super) fn heads(
    database: &Database,
    priority: Priority,
    forwarded: u64,
) -> Result<(Vec<(LineId, Number)>, u64), Error> {
    let (topic, partition) = stream(priority);
    let transaction = database.begin_read()?;
    let numbers = transaction.open_table(NUMBERS)?;
    let frames = transaction.open_table(FRAMES)?;
    let waiting = frames.get((topic, partition, forwarded))?;
    let waiting = waiting.map(|row| (row.value().0, row.value().1));
    let (mut heads, mut unforwarded) = (Vec::new(), 0);
    for row in transaction.open_table(LINES)?.iter()? {
        let (line, row) = row?;
        let (line, (of_topic, of_partition, last, _)) = (line.value(), row.value());
        if (of_topic, of_partition) != (topic, partition) || last == 0 {
            continue;
        }
        let newest = numbers.range((line, 0)..=(line, last))?.next_back().transpose()?;
        let head = match newest {
            Some((_, sequence)) if sequence.value() >= forwarded => {
                waiting.filter(|(of_line, _)| *of_line == line).map_or(0, |(_, first)| first - 1)
            }
            _ => last,
        };
        unforwarded += last - head;
        if head > 0 {
            heads.push((line_of(line), head));
        }
    }
    Ok((heads, unforwarded))
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

/// How far a stream had come when that was last stored.
pub(super) fn reach(database: &Database, priority: Priority) -> Result<Reach, Error> {
    let streams = database.begin_read()?.open_table(STREAMS)?;
    let row = streams.get(stream(priority))?;
    Ok(row.map_or_else(StreamState::default, |row| row.value().into()).into())
}

fn take(frame: &[u8], number: Number) -> Option<Invalidation> {
    let Ok(LogMessage::Frame(mut frame)) = wire::decode_log(frame) else { return None };
    let at = usize::try_from(number.checked_sub(frame.first)?).ok()?;
    (at < frame.invalidations.len()).then(|| frame.invalidations.swap_remove(at))
}
