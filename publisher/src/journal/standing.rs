//! How a journal stands to its broker: what each line has there, what waits and since when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use redb::{Database, Error, ReadTransaction, ReadableDatabase, ReadableTable};
use schemas::{FRAME_BYTES_MAX, LineId, Number};

use super::Limits;
use super::stream::Stream;
use super::table::{FRAMES, LINES, NUMBERS, STREAMS, StreamState, line_of, time};

/// How a journal stands to its broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Of every stream, its lines with the last number that the broker has.
    pub(crate) heads: BTreeMap<Stream, Vec<(LineId, Number)>>,
    /// So many numbers the broker does not have yet.
    pub(crate) unforwarded: u64,
    /// When the oldest of those was committed.
    pub(crate) waiting_since: Option<Timestamp>,
    /// Whether nothing more fits, and nothing may leave to make room.
    pub(crate) full: bool,
    /// Whether its disk has no room left.
    pub(crate) disk_full: bool,
}

/// The next frame of a stream that the broker does not have: its line and its first number.
type Waiting = BTreeMap<Stream, (u128, Number)>;

/// Reads it. `forwarded` has every stream with the first sequence that the broker does not have. Lines closed for
/// long are left out: agents forget them too, and would take them for new ones.
pub(super) fn standing(
    database: &Database,
    forwarded: &BTreeMap<Stream, u64>,
    limits: Limits,
    now: Timestamp,
) -> Result<Standing, Error> {
    let transaction = database.begin_read()?;
    let mut standing = Standing::default();
    let waiting = waiting(&transaction, forwarded, &mut standing)?;
    standing.full = is_full(&transaction, forwarded, limits)?;
    let remembered_since = limits.remembered_since(now).as_microsecond();
    let numbers = transaction.open_table(NUMBERS)?;
    for row in transaction.open_table(LINES)?.iter()? {
        let (line, row) = row?;
        let (line, (topic, partition, last, closed_at)) = (line.value(), row.value());
        let Some(stream) = Stream::from_key((topic, partition)) else { continue };
        let newest = numbers.range((line, 0)..=(line, last))?.next_back().transpose()?;
        let newest = newest.map(|(_, sequence)| sequence.value());
        let waits = newest.filter(|newest| forwarded.get(&stream).is_some_and(|f| newest >= f));
        if last == 0 || closed_at < remembered_since && waits.is_none() {
            continue;
        }
        let head = match waits {
            Some(_) => {
                let next = waiting.get(&stream).filter(|(of_line, _)| *of_line == line);
                next.map_or(0, |(_, first)| first - 1)
            }
            None => last,
        };
        standing.unforwarded += last - head;
        if head > 0 {
            standing.heads.entry(stream).or_default().push((line_of(line), head));
        }
    }
    Ok(standing)
}

fn waiting(
    transaction: &ReadTransaction,
    forwarded: &BTreeMap<Stream, u64>,
    standing: &mut Standing,
) -> Result<Waiting, Error> {
    let frames = transaction.open_table(FRAMES)?;
    let mut waiting = Waiting::new();
    for (stream, forwarded) in forwarded {
        standing.heads.entry(*stream).or_default();
        let (topic, partition) = stream.key();
        let Some(row) = frames.get((topic, partition, *forwarded))? else { continue };
        let (line, first, _, at, _) = row.value();
        let since = time(at)?;
        let oldest = standing.waiting_since.get_or_insert(since);
        *oldest = since.min(*oldest);
        waiting.insert(*stream, (line, first));
    }
    Ok(waiting)
}

fn is_full(
    transaction: &ReadTransaction,
    forwarded: &BTreeMap<Stream, u64>,
    limits: Limits,
) -> Result<bool, Error> {
    let mut bytes = 0;
    for row in transaction.open_table(STREAMS)?.iter()? {
        bytes += StreamState::from(row?.1.value()).bytes;
    }
    if bytes.saturating_add(FRAME_BYTES_MAX as u64) <= limits.bytes {
        return Ok(false);
    }
    let frames = transaction.open_table(FRAMES)?;
    for (stream, forwarded) in forwarded {
        let (topic, partition) = stream.key();
        let range = (topic, partition, 0)..(topic, partition, *forwarded);
        if frames.range(range)?.next().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
